// SPDX-License-Identifier: MIT

/**
 * The addresses that a network's DHCP server has handed out.
 *
 * @module
 */

import { formatMac } from "./address.ts";
import { Follower, type NewsSource } from "./follower.ts";
import type { List } from "./list.ts";

/** An address that DHCP has handed out. */
export interface Lease {
  /** The guest's MAC address. */
  readonly macAddress: string;
  /** The guest's IPv4 address. */
  readonly address: string;
  /** The name that the guest gave itself, empty if none. */
  readonly hostname: string;
  /** When the lease ends, in seconds since 1970. */
  readonly expiresSeconds: number;
}

/** A lease that began, was renewed, or ended. */
export interface LeaseEvent extends Lease {
  /** What happened to it. */
  readonly change: "added" | "ended";
}

/** Reads a lease of `VN_GET_LEASES`. */
export function decodeLease(list: List): Lease {
  return {
    macAddress: formatMac(list.bytes("mac") ?? new Uint8Array(6)),
    address: list.text("address") ?? "",
    hostname: list.text("hostname") ?? "",
    expiresSeconds: list.number("expires") ?? 0,
  };
}

/** Reads a lease of `VN_GET_EVENTS`. */
export function decodeLeaseEvent(list: List): LeaseEvent {
  return { ...decodeLease(list), change: list.number("change") === 2 ? "ended" : "added" };
}

/**
 * An iteration over leases: those that exist, then every change. Of a lease that changes again before it was looked at
 * only the last change is told, so a slow reader costs no more memory than the table of leases.
 */
export class LeaseFollower extends Follower<LeaseEvent> {
  readonly #changes = new Map<string, LeaseEvent>();
  /** What was told of each lease: the table and the events overlap when the iteration begins. */
  readonly #told = new Map<string, number>();

  constructor(source: NewsSource<LeaseFollower>, signal: AbortSignal | undefined) {
    super(source, signal);
  }

  /** Takes news from the network. */
  tell(events: readonly LeaseEvent[]): void {
    for (const event of events) {
      const key = `${event.macAddress} ${event.address}`;
      if (event.change === "added" && this.#told.get(key) === event.expiresSeconds) continue;
      if (event.change === "added") this.#told.set(key, event.expiresSeconds);
      else this.#told.delete(key);
      this.#changes.delete(key); // moves it to the end
      this.#changes.set(key, event);
    }
    this.wake();
  }

  /** Takes the whole table: at the beginning, and after changes were lost. */
  refresh(leases: readonly Lease[]): void {
    this.tell(leases.map((lease) => ({ ...lease, change: "added" })));
  }

  protected override take(): LeaseEvent | undefined {
    for (const [key, event] of this.#changes) {
      this.#changes.delete(key);
      return event;
    }
    return undefined;
  }
}
