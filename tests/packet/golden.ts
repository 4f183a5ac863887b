// SPDX-License-Identifier: MIT

/**
 * Packets as hexadecimal text, and what must hold of each of them however it is cut.
 *
 * @module
 */

import { assertEquals, assertGreater } from "@std/assert";
import { attempt, readAll } from "./exercise.ts";

/** The bytes of hexadecimal text, between which there may be spaces. */
export function hex(...text: string[]): Uint8Array {
  const digits = text.join("").replace(/\s/g, "");
  if (!/^([\da-f]{2})*$/.test(digits)) throw new Error(`Cannot read "${digits}": it is not hexadecimal`);
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** Hexadecimal text of bytes, which shows a difference better than a list of numbers. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Asserts that two byte strings are the same. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array): void {
  assertEquals(toHex(actual), toHex(expected));
}

/** Asserts that a packet that ends at any byte, or of which any byte is another, throws nothing but a PacketError. */
export function assertHarmless(bytes: Uint8Array, view: new (frame: Uint8Array) => object): void {
  const read = (frame: Uint8Array) => attempt(view.name, () => readAll(new view(frame))) ?? 0;
  assertGreater(read(bytes), 5);
  for (let end = 0; end < bytes.length; end++) {
    read(bytes.subarray(0, end));
    for (const value of [0, 1, 2, 4, 7, 0x3f, 0x7f, 0x80, 0xfe, 0xff]) {
      const changed = bytes.slice();
      changed[end] = value;
      read(changed);
    }
  }
}
