// SPDX-License-Identifier: MIT

/**
 * Putting packets together, byte by byte.
 *
 * @module
 */

/** The checksum of the internet protocols over bytes, whose own checksum field is zero. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! << 8 | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Writes fields one after the other, in network order. */
export class Writer {
  readonly #bytes: number[] = [];

  /** Bytes of 8 bits. */
  u8(...values: number[]): this {
    for (const value of values) this.#bytes.push(value & 255);
    return this;
  }

  /** Words of 16 bits. */
  u16(...values: number[]): this {
    for (const value of values) this.u8(value >>> 8, value);
    return this;
  }

  /** Words of 32 bits. */
  u32(...values: number[]): this {
    for (const value of values) this.u16(value >>> 16, value);
    return this;
  }

  /** Bytes as they are. */
  bytes(bytes: Uint8Array): this {
    return this.u8(...bytes);
  }

  /** Zeros. */
  zeros(count: number): this {
    return this.u8(...new Uint8Array(count));
  }

  /** A MAC address. */
  mac(text: string): this {
    return this.u8(...text.split(":").map((part) => parseInt(part, 16)));
  }

  /** The bytes of an IPv4 address. */
  static ipv4(text: string): Uint8Array {
    return Uint8Array.from(text.split("."), Number);
  }

  /** A MAC address as text. */
  static macText(bytes: Uint8Array): string {
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
  }

  /** All that was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }
}
