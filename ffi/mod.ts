// SPDX-License-Identifier: MIT

/**
 * The `bun:ffi` API for Deno and Bun: calling C from JavaScript with one
 * source for both.
 *
 * In Bun this is `bun:ffi` itself. In Deno it is an implementation over
 * `Deno.dlopen` that converts arguments and results as Bun 1.4.5 does. In any
 * other runtime everything throws when it is used; importing never fails.
 *
 * ```ts
 * import { dlopen, suffix } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const libc = suffix === "dylib" ? "libSystem.dylib" : "libc.so.6";
 * const library = dlopen(libc, {
 *   abs: { args: ["i32"], returns: "i32" },
 *   strlen: { args: ["cstring"], returns: "usize" },
 * });
 *
 * assertEquals(library.symbols.abs(-5), 5);
 * assertEquals(library.symbols.strlen("hello"), 5n);
 * library.close();
 * ```
 *
 * The page `docs/ffi.md` lists where the two differ, which functions need
 * `--allow-ffi` without a path, and what a call costs.
 *
 * @module
 */

import { backend } from "./backend.ts";
import type { FFITypeTable } from "./ffi_type.ts";
import type {
  BunFFI,
  CcFn,
  CFunctionFn,
  CStringConstructor,
  DlopenFn,
  JSCallbackConstructor,
  JSCallbackObject,
  LinkSymbolsFn,
  Native,
  PtrFn,
  Read,
  ToArrayBufferFn,
  ToBufferFn,
  ViewSourceFn,
} from "./types.ts";

export type { FFITypeName, FFITypeNumber, FFITypeTable, typeNumbers } from "./ffi_type.ts";
export type * from "./types.ts";
export { type FdWatch, watchFd } from "./poll.ts";

/**
 * The table of C types, by name and by number.
 *
 * @example Usage
 * ```ts
 * import { FFIType } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(FFIType.i32, 5);
 * assertEquals(FFIType.int, FFIType.int32_t);
 * ```
 */
export const FFIType: FFITypeTable = backend.FFIType;

/**
 * Opens a library and declares functions of it.
 *
 * @param name Path or `file:` URL of the library, or a name that the loader
 * searches for.
 * @param symbols Declarations of its functions.
 * @returns The library with its functions.
 * @throws {TypeError} If a declaration is wrong or the library lacks a symbol.
 * @throws {Error} If the library cannot be opened or may not be.
 *
 * @example Usage
 * ```ts
 * import { dlopen, suffix } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const libm = suffix === "dylib" ? "libSystem.dylib" : "libm.so.6";
 * const { symbols } = dlopen(libm, {
 *   hypot: { args: ["f64", "f64"], returns: "f64" },
 * });
 * assertEquals(symbols.hypot(3, 4), 5);
 * ```
 */
export const dlopen: DlopenFn = backend.dlopen;

/**
 * Declares functions whose addresses are known.
 *
 * @param symbols Declarations, each with the address as `ptr`.
 * @returns A library with the functions.
 * @throws {TypeError} If a declaration is wrong or lacks its address.
 *
 * @example Usage
 * ```ts
 * import { JSCallback, linkSymbols } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * using twice = new JSCallback((n: number) => n * 2, { args: ["i32"], returns: "i32" });
 * const { symbols } = linkSymbols({
 *   twice: { args: ["i32"], returns: "i32", ptr: twice.ptr! },
 * });
 * assertEquals(symbols.twice(21), 42);
 * ```
 */
export const linkSymbols: LinkSymbolsFn = backend.linkSymbols;

/**
 * Makes a function of an address.
 *
 * @param fn Declaration, with the address as `ptr`.
 * @returns The function.
 * @throws {TypeError} If the declaration is wrong or lacks the address.
 *
 * @example Usage
 * ```ts
 * import { CFunction, JSCallback } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * using twice = new JSCallback((n: number) => n * 2, { args: ["i32"], returns: "i32" });
 * const call = CFunction({ args: ["i32"], returns: "i32", ptr: twice.ptr! });
 * assertEquals(call(21), 42);
 * ```
 */
export const CFunction: CFunctionFn = backend.CFunction;

/**
 * A JavaScript function that C can call.
 *
 * It does not keep the program alive. Native code must not call it any more
 * once it is closed.
 *
 * @param callback The function.
 * @param definition Types of its arguments and result; `threadsafe` if another
 * thread may call it.
 * @throws {TypeError} If the function or a type is wrong.
 *
 * @example Usage
 * ```ts
 * import { dlopen, JSCallback, type Pointer, read, suffix } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const libc = suffix === "dylib" ? "libSystem.dylib" : "libc.so.6";
 * const { symbols } = dlopen(libc, {
 *   qsort: { args: ["buffer", "usize", "usize", "function"], returns: "void" },
 * });
 * using compare = new JSCallback(
 *   (a: Pointer, b: Pointer) => read.i32(a) - read.i32(b),
 *   { args: ["ptr", "ptr"], returns: "i32" },
 * );
 * const numbers = new Int32Array([3, 1, 2]);
 * symbols.qsort(numbers, 3, 4, compare);
 * assertEquals([...numbers], [1, 2, 3]);
 * ```
 */
export const JSCallback: JSCallbackConstructor = backend.JSCallback;

/** Type of a {@linkcode JSCallback}. */
export type JSCallback = JSCallbackObject;

/**
 * Reads a string from memory, up to a zero byte or of a given length.
 *
 * @param ptr Address of the string; `null` gives an empty string.
 * @param byteOffset Offset from there.
 * @param byteLength Length in bytes.
 * @returns The string; on Deno a `String` object if called with `new`.
 * @throws {TypeError} If `ptr` is not an address.
 *
 * @example Usage
 * ```ts
 * import { CString, ptr } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("hello\0");
 * assertEquals(CString(ptr(bytes)), "hello");
 * assertEquals(CString(ptr(bytes), 1, 3), "ell");
 * ```
 */
export const CString: CStringConstructor = backend.CString;

/** Type of a {@linkcode CString}. */
export type CString = string;

/**
 * Takes the address of a buffer. It is valid as long as the buffer is kept
 * alive, is not transferred and, in Bun, was not made small by its length:
 * Bun moves arrays of up to 1000 bytes until their `buffer` was asked for.
 *
 * @param view The buffer.
 * @param byteOffset Offset in it.
 * @returns The address.
 * @throws {TypeError} If it is no buffer, or an empty one. Bun 1.4.5 returns
 * this error instead of throwing it.
 *
 * @example Usage
 * ```ts
 * import { ptr, read } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const numbers = new Uint16Array(new Uint16Array([1, 2, 3]).buffer);
 * assertEquals(read.u16(ptr(numbers, 4)), 3);
 * ```
 */
export const ptr: PtrFn = backend.ptr;

/**
 * Reads numbers from memory.
 *
 * @example Usage
 * ```ts
 * import { ptr, read } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new Uint8Array(new Uint8Array([1, 2, 3, 4]).buffer);
 * assertEquals(read.u32(ptr(bytes)), 0x04030201);
 * assertEquals(read.u8(ptr(bytes), 1), 2);
 * ```
 */
export const read: Read = backend.read;

/**
 * Views memory as an `ArrayBuffer`, without a copy.
 *
 * The memory must stay valid as long as the buffer is used. With a deallocator,
 * a C function `void (*)(void *bytes, void *context)`, it is freed when nothing
 * refers to the buffer any more.
 *
 * @param ptr Address of the memory.
 * @param byteOffset Offset from there.
 * @param byteLength Length in bytes; if left out, up to a zero byte.
 * @param deallocatorContext What the deallocator is given as `context`.
 * @param deallocator Address of the deallocator.
 * @returns The view.
 * @throws {TypeError} If `ptr` is not an address or the length not positive.
 * @throws {RangeError} If the length is more than 2^32.
 *
 * @example Usage
 * ```ts
 * import { ptr, toArrayBuffer } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new Uint8Array(new ArrayBuffer(4));
 * new Uint8Array(toArrayBuffer(ptr(bytes), 0, 4))[2] = 7;
 * assertEquals(bytes[2], 7);
 * ```
 */
export const toArrayBuffer: ToArrayBufferFn = backend.toArrayBuffer;

/**
 * Views memory as a `Buffer`, without a copy. See {@linkcode toArrayBuffer}.
 *
 * @param ptr Address of the memory.
 * @param byteOffset Offset from there.
 * @param byteLength Length in bytes; if left out, up to a zero byte.
 * @param deallocatorContext What the deallocator is given as `context`.
 * @param deallocator Address of the deallocator.
 * @returns The view.
 * @throws {TypeError} If `ptr` is not an address or the length not positive.
 * @throws {RangeError} If the length is more than 2^32.
 *
 * @example Usage
 * ```ts
 * import { ptr, toBuffer } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = new TextEncoder().encode("hello\0");
 * assertEquals(toBuffer(ptr(bytes)).toString(), "hello");
 * ```
 */
export const toBuffer: ToBufferFn = backend.toBuffer;

/**
 * Shows the code that stands between JavaScript and C: C source in Bun,
 * JavaScript source in Deno.
 *
 * @param symbols Declarations of functions.
 * @param isCallback Whether it is one declaration of a callback instead.
 * @returns The source of each function.
 * @throws {TypeError} If a declaration is wrong.
 *
 * @example Usage
 * ```ts
 * import { viewSource } from "vmnet/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const sources = viewSource({ add: { args: ["i32", "i32"], returns: "i32" } });
 * assertEquals(sources.length, 1);
 * ```
 */
export const viewSource: ViewSourceFn = backend.viewSource;

/**
 * Compiles C source and declares functions of it, in Bun. Deno has no C
 * compiler: there it throws.
 *
 * @param options Source, compiler settings and declarations.
 * @returns The library with its functions.
 * @throws {Error} If there is no compiler, or it fails.
 *
 * @example Usage
 * ```ts ignore
 * import { cc } from "vmnet/ffi";
 *
 * const { symbols } = cc({ source: "./add.c", symbols: { add: { args: ["i32", "i32"], returns: "i32" } } });
 * console.log(symbols.add(1, 2));
 * ```
 */
export const cc: CcFn = backend.cc;

/** The raw functions below `dlopen` and `JSCallback`, in Bun. In Deno they throw. */
export const native: Native = backend.native;

/**
 * Extension of library files on this platform: `"so"`, `"dylib"` or `"dll"`.
 *
 * @example Usage
 * ```ts
 * import { suffix } from "vmnet/ffi";
 *
 * console.log(`libexample.${suffix}`);
 * ```
 */
export const suffix: string = backend.suffix;

/** The whole module as one object, as the default export of `bun:ffi`. */
const ffi: BunFFI = backend;
export default ffi;
