// SPDX-License-Identifier: MIT

/**
 * Bytes as text, made once: addresses are written from these.
 *
 * @module
 */

const bytes: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte);

/** Two hexadecimal digits for each byte, in lower case. */
export const hexByte: readonly string[] = bytes.map((byte) => byte.toString(16).padStart(2, "0"));

/** The decimal number of each byte. */
export const decimalByte: readonly string[] = bytes.map(String);

/** Value of one hexadecimal digit by its character code, -1 if it is none. */
export function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
