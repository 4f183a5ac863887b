// SPDX-License-Identifier: MIT

/**
 * Static types of the `bun:ffi` API. They agree with those of `bun-types`, so
 * that the same source passes with either, and say a little more: what a
 * pointer argument takes, and what type an alias such as `"c_int"` has.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { FFITypeName, FFITypeNumber, FFITypeTable } from "./ffi_type.ts";

/**
 * An address in memory. It is a plain number; the brand keeps other numbers
 * from being passed as one by mistake.
 */
export type Pointer = number & { __pointer__: null };

/** A type as it stands in a declaration: its name or its number. */
export type FFITypeOrString = FFITypeName | FFITypeNumber;

/** A string read from memory. */
export type CString = string;

/** Everything that can stand for an address. */
export type PointerLike =
  | ArrayBufferView<ArrayBufferLike>
  | ArrayBufferLike
  | Pointer
  | bigint
  | JSCallbackObject
  | null
  | undefined;

/** What a function takes for each type, by its number. */
export interface FFITypeToArgsType {
  /** `char` */
  0: number;
  /** `i8` */
  1: number;
  /** `u8` */
  2: number;
  /** `i16` */
  3: number;
  /** `u16` */
  4: number;
  /** `i32` */
  5: number;
  /** `u32` */
  6: number;
  /** `i64` */
  7: number | bigint;
  /** `u64` */
  8: number | bigint;
  /** `f64` */
  9: number;
  /** `f32` */
  10: number;
  /** `bool` */
  11: boolean;
  /** `ptr` */
  12: PointerLike;
  /** `void` */
  13: undefined;
  /** `cstring` */
  14: PointerLike | string;
  /** `i64_fast` */
  15: number | bigint;
  /** `u64_fast` */
  16: number | bigint;
  /** `function`. In `bun-types` it may be `null`, like the `ptr` of a callback; a call refuses it. */
  17: Pointer | bigint | JSCallbackObject | null;
  /** `napi_env` */
  18: unknown;
  /** `napi_value` */
  19: unknown;
  /** `buffer` */
  20: ArrayBufferView<ArrayBufferLike>;
  /** `buffer_length` */
  21: ArrayBufferView<ArrayBufferLike>;
}

/** What a function returns for each type, by its number. */
export interface FFITypeToReturnsType {
  /** `char` */
  0: number;
  /** `i8` */
  1: number;
  /** `u8` */
  2: number;
  /** `i16` */
  3: number;
  /** `u16` */
  4: number;
  /** `i32` */
  5: number;
  /** `u32` */
  6: number;
  /** `i64` */
  7: bigint;
  /** `u64` */
  8: bigint;
  /** `f64` */
  9: number;
  /** `f32` */
  10: number;
  /** `bool` */
  11: boolean;
  /** `ptr` */
  12: Pointer | bigint | null;
  /** `void` */
  13: undefined;
  /** `cstring` */
  14: string | null;
  /** `i64_fast` */
  15: number | bigint;
  /** `u64_fast` */
  16: number | bigint;
  /** `function` */
  17: Pointer | bigint | null;
  /** `napi_env` */
  18: unknown;
  /** `napi_value` */
  19: unknown;
  /** `buffer` */
  20: never;
  /** `buffer_length` */
  21: never;
}

/** Number of a type given by name or number. */
export type ToFFIType<T extends FFITypeOrString> = T extends FFITypeName ? FFITypeTable[T] : T;

/** Declaration of a C function. */
export interface FFIFunction {
  /** Types of the arguments, none when left out. */
  readonly args?: readonly FFITypeOrString[];
  /** Type of the result, `"void"` when left out. */
  readonly returns?: FFITypeOrString;
  /** Address of the function, for {@linkcode CFunctionFn | CFunction} and {@linkcode LinkSymbolsFn | linkSymbols}. */
  readonly ptr?: Pointer | number | bigint;
  /** Whether a callback may be called from another thread. */
  readonly threadsafe?: boolean;
}

/** Declarations of C functions by name. */
export type Symbols = Readonly<Record<string, FFIFunction>>;

/** Argument types of a declared function. */
export type FFIArguments<Fn extends FFIFunction> = Fn["args"] extends infer Args extends readonly FFITypeOrString[]
  ? { -readonly [I in keyof Args]: FFITypeToArgsType[ToFFIType<Args[I]>] }
  : [];

/** Result type of a declared function. */
export type FFIResult<Fn extends FFIFunction> = Fn["returns"] extends infer Result extends FFITypeOrString
  ? FFITypeToReturnsType[ToFFIType<Result>]
  : undefined;

/** Call signatures of declared functions. */
export type ConvertFns<Fns extends Symbols> = {
  [Name in keyof Fns]: (...args: FFIArguments<Fns[Name]>) => FFIResult<Fns[Name]>;
};

/** An open library. */
export interface Library<Fns extends Symbols> {
  /** The declared functions. */
  symbols: ConvertFns<Fns>;
  /** Closes the library. Its functions must not be called any more. */
  close(): void;
}

/** A JavaScript function that C can call. */
export interface JSCallbackObject {
  /** Address of the C function, `null` once closed. */
  readonly ptr: Pointer | null;
  /** Whether C may call it from another thread. */
  readonly threadsafe: boolean;
  /** Releases the C function, which must not be called any more. Repeated calls do nothing. */
  close(): void;
  /** The same as {@linkcode JSCallbackObject.close}, for `using`. */
  [Symbol.dispose](): void;
}

/** Type of the class {@linkcode JSCallback}. */
export interface JSCallbackConstructor {
  /** Makes a C function out of a JavaScript function. */
  // `any` as in bun-types: the parameter types of the callback are its own choice
  // deno-lint-ignore no-explicit-any
  new (callback: (...args: any[]) => any, definition: FFIFunction): JSCallbackObject;
  /** Prototype of all callbacks. */
  readonly prototype: JSCallbackObject;
}

/** Type of the function {@linkcode CString}. */
export interface CStringConstructor {
  /** Reads a string. On Deno it is a `String` object, since no JavaScript can give a plain one to `new`. */
  new (ptr: Pointer | number | bigint | null, byteOffset?: number, byteLength?: number): string;
  /** Reads a string. */
  (ptr: Pointer | number | bigint | null, byteOffset?: number, byteLength?: number): string;
}

/** A function made by `CFunction`. */
export interface CallableFunctionWithClose {
  // `any` as in bun-types, where the signature of the declaration is not used
  // deno-lint-ignore no-explicit-any
  (...args: any[]): any;
  /** Releases the function. */
  close(): void;
}

/**
 * Refuses properties that declarations do not have. A misspelled `returns`
 * would otherwise go unnoticed, and the result with it.
 */
export type OnlyKnown<Fns extends Symbols> = {
  [Name in keyof Fns]: { [Key in keyof Fns[Name]]: Key extends keyof FFIFunction ? unknown : never };
};

/** Type of `dlopen`. */
export type DlopenFn = <const Fns extends Symbols>(
  name: string | URL,
  symbols: Fns & OnlyKnown<Fns>,
) => Library<Fns>;

/** Type of `linkSymbols`. */
export type LinkSymbolsFn = <const Fns extends Symbols>(symbols: Fns & OnlyKnown<Fns>) => Library<Fns>;

/** Type of `CFunction`. */
export type CFunctionFn = (fn: FFIFunction & { readonly ptr: Pointer | number | bigint }) => CallableFunctionWithClose;

/** What `cc` is told. */
export interface CcOptions<Fns extends Symbols> {
  /** File with C source. */
  readonly source: string | URL;
  /** Libraries to link with. */
  readonly library?: string | readonly string[];
  /** Directories with headers. */
  readonly include?: string | readonly string[];
  /** Functions to take from it. */
  readonly symbols: Fns;
  /** Preprocessor macros. */
  readonly define?: Readonly<Record<string, string>>;
  /** Flags for the compiler. */
  readonly flags?: string | readonly string[];
}

/** Type of `cc`. */
export type CcFn = <const Fns extends Symbols>(options: CcOptions<Fns>) => Library<Fns>;

/** Type of `viewSource`. */
export interface ViewSourceFn {
  /** Shows the code generated for functions. */
  (symbols: Symbols, isCallback?: false): string[];
  /** Shows the code generated for a callback. */
  (callback: FFIFunction, isCallback: true): string;
}

/** Type of `ptr`. */
export type PtrFn = (view: ArrayBufferView<ArrayBufferLike> | ArrayBufferLike, byteOffset?: number) => Pointer;

/** Type of `toArrayBuffer`. */
export type ToArrayBufferFn = (
  ptr: Pointer | number | bigint,
  byteOffset?: number,
  byteLength?: number,
  deallocatorContext?: Pointer | number | bigint | null,
  deallocator?: Pointer | number | bigint | null,
) => ArrayBuffer;

/** Type of `toBuffer`. */
export type ToBufferFn = (
  ptr: Pointer | number | bigint,
  byteOffset?: number,
  byteLength?: number,
  deallocatorContext?: Pointer | number | bigint | null,
  deallocator?: Pointer | number | bigint | null,
) => Buffer;

/** Reads a number. */
export type ReadNumber = (ptr: Pointer | number | bigint, byteOffset?: number) => number;

/** Reads a bigint. */
export type ReadBigInt = (ptr: Pointer | number | bigint, byteOffset?: number) => bigint;

/** Type of `read`. */
export interface Read {
  /** Reads an unsigned byte. */
  readonly u8: ReadNumber;
  /** Reads a signed byte. */
  readonly i8: ReadNumber;
  /** Reads an unsigned 16-bit integer. */
  readonly u16: ReadNumber;
  /** Reads a signed 16-bit integer. */
  readonly i16: ReadNumber;
  /** Reads an unsigned 32-bit integer. */
  readonly u32: ReadNumber;
  /** Reads a signed 32-bit integer. */
  readonly i32: ReadNumber;
  /** Reads an unsigned 64-bit integer. */
  readonly u64: ReadBigInt;
  /** Reads a signed 64-bit integer. */
  readonly i64: ReadBigInt;
  /** Reads a `float`. */
  readonly f32: ReadNumber;
  /** Reads a `double`. */
  readonly f64: ReadNumber;
  /** Reads an address. */
  readonly ptr: ReadNumber;
  /** Reads an `intptr_t`. */
  readonly intptr: ReadNumber;
}

/** Type of `native`, the raw functions below `dlopen` and `JSCallback`. */
export interface Native {
  /** Opens a library. */
  readonly dlopen: (...args: readonly unknown[]) => unknown;
  /** Makes a callback. */
  readonly callback: (...args: readonly unknown[]) => unknown;
}

/** The whole module. */
export interface BunFFI {
  /** Makes a function from an address. */
  readonly CFunction: CFunctionFn;
  /** Reads a string. */
  readonly CString: CStringConstructor;
  /** The table of C types. */
  readonly FFIType: FFITypeTable;
  /** A JavaScript function that C can call. */
  readonly JSCallback: JSCallbackConstructor;
  /** Compiles C source. */
  readonly cc: CcFn;
  /** Opens a library. */
  readonly dlopen: DlopenFn;
  /** Makes functions from addresses. */
  readonly linkSymbols: LinkSymbolsFn;
  /** The raw functions below the module. */
  readonly native: Native;
  /** Takes the address of a buffer. */
  readonly ptr: PtrFn;
  /** Reads numbers from memory. */
  readonly read: Read;
  /** Extension of library files. */
  readonly suffix: string;
  /** Views memory as an `ArrayBuffer`. */
  readonly toArrayBuffer: ToArrayBufferFn;
  /** Views memory as a `Buffer`. */
  readonly toBuffer: ToBufferFn;
  /** Shows generated code. */
  readonly viewSource: ViewSourceFn;
}
