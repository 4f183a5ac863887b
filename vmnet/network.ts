// SPDX-License-Identifier: MIT

/**
 * A virtual network with an address range, DHCP, DNS and NAT of its own.
 *
 * @module
 */

import { Context, type OperationOptions } from "./context.ts";
import { errorOf, stoppedError, type VmnetError } from "./errors.ts";
import { show, signalOf } from "./fields.ts";
import { addRule, listRules, type PortForwardingKey, type PortForwardingRule, removeRule } from "./forwarding.ts";
import { decodeLease, decodeLeaseEvent, type Lease, type LeaseEvent, LeaseFollower } from "./leases.ts";
import type { List, ListEntries } from "./list.ts";
import { encodeNetworkOptions, type NetworkOptions } from "./network_options.ts";
import { modes } from "./options.ts";
import type { ReadOptions } from "./packet_loop.ts";
import { addReservation, type DhcpReservation, listReservations, removeReservation } from "./reservations.ts";
import { NetworkSerialization, serializationHandleOf } from "./serialization.ts";
import { Share } from "./share.ts";
import { Status } from "./status.ts";
import { Get, Op, Ready } from "./symbols.ts";

/** The handle of a network, for the library's own files; throws if the network does not work any more. */
export let handleOf: (network: Network, action: string) => number;

/** Makes a network by any operation on an object, or on none, that answers one, for the library's own files. */
export let makeNetwork: (
  target: number | undefined,
  op: number,
  action: string,
  entries: ListEntries,
  limits?: OperationOptions,
) => Promise<Network>;

/**
 * A virtual network. Interfaces on it see one another, its gateway, and in mode shared the outside.
 *
 * The network ends with the object that created it: {@linkcode Network.stop}, the end of the thread, or the end of the
 * process. What is on it then gets errors with code `networkGone`.
 *
 * On macOS needs macOS 26; not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { Interface, Network } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using network = await Network.create({ mode: "host", ipv4Subnet: "192.168.77.0/24" });
 * await using nic = await Interface.start({ network });
 * assertEquals(network.ipv4Gateway, "192.168.77.1");
 * assertEquals(nic.mtu, network.mtu);
 * ```
 */
export class Network implements AsyncDisposable {
  /** Whether guests reach the outside. */
  readonly mode: "host" | "shared";
  /** IPv4 subnet as `a.b.c.d/n`. */
  readonly ipv4Subnet: string;
  /** IPv4 address of the gateway. */
  readonly ipv4Gateway: string;
  /** IPv6 prefix as `p::/64`. */
  readonly ipv6Prefix: string;
  /** Largest IP packet in bytes. */
  readonly mtu: number;
  /** First address that DHCP hands out, empty without DHCP. */
  readonly dhcpStart: string;
  /** Last address that DHCP hands out, empty without DHCP. */
  readonly dhcpEnd: string;
  /** How long a lease is valid, in seconds. */
  readonly leaseSeconds: number;

  readonly #context: Context;
  readonly #handle: number;
  readonly #followers = new Set<LeaseFollower>();
  #stopping = false;
  /** What ended the network, unless the script did. */
  #ended: { status: number; state?: List } | undefined;
  #stopped: Promise<void> | undefined;

  static {
    makeNetwork = async (target, op, action, entries, limits) => {
      const context = Context.current ?? await Context.open();
      return new Network(context, await context.operation(target ?? context.handle, op, action, entries, limits));
    };
    handleOf = (network, action) => {
      if (!(#handle in network)) {
        throw new TypeError(`Cannot ${action}: "network" must be a Network, got ${show(network)}`);
      }
      return network.#check(action);
    };
  }

  private constructor(context: Context, result: List) {
    this.#context = context;
    this.#handle = result.number("handle") ?? 0;
    this.mode = result.number("mode") === modes.host ? "host" : "shared";
    this.ipv4Subnet = result.text("ipv4Subnet") ?? "";
    this.ipv4Gateway = result.text("ipv4Gateway") ?? "";
    this.ipv6Prefix = result.text("ipv6Prefix") ?? "";
    this.mtu = result.number("mtu") ?? 1500;
    this.dhcpStart = result.text("dhcpStart") ?? "";
    this.dhcpEnd = result.text("dhcpEnd") ?? "";
    this.leaseSeconds = result.number("leaseSeconds") ?? 86400;
    context.attach(this.#handle, (bits) => this.#onReady(bits));
  }

  /**
   * Creates a network.
   *
   * @param options Its configuration; without any a shared network with a free subnet.
   * @param limits Signal and timeout.
   * @returns The network, ready for interfaces.
   * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} If the system says no: code `inUse` if the subnet is taken, `missing` if something has to be
   * installed first.
   *
   * @example Usage
   * ```ts
   * import { Network } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * await using network = await Network.create({
   *   mode: "host",
   *   ipv4Subnet: "192.168.78.0/24",
   *   dhcpReservations: [{ mac: "52:54:00:00:00:01", address: "192.168.78.10" }],
   *   mtu: 1400,
   * });
   * assertEquals(network.mtu, 1400);
   * ```
   */
  static async create(options: NetworkOptions = {}, limits?: OperationOptions): Promise<Network> {
    const entries = encodeNetworkOptions(options);
    return await makeNetwork(undefined, Op.networkCreate, "create network", entries, limits);
  }

  /**
   * Joins a network that another process, or this one, shares. Joining gives interfaces, leases and rules as creating
   * does; the network ends with its creator.
   *
   * @param token What {@linkcode Share.token} says.
   * @param limits Signal and timeout.
   * @returns The network.
   * @throws {TypeError} If the token is not a string.
   * @throws {VmnetError} With code `badToken` if the token is not valid, `networkGone` if the network has ended.
   */
  static async join(token: string, limits?: OperationOptions): Promise<Network> {
    const action = "join network";
    if (typeof token !== "string") {
      throw new TypeError(`Cannot ${action}: "token" must be a string, got ${show(token)}`);
    }
    if (token === "" || token.length > 4096 || token.includes("\0")) throw errorOf(action, Status.badToken);
    return await makeNetwork(undefined, Op.networkJoin, action, [["token", token]], limits);
  }

  /**
   * Makes a second object of a network. The network goes on as long as one of them does. Needs macOS 26; not verified
   * on hardware.
   *
   * @param serialization What {@linkcode Network.copySerialization} made. It can be used again.
   * @param limits Signal and timeout.
   * @returns The network.
   * @throws {TypeError} If it is something else, or was closed.
   * @throws {VmnetError} If the system says no.
   */
  static async fromSerialization(serialization: NetworkSerialization, limits?: OperationOptions): Promise<Network> {
    const action = "create network from serialization";
    const target = serializationHandleOf(serialization, action);
    return await makeNetwork(target, Op.networkFromSerialization, action, [], limits);
  }

  /**
   * vmnet's own copy of what makes up this network, for {@linkcode Network.fromSerialization}. Needs macOS 26; not
   * verified on hardware. Other processes are invited by {@linkcode Network.share}.
   *
   * @param limits Signal and timeout.
   * @returns The copy, to be closed when it is not needed any more.
   * @throws {UnsupportedError} If this system has no network objects of vmnet.
   * @throws {VmnetError} If the system says no.
   */
  async copySerialization(limits?: OperationOptions): Promise<NetworkSerialization> {
    const action = "copy serialization of network";
    const result = await this.#context.operation(this.#check(action), Op.networkCopySerialization, action, [], limits);
    return new NetworkSerialization(this.#context, result.number("handle") ?? 0);
  }

  /**
   * Invites other processes to this network.
   *
   * @param limits Signal and timeout.
   * @returns The invitation with its token.
   * @throws {VmnetError} If the system says no.
   */
  async share(limits?: OperationOptions): Promise<Share> {
    const action = "share network";
    const result = await this.#context.operation(this.#check(action), Op.networkShare, action, [], limits);
    return new Share(this.#context, result.number("handle") ?? 0, result.text("token") ?? "");
  }

  /**
   * The leases of the moment.
   *
   * @returns Every lease that DHCP has handed out and that has not ended.
   * @throws {VmnetError} If the network was stopped or has ended.
   */
  currentLeases(): Lease[] {
    const action = "read leases";
    this.#check(action);
    return this.#context.get(this.#handle, Get.leases, action).lists("lease").map(decodeLease);
  }

  /**
   * Leases as they come: first those that exist, then every one that is added, renewed or ended. Several loops can run
   * at a time. Stopping the network ends them quietly.
   *
   * @param options A signal that ends the loop quietly.
   * @returns The leases.
   *
   * @example Usage
   * ```ts
   * import { Network } from "vmnet";
   *
   * await using network = await Network.create({ mode: "host" });
   * for await (const lease of network.leases({ signal: AbortSignal.timeout(10) })) {
   *   console.log(lease.change, lease.macAddress, lease.address);
   * }
   * ```
   */
  leases(options?: ReadOptions): AsyncIterableIterator<LeaseEvent> {
    return new LeaseFollower({
      check: () => this.#check("read leases"),
      isStopping: () => this.#stopping,
      follow: (follower) => {
        this.#followers.add(follower);
        follower.refresh(this.currentLeases());
      },
      unfollow: (follower) => void this.#followers.delete(follower),
      hold: () => this.#context.hold(),
      release: () => this.#context.release(),
    }, signalOf("read leases", options));
  }

  /**
   * Counters of the network's switch and gateway.
   *
   * @returns Numbers under the names that this backend gives them.
   * @throws {VmnetError} If the network was stopped.
   */
  stats(): Readonly<Record<string, number>> {
    const action = "read statistics";
    if (this.#stopping) this.#check(action);
    const { entries } = this.#context.get(this.#handle, Get.stats, action);
    return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === "number"));
  }

  /**
   * Makes a port of the host lead to a guest. On macOS rules can be given only when the network is created;
   * not verified on hardware.
   *
   * @param rule The rule.
   * @param limits Signal and timeout.
   * @throws {TypeError} If a field is missing, not known, or has the wrong kind.
   * @throws {RangeError} If a field is out of range.
   * @throws {VmnetError} If the network says no, with code `inUse` if the port is taken.
   */
  async addPortForwardingRule(rule: PortForwardingRule, limits?: OperationOptions): Promise<void> {
    await addRule(this.#context, this.#check("add port forwarding rule"), rule, limits);
  }

  /**
   * Takes a rule back.
   *
   * @param key Which one.
   * @param limits Signal and timeout.
   * @throws {VmnetError} With code `notFound` if there is no such rule.
   */
  async removePortForwardingRule(key: PortForwardingKey, limits?: OperationOptions): Promise<void> {
    await removeRule(this.#context, this.#check("remove port forwarding rule"), key, limits);
  }

  /**
   * The rules in force.
   *
   * @param limits Signal and timeout.
   * @returns Every rule.
   */
  async portForwardingRules(limits?: OperationOptions): Promise<PortForwardingRule[]> {
    return await listRules(this.#context, this.#check("list port forwarding rules"), limits);
  }

  /**
   * Keeps an address for a guest, instead of what is kept for it now. A guest that has another address gets this one at its
   * next renewal. Whoever asks, the network keeps it until it is removed. On macOS reservations can be given only when the
   * network is created; not verified on hardware.
   *
   * @param reservation The guest and its address, which may lie outside of `dhcpStart` to `dhcpEnd`.
   * @param limits Signal and timeout.
   * @throws {TypeError} If a field is missing, not known, or has the wrong kind.
   * @throws {RangeError} If a field is out of range; an address that no guest of this network may have is.
   * @throws {VmnetError} If the network says no: code `inUse` if another guest has the address, by a reservation or by a
   * lease that has not ended, `unsupported` if the network has no DHCP.
   */
  async addDhcpReservation(reservation: DhcpReservation, limits?: OperationOptions): Promise<void> {
    await addReservation(this.#context, this.#check("add DHCP reservation"), this.ipv4Subnet, reservation, limits);
  }

  /**
   * Takes a reservation back. The guest keeps the address as an ordinary lease if that is within `dhcpStart` to `dhcpEnd`,
   * and gets another one at its next renewal if not.
   *
   * @param mac The guest's MAC address.
   * @param limits Signal and timeout.
   * @throws {VmnetError} With code `notFound` if nothing is reserved for that guest.
   */
  async removeDhcpReservation(mac: string, limits?: OperationOptions): Promise<void> {
    await removeReservation(this.#context, this.#check("remove DHCP reservation"), mac, limits);
  }

  /**
   * The reservations in force, those of the network's creation among them.
   *
   * @param limits Signal and timeout.
   * @returns Every reservation, in no order.
   */
  async dhcpReservations(limits?: OperationOptions): Promise<DhcpReservation[]> {
    return await listReservations(this.#context, this.#check("list DHCP reservations"), limits);
  }

  /**
   * Stops the network. Interfaces on it fail with code `networkGone`. Repeated calls answer the first one's promise. A
   * network that was joined is left, and goes on.
   *
   * @returns Resolves when nothing of it is left.
   * @throws {VmnetError} On macOS, with code `timeout`, if vmnet has not answered after 30 seconds: nothing works any
   * more, and what is left goes when vmnet answers.
   */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#stopping = true;
    this.#wakeFollowers();
    try {
      await this.#context.operation(this.#handle, Op.stop, "stop network", []);
    } finally {
      this.#context.detach(this.#handle);
    }
  }

  /** Stops the network. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The handle, as long as the network works. */
  #check(action: string): number {
    if (this.#stopping) throw stoppedError(action);
    if (this.#ended !== undefined) throw errorOf(action, this.#ended.status, this.#ended.state);
    return this.#handle;
  }

  #onReady(bits: number): void {
    if (this.#stopping) return;
    try {
      if ((bits & Ready.event) !== 0) this.#readEvents();
      if ((bits & Ready.state) !== 0) this.#readState();
    } catch (error) {
      this.#ended ??= { status: (error as VmnetError).status };
      this.#wakeFollowers();
    }
  }

  #readEvents(): void {
    const action = "read leases";
    const list = this.#context.get(this.#handle, Get.events, action);
    const events = list.lists("lease").map(decodeLeaseEvent);
    const lost = (list.number("lost") ?? 0) > 0;
    for (const follower of [...this.#followers]) {
      follower.tell(events);
      if (lost) follower.refresh(this.currentLeases());
    }
  }

  #readState(): void {
    const state = this.#context.get(this.#handle, Get.state, "use network");
    const status = state.number("status") ?? Status.ok;
    if (status === Status.ok || status === Status.success) return;
    this.#ended ??= { status, state };
    this.#wakeFollowers();
  }

  #wakeFollowers(): void {
    for (const follower of [...this.#followers]) follower.wake();
  }
}
