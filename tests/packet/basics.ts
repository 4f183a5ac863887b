// SPDX-License-Identifier: MIT

/**
 * What fields of packets hold, as fast-check makes it up.
 *
 * @module
 */

import fc, { type Arbitrary } from "fast-check";

/** A number of 8 bits. */
export const u8: Arbitrary<number> = fc.integer({ min: 0, max: 0xff });
/** A number of 16 bits. */
export const u16: Arbitrary<number> = fc.integer({ min: 0, max: 0xffff });
/** A number of 32 bits. */
export const u32: Arbitrary<number> = fc.integer({ min: 0, max: 0xffffffff });
/** A number of so many bits. */
export const bits = (count: number): Arbitrary<number> => fc.integer({ min: 0, max: 2 ** count - 1 });
/** So many bytes. */
export const bytes = (minLength: number, maxLength: number = minLength): Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength, size: "max" });

/** Options of a layer, of which those that are not required are sometimes left out. */
export function options<T>(all: { [K in keyof T]?: Arbitrary<T[K]> }, ...required: (keyof T)[]): Arbitrary<T> {
  return fc.record(all as never, { requiredKeys: required as never[] }) as Arbitrary<T>;
}

const hex = (byte: number) => byte.toString(16).padStart(2, "0");

/** The text of a MAC address. Its first octet is even, as that of a sender is. */
export const mac: Arbitrary<string> = bytes(6).map((octets) => {
  octets[0]! &= 0xfe;
  return Array.from(octets, hex).join(":");
});

/** The text of an IPv4 address. */
export const ipv4Address: Arbitrary<string> = bytes(4).map((octets) => octets.join("."));

/** The bytes of an IPv6 address, more often with zeros than chance would have it. */
export const ipv6Bytes: Arbitrary<Uint8Array> = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0), u16), { minLength: 8, maxLength: 8 })
  .map((words) => Uint8Array.from(words.flatMap((word) => [word >>> 8, word & 255])));
