// SPDX-License-Identifier: MIT

/**
 * Messages as tests write them down, and what has to hold of each.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { encoded, type Layer, type View } from "vmnet/packet";
import { attempt, readAll } from "./exercise.ts";

/** Bytes from hexadecimal digits; spaces between them are for the reader. */
export function hex(...digits: string[]): Uint8Array {
  const pairs = digits.join("").replace(/\s/g, "").match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
}

/** Hexadecimal digits of text. */
export const text = (characters: string): string =>
  Array.from(characters, (character) => character.charCodeAt(0).toString(16).padStart(2, "0")).join("");

/** Hexadecimal digits of a number. */
export const number = (value: number, bytes: number): string => value.toString(16).padStart(2 * bytes, "0");

/** Digits of a DNS header with these flags, which counts questions, answers, authorities and additional records. */
export const dnsHeader = (flags: string, ...counts: number[]): string =>
  `1234 ${flags} ${counts.map((count) => number(count, 2)).join("")}`;

/**
 * Reads a message that ends at every possible place, and one with each byte changed: nothing but a typed error comes.
 */
export function assertHolds(message: Uint8Array, open: (bytes: Uint8Array) => View): number {
  let reads = 0;
  for (let length = 0; length < message.length; length++) {
    const view = attempt(`${length} bytes`, () => open(message.slice(0, length)));
    reads += view === undefined ? 0 : readAll(view);
  }
  const changed = message.slice();
  for (let at = 0; at < message.length; at++) {
    for (const value of [0, 1, 0x3f, 0x7f, 0xc0, 0xff]) {
      changed[at] = value;
      const view = attempt(`${value} at ${at}`, () => open(changed));
      reads += view === undefined ? 0 : readAll(view);
    }
    changed[at] = message[at]!;
  }
  return reads;
}

/**
 * That a view which begins and ends within other bytes reads the same, and that writing what it says gives its bytes.
 */
export function assertAgain<V extends View>(
  message: Uint8Array,
  open: (bytes: Uint8Array, start?: number, end?: number) => V,
  again: (view: V) => Layer,
): void {
  const within = new Uint8Array(message.length + 11).fill(0xee);
  within.set(message, 7);
  for (const view of [open(message), open(within, 7, 7 + message.length)]) {
    assertEquals(encoded(again(view)), message);
  }
}
