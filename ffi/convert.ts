// SPDX-License-Identifier: MIT

/**
 * Conversion of JavaScript values to C and back, as `bun:ffi` does it.
 *
 * The functions of this file are correct for every value. Calls that are
 * compiled by `compile.ts` have the common cases inlined and come here for the
 * rest.
 *
 * Numbers and 64-bit integers are turned into each other in one scratch word,
 * seen as a `bigint`, as a double and as two halves. The optimising compiler
 * keeps such a bigint in a register, where `BigInt(number)` and
 * `Number(bigint)` allocate or call out: 6 ns for a call with an address
 * instead of 25, 10 ns for one that returns an address instead of 28. Write and
 * read are always adjacent, so that nothing can come between.
 *
 * @module
 */

import { isAnyArrayBuffer, isSharedArrayBuffer } from "node:util/types";
import { type PointerObject, withBarePermission } from "./deno_api.ts";
import { describe, ffiError } from "./errors.ts";
import type { TypeName } from "./ffi_type.ts";

/** Where a value is going, so that an error can say so. */
export interface Site {
  /** What is called, such as `add`. */
  readonly name: string;
  /** Types of its arguments. */
  readonly args: readonly TypeName[];
}

const { isView } = ArrayBuffer;
const scratch = new ArrayBuffer(8);

/** The scratch word as one number. */
export const word: BigUint64Array<ArrayBuffer> = new BigUint64Array(scratch);

/** The scratch word as low and high half: every platform with FFI is little-endian. */
export const halves: Uint32Array<ArrayBuffer> = new Uint32Array(scratch);

/**
 * The scratch word as a double. Between 2^52 and 2^53 the mantissa of a double
 * is its distance from 2^52, so adding 2^52 to a whole number puts that number
 * into the low 52 bits of the word.
 */
export const double: Float64Array<ArrayBuffer> = new Float64Array(scratch);

/** The greatest number of which the sum with 2^52 is exact. */
const maxExact = 2 ** 52 - 1;

const encoder = new TextEncoder();

/** Makes the error for an argument that cannot be converted. */
function wrongArgument(value: unknown, site: Site, index: number, expected?: string): TypeError {
  const type = site.args[index]!;
  return ffiError(
    TypeError,
    "ERR_INVALID_ARG_TYPE",
    `Cannot call ${site.name}: argument ${index + 1} of type ${type} ` +
      (expected === undefined ? `does not take ${describe(value)}` : `${expected}, got ${describe(value)}`),
  );
}

/** Makes the error for a call with too few arguments. */
export function tooFewArguments(site: Site, count: number): TypeError {
  return ffiError(
    TypeError,
    "ERR_INVALID_ARG_TYPE",
    `Cannot call ${site.name}: it takes ${site.args.length} arguments, got ${count}`,
  );
}

/** Converts to an integer of up to 32 bits. The caller cuts it to size. */
export function toInt32(value: unknown, site: Site, index: number): number {
  switch (typeof value) {
    case "number":
      return value | 0;
    case "bigint":
      return Number(BigInt.asIntN(32, value));
    case "string":
    case "symbol":
      throw wrongArgument(value, site, index);
    default:
      return Number(value) | 0;
  }
}

/** Converts to a floating-point number. */
export function toFloat(value: unknown, site: Site, index: number): number {
  if (typeof value === "number") return value;
  if (typeof value === "string" || typeof value === "symbol") throw wrongArgument(value, site, index);
  return Number(value);
}

/** Converts a number to 64 bits, wrapping around as often as needed. */
function wrap64(value: number): bigint {
  if (value >= 0 && value <= maxExact) {
    double[0] = Math.trunc(value) + 4503599627370496;
    return BigInt.asUintN(52, word[0]!);
  }
  return Number.isFinite(value) ? BigInt.asUintN(64, BigInt(Math.trunc(value))) : 0n;
}

/** Converts to a 64-bit integer. */
export function toInt64(value: unknown, site: Site, index: number): bigint {
  if (typeof value === "bigint") return BigInt.asUintN(64, value);
  if (typeof value === "number") return wrap64(value);
  throw wrongArgument(value, site, index);
}

/** Whether a value is memory rather than an address. */
export function isMemory(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (isView(value) || value instanceof ArrayBuffer) return true;
  // Shared ones and those of another realm. Callbacks, which are common, are not asked
  return !("ptr" in value) && isAnyArrayBuffer(value);
}

/**
 * Does what may run code of the user in the conversion of an address: an object
 * that has one becomes a bigint. Memory and primitive values stay.
 */
export function settle(value: unknown, site: Site, index: number): unknown {
  const isObject = typeof value === "object" ? value !== null : typeof value === "function";
  return isObject && !isMemory(value) ? toAddress(value, site, index) : value;
}

/** Converts memory, or a string, into a form that Deno takes. */
export function toMemory(value: unknown, site: Site, index: number): unknown {
  if (isView(value)) return value.byteLength > 0 ? value : checkEmpty(value, value.buffer, site, index);
  if (typeof value === "string") return encoder.encode(`${value}\0`);
  if (value instanceof ArrayBuffer && value.byteLength > 0) return value;
  // Deno takes a view on shared memory, but not the memory itself
  if (isSharedArrayBuffer(value)) return new Uint8Array(value);
  const buffer = value as ArrayBuffer;
  return buffer.byteLength > 0 ? buffer : checkEmpty(buffer, buffer, site, index);
}

/** Lets an empty buffer pass, which arrives as `NULL`, but not a detached one. */
export function checkEmpty(value: unknown, buffer: ArrayBufferLike, site: Site, index: number): unknown {
  if (buffer instanceof ArrayBuffer && buffer.detached) {
    throw wrongArgument(value, site, index, "takes a buffer that is not detached");
  }
  return value;
}

/** Converts to a view of memory. */
export function toBuffer(value: unknown, site: Site, index: number): unknown {
  if (!isView(value)) throw wrongArgument(value, site, index, "takes a TypedArray or DataView");
  return toMemory(value, site, index);
}

/** Converts a view to its length. */
export function toLength(value: unknown, site: Site, index: number): bigint {
  if (!isView(value)) throw wrongArgument(value, site, index, "takes a TypedArray or DataView");
  return wrap64(value.byteLength);
}

/**
 * Converts an address. It stays a number and is never made into one of Deno's
 * pointer objects, which cost 100 ns each and the bare permission.
 */
export function toAddress(value: unknown, site: Site, index: number): bigint {
  if (typeof value === "number") {
    // Bun gives the address 2^63 for these, which nobody can have meant
    if (!(value >= -(2 ** 63) && value < 2 ** 64)) throw wrongArgument(value, site, index, "takes an address");
    return wrap64(value);
  }
  if (value === null || value === undefined) return 0n;
  if (typeof value === "bigint") return BigInt.asUintN(64, value);
  // A callback, or a function of a library, which knows its address too
  if ((typeof value === "object" || typeof value === "function") && "ptr" in value) {
    const { ptr } = value;
    if (typeof ptr === "number" || typeof ptr === "bigint") return toAddress(ptr, site, index);
    if (ptr === null) throw wrongArgument(value, site, index, "takes an open callback");
  }
  if (typeof value === "string") {
    throw wrongArgument(value, site, index, "takes memory, encode the string into a buffer");
  }
  throw wrongArgument(value, site, index);
}

/** Converts the address of a function. */
export function toFunction(value: unknown, site: Site, index: number): bigint {
  if (value === null || value === undefined) {
    throw wrongArgument(value, site, index, "takes a JSCallback or the address of a function");
  }
  return isMemory(value)
    ? addressOf(toMemory(value, site, index) as ArrayBufferView<ArrayBufferLike>)
    : toAddress(value, site, index);
}

/** Takes the address of memory, 0 for memory of length 0. */
export function addressOf(memory: ArrayBufferView<ArrayBufferLike> | ArrayBufferLike): bigint {
  return withBarePermission(
    "take the address of a buffer",
    ({ UnsafePointer }) => UnsafePointer.value(UnsafePointer.of(memory)),
  );
}

/** Gives a 64-bit result as a number if it is one that numbers can express exactly. */
export function fromInt64Fast(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The same for an unsigned one, where Bun draws the line one lower. */
export function fromUint64Fast(value: bigint): number | bigint {
  return value < BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** Gives an address as a number, or as a bigint in the upper reaches where numbers are not exact. */
export function fromAddress(value: bigint): number | bigint | null {
  word[0] = value;
  const high = halves[1]!;
  if (high > 0x1fffff) return value;
  return halves[0]! + high * 4294967296 || null;
}

/** Reads the string that C returned. */
export function fromCString(pointer: PointerObject | null): string | null {
  if (pointer === null) return null;
  return withBarePermission("read a string that C returned", ({ UnsafePointerView }) => {
    const text = UnsafePointerView.getCString(pointer);
    return text.includes("\ufffd") ? decodeExactly(new UnsafePointerView(pointer)) : text;
  });
}

/** Decodes a string in which something was replaced: perhaps it was not UTF-8. Bun takes it for Latin-1 then. */
function decodeExactly(view: { getUint8(offset: number): number }): string {
  const bytes: number[] = [];
  for (let byte; (byte = view.getUint8(bytes.length)) !== 0;) bytes.push(byte);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return bytes.map((byte) => String.fromCharCode(byte)).join("");
  }
}
