// SPDX-License-Identifier: MIT

/**
 * The rules of a vmnetd that runs, and the guests that they lead to.
 *
 * @module
 */

import { UsageError } from "./_cli.ts";
import { follow, type Source } from "./_follow.ts";
import { DaemonLeases } from "./_lease_sources.ts";
import { hiddenHint, isOf, type Lease } from "./_leases.ts";
import { askForLists, askOnce, followEvents } from "./_vmnetd_answers.ts";

/** How often rules are read without being told. */
const LOOK_MS = 2000;

/** A rule in force. */
export interface Rule {
  readonly network: string;
  readonly protocol: "tcp" | "udp";
  readonly externalPort: number;
  readonly internalAddress: string;
  readonly internalPort: number;
}

const FIELDS = {
  ...{ protocol: "string", externalPort: "number" } as const,
  ...{ internalAddress: "string", internalPort: "number" } as const,
};

/** The rules of a vmnetd: of the network that is meant, or of all. */
export class Rules implements Source<Rule[]> {
  readonly #control: string;
  readonly #only: string | undefined;
  readonly #leases: DaemonLeases;

  constructor(control: string, only: string | undefined) {
    [this.#control, this.#only, this.#leases] = [control, only, new DaemonLeases(control)];
  }

  async read(signal?: AbortSignal): Promise<Rule[]> {
    const { names, items } = await askForLists(this.#control, "forward.list", "forwards", FIELDS, signal);
    if (this.#only !== undefined && !names.includes(this.#only)) {
      throw new UsageError(`--network takes one of ${names.join(", ")}, not "${this.#only}"`);
    }
    return (items as unknown as Rule[]).filter(({ network }) => this.#isMeant(network));
  }

  async watch(signal: AbortSignal, changed: () => void): Promise<void> {
    const timer = setInterval(changed, LOOK_MS);
    try {
      await followEvents(this.#control, signal, (event) => (event === undefined || event === "forward") && changed());
    } finally {
      clearInterval(timer);
    }
  }

  /** Makes a rule, and answers it with the network that it is on. */
  async add(rule: Omit<Rule, "network">, of: string | undefined, signal: AbortSignal): Promise<Rule> {
    const network = of ?? this.#only;
    await askOnce(this.#control, { do: "forward.add", ...rule, ...(network === undefined ? {} : { network }) }, signal);
    return { ...rule, network: network ?? "" };
  }

  /** Takes one back. */
  async remove({ network, protocol, externalPort, internalAddress }: Rule): Promise<void> {
    const family = internalAddress.includes(":") ? "ipv6" : "ipv4";
    await askOnce(this.#control, { do: "forward.remove", protocol, externalPort, family, network });
  }

  /** The lease of a guest, which is waited for if that is wanted. */
  async leaseOf(guest: string, wait: boolean, signal: AbortSignal): Promise<Lease> {
    const isOfGuest = isOf(guest);
    let all: readonly Lease[] = [];
    for await (const { leases } of wait ? follow(this.#leases, signal, true) : [await this.#leases.read(signal)]) {
      all = leases.filter(({ network }) => this.#isMeant(network));
      const lease = all.find(isOfGuest);
      if (lease !== undefined) return lease;
    }
    if (wait) throw new Error(`${guest} got no address in time${hiddenHint(all)}`);
    throw new Error(`there is no lease of ${guest}${hiddenHint(all)}; --wait waits for one`);
  }

  /** All leases. */
  async leases(signal: AbortSignal): Promise<readonly Lease[]> {
    return (await this.#leases.read(signal)).leases;
  }

  #isMeant(network: string): boolean {
    return this.#only === undefined || network === this.#only;
  }
}
