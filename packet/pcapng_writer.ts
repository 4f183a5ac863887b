// SPDX-License-Identifier: MIT

/**
 * Writing pcapng, the capture format of Wireshark, with times in nanoseconds.
 *
 * Theory of operation: blocks are put one after the other into a buffer that grows; {@linkcode PcapngWriter.take} gives
 * it away. Numbers have this machine's byte order, which the section's header tells, so that the words of a packet's
 * time go from the descriptors of a batch into the file as they are. All blocks begin at multiples of 4 bytes: headers
 * are written as words, and a packet is one `set()`.
 *
 * @module
 */

import {
  Block,
  BLOCK_MOST,
  BYTE_ORDER,
  type CapturedInterface,
  type CaptureInterfaceOptions,
  type CapturePacketOptions,
  type CaptureStatistics,
  LINK_ETHERNET,
  Option,
  padded,
} from "./pcapng_format.ts";
import {
  check,
  commentsOf,
  countOf,
  directionOf,
  halves,
  HIGH,
  LOW,
  macOf,
  type OptionOf,
  pair,
  splitTime,
  textOf,
  timeOf,
  U32_MOST,
} from "./pcapng_options.ts";

/** Bytes of an enhanced packet block around the packet, without options. */
const AROUND_PACKET = 32;

/** Bytes of it before the packet. */
const BEFORE_PACKET = 28;

/** Words of a descriptor of a batch, and the bit of its fourth that says "starts with a virtio header". */
const WORDS = 6;
const VIRTIO = 2;
const VIRTIO_LENGTH = 12;

/** Nanoseconds: ten to the power of minus nine seconds. */
const NANOSECONDS = 9;

/** Bytes of the first buffer, and of those after a short one. */
const LEAST = 1024;

const nothing = new Uint8Array(0);
const noOptions: CapturePacketOptions = {};

/** About the file that a {@linkcode PcapngWriter} writes. */
export interface PcapngWriterOptions {
  /** The program that writes it. */
  readonly application?: string | undefined;
  /** The operating system that it is written on. */
  readonly operatingSystem?: string | undefined;
  /** The machine that it is written on. */
  readonly hardware?: string | undefined;
  /** Remarks, which Wireshark shows with the properties of the file. */
  readonly comments?: string | readonly string[] | undefined;
}

/**
 * Many frames in one buffer. A `PacketBatch` of `vmnet` is one.
 *
 * The descriptor of frame `i` are 6 words from `6 * i` on: offset in the buffer, length there, original length, flags
 * (bit 1: the frame starts with a virtio header of 12 bytes, which is left out of the file), lower and upper half of
 * the time in nanoseconds since 1970.
 */
export interface FrameBatch {
  /** Number of frames. */
  readonly length: number;
  /** The buffer with all frames. */
  readonly bytes: Uint8Array;
  /** Six words a frame. */
  readonly descriptors: Uint32Array;
}

/**
 * Writes pcapng into memory. It does no I/O: whatever takes bytes may be behind it.
 *
 * @example Usage
 * ```ts
 * import { PcapngWriter, readCapture } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const writer = new PcapngWriter({ application: "example" });
 * const lab = writer.addInterface({ name: "lab" });
 * writer.write(new Uint8Array(60), { interface: lab, comments: "the first" });
 * const file = writer.take();
 *
 * for await (const packet of readCapture(file)) {
 *   assertEquals(packet.interface.name, "lab");
 *   assertEquals(packet.comments, ["the first"]);
 * }
 * ```
 */
export class PcapngWriter {
  #bytes = new Uint8Array(LEAST);
  #words = new Uint32Array(this.#bytes.buffer);
  #length = 0;
  /** What is to be allocated next: bytes that were taken the last time. */
  #expected = LEAST;
  #spare: ArrayBuffer | undefined;
  readonly #given = new WeakSet<ArrayBuffer>();

  #interfaces = 0;
  /** Numbers of interfaces by what describes them: those of a file stand for themselves. */
  readonly #numbers = new WeakMap<CaptureInterfaceOptions, number>();

  /**
   * Begins a file: a section, whose header can be taken at once.
   *
   * @param options What the header says.
   * @throws {TypeError} If a text is none.
   * @throws {RangeError} If a text is longer than 65535 bytes.
   */
  constructor(options: PcapngWriterOptions = {}) {
    const { application, operatingSystem, hardware, comments } = options;
    // Version 1.0, and a length of the section of -1: not known while it is written
    this.#block(Block.section, [BYTE_ORDER, pair(1, 0), U32_MOST, U32_MOST], nothing, [
      ...commentsOf(comments),
      ...textOf(Option.sectionHardware, "hardware", hardware),
      ...textOf(Option.sectionOperatingSystem, "operatingSystem", operatingSystem),
      ...textOf(Option.sectionApplication, "application", application),
    ]);
  }

  /** Bytes that wait to be taken. */
  get length(): number {
    return this.#length;
  }

  /**
   * Describes an interface. It has to come before its packets; between those of others it may come at any time.
   *
   * @param options What is known of it.
   * @returns Its number, for {@linkcode PcapngWriter.write}. Packets of a file whose interface was added here have it.
   * @throws {TypeError} If a value has the wrong type.
   * @throws {RangeError} If a value is out of range, or a text longer than 65535 bytes.
   */
  addInterface(options: CaptureInterfaceOptions = {}): number {
    const { linkType = LINK_ETHERNET, snapLength = 0, filter, macAddress, speed } = options;
    check("linkType", linkType, 0xffff);
    check("snapLength", snapLength, U32_MOST);
    this.#block(Block.interface, [pair(linkType, 0), snapLength], nothing, [
      ...commentsOf(options.comments),
      ...textOf(Option.interfaceName, "name", options.name),
      ...textOf(Option.interfaceDescription, "description", options.description),
      ...macOf(Option.interfaceMacAddress, "macAddress", macAddress),
      ...countOf(Option.interfaceSpeed, "speed", speed),
      [Option.interfaceResolution, Uint8Array.of(NANOSECONDS)],
      ...textOf(Option.interfaceFilter, "filter", filter && `\0${filter}`), // 0: in the words of libpcap
      ...textOf(Option.interfaceOperatingSystem, "operatingSystem", options.operatingSystem),
      ...textOf(Option.interfaceHardware, "hardware", options.hardware),
    ]);
    const number = this.#interfaces++;
    this.#numbers.set(options, number);
    return number;
  }

  /**
   * Writes a packet. Its bytes are copied.
   *
   * @param packet The packet, as far as it was captured. Wireshark refuses one of Ethernet above 256 KiB.
   * @param options What else is known of it. If there is no interface at all, an Ethernet one is added.
   * @throws {TypeError} If a value has the wrong type.
   * @throws {RangeError} If a value is out of range, if there is no such interface, or if the packet does not fit into
   * a block of 16 MiB.
   */
  write(packet: Uint8Array, options: CapturePacketOptions = noOptions): void {
    if (!(packet instanceof Uint8Array)) throw new TypeError("Cannot write capture: a packet must be a Uint8Array");
    const { timestampNs, originalLength = packet.length, direction, dropped, comments } = options;
    check("originalLength", originalLength, U32_MOST);
    if (packet.length > BLOCK_MOST - AROUND_PACKET) throw tooLong(packet.length + AROUND_PACKET);
    splitTime("timestampNs", timestampNs);
    const high = halves[HIGH]!;
    const low = halves[LOW]!;
    const number = this.#numberOf(options.interface);
    if (direction === undefined && dropped === undefined && (comments === undefined || comments.length === 0)) {
      const at = this.#room(AROUND_PACKET + padded(packet.length));
      this.#packet(at, number, high, low, packet.length, originalLength);
      this.#bytes.set(packet, at + BEFORE_PACKET);
      return;
    }
    this.#block(Block.packet, [number, high, low, packet.length, originalLength], packet, [
      ...commentsOf(comments),
      ...directionOf(Option.packetFlags, direction),
      ...countOf(Option.packetDropped, "dropped", dropped),
    ]);
  }

  /**
   * Writes the frames of a batch, at the speed of copying them.
   *
   * @param batch The frames, which are copied.
   * @param number Their interface.
   * @throws {RangeError} If there is no such interface, or a descriptor points out of the buffer. Nothing is written
   * then.
   */
  writeBatch(batch: FrameBatch, number = 0): void {
    const { length: count, descriptors, bytes: arena } = batch;
    const index = this.#numberOf(number);
    let length = 0;
    for (let i = 0, word = 0; i < count; i++, word += WORDS) {
      const captured = descriptors[word + 1]!;
      if (!(descriptors[word]! + captured <= arena.length && captured <= BLOCK_MOST - AROUND_PACKET)) throw outside(i);
      length += AROUND_PACKET + padded(captured);
    }
    let at = this.#room(length);
    const bytes = this.#bytes;
    for (let i = 0, word = 0; i < count; i++, word += WORDS) {
      const from = descriptors[word]!;
      const captured = descriptors[word + 1]!;
      const virtio = (descriptors[word + 3]! & VIRTIO) === 0 ? 0 : Math.min(VIRTIO_LENGTH, captured);
      const kept = captured - virtio;
      const original = Math.max(descriptors[word + 2]! - virtio, 0);
      this.#packet(at, index, descriptors[word + 5]!, descriptors[word + 4]!, kept, original);
      bytes.set(arena.subarray(from + virtio, from + captured), at + BEFORE_PACKET);
      at += AROUND_PACKET + padded(kept);
    }
    this.#length = at; // less than asked for, where virtio headers were left out
  }

  /**
   * Writes what an interface counted. Usually it is the last of a file; more often is allowed.
   *
   * @param number The interface: its number, or one of a file that was read.
   * @param statistics The counters that are known.
   * @throws {TypeError} If a value has the wrong type.
   * @throws {RangeError} If a value is out of range, or there is no such interface.
   */
  writeStatistics(number: number | CapturedInterface, statistics: CaptureStatistics): void {
    const { timestampNs, startNs, endNs } = statistics;
    const index = this.#numberOf(number);
    splitTime("timestampNs", timestampNs);
    const high = halves[HIGH]!;
    const low = halves[LOW]!;
    this.#block(Block.statistics, [index, high, low], nothing, [
      ...commentsOf(statistics.comments),
      ...timeOf(Option.statisticsStart, "startNs", startNs),
      ...timeOf(Option.statisticsEnd, "endNs", endNs),
      ...countOf(Option.statisticsReceived, "received", statistics.received),
      ...countOf(Option.statisticsInterfaceDropped, "interfaceDropped", statistics.interfaceDropped),
      ...countOf(Option.statisticsAccepted, "accepted", statistics.accepted),
      ...countOf(Option.statisticsSystemDropped, "systemDropped", statistics.systemDropped),
      ...countOf(Option.statisticsDelivered, "delivered", statistics.delivered),
    ]);
  }

  /**
   * Takes what was written since the last time: whole blocks.
   *
   * @returns The bytes, which are the caller's. {@linkcode PcapngWriter.recycle} may give them back.
   */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.#length);
    if (taken.length === 0) return taken.slice();
    this.#given.add(taken.buffer);
    this.#expected = Math.max(LEAST, taken.length);
    const buffer = this.#spare ?? new ArrayBuffer(0);
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#spare = undefined;
    this.#length = 0;
    return taken;
  }

  /**
   * Gives back what {@linkcode PcapngWriter.take} gave, once nobody needs it any more. A loop that does so needs no new
   * memory for each batch: that is twice as fast, or more.
   *
   * @param bytes Exactly what was taken. It will be overwritten.
   * @throws {TypeError} If it was not taken from this writer, or was given back already.
   */
  recycle(bytes: Uint8Array<ArrayBuffer>): void {
    const { buffer } = bytes;
    if (buffer.byteLength === 0) return; // nothing, or transferred to somebody else
    if (!this.#given.delete(buffer)) throw new TypeError("Cannot recycle bytes: they were not taken from this writer");
    if (buffer.byteLength > (this.#spare?.byteLength ?? 0)) this.#spare = buffer;
  }

  /** Makes room for a block, or several, and answers where. */
  #room(length: number): number {
    const at = this.#length;
    if (at + length > this.#bytes.length) this.#grow(at + length);
    this.#length = at + length;
    return at;
  }

  #grow(length: number): void {
    const spare = this.#spare;
    let buffer: ArrayBuffer;
    if (spare !== undefined && spare.byteLength >= length) {
      buffer = spare;
      this.#spare = undefined;
    } else {
      // Exactly what is asked for, if nothing is here: batches are of one size, mostly
      buffer = new ArrayBuffer(padded(Math.max(length, this.#length === 0 ? this.#expected : 2 * this.#bytes.length)));
    }
    const bytes = new Uint8Array(buffer);
    if (this.#length > 0) bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#words = new Uint32Array(buffer);
  }

  /** An enhanced packet block without options, but for the packet. */
  #packet(at: number, number: number, high: number, low: number, captured: number, original: number): void {
    const words = this.#words;
    const first = at >>> 2;
    const length = AROUND_PACKET + padded(captured);
    const last = first + (length >>> 2) - 1;
    words[last - 1] = 0; // the padding, or what the next lines or the packet write over
    words[last] = length;
    words[first] = Block.packet;
    words[first + 1] = length;
    words[first + 2] = number;
    words[first + 3] = high;
    words[first + 4] = low;
    words[first + 5] = captured;
    words[first + 6] = original;
  }

  #block(type: number, fields: readonly number[], data: Uint8Array, options: readonly OptionOf[]): void {
    let length = 12 + 4 * fields.length + padded(data.length) + (options.length > 0 ? 4 : 0);
    for (const [, value] of options) length += 4 + padded(value.length);
    if (length > BLOCK_MOST) throw tooLong(length);
    let at = this.#room(length);
    const bytes = this.#bytes;
    const words = this.#words;
    bytes.fill(0, at, at + length);
    words.set([type, length, ...fields], at >>> 2);
    words[(at + length >>> 2) - 1] = length;
    at += 8 + 4 * fields.length;
    bytes.set(data, at);
    at += padded(data.length);
    for (const [code, value] of options) {
      words[at >>> 2] = pair(code, value.length);
      bytes.set(value, at + 4);
      at += 4 + padded(value.length);
    }
  }

  /** The number of an interface that is there. */
  #numberOf(which: number | CapturedInterface | undefined): number {
    if (typeof which === "object") {
      return this.#numbers.get(which) ?? this.addInterface(which);
    }
    const number = which ?? 0;
    if (number === 0 && this.#interfaces === 0) return this.addInterface();
    if (number >>> 0 === number && number < this.#interfaces) return number;
    const there = this.#interfaces;
    throw new RangeError(`Cannot write capture: there is no interface ${String(number)}, there are ${there}`);
  }
}

function tooLong(length: number): RangeError {
  return new RangeError(`Cannot write capture: a block takes ${BLOCK_MOST} bytes at most, and it needs ${length}`);
}

function outside(index: number): RangeError {
  return new RangeError(`Cannot write capture: the descriptor of frame ${index} points out of the buffer`);
}
