// SPDX-License-Identifier: MIT

/**
 * Reading everything that there is to read of a packet, whatever its layers are: each getter of each view, and of what
 * the getters give.
 *
 * @module
 */

import { PacketError } from "vmnet/packet";

interface Readable {
  /** Every getter, and every method that needs nothing. */
  readonly reads: readonly ((this: unknown) => unknown)[];
  /** Their names, for reports. */
  readonly names: readonly string[];
}

const readables = new Map<object, Readable>();

/** What all objects have, and what lies in the message of a relay at each depth again. */
const leftOut = new Set(["constructor", "__proto__", "innermost"]);

function readableOf(prototype: object): Readable {
  const known = readables.get(prototype);
  if (known !== undefined) return known;
  const found = new Map<string, (this: unknown) => unknown>();
  for (let at = prototype; at !== Object.prototype && at !== null; at = Object.getPrototypeOf(at)) {
    for (const [name, { get, value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (leftOut.has(name) || found.has(name)) continue;
      if (get !== undefined) found.set(name, get);
      else if (typeof value === "function" && value.length === 0) found.set(name, value);
    }
  }
  const readable = { reads: [...found.values()], names: [...found.keys()] };
  readables.set(prototype, readable);
  return readable;
}

/** What a getter threw that is no {@linkcode PacketError}. */
export class Unexpected extends Error {
  /** Says which. */
  constructor(what: string, cause: unknown) {
    super(`${what} threw ${cause}`, { cause });
  }
}

/**
 * Reads all of an object.
 *
 * @param value A view, or whatever a view's getter gave.
 * @returns How many values were read.
 * @throws {Unexpected} If a getter threw something else than a {@linkcode PacketError}.
 */
export function readAll(value: unknown, depth = 0): number {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return 1;
  if (depth > 60) throw new Error("Cannot read all: objects within objects without end");
  let count = 0;
  if (Array.isArray(value)) {
    let before: unknown;
    for (const element of value) {
      // Padding is one object for every byte of it: reading that again would be the test's time, not the decoder's
      if (typeof element === "object" && element !== before) count += readAll(element, depth + 1);
      else count++;
      before = element;
    }
    return count;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    for (const name in value) count += readAll((value as Record<string, unknown>)[name], depth + 1);
    return count;
  }
  if (value instanceof Map) {
    for (const entry of value.values()) count += readAll(entry, depth + 1);
    return count;
  }
  const { reads, names } = readableOf(prototype);
  const isAddress = "toJSON" in value;
  for (let i = 0; i < reads.length; i++) {
    let result: unknown;
    try {
      result = reads[i]!.call(value);
      if (isIterator(result)) result = [...result];
    } catch (error) {
      if (!(error instanceof PacketError)) throw new Unexpected(`${value.constructor.name}.${names[i]}`, error);
      continue;
    }
    // An address may have others made of it, and so on
    count += isAddress ? 1 : readAll(result, depth + 1);
  }
  return count;
}

/**
 * Reads a few things of a view at random: of one that lies where it does not belong most getters throw, which takes
 * time.
 *
 * @param below A source of random numbers from 0 to below its argument.
 */
export function readSome(view: object, below: (limit: number) => number): void {
  const { reads, names } = readableOf(Object.getPrototypeOf(view));
  for (let i = 0; i < 3; i++) {
    const at = below(reads.length);
    const result = attempt(`${view.constructor.name}.${names[at]}`, () => reads[at]!.call(view));
    readAll(isIterator(result) ? [...result] : result, 1);
  }
}

function isIterator(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && "next" in value && Symbol.iterator in value;
}

/** Does something that may throw a {@linkcode PacketError} and nothing else. */
export function attempt<T>(what: string, action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof PacketError) return undefined;
    throw new Unexpected(what, error);
  }
}
