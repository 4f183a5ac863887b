// SPDX-License-Identifier: MIT

/**
 * Values of pcapng's options and fields on their way into a file: what they take, and how they are written.
 *
 * @module
 */

import { type MacLike, toMac } from "./mac_address.ts";
import { directions, Option } from "./pcapng_format.ts";

/** The most that 32 bits hold. */
export const U32_MOST = 0xffff_ffff;

/** The most bytes that an option holds. */
const OPTION_MOST = 0xffff;

const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

const encoder = new TextEncoder();

/** An option of a block. */
export type OptionOf = readonly [code: number, value: Uint8Array];

/** Two numbers of 16 bits as the word that they are together. */
export const pair = (first: number, second: number): number =>
  (isLittleEndian ? second << 16 | first : first << 16 | second) >>> 0;

const scratch = new BigUint64Array(1);

/** The halves of the time that {@linkcode splitTime} was given last: an array each time would cost too much. */
export const halves: Uint32Array = new Uint32Array(scratch.buffer);
/** Which of them is the lower one. */
export const LOW: 0 | 1 = isLittleEndian ? 0 : 1;
/** Which of them is the upper one. */
export const HIGH: 0 | 1 = isLittleEndian ? 1 : 0;

/** Puts a time, or the one that it is now, into {@linkcode halves}. */
export function splitTime(field: string, time: bigint | undefined): void {
  if (time === undefined) return splitNow();
  if (typeof time !== "bigint") {
    throw new TypeError(`Cannot write capture: ${field} takes a bigint, found ${typeof time}`);
  }
  scratch[0] = time;
  if (scratch[0] !== time) {
    throw new RangeError(`Cannot write capture: ${field} takes nanoseconds from 0 to 2^64 - 1, found ${time}`);
  }
}

/** The time that two halves are. */
export function joinTime(high: number, low: number): bigint {
  halves[HIGH] = high;
  halves[LOW] = low;
  return scratch[0]!;
}

function splitNow(): void {
  const ms = Date.now();
  // In two parts, each of which is exact: ms = upper * 2^20 + lower, and 2^20 * 4096 = 2^32
  const upper = Math.floor(ms / 2 ** 20) * 1e6;
  const low = (ms % 2 ** 20) * 1e6 + (upper % 4096) * 2 ** 20;
  halves[LOW] = low; // modulo 2^32
  halves[HIGH] = Math.floor(upper / 4096) + Math.floor(low / 2 ** 32);
}

/** Refuses a number that does not fit. */
export function check(field: string, value: number, most: number): void {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot write capture: ${field} takes a number, found ${typeof value}`);
  }
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new RangeError(`Cannot write capture: ${field} takes a whole number from 0 to ${most}, found ${value}`);
  }
}

/** A text as an option, none if there is none. */
export function textOf(code: number, field: string, text: string | undefined): OptionOf[] {
  if (text === undefined || text === "") return [];
  if (typeof text !== "string") {
    throw new TypeError(`Cannot write capture: ${field} takes a string, found ${typeof text}`);
  }
  const value = encoder.encode(text);
  if (value.length > OPTION_MOST) {
    throw new RangeError(`Cannot write capture: ${field} takes ${OPTION_MOST} bytes at most, found ${value.length}`);
  }
  return [[code, value]];
}

/** Remarks as options. */
export function commentsOf(comments: string | readonly string[] | undefined): OptionOf[] {
  const list = typeof comments === "string" ? [comments] : comments ?? [];
  return list.flatMap((comment) => textOf(Option.comment, "comments", comment));
}

/** A number of 64 bits as an option. */
export function countOf(code: number, field: string, count: number | undefined): OptionOf[] {
  if (count === undefined) return [];
  check(field, count, Number.MAX_SAFE_INTEGER);
  return [[code, new Uint8Array(BigUint64Array.of(BigInt(count)).buffer)]];
}

/** A time as an option. */
export function timeOf(code: number, field: string, time: bigint | undefined): OptionOf[] {
  if (time === undefined) return [];
  splitTime(field, time);
  // The upper half goes first, in any byte order
  return [[code, new Uint8Array(Uint32Array.of(halves[HIGH]!, halves[LOW]!).buffer)]];
}

/** A direction as an option. */
export function directionOf(code: number, direction: string | undefined): OptionOf[] {
  if (direction === undefined) return [];
  const bits = directions.indexOf(direction as "inbound");
  if (bits > 0) return [[code, new Uint8Array(Uint32Array.of(bits).buffer)]];
  throw new TypeError(`Cannot write capture: direction takes "inbound" or "outbound", found "${direction}"`);
}

/** A MAC address as an option. */
export function macOf(code: number, field: string, address: MacLike | undefined): OptionOf[] {
  return address === undefined ? [] : [[code, toMac(address, field).bytes]];
}
