// SPDX-License-Identifier: MIT

/**
 * Fields of a header on their way into it: what they take, and how they are written.
 *
 * @module
 */

/**
 * The value of a field, or another one if it was not given.
 *
 * @param layer Name of the layer, for errors.
 * @param field Name of the field, for errors.
 * @param value What was given.
 * @param otherwise The value if none was given, undefined if one has to be.
 * @param most The largest value that the field takes; the smallest is 0.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is not a whole number in the range.
 */
export function uint(
  layer: string,
  field: string,
  value: number | undefined,
  otherwise: number | undefined,
  most: number,
): number {
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (typeof value !== "number") {
    throw new TypeError(`Cannot encode ${layer}: ${field} takes a number from 0 to ${most}, found ${typeof value}`);
  }
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new RangeError(`Cannot encode ${layer}: ${field} takes a whole number from 0 to ${most}, found ${value}`);
  }
  return value;
}

/** Flags with some of their bits set or cleared, as far as that was asked for. */
export function withBits(flags: number, ...bits: readonly (readonly [on: boolean | undefined, bit: number])[]): number {
  for (const [on, bit] of bits) {
    if (on !== undefined) flags = on ? flags | bit : flags & ~bit;
  }
  return flags;
}

/** Writes 16 bits in network order. */
export function setU16(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 8;
  into[at + 1] = value;
}

/** Writes 32 bits in network order. */
export function setU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

/** Reads 16 bits in network order. */
export function getU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

/** Reads 32 bits in network order. */
export function getU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}
