// SPDX-License-Identifier: MIT

/**
 * Reading fields of a frame that may be cut anywhere.
 *
 * @module
 */

import { formatIpv6, formatMac } from "./format.ts";

/** A frame ended where a field was expected. */
export class ShortFrame extends Error {}

/** A part of a frame. Reading beyond its end throws {@linkcode ShortFrame}. */
export class FrameView {
  /** The bytes of this part. */
  readonly bytes: Uint8Array;

  /** Wraps bytes without a copy. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Number of bytes. */
  get length(): number {
    return this.bytes.length;
  }

  /** The byte at an offset. */
  u8(at: number): number {
    const byte = this.bytes[at];
    if (byte === undefined) throw new ShortFrame();
    return byte;
  }

  /** The two bytes at an offset, in network order. */
  u16(at: number): number {
    return this.u8(at) << 8 | this.u8(at + 1);
  }

  /** The four bytes at an offset, in network order. */
  u32(at: number): number {
    return (this.u16(at) << 16 | this.u16(at + 2)) >>> 0;
  }

  /** The part from an offset on, of a length or to the end. */
  part(at: number, length?: number): FrameView {
    const end = length === undefined ? this.length : at + length;
    if (at < 0 || at > this.length || end > this.length || end < at) throw new ShortFrame();
    return new FrameView(this.bytes.subarray(at, end));
  }

  /** Bytes as text of printable ASCII, everything else as dots. */
  ascii(at: number, length: number): string {
    return String.fromCharCode(...this.part(at, length).bytes.map((byte) => byte > 32 && byte < 127 ? byte : 46));
  }

  /** The MAC address at an offset. */
  mac(at: number): string {
    return formatMac(this.part(at, 6).bytes);
  }

  /** The IPv4 address at an offset. */
  ipv4(at: number): string {
    return this.part(at, 4).bytes.join(".");
  }

  /** The IPv6 address at an offset, in the form of RFC 5952. */
  ipv6(at: number): string {
    return formatIpv6(this.part(at, 16).bytes);
  }
}
