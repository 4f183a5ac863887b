// SPDX-License-Identifier: MIT

/**
 * The reading half of an interface.
 *
 * Theory of operation: one call of `vn_drain()` copies all waiting frames, up to a limit, into an arena. While it says
 * that more may wait, the loop drains again; when it does not, the shim has armed the doorbell, and the loop waits for
 * it. An endless stream of frames would keep the event loop from everything else, so once in a while the loop lets one
 * turn pass.
 *
 * Nothing is drained before somebody asks for it, and what was drained but not handed over when a loop breaks is kept
 * for the next reader. So no frame is lost by the way a script reads.
 *
 * @module
 */

import { checkAttached, PacketBatch, stateOf } from "./batch.ts";
import { show, signalOf } from "./fields.ts";
import { BatchIterator, PacketIterator } from "./packet_iterators.ts";
import type { Port } from "./port.ts";
import { DESCRIPTOR_WORDS, Get, MORE, Ready } from "./symbols.ts";

/** How a loop can be influenced. */
export interface ReadOptions {
  /** Ends the loop quietly when it is aborted. */
  signal?: AbortSignal | undefined;
}

const ACTION = "read packets";

/**
 * How long a loop that never waits may keep the event loop from its next turn, half of it. A turn costs 1.3 microseconds
 * in both runtimes, 50 in Deno when the doorbell has rung meanwhile: one after every fourth batch doubled the price of
 * a frame.
 */
const HALF_TURN_NS = 100_000;

/** Reads the frames of one interface. */
export class PacketReader {
  readonly #port: Port;
  readonly #isBackground: boolean;
  #busy = false;
  /** When the current half of a turn began, and whether it is the second. */
  /** Lower halves of times in nanoseconds: of the last drain, and of the first one since the event loop had its turn. */
  #stamp = 0;
  #halfStart = 0;
  #isFresh = true;
  #isSecondHalf = false;
  #wake: (() => void) | undefined;
  /** Frames that a loop drained and did not hand over. */
  #kept: PacketBatch | undefined;

  /**
   * @param port Where the frames are.
   * @param isBackground Whether waiting is nobody's wish in particular, and does not keep the program alive.
   */
  constructor(port: Port, isBackground = false) {
    this.#port = port;
    this.#isBackground = isBackground;
    port.onReadable = () => {
      this.#startTurn();
      this.#wake?.();
    };
  }

  /** Makes the caller the only reader. */
  acquire(): void {
    this.#port.check(ACTION);
    if (this.#busy) {
      throw new TypeError(`Cannot ${ACTION}: the ${this.#port.kind} has a reader, and can have only one at a time`);
    }
    this.#busy = true;
  }

  /** Whether somebody reads, or has begun to. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /** Ends {@linkcode acquire}, and keeps frames that were not handed over. */
  release(kept?: PacketBatch): void {
    this.#busy = false;
    if (kept !== undefined && kept.length > 0) this.#kept = kept;
    if (!this.#port.stopping) this.#port.shim.vn_interest(this.#port.handle, 0);
  }

  /** Reads what is there into a batch of the caller. */
  read(batch: PacketBatch): number {
    if (!(batch instanceof PacketBatch)) {
      throw new TypeError(`Cannot ${ACTION}: "batch" must be a PacketBatch, got ${show(batch)}`);
    }
    const { maxPacketSize, arena, count } = stateOf(batch);
    const needed = this.#port.limits.maxPacketSize;
    if (maxPacketSize < needed) {
      const takes = `"maxPacketSize" of the batch must be at least ${needed}`;
      throw new RangeError(`Cannot ${ACTION}: ${takes}, got ${maxPacketSize}`);
    }
    checkAttached(stateOf(batch), ACTION);
    // One that copy() made is as long as what is in it, and the next packet would be cut
    if (arena.length < needed) {
      throw new RangeError(
        `Cannot ${ACTION}: the batch must have room for ${needed} bytes, this copy of ${count} has ${arena.length}`,
      );
    }
    this.acquire();
    this.#busy = false;
    return this.#fill(batch);
  }

  /** Resolves to the number of frames that wait, once there is one. */
  async readable(options: ReadOptions | undefined): Promise<number> {
    const signal = signalOf(ACTION, options);
    signal?.throwIfAborted();
    this.acquire();
    try {
      for (;;) {
        const count = this.#estimate();
        if (count > 0) return count;
        this.#demand(Ready.packets);
        await this.#wait(signal);
        signal?.throwIfAborted();
        this.#port.check(ACTION);
      }
    } finally {
      this.release();
    }
  }

  /**
   * Fills a batch without waiting.
   *
   * @returns False when there is nothing, when another turn of the event loop is due, or when the loop is over.
   */
  tryNext(batch: PacketBatch, signal: AbortSignal | undefined): boolean {
    const port = this.#port;
    if (port.stopping || signal?.aborted || this.#isTurnDue()) return false;
    return this.#fill(batch) > 0;
  }

  /**
   * Fills a batch, waiting until there is something.
   *
   * @param take Called in the same step in which the batch was filled; its result is the answer.
   * @returns `undefined` when the loop is to end quietly.
   */
  async next<T>(
    batch: PacketBatch,
    signal: AbortSignal | undefined,
    isActive: () => boolean,
    take: () => T,
  ): Promise<T | undefined> {
    const port = this.#port;
    for (;;) {
      if (port.stopping || signal?.aborted || !isActive()) return undefined;
      if (this.#isTurnDue()) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        this.#startTurn();
        continue;
      }
      if (this.#fill(batch) > 0) return take();
      port.check(ACTION);
      await this.#wait(signal);
    }
  }

  /** Wakes a loop that waits, so that it sees that it is over. */
  wake(): void {
    this.#wake?.();
  }

  /** Batches, borrowed. */
  batches(options: ReadOptions | undefined): AsyncIterableIterator<PacketBatch> {
    return new BatchIterator(this, this.#port, signalOf(ACTION, options));
  }

  /** Packets, owned. */
  packets(): AsyncIterableIterator<Uint8Array> {
    return new PacketIterator(this, this.#port);
  }

  readonly #startTurn = (): void => {
    this.#isFresh = true;
    this.#isSecondHalf = false;
  };

  /**
   * Whether the event loop must have its turn. It may have had one while the script awaited something else: at the half
   * an immediate is set, which starts anew if the script lets a turn pass by itself.
   *
   * The clock is the time that each drain stamps on its frames, as asking for the time costs 100 ns in Deno. What the
   * script does with the last batch is counted only at the one after it.
   */
  #isTurnDue(): boolean {
    if (this.#isFresh || (this.#stamp - this.#halfStart) >>> 0 <= HALF_TURN_NS) return false;
    if (this.#isSecondHalf) return true;
    setImmediate(this.#startTurn);
    this.#halfStart = this.#stamp;
    this.#isSecondHalf = true;
    return false;
  }

  #fill(batch: PacketBatch): number {
    const state = stateOf(batch);
    checkAttached(state, ACTION);
    if (this.#kept !== undefined) {
      this.#demand(0); // the drain says by itself when a switch has the interface
      return state.count = this.#fillFromKept(batch);
    }
    const { shim, handle, limits } = this.#port;
    const { arena, descriptors } = state;
    const max = Math.min(state.slots, limits.maxReadPacketCount);
    state.count = 0;
    const answer = shim.vn_drain(handle, arena, arena.length, descriptors, max);
    if (answer < 0) throw this.#port.errorOf(ACTION, -answer);
    state.count = answer & (MORE - 1);
    if (state.count > 0) {
      this.#stamp = descriptors[4]!;
      if (this.#isFresh) this.#halfStart = this.#stamp;
      this.#isFresh = false;
    }
    return state.count;
  }

  /** Hands over what a broken-off loop left, before anything newer. */
  #fillFromKept(batch: PacketBatch): number {
    const kept = stateOf(this.#kept!);
    const state = stateOf(batch);
    batch.clear();
    let taken = 0;
    while (taken < kept.count && batch.push(this.#kept!.at(taken))) {
      // What push() does not know: original length, meta and time
      const [from, to] = [taken * DESCRIPTOR_WORDS, taken * DESCRIPTOR_WORDS];
      state.descriptors.set(kept.descriptors.subarray(from + 2, from + DESCRIPTOR_WORDS), to + 2);
      taken++;
    }
    this.#kept = taken < kept.count ? this.#kept!.copy(taken) : undefined;
    return taken;
  }

  /** Chooses the port's signals, which a port that a switch has refuses. */
  #demand(bits: number): void {
    const answer = this.#port.shim.vn_interest(this.#port.handle, bits);
    if (answer < 0) throw this.#port.errorOf(ACTION, -answer);
  }

  #estimate(): number {
    const kept = this.#kept?.length ?? 0;
    return kept + (this.#port.context.get(this.#port.handle, Get.estimate, ACTION).number("packets") ?? 0);
  }

  /** Waits for the doorbell, an abort or the end; each may also come for nothing. */
  #wait(signal: AbortSignal | undefined): Promise<void> {
    const { context } = this.#port;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      if (this.#wake !== wake) return;
      this.#wake = undefined;
      signal?.removeEventListener("abort", wake);
      if (!this.#isBackground) context.release();
      resolve();
    };
    this.#wake = wake;
    signal?.addEventListener("abort", wake, { once: true });
    if (!this.#isBackground) context.hold();
    return promise;
  }
}
