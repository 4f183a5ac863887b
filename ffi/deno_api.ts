// SPDX-License-Identifier: MIT

/**
 * The part of the `Deno` namespace that the Deno backend uses, described here
 * so that the sources type-check without Deno's own types.
 *
 * @module
 */

import { ffiError } from "./errors.ts";

/** Types that `Deno.dlopen` knows and that are used here. */
export type NativeType =
  | "i8"
  | "u8"
  | "i16"
  | "u16"
  | "i32"
  | "u32"
  | "i64"
  | "u64"
  | "f32"
  | "f64"
  | "bool"
  | "buffer"
  | "pointer"
  | "void";

/** An address as Deno represents it: an opaque object. */
export interface PointerObject {
  /** Never there, only keeps other objects apart. */
  readonly __denoPointer: never;
}

/** A declaration as Deno takes it. */
export interface NativeSignature {
  /** Types of the arguments. */
  readonly parameters: readonly NativeType[];
  /** Type of the result. */
  readonly result: NativeType;
}

/** A variable of a library, of which only the address is of interest. */
export interface NativeStatic {
  /** Makes Deno give the address. */
  readonly type: "pointer";
}

/** A C function as Deno gives it. */
export type NativeFunction = (...args: unknown[]) => unknown;

/** An open library of Deno. */
export interface NativeLibrary {
  /** Functions and addresses by name. */
  readonly symbols: Readonly<Record<string, unknown>>;
  /** Closes it. */
  close(): void;
}

/** A C function made of a JavaScript function. */
export interface NativeCallback {
  /** Its address. */
  readonly pointer: PointerObject;
  /** Frees it. */
  close(): void;
  /** Lets the program end although it exists. */
  unref(): number;
}

/** A view of memory. */
export interface NativeView {
  /** Reads at an offset. */
  getUint8(offset?: number): number;
  /** Reads at an offset. */
  getInt8(offset?: number): number;
  /** Reads at an offset. */
  getUint16(offset?: number): number;
  /** Reads at an offset. */
  getInt16(offset?: number): number;
  /** Reads at an offset. */
  getUint32(offset?: number): number;
  /** Reads at an offset. */
  getInt32(offset?: number): number;
  /** Reads at an offset. */
  getBigUint64(offset?: number): bigint;
  /** Reads at an offset. */
  getBigInt64(offset?: number): bigint;
  /** Reads at an offset. */
  getFloat32(offset?: number): number;
  /** Reads at an offset. */
  getFloat64(offset?: number): number;
  /** Reads a string that ends with a zero byte. */
  getCString(offset?: number): string;
  /** Shows memory as a buffer, without a copy. */
  getArrayBuffer(byteLength: number, offset?: number): ArrayBuffer;
}

/** The FFI part of the `Deno` namespace. */
export interface DenoNamespace {
  /** Opens a library. */
  dlopen(
    path: string | URL,
    symbols: Readonly<Record<string, NativeSignature | NativeStatic>>,
  ): NativeLibrary;
  /** Addresses. */
  readonly UnsafePointer: {
    /** Makes one of a number. */
    create(value: bigint): PointerObject | null;
    /** Takes the one of a buffer. */
    of(view: ArrayBufferView<ArrayBufferLike> | ArrayBufferLike): PointerObject | null;
    /** Gives its number. */
    value(pointer: PointerObject | null): bigint;
  };
  /** Memory. */
  readonly UnsafePointerView: {
    new (pointer: PointerObject): NativeView;
    /** Reads a string that ends with a zero byte. */
    getCString(pointer: PointerObject): string;
  };
  /** Functions by address. */
  readonly UnsafeFnPointer: {
    new (pointer: PointerObject, signature: NativeSignature): { call: NativeFunction };
  };
  /** Callbacks. */
  readonly UnsafeCallback: {
    new (signature: NativeSignature, callback: NativeFunction): NativeCallback;
    threadSafe(signature: NativeSignature, callback: NativeFunction): NativeCallback;
  };
}

/** Gives the namespace. Called on use only, never while a module loads. */
export function denoNamespace(): DenoNamespace {
  return (globalThis as unknown as { Deno: DenoNamespace }).Deno;
}

/**
 * Runs something that Deno allows only with the bare permission, and says so
 * if it is missing.
 *
 * @param action What is being done, to begin the message with.
 * @param run Does it.
 * @returns What `run` returns.
 */
export function withBarePermission<T>(action: string, run: (deno: DenoNamespace) => T): T {
  try {
    return run(denoNamespace());
  } catch (error) {
    throw error instanceof Error && error.name === "NotCapable"
      ? ffiError(
        Error,
        "ERR_ACCESS_DENIED",
        `Cannot ${action}: this needs --allow-ffi without a path, since an address may point anywhere, ` +
          "not only into one library",
        error,
      )
      : error;
  }
}
