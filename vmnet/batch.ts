// SPDX-License-Identifier: MIT

/**
 * Many packets in one buffer.
 *
 * @module
 */

import { envIfPermitted } from "../ffi/runtime.ts";
import { Fields, show } from "./fields.ts";
import { DESCRIPTOR_WORDS, Meta } from "./symbols.ts";

/** Size of a {@linkcode PacketBatch}. */
export interface PacketBatchOptions {
  /** Packets that it takes at the most, from 1 to 4096; 64 by default. */
  slots?: number;
  /** Longest packet in bytes, from 14 to 65562; 1514 by default. See {@linkcode Interface.maxPacketSize}. */
  maxPacketSize?: number;
}

/** What the library's own files see of a batch. */
export interface BatchState {
  readonly arena: Uint8Array;
  readonly descriptors: Uint32Array;
  readonly slots: number;
  readonly maxPacketSize: number;
  count: number;
}

/** Frames start at multiples of this, so that headers can be read as words. */
const ALIGNMENT = 16;

const noPlaces = new Uint32Array(0);

/** Brings a state through the constructor. No option can pass for one: native code trusts the sizes in it. */
class Adopted {
  readonly state: BatchState;

  constructor(state: BatchState) {
    this.state = state;
  }
}

/** The state of a batch, for the library's own files. */
export let stateOf: (batch: PacketBatch) => BatchState;

/** A batch over a state, for the library's own files. */
export let batchOf: (state: BatchState) => PacketBatch;

/**
 * Many packets in one buffer, to be read and written without an allocation per packet.
 *
 * A batch that a loop of {@linkcode Interface.batches} yields is borrowed: its bytes are good until the loop asks for
 * the next one. {@linkcode PacketBatch.copy} keeps it.
 *
 * The fastest way to look at packets is {@linkcode PacketBatch.bytes} with {@linkcode PacketBatch.descriptors}; views by
 * {@linkcode PacketBatch.at} are more convenient and nearly as fast, because a view is made anew only when a packet
 * lies elsewhere than the one before it in the same slot.
 *
 * What vmnet puts into it on macOS is not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { PacketBatch } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * const batch = new PacketBatch({ slots: 8 });
 * batch.push(new Uint8Array(60).fill(1));
 * batch.push(new Uint8Array(1514).fill(2));
 * assertEquals(batch.length, 2);
 * assertEquals(batch.byteLength(1), 1514);
 * assertEquals(batch.bytes[batch.offset(1)], 2);
 * ```
 */
export class PacketBatch implements Iterable<Uint8Array> {
  readonly #state: BatchState;
  readonly #views: Uint8Array[] = [];
  /** Offset and length of each view in `#views`; made when the first view is. */
  #places: Uint32Array = noPlaces;

  static {
    stateOf = (batch) => batch.#state;
    batchOf = (state) => new PacketBatch(new Adopted(state) as object);
  }

  /**
   * Makes an empty batch.
   *
   * @param options Its size.
   * @throws {TypeError} If an option is not known or not a number.
   * @throws {RangeError} If a value is out of range.
   */
  constructor(options: PacketBatchOptions = {}) {
    this.#state = options instanceof Adopted ? options.state : newState(options);
  }

  /** Number of packets. */
  get length(): number {
    return this.#state.count;
  }

  /** Number of packets that it takes at the most. */
  get slots(): number {
    return this.#state.slots;
  }

  /** The buffer with all the packets, for {@linkcode PacketBatch.offset}. */
  get bytes(): Uint8Array {
    return this.#state.arena;
  }

  /**
   * What the methods below read, for the innermost of loops: six 32-bit words a packet, packet `i` from word `6 * i` on.
   * They are the batch's own; a wrong value makes a later write fail, and nothing worse.
   *
   * | word | content |
   * | --- | --- |
   * | 0 | offset in {@linkcode PacketBatch.bytes}, in bytes |
   * | 1 | captured length in bytes |
   * | 2 | original length in bytes |
   * | 3 | bit 0: the packet was cut; bit 1: it starts with a virtio header; bits 16 to 31: see {@linkcode PacketBatch.portOf} |
   * | 4, 5 | nanoseconds since 1970, the lower and the upper half |
   *
   * @example Usage
   * ```ts
   * import { PacketBatch } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * const batch = new PacketBatch({ slots: 8 });
   * batch.push(new Uint8Array(60).fill(7));
   * const { bytes, descriptors } = batch;
   * let sum = 0;
   * for (let i = 0; i < batch.length; i++) sum += bytes[descriptors[6 * i]!]!;
   * assertEquals(sum, 7);
   * ```
   */
  get descriptors(): Uint32Array {
    return this.#state.descriptors;
  }

  /**
   * Where a packet starts in {@linkcode PacketBatch.bytes}.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns Its offset in bytes.
   * @throws {RangeError} If there is no such packet.
   */
  offset(index: number): number {
    const { descriptors, count } = this.#state;
    // An unsigned integer, in the cheapest way to say so. Written out in each hot method: calling one cost 3 ns more in Deno
    if (index >>> 0 !== index || index >= count) throw noSuchPacket(index, count);
    return descriptors[index * DESCRIPTOR_WORDS]!;
  }

  /**
   * How much of a packet is here.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns Its length in bytes.
   * @throws {RangeError} If there is no such packet.
   */
  byteLength(index: number): number {
    const { descriptors, count } = this.#state;
    if (index >>> 0 !== index || index >= count) throw noSuchPacket(index, count);
    return descriptors[index * DESCRIPTOR_WORDS + 1]!;
  }

  /**
   * How long a packet was before it was cut.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns Its length in bytes, the same as {@linkcode PacketBatch.byteLength} unless it was cut.
   * @throws {RangeError} If there is no such packet.
   */
  originalLength(index: number): number {
    return this.#word(index, 2);
  }

  /**
   * Whether a packet starts with a 12-byte `virtio_net_hdr_v1`.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns True with option `enableVirtioHeader` of the interface.
   * @throws {RangeError} If there is no such packet.
   */
  hasVirtioHeader(index: number): boolean {
    return (this.#word(index, 3) & Meta.virtio) !== 0;
  }

  /**
   * Which port of a switch a packet came from.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns The port's number, as in {@linkcode PortStats.number}; 0 unless a {@linkcode Tap} read it.
   * @throws {RangeError} If there is no such packet.
   */
  portOf(index: number): number {
    return this.#word(index, 3) >>> Meta.port;
  }

  /**
   * When a packet was read. Packets that were read together have the same time.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns Nanoseconds since 1970.
   * @throws {RangeError} If there is no such packet.
   */
  timestampNs(index: number): bigint {
    return BigInt(this.#word(index, 5)) << 32n | BigInt(this.#word(index, 4));
  }

  /**
   * A packet's bytes: a view, not a copy.
   *
   * @param index Which packet, from 0 to `length` - 1.
   * @returns A view that is good as long as the batch is.
   * @throws {RangeError} If there is no such packet.
   */
  at(index: number): Uint8Array {
    const { arena, descriptors, count } = this.#state;
    if (index >>> 0 !== index || index >= count) throw noSuchPacket(index, count);
    const at = index * DESCRIPTOR_WORDS;
    const offset = descriptors[at]!;
    const length = descriptors[at + 1]!;
    const places = this.#places;
    const view = this.#views[index];
    if (view !== undefined && places[2 * index] === offset && places[2 * index + 1] === length) return view;
    if (places.length === 0) this.#places = new Uint32Array(2 * this.#state.slots);
    this.#places[2 * index] = offset;
    this.#places[2 * index + 1] = length;
    return this.#views[index] = arena.subarray(offset, offset + length);
  }

  /** Yields {@linkcode PacketBatch.at} for every packet. */
  *[Symbol.iterator](): IterableIterator<Uint8Array> {
    for (let i = 0; i < this.#state.count; i++) yield this.at(i);
  }

  /**
   * Appends a copy of a packet.
   *
   * @param packet The packet, at most `maxPacketSize` bytes long.
   * @returns Whether there was room.
   * @throws {TypeError} If `packet` is not a `Uint8Array`.
   * @throws {RangeError} If `packet` is empty or longer than `maxPacketSize`.
   */
  push(packet: Uint8Array): boolean {
    const state = this.#state;
    if (!(packet instanceof Uint8Array)) {
      throw new TypeError(`Cannot append packet: "packet" must be a Uint8Array, got ${show(packet)}`);
    }
    if (packet.length === 0 || packet.length > state.maxPacketSize) {
      const takes = `from 1 to ${state.maxPacketSize} bytes`;
      throw new RangeError(`Cannot append packet: it must be ${takes} long, got ${packet.length}`);
    }
    const at = state.count * DESCRIPTOR_WORDS;
    const last = at - DESCRIPTOR_WORDS;
    const end = state.count === 0 ? 0 : state.descriptors[last]! + state.descriptors[last + 1]!;
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    if (state.count === state.slots || offset + packet.length > state.arena.length) return false;
    state.arena.set(packet, offset);
    state.descriptors.fill(0, at, at + DESCRIPTOR_WORDS);
    state.descriptors[at] = offset;
    state.descriptors[at + 1] = state.descriptors[at + 2] = packet.length;
    state.count++;
    return true;
  }

  /** Removes all packets. */
  clear(): void {
    this.#state.count = 0;
  }

  /**
   * Copies the packets, to keep what is borrowed.
   *
   * @param start First packet to copy; 0 by default.
   * @param end Packet before which to stop; `length` by default.
   * @returns A batch of the same packets, in one buffer of its own, with no room for others.
   * @throws {TypeError} If a value is not a number.
   * @throws {RangeError} If a value is not an integer from 0 on.
   */
  copy(start: number = 0, end: number = this.#state.count): PacketBatch {
    const { arena, descriptors, maxPacketSize } = this.#state;
    checkIndex("start", start);
    checkIndex("end", end);
    const count = Math.max(0, Math.min(end, this.#state.count) - start);
    const copied = descriptors.slice(start * DESCRIPTOR_WORDS, (start + count) * DESCRIPTOR_WORDS);
    let [first, last, sum] = [Infinity, 0, 0];
    for (let at = 0; at < copied.length; at += DESCRIPTOR_WORDS) {
      first = Math.min(first, copied[at]!);
      last = Math.max(last, copied[at]! + copied[at + 1]!);
      sum += copied[at + 1]!;
    }
    const base = count === 0 ? 0 : first;
    // One slice is one allocation and one memcpy; it pays unless the packets lie far apart, as with a fixed stride
    const dense = last - base <= 2 * sum + ALIGNMENT * count;
    const bytes = dense ? arena.slice(base, last) : new Uint8Array(sum);
    for (let at = 0, to = 0; at < copied.length; at += DESCRIPTOR_WORDS) {
      const [offset, length] = [copied[at]!, copied[at + 1]!];
      if (!dense) bytes.set(arena.subarray(offset, offset + length), to);
      copied[at] = dense ? offset - base : to;
      to += length;
    }
    return batchOf({ arena: bytes, descriptors: copied, slots: count, maxPacketSize, count });
  }

  #word(index: number, word: number): number {
    const { descriptors, count } = this.#state;
    if (index >>> 0 !== index || index >= count) throw noSuchPacket(index, count);
    return descriptors[index * DESCRIPTOR_WORDS + word]!;
  }
}

/** Throws if a buffer of a batch was transferred: native code would find nothing there. */
export function checkAttached({ arena, descriptors, count }: BatchState, action: string): void {
  // A copy of no packets has empty buffers
  if (arena.length > 0 && descriptors.length > 0 || count === 0 && !isDetached(arena) && !isDetached(descriptors)) {
    return;
  }
  throw new TypeError(`Cannot ${action}: the buffer of the batch was transferred`);
}

/** Whether a view's buffer was transferred. */
export function isDetached({ buffer }: Uint8Array | Uint32Array): boolean {
  return "detached" in buffer && buffer.detached === true;
}

/** Whether borrowed batches are overwritten after their turn, so that a test which keeps one fails: `VMNET_CHECK=1`. */
export function checksBorrowing(): boolean {
  return checking ??= envIfPermitted("VMNET_CHECK") === "1";
}
let checking: boolean | undefined;

/** Overwrites the packets of a batch whose turn is over. */
export function poison(batch: PacketBatch): void {
  const { arena, descriptors, count } = stateOf(batch);
  if (isDetached(arena)) return; // the script gave it away, and the next read says so
  for (let at = 0; at < count * DESCRIPTOR_WORDS; at += DESCRIPTOR_WORDS) {
    arena.fill(0xdb, descriptors[at]!, descriptors[at]! + descriptors[at + 1]!);
  }
}

function noSuchPacket(index: number, count: number): RangeError {
  return new RangeError(`Cannot read packet: index must be from 0 to ${count - 1}, got ${show(index)}`);
}

/** Throws unless a value is good for {@linkcode PacketBatch.copy}, which takes any that lies behind the last packet. */
function checkIndex(name: string, value: unknown): void {
  const message = `Cannot copy packets: "${name}" must be an integer from 0 on, got ${show(value)}`;
  if (typeof value !== "number") throw new TypeError(message);
  if (!Number.isInteger(value) || value < 0) throw new RangeError(message);
}

function newState(options: PacketBatchOptions): BatchState {
  const fields = new Fields("make batch", options, ["slots", "maxPacketSize"]);
  const slots = fields.integer("slots", 1, 4096) ?? 64;
  const maxPacketSize = fields.integer("maxPacketSize", 14, 65562) ?? 1514;
  const stride = Math.ceil(maxPacketSize / ALIGNMENT) * ALIGNMENT;
  // Buffers that native code writes to are at least 4 KiB and made from an ArrayBuffer: smaller ones move in Bun
  const arena = new Uint8Array(new ArrayBuffer(Math.max(4096, slots * stride)));
  const descriptors = new Uint32Array(new ArrayBuffer(Math.max(4096, slots * DESCRIPTOR_WORDS * 4)));
  return { arena, descriptors, slots, maxPacketSize, count: 0 };
}
