// SPDX-License-Identifier: MIT

/**
 * The names and numbers of the C types.
 *
 * @module
 */

import { ffiError } from "./errors.ts";

/** Every name of a C type with its number. */
export const typeNumbers = {
  char: 0,
  i8: 1,
  int8_t: 1,
  u8: 2,
  uint8_t: 2,
  i16: 3,
  int16_t: 3,
  u16: 4,
  uint16_t: 4,
  i32: 5,
  int32_t: 5,
  int: 5,
  c_int: 5,
  u32: 6,
  uint32_t: 6,
  c_uint: 6,
  i64: 7,
  int64_t: 7,
  isize: 7,
  u64: 8,
  uint64_t: 8,
  usize: 8,
  f64: 9,
  double: 9,
  f32: 10,
  float: 10,
  bool: 11,
  ptr: 12,
  pointer: 12,
  "void*": 12,
  "char*": 12,
  void: 13,
  cstring: 14,
  i64_fast: 15,
  u64_fast: 16,
  function: 17,
  fn: 17,
  callback: 17,
  napi_env: 18,
  napi_value: 19,
  buffer: 20,
  buffer_length: 21,
  buffer_bytelength: 21,
} as const;

/** Name of a C type, such as `"i32"` or `"cstring"`. */
export type FFITypeName = keyof typeof typeNumbers;

/** Number of a C type, such as {@linkcode FFIType}`.i32`. */
export type FFITypeNumber = (typeof typeNumbers)[FFITypeName];

/** The table of C types: every name, and every number up to 17. */
export type FFITypeTable =
  & { readonly [Name in FFITypeName]: (typeof typeNumbers)[Name] }
  & { readonly [Num in Exclude<FFITypeNumber, 18 | 19 | 20 | 21>]: Num };

/** The types by number, each under its shortest name. */
export const typeNames = [
  "char",
  "i8",
  "u8",
  "i16",
  "u16",
  "i32",
  "u32",
  "i64",
  "u64",
  "f64",
  "f32",
  "bool",
  "ptr",
  "void",
  "cstring",
  "i64_fast",
  "u64_fast",
  "function",
  "napi_env",
  "napi_value",
  "buffer",
  "buffer_length",
] as const;

/** Shortest name of a C type, the one the conversions are listed under. */
export type TypeName = (typeof typeNames)[number];

/** The table itself, with the number keys that `bun:ffi` has. */
export const typeTable: FFITypeTable = {
  ...Object.fromEntries(typeNames.slice(0, 18).map((_, number) => [number, number])),
  ...typeNumbers,
} as FFITypeTable;

/**
 * Finds the type that a declaration means.
 *
 * @param type Name or number, as the user wrote it.
 * @param kind What the type is for, to name it in the error.
 * @returns Its shortest name.
 * @throws {TypeError} If there is no such type.
 */
export function resolveType(type: unknown, kind: "argument" | "return"): TypeName {
  if (typeof type === "string" && Object.hasOwn(typeNumbers, type)) {
    return typeNames[typeNumbers[type as FFITypeName]];
  }
  // Bun knows this name too, although its table does not have it
  if (type === "size_t") return "u64";
  const name = typeof type === "number" ? typeNames[type] : undefined;
  if (name !== undefined) return name;
  const what = kind === "return" ? "return type" : "type";
  throw ffiError(TypeError, "ERR_INVALID_ARG_VALUE", `Unknown ${what} ${String(type)}`);
}
