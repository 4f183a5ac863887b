// SPDX-License-Identifier: MIT

/**
 * Bytes that somebody sent as text, made fit for a line.
 *
 * @module
 */

/** Characters that are shown of a text at most. */
const LONGEST = 80;

const shown = new Uint8Array(LONGEST);

/** Up to 80 bytes as text of printable ASCII, everything else as dots. */
export function printable(bytes: Uint8Array, start: number, length: number): string {
  const count = Math.min(length, LONGEST);
  for (let i = 0; i < count; i++) {
    const byte = bytes[start + i]!;
    shown[i] = byte > 32 && byte < 127 ? byte : 46;
  }
  return String.fromCharCode.apply(null, shown.subarray(0, count) as unknown as number[]);
}
