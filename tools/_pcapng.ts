// SPDX-License-Identifier: MIT

/**
 * Writes pcapng, the capture format of Wireshark, with times in nanoseconds.
 *
 * Theory of operation: a file is one section. Its header comes first, then one block for each interface, then packets,
 * and at the end each interface's counters. A block is its type, its length, its contents, padded to 4 bytes, and its
 * length once more. Numbers have this machine's byte order, which the header tells, so that the words of a packet's
 * time go from the descriptors of a batch into the file as they are.
 *
 * @module
 */

import type { PacketBatch } from "vmnet";

/** Types of blocks. */
const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const STATISTICS = 5;
const PACKET = 6;

/** Says the byte order, as the section's header has it. */
const BYTE_ORDER = 0x1a2b3c4d;

/** The length of a section is not known while it is written. */
const UNKNOWN_LENGTH = 0xffff_ffff_ffff_ffffn;

const LINK_ETHERNET = 1;

/** Numbers of options: of a section, of an interface, of statistics. */
const USER_APPLICATION = 4;
const IF_NAME = 2;
const IF_FILTER = 11;
const IF_RESOLUTION = 9;
const STATISTICS_RECEIVED = 4;
const STATISTICS_DROPPED = 5;

/** Ten to the power of minus nine seconds. */
const NANOSECONDS = 9;

/** Bytes of a packet's block around its frame. */
const AROUND_PACKET = 32;

/** Words of a descriptor of a batch. */
const WORDS = 6;

const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

const padded = (length: number): number => (length + 3) & ~3;

/** An interface of a file. */
export interface CapturedInterface {
  /** Its name. */
  readonly name: string;
  /** Longest copy of a frame, 0 for no limit. */
  readonly snapLength: number;
  /** The filter that its packets matched, empty for none. */
  readonly filter: string;
}

/** The bytes of blocks, one after the other. */
class Writer {
  bytes = new Uint8Array(512);
  length = 0;

  #room(count: number): DataView {
    if (this.length + count > this.bytes.length) {
      const more = new Uint8Array(2 * (this.length + count));
      more.set(this.bytes);
      this.bytes = more;
    }
    const view = new DataView(this.bytes.buffer, this.length, count);
    this.length += count;
    return view;
  }

  u16(...values: number[]): void {
    for (const value of values) this.#room(2).setUint16(0, value, isLittleEndian);
  }

  u32(...values: number[]): void {
    for (const value of values) this.#room(4).setUint32(0, value, isLittleEndian);
  }

  u64(value: bigint): void {
    this.#room(8).setBigUint64(0, value, isLittleEndian);
  }

  /** An option of a block, padded. */
  option(code: number, value: Uint8Array): void {
    this.u16(code, value.length);
    this.#room(padded(value.length));
    this.bytes.set(value, this.length - padded(value.length));
  }

  /** A block around what `fill` writes. */
  block(type: number, fill: () => void): void {
    const start = this.length;
    this.u32(type, 0);
    fill();
    const length = this.length + 4 - start;
    this.u32(length);
    new DataView(this.bytes.buffer, start + 4, 4).setUint32(0, length, isLittleEndian);
  }

  get written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

const encoder = new TextEncoder();
const number64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);

/** The beginning of a file: its section, and its interfaces, whose numbers are their places in the list. */
export function pcapngHeader(application: string, interfaces: readonly CapturedInterface[]): Uint8Array {
  const writer = new Writer();
  writer.block(SECTION, () => {
    writer.u32(BYTE_ORDER);
    writer.u16(1, 0); // version 1.0
    writer.u64(UNKNOWN_LENGTH);
    writer.option(USER_APPLICATION, encoder.encode(application));
    writer.u32(0);
  });
  for (const { name, snapLength, filter } of interfaces) {
    writer.block(INTERFACE, () => {
      writer.u16(LINK_ETHERNET, 0);
      writer.u32(snapLength);
      writer.option(IF_NAME, encoder.encode(name));
      writer.option(IF_RESOLUTION, Uint8Array.of(NANOSECONDS));
      if (filter !== "") writer.option(IF_FILTER, Uint8Array.of(0, ...encoder.encode(filter))); // 0: words of libpcap
      writer.u32(0);
    });
  }
  return writer.written;
}

/** The packets of a batch, as those of one interface. */
export function pcapngPackets(interfaceNumber: number, batch: PacketBatch): Uint8Array {
  const { descriptors, bytes: arena } = batch;
  let length = 0;
  for (let i = 0; i < batch.length; i++) length += AROUND_PACKET + padded(descriptors[i * WORDS + 1]!);
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0, at = 0; i < batch.length; i++) {
    const word = i * WORDS;
    const [offset, captured] = [descriptors[word]!, descriptors[word + 1]!];
    const block = AROUND_PACKET + padded(captured);
    const first = at / 4;
    words[first] = PACKET;
    words[first + 1] = block;
    words[first + 2] = interfaceNumber;
    words[first + 3] = descriptors[word + 5]!; // the time's upper half goes first
    words[first + 4] = descriptors[word + 4]!;
    words[first + 5] = captured;
    words[first + 6] = descriptors[word + 2]!;
    bytes.set(arena.subarray(offset, offset + captured), at + 28);
    at += block;
    words[at / 4 - 1] = block;
  }
  return bytes;
}

/** What an interface counted: frames that matched, and those of them that are missing in the file. */
export function pcapngStatistics(interfaceNumber: number, received: number, dropped: number): Uint8Array {
  const writer = new Writer();
  const now = BigInt(Date.now()) * 1_000_000n;
  writer.block(STATISTICS, () => {
    writer.u32(interfaceNumber, Number(now >> 32n), Number(now & 0xffff_ffffn));
    writer.option(STATISTICS_RECEIVED, number64(received));
    writer.option(STATISTICS_DROPPED, number64(dropped));
    writer.u32(0);
  });
  return writer.written;
}
