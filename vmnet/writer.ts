// SPDX-License-Identifier: MIT

/**
 * The writing half of an interface.
 *
 * Theory of operation: frames that lie in one buffer go to the shim in one call, from where they are: a single
 * `Uint8Array`, the packets of a batch, and also an array of views of one buffer, which is what owned packets and
 * decoded frames are. `vn_send()` takes what fits and says how much; what `write()` could not get rid of at once is
 * copied and sent when the doorbell tells that there is room, in the order of the calls.
 *
 * @module
 */

import { checkAttached, isDetached, PacketBatch, stateOf } from "./batch.ts";
import { errorOf, type VmnetError } from "./errors.ts";
import { show } from "./fields.ts";
import type { Port } from "./port.ts";
import { Status } from "./status.ts";
import { DESCRIPTOR_WORDS } from "./symbols.ts";

/** What can be written: one packet, a batch, or several packets. */
export type Packets = Uint8Array | PacketBatch | Iterable<Uint8Array>;

const ACTION = "write packets";

/** Full buffers of vmnet announce nothing, so they are tried again after a while, and not for ever. */
const RETRY_MS = 1;
const RETRIES = 20;

/** Frames written before the next turn of the event loop is looked for, so that few frames cost nothing extra. */
const FRAMES_BEFORE_TURN = 64;

/** Frames written in one turn before `write()` waits for the next: about 100 microseconds. */
const FRAMES_PER_TURN = 1024;

const ROOM = Promise.resolve();

/** Frames that lie in one buffer: those of the descriptors `at` to `end` - 1. */
interface Run {
  arena: Uint8Array;
  readonly descriptors: Uint32Array;
  at: number;
  end: number;
}

/** The rest of a `write()` that did not fit. */
interface Waiting extends Run {
  resolve(): void;
  reject(error: VmnetError): void;
}

/** Descriptors of the frames of the call that is going on; it grows with the largest call. */
let table = newTable(512);

function newTable(frames: number): Uint32Array {
  return new Uint32Array(new ArrayBuffer(frames * DESCRIPTOR_WORDS * 4));
}

/** Sends the frames of one interface. */
export class PacketWriter {
  readonly #port: Port;
  readonly #queue: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retries = 0;
  #dropped = 0;
  #sinceTurn = 0;
  #turn: Promise<void> | undefined;

  constructor(port: Port) {
    this.#port = port;
    port.onWritable = () => this.#flush();
  }

  /** Frames that were given up because vmnet's buffers stayed full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether packets wait for room. */
  get isWaiting(): boolean {
    return this.#queue.length > 0;
  }

  /** Sends what fits. */
  tryWrite(packets: Packets): number {
    this.#port.check(ACTION);
    const runs = this.#runsOf(packets);
    const count = runs.reduce((sum, { at, end }) => sum + end - at, 0);
    const limit = this.#port.limits.maxWritePacketCount;
    if (count > limit) {
      throw new RangeError(`Cannot ${ACTION}: at most ${limit} packets can be written at a time, got ${count}`);
    }
    return count - this.#sendAll(runs);
  }

  /** Sends everything; has taken every byte when it returns. */
  write(packets: Packets): Promise<void> {
    try {
      this.#port.check(ACTION);
      const runs = this.#runsOf(packets);
      return this.#sendAll(runs) === 0 ? this.#room() : this.#enqueue(runs);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * There is room for more. But a script that writes in a loop, to a network that keeps up with it, would never let the
   * event loop have its turn if this were always said at once.
   */
  #room(): Promise<void> {
    if (this.#sinceTurn < FRAMES_BEFORE_TURN) return ROOM;
    this.#turn ??= new Promise((resolve) =>
      setImmediate(() => {
        this.#sinceTurn = 0;
        this.#turn = undefined;
        resolve();
      })
    );
    return this.#sinceTurn < FRAMES_PER_TURN ? ROOM : this.#turn;
  }

  /** Sends runs until a frame does not fit, and answers how many are left. */
  #sendAll(runs: Run[]): number {
    // What waits comes first
    if (this.#queue.length === 0) runs.every((run) => this.#send(run));
    return runs.reduce((sum, { at, end }) => sum + end - at, 0);
  }

  /** Sends the frames of a run until one does not fit. Answers whether all did. */
  #send(run: Run): boolean {
    const { shim, handle, limits } = this.#port;
    while (run.at < run.end) {
      const part = Math.min(run.end - run.at, limits.maxWritePacketCount);
      const taken = this.#answer(shim.vn_send(handle, run.arena, run.arena.length, run.descriptors, run.at, part));
      run.at += taken;
      this.#sinceTurn += taken;
      if (taken > 0) this.#retries = 0;
      if (taken < part) return false;
    }
    return true;
  }

  #answer(answer: number): number {
    if (answer >= 0) return answer;
    if (answer !== -Status.bufferExhausted) throw this.#port.errorOf(ACTION, -answer);
    const head = this.#queue[0];
    if (head !== undefined) this.#retryLater(head);
    return 0;
  }

  #checkPacket(packet: unknown, index: number): asserts packet is Uint8Array {
    if (!(packet instanceof Uint8Array)) {
      throw new TypeError(`Cannot ${ACTION}: packet ${index} must be a Uint8Array, got ${show(packet)}`);
    }
    if (packet.length === 0 && isDetached(packet)) {
      throw new TypeError(`Cannot ${ACTION}: the buffer of packet ${index} was transferred`);
    }
    this.#checkLength(packet.length, index);
  }

  #checkLength(length: number, index: number): void {
    const { minPacketSize, maxPacketSize } = this.#port.limits;
    if (length < minPacketSize) {
      throw wrongSize(
        Status.invalidArgument,
        `packet ${index} has ${length} bytes, at least ${minPacketSize} are needed`,
      );
    }
    if (length > maxPacketSize) {
      throw wrongSize(Status.packetTooBig, `packet ${index} has ${length} bytes, at most ${maxPacketSize} are allowed`);
    }
  }

  /** Groups packets by the buffer they lie in, after a look at every one of them. */
  #runsOf(packets: Packets): Run[] {
    if (packets instanceof Uint8Array) {
      this.#checkPacket(packets, 0);
      return [runAt(packets, 0)];
    }
    if (packets instanceof PacketBatch) return [this.#runOfBatch(packets)];
    if (typeof packets !== "object" || typeof packets?.[Symbol.iterator] !== "function") {
      const takes = "a Uint8Array, a PacketBatch or an iterable of Uint8Array";
      throw new TypeError(`Cannot ${ACTION}: "packets" must be ${takes}, got ${show(packets)}`);
    }
    // A list of its own, so that each packet that was checked is the one that is sent
    const list = [...packets];
    list.forEach((packet, i) => this.#checkPacket(packet, i));
    if (list.length * DESCRIPTOR_WORDS > table.length) table = newTable(2 * list.length);
    const runs: Run[] = [];
    let run: Run | undefined;
    for (const [i, packet] of list.entries()) {
      if (run === undefined || !extend(run, packet)) runs.push(run = runAt(packet, i));
    }
    return runs;
  }

  #runOfBatch(batch: PacketBatch): Run {
    const state = stateOf(batch);
    checkAttached(state, ACTION);
    const { arena, descriptors, count } = state;
    for (let at = 0, i = 0; i < count; i++, at += DESCRIPTOR_WORDS) {
      const length = descriptors[at + 1]!;
      this.#checkLength(length, i);
      if (descriptors[at]! + length > arena.length) throw wrongPlace(i);
    }
    return { arena, descriptors, at: 0, end: count };
  }

  /** Copies what did not fit and lets it wait. */
  #enqueue(runs: readonly Run[]): Promise<void> {
    const frames = runs.flatMap(({ arena, descriptors, at, end }) =>
      Array.from({ length: end - at }, (_, i) => {
        const [offset = 0, length = 0] = descriptors.subarray((at + i) * DESCRIPTOR_WORDS);
        return arena.subarray(offset, offset + length);
      })
    );
    const size = frames.reduce((sum, { length }) => sum + length, 0);
    const arena = new Uint8Array(new ArrayBuffer(Math.max(4096, size)));
    const descriptors = newTable(Math.max(256, frames.length));
    let offset = 0;
    for (const [i, frame] of frames.entries()) {
      arena.set(frame, offset);
      descriptors[i * DESCRIPTOR_WORDS] = offset;
      descriptors[i * DESCRIPTOR_WORDS + 1] = frame.length;
      offset += frame.length;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#queue.push({ arena, descriptors, at: 0, end: frames.length, resolve, reject });
    this.#port.context.hold();
    // vmnet's full buffers announce nothing: this first try sets the timer
    if (this.#queue.length === 1) this.#flush();
    return promise;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      try {
        this.#port.check(ACTION);
        if (!this.#send(head)) return;
        head.resolve();
      } catch (error) {
        head.reject(error as VmnetError);
      }
      this.#queue.shift();
      this.#port.context.release();
    }
  }

  #retryLater(head: Waiting): void {
    if (++this.#retries > RETRIES) {
      this.#retries = 0;
      this.#dropped++;
      head.at++;
    }
    this.#timer ??= setTimeout(() => this.#flush(), RETRY_MS);
  }
}

/** A run of one packet, which is its own buffer: no view has to be made. */
function runAt(packet: Uint8Array, index: number): Run {
  table[index * DESCRIPTOR_WORDS] = 0;
  table[index * DESCRIPTOR_WORDS + 1] = packet.length;
  return { arena: packet, descriptors: table, at: index, end: index + 1 };
}

/** Adds a packet to a run if it lies in the same buffer. */
function extend(run: Run, packet: Uint8Array): boolean {
  const { arena, at, end } = run;
  // Offsets have 32 bits, buffers may be larger
  if (packet.buffer !== arena.buffer || arena.buffer.byteLength > 0xffffffff) return false;
  if (end === at + 1) {
    run.arena = new Uint8Array(arena.buffer);
    table[at * DESCRIPTOR_WORDS] = arena.byteOffset;
  }
  table[end * DESCRIPTOR_WORDS] = packet.byteOffset;
  table[end * DESCRIPTOR_WORDS + 1] = packet.length;
  run.end++;
  return true;
}

/** The descriptors of a batch are open to the script. */
function wrongPlace(index: number): RangeError {
  return new RangeError(`Cannot ${ACTION}: the descriptor of packet ${index} leads out of the batch`);
}

function wrongSize(status: number, reason: string): VmnetError {
  const error = errorOf(ACTION, status);
  error.message = `Cannot ${ACTION}: ${reason}`;
  return error;
}
