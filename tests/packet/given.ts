// SPDX-License-Identifier: MIT

/**
 * That a view reads what its layer was given: the names of options are those of getters.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Packet } from "vmnet/packet";
import type { Given, Stack } from "./arbitraries.ts";

/** Asserts that a packet says what the layers of its frame were told. */
export function assertGiven(stack: Stack, frame: Uint8Array): void {
  const packet = new Packet(frame);
  for (const part of stack) {
    if (part instanceof Uint8Array) continue;
    const view = packet[part.layer as keyof Packet];
    assert(view !== undefined, `${part.layer} is not found`);
    assertReads(view, part);
  }
}

/** Asserts that a view says what its layer was told. */
export function assertReads(view: object, { layer, options }: Given): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (layer === "dns" && name === "compress")) continue; // how it is written, not what
    assert(name in view, `${layer} has no ${name}`);
    assertSame((view as Record<string, unknown>)[name], value, `${layer}.${name}`);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** IPv6 pads the list of options behind what it was given. */
const isPadding = (option: unknown): boolean => isObject(option) && "type" in option && (option.type as number) <= 1;

/** Compares what was read with what was given, in which addresses and texts may have another form. */
function assertSame(read: unknown, given: unknown, where: string): void {
  if (Array.isArray(given) && (Array.isArray(read))) {
    const list = where.startsWith("ipv6.") && where.endsWith(".options") ? read.filter((one) => !isPadding(one)) : read;
    assertEquals(list.length, given.length, where);
    for (const [i, one] of given.entries()) assertSame(list[i], one, `${where}.${i}`);
  } else if (given instanceof Uint8Array) {
    const bytes = isObject(read) && "bytes" in read ? read.bytes : read;
    assertEquals(bytes, given, where);
  } else if (given instanceof Map) {
    for (const [key, value] of given) assertSame((read as Map<unknown, unknown>).get(key), value, `${where}.${key}`);
  } else if (isObject(given)) {
    assert(isObject(read), `${where} is ${read}`);
    for (const [key, value] of Object.entries(given)) {
      if (value !== undefined) assertSame((read as Record<string, unknown>)[key], value, `${where}.${key}`);
    }
  } else if (typeof given === "string" && read instanceof Uint8Array) {
    assertEquals(new TextDecoder().decode(read), given, where);
  } else {
    assertEquals(isObject(read) ? String(read) : read, given, where);
  }
}
