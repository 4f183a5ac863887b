// SPDX-License-Identifier: MIT

/**
 * The addresses that a network's DHCP server has handed out.
 *
 * @module
 */

import { formatMac } from "./address.ts";
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

/** What a follower asks of its network. */
export interface LeaseSource {
  /** Throws if the network does not work any more. */
  check(): void;
  /** Whether the script has stopped the network. */
  readonly stopping: boolean;
  /** The leases of now. */
  current(): Lease[];
  /** Adds or removes a follower. */
  follow(follower: LeaseFollower): void;
  /** Removes a follower. */
  unfollow(follower: LeaseFollower): void;
  /** Keeps the program alive. */
  hold(): void;
  /** Ends one `hold()`. */
  release(): void;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * An iteration over leases: those that exist, then every change. Of a lease that changes again before it was looked at
 * only the last change is told, so a slow reader costs no more memory than the table of leases.
 */
export class LeaseFollower implements AsyncIterableIterator<LeaseEvent> {
  readonly #source: LeaseSource;
  readonly #signal: AbortSignal | undefined;
  readonly #changes = new Map<string, LeaseEvent>();
  /** What was told of each lease: the table and the events overlap when the iteration begins. */
  readonly #told = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #state: "new" | "active" | "done" = "new";

  constructor(source: LeaseSource, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
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

  /** Takes the whole table, after changes were lost. */
  refresh(leases: readonly Lease[]): void {
    this.tell(leases.map((lease) => ({ ...lease, change: "added" })));
  }

  /** Ends a waiting. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  async next(): Promise<IteratorResult<LeaseEvent, undefined>> {
    if (this.#state === "new") {
      this.#source.check();
      this.#state = "active";
      this.#source.follow(this);
      this.refresh(this.#source.current());
    }
    while (this.#state === "active" && !this.#signal?.aborted && !this.#source.stopping) {
      for (const [key, event] of this.#changes) {
        this.#changes.delete(key);
        return { value: event, done: false };
      }
      try {
        this.#source.check();
      } catch (error) {
        await this.return();
        throw error;
      }
      await this.#wait();
    }
    return await this.return();
  }

  return(): Promise<IteratorResult<LeaseEvent, undefined>> {
    if (this.#state === "active") this.#source.unfollow(this);
    this.#state = "done";
    this.wake();
    return Promise.resolve(DONE);
  }

  #wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      if (!this.#waiting.delete(wake)) return;
      this.#signal?.removeEventListener("abort", wake);
      this.#source.release();
      resolve();
    };
    this.#waiting.add(wake);
    this.#signal?.addEventListener("abort", wake, { once: true });
    this.#source.hold();
    return promise;
  }
}
