// SPDX-License-Identifier: MIT

/**
 * How each type is passed to C and comes back: as a type of Deno, as a function
 * that converts any value, and as source code for `compile.ts`.
 *
 * @module
 */

import * as convert from "./convert.ts";
import type { Site } from "./convert.ts";
import type { NativeType } from "./deno_api.ts";
import type { TypeName } from "./ffi_type.ts";

/** How an argument is passed. */
export interface Passing {
  /** Its type for Deno. */
  readonly native: NativeType;
  /** Converts any value. */
  readonly convert: (value: unknown, site: Site, index: number) => unknown;
  /** Source code that does, with the usual case inlined, what may run code of the user. */
  readonly settle?: (variable: string, index: number) => string;
  /** Source code of the rest of the conversion. */
  readonly source: (variable: string, index: number) => string;
}

/** An integer of up to 32 bits, `cut` to its size. */
function integer(native: NativeType, cut: string, apply: (value: number) => number): Passing {
  return {
    native,
    convert: (value, site, index) => apply(convert.toInt32(value, site, index)),
    settle: (a, i) => `if (typeof ${a} !== "number") ${a} = toInt32(${a}, site, ${i});`,
    source: (a) => `${a} ${cut}`,
  };
}

const float = (native: NativeType): Passing => ({
  native,
  convert: convert.toFloat,
  settle: (a, i) => `if (typeof ${a} !== "number") ${a} = toFloat(${a}, site, ${i});`,
  source: (a) => a,
});

// asUintN tells the compiler that the value fits a register
const int64 = (native: NativeType): Passing => ({
  native,
  convert: convert.toInt64,
  source: (a, i) => `asUintN(64, typeof ${a} === "bigint" ? ${a} : toInt64(${a}, site, ${i}))`,
});

/** An argument of a pointer type that is an address. */
export const address: Passing = {
  native: "u64",
  convert: convert.toAddress,
  // A function of the source, because this stands in it more than once
  source: (a, i) => `asUintN(64, address(${a}, ${i}))`,
};

/** Source code of that function. */
export const addressSource: string = `const address = (a, i) =>
  typeof a === "number" && a >= 0 && a <= 4503599627370495
    ? (double[0] = trunc(a) + 4503599627370496, asUintN(52, word[0]))
    : a === null ? 0n : toAddress(a, site, i);`;

/** An argument of a pointer type that is memory. */
export const memory: Passing = {
  native: "buffer",
  convert: convert.toMemory,
  source: (a, i) => `isView(${a}) && ${a}.byteLength > 0 ? ${a} : toMemory(${a}, site, ${i})`,
};

/** All other arguments, by type. */
export const passings: Partial<Record<TypeName, Passing>> = {
  char: integer("i8", "<< 24 >> 24", (v) => v << 24 >> 24),
  i8: integer("i8", "<< 24 >> 24", (v) => v << 24 >> 24),
  u8: integer("u8", "& 255", (v) => v & 255),
  i16: integer("i16", "<< 16 >> 16", (v) => v << 16 >> 16),
  u16: integer("u16", "& 65535", (v) => v & 65535),
  i32: integer("i32", "| 0", (v) => v | 0),
  u32: integer("u32", ">>> 0", (v) => v >>> 0),
  i64: int64("i64"),
  u64: int64("u64"),
  i64_fast: int64("i64"),
  u64_fast: int64("u64"),
  f64: float("f64"),
  f32: float("f32"),
  bool: { native: "bool", convert: Boolean, source: (a) => `${a} ? true : false` },
  function: {
    native: "u64",
    convert: convert.toFunction,
    settle: (a, i) => `${a} = toFunction(${a}, site, ${i});`,
    source: (a) => `asUintN(64, ${a})`,
  },
  buffer: {
    native: "buffer",
    convert: convert.toBuffer,
    source: (a, i) => `isView(${a}) && ${a}.byteLength > 0 ? ${a} : toBuffer(${a}, site, ${i})`,
  },
  buffer_length: {
    native: "u64",
    convert: convert.toLength,
    source: (a, i) =>
      `asUintN(64, isView(${a}) ? (double[0] = ${a}.byteLength + 4503599627370496, ` +
      `asUintN(52, word[0])) : toLength(${a}, site, ${i}))`,
  },
};

/** How a result comes back. */
export interface Result {
  /** Its type for Deno. */
  readonly native: NativeType;
  /** Converts it, if Deno's own form is not the right one. */
  readonly convert?: (value: never) => unknown;
  /** The same as source code, for the variable `r`. */
  readonly source?: string;
}

const pointerResult: Result = {
  native: "u64",
  convert: convert.fromAddress,
  source: `(word[0] = r, halves[1] <= 0x1fffff) ? ` +
    `halves[0] + halves[1] * 4294967296 || null : fromAddress(r)`,
};

/** All results, by type. */
export const results: Partial<Record<TypeName, Result>> = {
  char: { native: "i8" },
  i8: { native: "i8" },
  u8: { native: "u8" },
  i16: { native: "i16" },
  u16: { native: "u16" },
  i32: { native: "i32" },
  u32: { native: "u32" },
  i64: { native: "i64" },
  u64: { native: "u64" },
  f64: { native: "f64" },
  f32: { native: "f32" },
  // A function by address gives null for it
  void: { native: "void", convert: () => undefined, source: "undefined" },
  // Deno's own bool takes 2 for false
  bool: { native: "u8", convert: (value: number) => value !== 0, source: "r !== 0" },
  ptr: pointerResult,
  function: pointerResult,
  cstring: { native: "pointer", convert: convert.fromCString, source: "fromCString(r)" },
  i64_fast: { native: "i64", convert: convert.fromInt64Fast, source: "fromInt64Fast(r)" },
  u64_fast: { native: "u64", convert: convert.fromUint64Fast, source: "fromUint64Fast(r)" },
};

/** Whether an argument is passed in one of two ways, depending on the value. */
export const isDual = (type: TypeName): boolean => type === "ptr" || type === "cstring";
