// SPDX-License-Identifier: MIT

/**
 * Capture files made by hand, in either byte order, and numbers by chance that a seed repeats.
 *
 * @module
 */

import { type CapturedPacket, CaptureReader, PacketError } from "../../packet/mod.ts";

/** All bytes in one. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const text = new TextEncoder();
const pad = (bytes: Uint8Array): Uint8Array => joined(bytes, new Uint8Array((4 - bytes.length % 4) % 4));

/** Makes the parts of files in one byte order. */
export class Maker {
  readonly #little: boolean;

  constructor(little: boolean) {
    this.#little = little;
  }

  u16(...values: number[]): Uint8Array {
    const view = new DataView(new ArrayBuffer(2 * values.length));
    values.forEach((value, i) => view.setUint16(2 * i, value, this.#little));
    return new Uint8Array(view.buffer);
  }

  u32(...values: number[]): Uint8Array {
    const view = new DataView(new ArrayBuffer(4 * values.length));
    values.forEach((value, i) => view.setUint32(4 * i, value, this.#little));
    return new Uint8Array(view.buffer);
  }

  u64(value: bigint): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt.asUintN(64, value), this.#little);
    return new Uint8Array(view.buffer);
  }

  /** A time: the upper half goes first, in any byte order. */
  time(value: bigint): Uint8Array {
    return this.u32(Number(value >> 32n), Number(value & 0xffff_ffffn));
  }

  option(code: number, value: Uint8Array | string): Uint8Array {
    const bytes = typeof value === "string" ? text.encode(value) : value;
    return joined(this.u16(code, bytes.length), pad(bytes));
  }

  /** Options with their end. */
  options(...list: (readonly [code: number, value: Uint8Array | string])[]): Uint8Array {
    return joined(...list.map(([code, value]) => this.option(code, value)), this.u32(0));
  }

  block(type: number, ...parts: Uint8Array[]): Uint8Array {
    const body = pad(joined(...parts));
    const length = this.u32(body.length + 12);
    return joined(this.u32(type), length, body, length);
  }

  section(...options: Uint8Array[]): Uint8Array {
    return this.block(0x0a0d0d0a, this.u32(0x1a2b3c4d), this.u16(1, 0), this.u64(-1n), ...options);
  }

  interface(linkType = 1, snapLength = 0, ...options: Uint8Array[]): Uint8Array {
    return this.block(1, this.u16(linkType, 0), this.u32(snapLength), ...options);
  }

  packet(
    number: number,
    time: bigint,
    data: Uint8Array,
    originalLength: number = data.length,
    ...options: Uint8Array[]
  ): Uint8Array {
    return this.block(
      6,
      this.u32(number),
      this.time(time),
      this.u32(data.length, originalLength),
      pad(data),
      ...options,
    );
  }

  /** The obsolete packet block. */
  oldPacket(number: number, drops: number, time: bigint, data: Uint8Array, ...options: Uint8Array[]): Uint8Array {
    const head = [this.u16(number, drops), this.time(time), this.u32(data.length, data.length)];
    return this.block(2, ...head, pad(data), ...options);
  }

  simplePacket(data: Uint8Array, originalLength: number = data.length): Uint8Array {
    return this.block(3, this.u32(originalLength), data);
  }

  statistics(number: number, time: bigint, ...options: Uint8Array[]): Uint8Array {
    return this.block(5, this.u32(number), this.time(time), ...options);
  }

  /** The header of classic pcap. */
  pcap(magic: number, snapLength = 65535, linkType = 1): Uint8Array {
    return joined(this.u32(magic), this.u16(2, 4), this.u32(0, 0, snapLength, linkType));
  }

  /** A packet of classic pcap. */
  record(seconds: number, part: number, data: Uint8Array, originalLength: number = data.length): Uint8Array {
    return joined(this.u32(seconds, part, data.length, originalLength), data);
  }
}

/** Numbers from 0 to n - 1, the same for the same seed (xorshift32). */
export function chance(seed: number): (n: number) => number {
  let state = seed | 1;
  return (n) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
}

/** What a file has: its packets, and the error behind them. */
export interface Contents {
  packets: CapturedPacket[];
  error: PacketError | undefined;
}

/** Reads a file that comes in pieces. Any other error than PacketError is thrown. */
export function contentsOf(pieces: Iterable<Uint8Array>): Contents {
  const reader = new CaptureReader();
  const packets: CapturedPacket[] = [];
  try {
    for (const piece of pieces) {
      reader.push(piece);
      for (const packet of reader) packets.push(packet);
    }
    reader.end();
    return { packets, error: undefined };
  } catch (error) {
    if (error instanceof PacketError) return { packets, error };
    throw error;
  }
}

/** Frames of many lengths, whose bytes tell them apart. */
export function frames(count: number, longest = 1514): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const frame = new Uint8Array(14 + (i * 37) % (longest - 13));
    for (let at = 0; at < frame.length; at++) frame[at] = i + at;
    frame.set([0x88, 0xb5], 12); // for local experiments: no dissector looks inside
    return frame;
  });
}
