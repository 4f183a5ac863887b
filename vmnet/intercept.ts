// SPDX-License-Identifier: MIT

/**
 * Frames that a script decides on.
 *
 * Theory of operation: what the filter matches leaves the switch's way and goes into a ring. A loop drains it in batches,
 * asks the script for each frame, and sends what is to go on back from where it lies in the arena, in one call for the
 * batch. A replacement goes into the place of its frame if it fits, else into spare room at the arena's end.
 *
 * @module
 */

import { checksBorrowing, isDetached, type PacketBatch, poison, stateOf } from "./batch.ts";
import { Fields, show } from "./fields.ts";
import type { List, ListEntries } from "./list.ts";
import { newPackedBatch } from "./loop_batch.ts";
import { PacketReader } from "./packet_loop.ts";
import { Part, type PartOwner } from "./part.ts";
import { Port } from "./port.ts";
import { definedEntries } from "./port_options.ts";
import { Status } from "./status.ts";
import { DESCRIPTOR_WORDS, Meta } from "./symbols.ts";
import { readLook, readRingBytes } from "./tap.ts";

/** Which frames a script wants to decide on. */
export interface InterceptOptions {
  /**
   * A filter in the language of tcpdump, for instance `"udp port 53"`, at most 4095 characters; everything by default.
   * It needs libpcap on this machine.
   */
  filter?: string | undefined;
  /** Number of the port whose frames are meant, from 1 to 65535; those of every port by default. */
  port?: number | undefined;
  /**
   * Bytes of the ring in which frames wait for the script, from 65536 to 67108864; 1048576 by default. It is rounded up to
   * a power of two in which two of the longest frames fit.
   */
  ringBytes?: number | undefined;
  /** What happens to frames while the ring is full, because the script is slow: `"drop"`, the default, or `"pass"`. */
  onOverflow?: "drop" | "pass" | undefined;
}

/** What becomes of a frame: it goes on, goes no further, or another one goes on in its place. */
export type Verdict = "pass" | "drop" | Uint8Array;

/** What is known of a frame that a script decides on. */
export interface InterceptedFrame {
  /** Number of the port that it came from, as {@linkcode PortStats.number}. */
  readonly from: number;
}

/**
 * Decides on a frame. The frame is borrowed: it is good until the verdict is there, and may be changed in place. The next
 * frame waits for a verdict that is a promise. (TypeScript takes the only verdict of an `async` function for a string: write
 * `"pass" as const` there.)
 */
export type VerdictHandler = (frame: Uint8Array, info: InterceptedFrame) => Verdict | Promise<Verdict>;

/** Counters of an {@linkcode Intercept}, from its beginning on. */
export interface InterceptStats {
  /** Frames that the filter matched. */
  readonly matched: number;
  /** Frames that were matched while the ring was full. */
  readonly overflowed: number;
  /** Frames that went on as they were. */
  readonly passed: number;
  /** Frames that another one took the place of. */
  readonly replaced: number;
  /** Frames that went no further, those without a verdict included. */
  readonly dropped: number;
  /** Frames without a verdict, because it threw or was none. */
  readonly failed: number;
}

/** Frames of one read. */
const FRAMES_PER_READ = 256;

/** Room for replacements that are longer than their frames, until it is full and sent. */
const SPARE = 256 << 10;

/** What the ring takes. A network takes less, and counts what is longer; what is shorter never comes here. */
const SHORTEST = 14;
const LONGEST = 65562;

/** What the reader may fill, and the spare room after it, in one buffer. */
interface Arena {
  readonly batch: PacketBatch;
  readonly whole: Uint8Array;
  readonly spare: number;
}

/**
 * Frames that a script decides on, made by {@linkcode Switch.intercept}: those that a filter matches leave their way through
 * native code, all others never do.
 *
 * Frames that pass go on in the order in which they came. Drop rules and taps have seen them; they meet no other
 * intercept.
 *
 * @example Usage
 * ```ts
 * import { Interface, Network, Switch } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using network = await Network.create({ mode: "host", dhcp: false });
 * await using a = await Interface.start({ network });
 * await using b = await Interface.start({ network });
 * await using sw = await Switch.create({ uplink: network });
 * await using guard = await sw.intercept({}, (frame) => {
 *   frame[59] = 7;
 *   return frame;
 * });
 *
 * await a.write(new Uint8Array(60).fill(0xff, 0, 6));
 * for await (const packet of b) {
 *   assertEquals(packet[59], 7);
 *   break;
 * }
 * assertEquals(guard.stats().replaced, 1);
 * ```
 */
export class Intercept implements AsyncDisposable {
  /**
   * Resolves when the intercept has ended. Rejects when a verdict throws or is none, with the first such error: its
   * frame is dropped, and the intercept goes on. Rejects also if the network ends. A program that does not look is ended by
   * its runtime then, as by any error that nobody handles.
   */
  readonly done: Promise<void>;

  readonly #part: Part;
  readonly #port: Port;
  readonly #reader: PacketReader;
  readonly #handler: VerdictHandler;
  readonly #settle: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #maxPacketSize: number;
  #arena: Arena;
  /** Descriptors of what is to be sent, how many there are, and how much of the spare room they use. */
  readonly #out: Uint32Array = new Uint32Array(new ArrayBuffer(Math.max(4096, FRAMES_PER_READ * DESCRIPTOR_WORDS * 4)));
  #count = 0;
  #spareUsed = 0;
  #onRoom: () => void = () => {};
  #passed = 0;
  #replaced = 0;
  #dropped = 0;
  #failed = 0;

  /** For {@linkcode Switch.intercept}, which is how to get one. */
  constructor(owner: PartOwner, result: List, maxPacketSize: number, handler: VerdictHandler) {
    this.#handler = handler;
    this.#maxPacketSize = maxPacketSize;
    this.done = this.#settle.promise;
    this.#part = new Part(owner, result, "intercept", () => this.#port.stop());
    this.#port = new Port(owner.context, this.#part.handle, {
      minPacketSize: SHORTEST,
      maxPacketSize: LONGEST,
      maxReadPacketCount: FRAMES_PER_READ,
      maxWritePacketCount: FRAMES_PER_READ,
      isPacked: true,
    }, "intercept");
    this.#reader = new PacketReader(this.#port, true);
    this.#port.onWritable = () => this.#onRoom();
    const wake = this.#port.onReadable;
    this.#port.onReadable = () => {
      wake();
      this.#end(); // also while a verdict is awaited that never comes
    };
    this.#arena = newArena();
    this.#run();
  }

  /**
   * The intercept's counters.
   *
   * @returns Numbers from its beginning on.
   * @throws {VmnetError} If it was stopped.
   */
  stats(): InterceptStats {
    const list = this.#part.stats();
    return {
      matched: list.number("matched") ?? 0,
      overflowed: list.number("dropped") ?? 0,
      passed: this.#passed,
      replaced: this.#replaced,
      dropped: this.#dropped,
      failed: this.#failed,
    };
  }

  /**
   * Stops asking the script: frames take their usual way again. Those that wait for a verdict are dropped. Repeated calls
   * answer the first one's promise.
   *
   * @returns Resolves when nothing of it is left.
   */
  stop(): Promise<void> {
    return this.#part.stop();
  }

  /** Stops asking the script. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(): Promise<void> {
    const checks = checksBorrowing();
    try {
      this.#reader.acquire();
      while (await this.#reader.next(this.#arena.batch, undefined, () => true, () => true)) {
        await this.#judge(this.#arena);
        await this.#send(this.#arena);
        if (isDetached(this.#arena.whole)) this.#renew();
        else if (checks) poison(this.#arena.batch);
      }
      this.#settle.resolve();
    } catch (error) {
      if (this.#port.stopping) this.#settle.resolve();
      else this.#settle.reject(error);
    }
  }

  /** Settles `done` if there is no more to come. */
  #end(): void {
    if (this.#port.stopping) this.#settle.resolve();
    else if (this.#port.failed) this.#settle.reject(this.#port.errorOf("intercept", Status.ok));
  }

  /** Asks the script about each frame of a batch. */
  async #judge(arena: Arena): Promise<void> {
    const { batch } = arena;
    const { descriptors } = stateOf(batch);
    for (let i = 0; i < batch.length; i++) {
      const at = i * DESCRIPTOR_WORDS;
      const from = descriptors[at + 3]! >>> Meta.port;
      let verdict: unknown;
      let length = 0;
      try {
        const answer: unknown = this.#handler(batch.at(i), { from });
        // Anything else than a promise is awaited by nobody: it would cost every frame a turn
        verdict = isThenable(answer) ? await answer : answer;
        if (this.#port.stopping) return;
        if (verdict === "pass") this.#passed++;
        else if (verdict === "drop") this.#dropped++;
        else length = this.#lengthOf(verdict);
      } catch (error) {
        this.#refuse(error);
        continue;
      }
      if (verdict === "drop") continue;
      if (verdict === "pass") this.#put(descriptors[at]!, descriptors[at + 1]!, from);
      else await this.#replace(arena, i, from, verdict as Uint8Array, length);
    }
  }

  /** The length of a replacement, which is asked for once. */
  #lengthOf(verdict: unknown): number {
    const takes = '"pass", "drop" or a Uint8Array';
    if (!(verdict instanceof Uint8Array)) {
      throw new TypeError(`Cannot intercept: a verdict must be ${takes}, got ${show(verdict)}`);
    }
    const { length } = verdict;
    const maxPacketSize = this.#maxPacketSize;
    if (length >= SHORTEST && length <= maxPacketSize) return length;
    if (isDetached(verdict)) throw new TypeError("Cannot intercept: the buffer of the verdict was transferred");
    throw new RangeError(`Cannot intercept: a frame has ${SHORTEST} to ${maxPacketSize} bytes, the verdict ${length}`);
  }

  /** Drops a frame without a verdict; the first one is told. */
  #refuse(error: unknown): void {
    this.#failed++;
    this.#dropped++;
    this.#settle.reject(error);
  }

  /** Lets a frame go on from where it lies. */
  #put(offset: number, length: number, from: number): void {
    const at = this.#count++ * DESCRIPTOR_WORDS;
    this.#out[at] = offset;
    this.#out[at + 1] = this.#out[at + 2] = length;
    this.#out[at + 3] = from << Meta.port;
  }

  async #replace(arena: Arena, index: number, from: number, frame: Uint8Array, length: number): Promise<void> {
    const { batch, whole, spare } = arena;
    const at = stateOf(batch).descriptors[index * DESCRIPTOR_WORDS]!;
    const isLonger = length > stateOf(batch).descriptors[index * DESCRIPTOR_WORDS + 1]!;
    if (isLonger && spare + this.#spareUsed + length > whole.length) await this.#send(arena);
    try {
      if (isDetached(whole)) throw transferredError();
      const { buffer, byteOffset } = frame;
      const isLent = buffer === whole.buffer && byteOffset < spare && byteOffset + length <= whole.length;
      const place = isLent ? byteOffset : isLonger ? spare + this.#spareUsed : at;
      if (!isLent) whole.set(frame, place);
      if (!isLent && isLonger) this.#spareUsed += length;
      this.#put(place, length, from);
      this.#replaced++;
    } catch (error) {
      this.#refuse(error); // the arena has been transferred, or the frame is longer than it says
    }
  }

  /** Sends what has gathered, waiting for room when there is none. */
  async #send({ whole }: Arena): Promise<void> {
    const { shim, handle } = this.#port;
    const count = this.#count;
    this.#count = this.#spareUsed = 0;
    for (let at = 0; at < count && !this.#port.stopping;) {
      if (isDetached(whole)) return;
      const answer = shim.vn_send(handle, whole, whole.length, this.#out, at, count - at);
      if (answer < 0) throw this.#port.errorOf("send frames on", -answer);
      at += answer;
      if (at < count) await new Promise<void>((resolve) => this.#onRoom = resolve);
    }
  }

  /** A script that transfers the buffer of a frame takes all frames with it that were read with that one. */
  #renew(): void {
    this.#arena = newArena();
    this.#refuse(transferredError());
  }
}

function transferredError(): TypeError {
  return new TypeError("Cannot intercept: the buffer of a frame was transferred");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function newArena(): Arena {
  const batch = newPackedBatch(LONGEST, SPARE);
  const { arena } = stateOf(batch);
  return { batch, whole: new Uint8Array(arena.buffer), spare: arena.length };
}

/**
 * Checks and encodes which frames are meant.
 *
 * @throws {TypeError} If a name is not known or a value has the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function encodeIntercept(options: InterceptOptions, handler: unknown, action: string): ListEntries {
  const fields = new Fields(action, options, ["filter", "port", "ringBytes", "onOverflow"]);
  const onOverflow = fields.oneOf("onOverflow", ["drop", "pass"]);
  const passOnOverflow = onOverflow === undefined ? undefined : onOverflow === "pass";
  const entries = definedEntries({ ...readLook(fields), ringBytes: readRingBytes(fields), passOnOverflow });
  if (typeof handler !== "function") {
    throw new TypeError(`Cannot ${action}: "handler" must be a function, got ${show(handler)}`);
  }
  return entries;
}
