// SPDX-License-Identifier: MIT

/**
 * This thread's link to the shim.
 *
 * Theory of operation: there is one context per JavaScript thread, opened when the first object needs it. It has one
 * doorbell, a socket that the runtime's event loop watches. When it rings, `vn_poll()` tells which handles have news:
 * ended operations settle their promises, everything else goes to the object that attached itself to its handle.
 *
 * The doorbell keeps the program alive while somebody waits (`hold()` and `release()` count), and only then: a program
 * that forgot to stop an interface ends by itself, and the exit hook takes the network down.
 *
 * @module
 */

import { type FdWatch, watchFd } from "../ffi/poll.ts";
import { isMainThread } from "../ffi/runtime.ts";
import { errorOf, stoppedError, type VmnetError } from "./errors.ts";
import { Fields } from "./fields.ts";
import { encodeList, List, type ListEntries } from "./list.ts";
import { openShim, type Shim } from "./shim.ts";
import { Status } from "./status.ts";
import { Ready } from "./symbols.ts";

/** Limits of one call that takes time. */
export interface OperationOptions {
  /** Ends the call early: its promise rejects with the signal's reason, and what it did is undone. */
  signal?: AbortSignal | undefined;
  /** Longest time in milliseconds, from 1 to 2147483647; 30000 by default. Code `timeout` when it is over. */
  timeoutMs?: number | undefined;
}

/** Most calls take milliseconds; a macOS service that does not answer takes for ever. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** Operations that run at a time, the others wait here: the shim takes 1024 from all threads, and 4096 handles. */
const MAX_RUNNING = 256;

/** How long the exit of the process waits for interfaces to stop. vmnet needs about 90 ms for one. */
const SHUTDOWN_MS = 2000;

/** Handles that one poll reports; 512 pairs fill the 4 KiB below which Bun may move a buffer. */
const POLL_PAIRS = 512;

/** Room for 256 events with the longest host names: events are told once, so the first try has to take them. */
const SCRATCH_SIZE = 256 * 1024;

interface Pending {
  readonly action: string;
  /** Whether somebody still waits for the result. */
  isWanted(): boolean;
  resolve(result: List): void;
  reject(error: unknown): void;
}

/** The context of a thread. */
export class Context {
  /** Handle of the context, the target of operations that belong to no object. */
  readonly handle: number;
  /** The functions of the shim. */
  readonly shim: Shim;

  /** Whether the program is about to end: loops end quietly then, as if every interface had been stopped. */
  isEnding = false;

  readonly #doorbell: number;
  #watch: FdWatch | undefined;
  readonly #pending = new Map<number, Pending>();
  readonly #attached = new Map<number, (bits: number) => void>();
  /** News of handles that were born in the same turn, before their objects could attach themselves. */
  readonly #early = new Map<number, number>();
  readonly #ready = new Uint32Array(new ArrayBuffer(POLL_PAIRS * 8));
  /** Operations that run, and what starts those that wait for their turn. */
  #running = 0;
  readonly #waiting = new Set<() => void>();
  #scratch = new Uint8Array(new ArrayBuffer(SCRATCH_SIZE));
  #holds = 0;

  /** The context of this thread, once it is open: calls then begin at once, in their order. */
  static current: Context | undefined;

  /**
   * Opens the context of this thread, at the first call.
   *
   * @throws {VmnetError} If the shim cannot be opened.
   */
  static async open(): Promise<Context> {
    const shim = await openShim();
    return Context.current ??= new Context(shim);
  }

  private constructor(shim: Shim) {
    this.shim = shim;
    this.handle = succeed(this.shim.vn_open(), "open context");
    this.#doorbell = succeed(this.shim.vn_doorbell(this.handle), "open context");
  }

  /** Keeps the program alive until {@linkcode release}. */
  hold(): void {
    if (this.#holds++ === 0) (this.#watch ??= this.#listen()).ref();
  }

  /** Takes one {@linkcode hold} back. */
  release(): void {
    if (--this.#holds === 0) this.#watch?.unref();
  }

  /** Sends the news of a handle to a function, which must not throw. */
  attach(handle: number, onReady: (bits: number) => void): void {
    this.#attached.set(handle, onReady);
    const bits = this.#early.get(handle);
    this.#early.delete(handle);
    if (bits !== undefined) onReady(bits);
  }

  /** Ends {@linkcode attach}. */
  detach(handle: number): void {
    this.#attached.delete(handle);
    this.#early.delete(handle);
  }

  /**
   * Runs an operation to its end.
   *
   * @param target Handle of the object, or of this context.
   * @param op One of `Op`.
   * @param action What is attempted, as in "start interface"; messages begin with it.
   * @param entries Options of the operation.
   * @param options Limits.
   * @param isWanted Asked when the operation has ended: if it is not, it is undone, and code `stopped` is the answer.
   * @returns The result list.
   * @throws {VmnetError} If the network says no, with code `timeout` when the time is over.
   */
  async operation(
    target: number,
    op: number,
    action: string,
    entries: ListEntries,
    options: OperationOptions = {},
    isWanted: () => boolean = () => true,
  ): Promise<List> {
    const fields = new Fields(action, options, ["signal", "timeoutMs"]);
    const signal = fields.signal("signal");
    const timeoutMs = fields.integer("timeoutMs", 1, 0x7fffffff) ?? DEFAULT_TIMEOUT_MS;
    signal?.throwIfAborted();
    const list = encodeList(entries);
    let left = timeoutMs;
    if (this.#running < MAX_RUNNING) this.#running++;
    else left = await this.#turn(action, signal, timeoutMs);
    try {
      return await this.#run(target, op, action, list, signal, left, isWanted);
    } finally {
      this.#leave();
    }
  }

  /** Hands the place of an operation that has ended to the one that waits longest. */
  #leave(): void {
    for (const start of this.#waiting) {
      this.#waiting.delete(start);
      return start();
    }
    this.#running--;
  }

  /** Waits for the place of another operation, and answers how many milliseconds are left. */
  async #turn(action: string, signal: AbortSignal | undefined, timeoutMs: number): Promise<number> {
    const begin = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const cancel = () => void (this.#waiting.delete(resolve) && reject(signal!.reason));
    const late = () => void (this.#waiting.delete(resolve) && reject(errorOf(action, Status.timeout)));
    const timer = setTimeout(late, timeoutMs);
    this.#waiting.add(resolve);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    }
    return Math.max(1, Math.ceil(timeoutMs - (performance.now() - begin)));
  }

  async #run(
    target: number,
    op: number,
    action: string,
    list: Uint8Array,
    signal: AbortSignal | undefined,
    timeoutMs: number,
    isWanted: () => boolean,
  ): Promise<List> {
    signal?.throwIfAborted(); // while its turn came
    const lent = list.length === 0 ? this.#scratch : list;
    const operation = succeed(this.shim.vn_call(target, op, lent, list.length, timeoutMs), action);
    const { promise, resolve, reject } = Promise.withResolvers<List>();
    const pending: Pending = { action, isWanted, resolve, reject };
    const cancel = () => {
      this.shim.vn_cancel(operation);
      pending.isWanted = () => false; // it may succeed in this very moment
      reject(signal!.reason);
    };
    this.#pending.set(operation, pending);
    signal?.addEventListener("abort", cancel, { once: true });
    this.hold();
    try {
      const result = await promise;
      // Made here and not where the doorbell rings, so that its stack leads to the caller
      const status = result.number("status") ?? Status.ok;
      if (status !== Status.ok && status !== Status.success) throw errorOf(action, status, result);
      return result;
    } finally {
      signal?.removeEventListener("abort", cancel);
      this.release();
    }
  }

  /**
   * Reads what an object says about itself.
   *
   * @param handle Handle of the object.
   * @param what One of `Get`.
   * @param action What is attempted; messages begin with it.
   */
  get(handle: number, what: number, action: string): List {
    return this.#read(action, (out, capacity) => this.shim.vn_get(handle, what, out, capacity));
  }

  /** Lets the shim fill the scratch buffer, which grows until the answer fits. */
  #read(action: string, fill: (out: Uint8Array, capacity: number) => number): List {
    for (;;) {
      const length = succeed(fill(this.#scratch, this.#scratch.length), action);
      if (length <= this.#scratch.length) return new List(this.#scratch.subarray(0, length));
      this.#scratch = new Uint8Array(new ArrayBuffer(length));
    }
  }

  #poll(): void {
    let count: number;
    do {
      count = this.shim.vn_poll(this.handle, this.#ready, POLL_PAIRS);
      // A list of its own: a handler may make operations, and those are reported by the next poll
      for (let i = 0; i < count; i++) this.#dispatch(this.#ready[2 * i]!, this.#ready[2 * i + 1]!);
    } while (count === POLL_PAIRS);
  }

  #dispatch(handle: number, bits: number): void {
    const pending = this.#pending.get(handle);
    if (pending !== undefined) {
      if ((bits & Ready.done) !== 0) this.#finish(handle, pending);
      return;
    }
    const onReady = this.#attached.get(handle);
    if (onReady !== undefined) onReady(bits);
    else this.#early.set(handle, (this.#early.get(handle) ?? 0) | bits);
  }

  #finish(operation: number, pending: Pending): void {
    this.#pending.delete(operation);
    if (!pending.isWanted()) {
      this.shim.vn_close(operation); // with what it made, descriptors included, which a fetch would hand over
      pending.reject(stoppedError(pending.action));
      return;
    }
    try {
      pending.resolve(this.#read(pending.action, (out, capacity) => this.shim.vn_result(operation, out, capacity)));
    } catch (error) {
      pending.reject(error);
    }
  }

  /**
   * Begins to listen to the doorbell: when somebody waits for the first time, which is after the first operation has
   * begun. In Deno this takes 20 ms, the price of `node:net`; meanwhile the network is made.
   */
  #listen(): FdWatch {
    // In a worker only what is its own may end; the main thread ends everything
    const end = isMainThread() ? () => this.shim.vn_shutdown(SHUTDOWN_MS) : () => this.shim.vn_close(this.handle);
    globalThis.process.on("exit", () => {
      this.isEnding = true;
      end();
    });
    return watchFd(this.#doorbell, () => this.#poll(), () => this.#ended());
  }

  /** The shim closed the doorbell, because everything was shut down. */
  #ended(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { action, reject } of pending) reject(errorOf(action, Status.stopped));
    for (const onReady of [...this.#attached.values()]) onReady(Ready.state);
  }
}

function succeed(answer: number, action: string): number {
  if (answer < 0) throw errorOf(action, -answer) satisfies VmnetError;
  return answer;
}
