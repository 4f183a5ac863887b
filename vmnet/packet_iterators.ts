// SPDX-License-Identifier: MIT

/**
 * The loops over packets and over batches of them.
 *
 * @module
 */

import { checksBorrowing, isDetached, type PacketBatch, poison, stateOf } from "./batch.ts";
import { newBatch, transitFor } from "./loop_batch.ts";
import type { PacketReader } from "./packet_loop.ts";
import type { Port } from "./port.ts";

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/** What both iterators share: they acquire at the first step, release at the last, and take one step at a time. */
abstract class LoopIterator<T> implements AsyncIterableIterator<T> {
  protected readonly reader: PacketReader;
  protected readonly port: Port;
  #state: "new" | "active" | "done" = "new";
  #step: Promise<void> | undefined;

  constructor(reader: PacketReader, port: Port) {
    this.reader = reader;
    this.port = port;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    // A step that was asked for before the last one ended waits for its turn
    if (this.#step !== undefined) return this.#step.then(() => this.next());
    if (this.#state === "active") {
      try {
        const value = this.takeReady();
        if (value !== undefined) return Promise.resolve({ value, done: false });
      } catch {
        // The long way meets the same error and knows what to do with it
      }
    }
    const step = this.#advance();
    const ended = () => {
      this.#step = undefined;
    };
    this.#step = step.then(ended, ended);
    return step;
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#finish();
    this.reader.wake();
    return Promise.resolve(DONE);
  }

  async #advance(): Promise<IteratorResult<T, undefined>> {
    if (this.#state === "done") return DONE;
    try {
      if (this.#state === "new") {
        this.reader.acquire();
        this.#state = "active";
      }
      const value = await this.take(() => this.#state === "active");
      if (value !== undefined) return { value, done: false };
    } catch (error) {
      const wasActive = this.#finish();
      // Whatever a drain answers while the script stops the interface, its loop ends quietly
      if (!(wasActive && this.port.stopping)) throw error;
    }
    this.#finish();
    return DONE;
  }

  #finish(): boolean {
    const wasActive = this.#state === "active";
    this.#state = "done";
    if (wasActive) this.reader.release(this.leave());
    return wasActive;
  }

  /** A value that is there without waiting. */
  protected abstract takeReady(): T | undefined;
  /** Waits for a value; `undefined` at the end. */
  protected abstract take(isActive: () => boolean): Promise<T | undefined>;
  /** The loop is over: what was not handed over. */
  protected abstract leave(): PacketBatch | undefined;
}

/** Batches, borrowed. */
export class BatchIterator extends LoopIterator<PacketBatch> {
  readonly #signal: AbortSignal | undefined;
  readonly #batch: PacketBatch;
  readonly #checks = checksBorrowing();

  constructor(reader: PacketReader, port: Port, signal: AbortSignal | undefined) {
    super(reader, port);
    this.#signal = signal;
    this.#batch = newBatch(port.limits);
  }

  protected override takeReady(): PacketBatch | undefined {
    if (this.#checks) poison(this.#batch);
    return this.reader.tryNext(this.#batch, this.#signal) ? this.#batch : undefined;
  }

  protected override take(isActive: () => boolean): Promise<PacketBatch | undefined> {
    return this.reader.next(this.#batch, this.#signal, isActive, () => this.#batch);
  }

  protected override leave(): undefined {
    if (this.#checks) poison(this.#batch);
  }
}

/** Packets, owned. */
export class PacketIterator extends LoopIterator<Uint8Array> {
  #batch: PacketBatch | undefined;
  #next = 0;

  protected override takeReady(): Uint8Array | undefined {
    const batch = this.#batch;
    if (batch === undefined || this.#next >= batch.length || this.port.stopping) return undefined;
    const packet = batch.at(this.#next);
    this.#next++; // not if that one has been transferred
    return packet;
  }

  protected override async take(isActive: () => boolean): Promise<Uint8Array | undefined> {
    this.#checkKept();
    const transit = transitFor(this.port.limits);
    return await this.reader.next(transit, undefined, isActive, () => {
      const batch = this.#batch = transit.copy();
      this.#next = 1;
      return batch.at(0);
    });
  }

  protected override leave(): PacketBatch | undefined {
    return this.#batch !== undefined && !isDetached(stateOf(this.#batch).arena)
      ? this.#batch.copy(this.#next)
      : undefined;
  }

  /** Packets of a batch share a buffer: who transfers that of one takes the next ones along, and has to be told. */
  #checkKept(): void {
    const batch = this.#batch;
    if (batch === undefined || this.#next >= batch.length || !isDetached(stateOf(batch).arena)) return;
    this.#batch = undefined;
    const lost = batch.length - this.#next;
    const what = `the buffer of a packet was transferred, and with it ${lost} more`;
    throw new TypeError(`Cannot read packets: ${what}; transfer a copy instead`);
  }
}
