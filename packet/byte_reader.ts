// SPDX-License-Identifier: MIT

/**
 * Reading fields one after the other where any of them may be missing.
 *
 * @module
 */

import { getU16, getU32 } from "./field.ts";
import { type Ipv4Address, type Ipv6Address, readIpv4, readIpv6 } from "./ip_address.ts";
import { PacketError } from "./packet_error.ts";

/** What has no bytes. A view of none costs as much as any, and hostile messages are full of them. */
const EMPTY = new Uint8Array(0);

/** A place in a message, which moves on with what is read and never beyond its end. */
export class ByteReader {
  /** Name of the layer, for errors. */
  readonly layer: string;
  /** The bytes that are read. */
  readonly bytes: Uint8Array;
  /** Offset of the layer's first byte, for errors. */
  readonly start: number;
  /** Offset of what is read next. */
  at: number;
  /** Offset after the last byte that may be read. */
  readonly end: number;
  /** Offset that pointers of domain names count from. */
  readonly base: number;

  /** Starts at an offset. */
  constructor(layer: string, bytes: Uint8Array, start: number, at: number, end: number, base: number = start) {
    this.layer = layer;
    this.bytes = bytes;
    this.start = start;
    this.at = at;
    this.end = end;
    this.base = base;
  }

  /** Number of bytes that are left. */
  get left(): number {
    return this.end - this.at;
  }

  /** Says what is wrong at the place that was reached, or at another one. */
  error(detail: string, at: number = this.at): PacketError {
    return new PacketError(detail, { layer: this.layer, offset: at - this.start });
  }

  /** Moves over some bytes and answers where they began. */
  take(length: number): number {
    const { at } = this;
    if (length > this.end - at) {
      throw this.error(`${length} bytes are wanted at ${at - this.start}, and there are ${this.end - at}`);
    }
    this.at = at + length;
    return at;
  }

  /** 8 bits. */
  u8(): number {
    return this.bytes[this.take(1)]!;
  }

  /** 16 bits in network order. */
  u16(): number {
    return getU16(this.bytes, this.take(2));
  }

  /** 32 bits in network order. */
  u32(): number {
    return getU32(this.bytes, this.take(4));
  }

  /** An IPv4 address. */
  ipv4(): Ipv4Address {
    return readIpv4(this.bytes, this.take(4));
  }

  /** An IPv6 address. */
  ipv6(): Ipv6Address {
    return readIpv6(this.bytes, this.take(16));
  }

  /** Some bytes, or all that are left: a view. */
  view(length: number = this.left): Uint8Array {
    const at = this.take(length);
    return length === 0 ? EMPTY : this.bytes.subarray(at, at + length);
  }

  /** A reader of some bytes only, over which this one moves. */
  part(length: number): ByteReader {
    const at = this.take(length);
    return new ByteReader(this.layer, this.bytes, this.start, at, at + length, this.base);
  }

  /** Reads one after the other until nothing is left. What reads has to move on. */
  all<T>(read: (reader: this) => T): T[] {
    const found: T[] = [];
    while (this.at < this.end) found.push(read(this));
    return found;
  }

  /** Makes sure that nothing is left, and hands on what was read. */
  done<T>(value: T): T {
    if (this.at !== this.end) throw this.error(`${this.left} bytes follow where none should`);
    return value;
  }
}
