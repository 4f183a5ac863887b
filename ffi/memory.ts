// SPDX-License-Identifier: MIT

/**
 * Addresses and what is at them, on Deno: `ptr`, `read`, `toArrayBuffer`,
 * `toBuffer` and `CString`. All of it needs the bare permission.
 *
 * @module
 */

import { addressOf, isMemory } from "./convert.ts";
import { denoNamespace, type NativeView, withBarePermission } from "./deno_api.ts";
import { describe, ffiError } from "./errors.ts";
import { builtin } from "./runtime.ts";
import { pending } from "./pending.ts";
import type { CStringConstructor, Pointer, PtrFn, Read, ToArrayBufferFn, ToBufferFn } from "./types.ts";

function invalid(message: string): TypeError {
  return ffiError(TypeError, "ERR_INVALID_ARG_TYPE", message);
}

/** The first page is never mapped, and no platform has memory for programs from 2^56 on. */
const firstAddress = 4096;
const endOfAddresses = 2 ** 56;

/** `bun:ffi` makes no larger buffer either, and V8 stops the program over what it cannot express. */
const maxLength = 2 ** 32;

/** Takes an address where only a number or bigint will do. */
function checkAddress(value: unknown, action: string): bigint {
  if (typeof value !== "number" && typeof value !== "bigint") {
    throw invalid(`Cannot ${action}: the pointer must be a number, got ${describe(value)}`);
  }
  if (!(value >= 0 && value < 2 ** 64)) {
    throw invalid(`Cannot ${action}: the pointer must be an address, got ${describe(value)}`);
  }
  const address = BigInt(typeof value === "number" ? Math.trunc(value) : value);
  if (address === 0n) throw invalid(`Cannot ${action}: the pointer is null`);
  return address;
}

/** Takes an offset, which may be negative. */
function checkOffset(value: unknown, action: string): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw invalid(`Cannot ${action}: byteOffset must be a finite number, got ${describe(value)}`);
  }
  return Math.trunc(value);
}

/** Takes a length, `undefined` where the memory is to end before a zero byte. */
function checkLength(value: unknown, action: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number") {
    throw invalid(`Cannot ${action}: byteLength must be a number, got ${describe(value)}`);
  }
  const length = Math.trunc(value);
  if (!(length > 0)) throw invalid(`Cannot ${action}: byteLength must be greater than 0, got ${describe(value)}`);
  if (length > maxLength) {
    // The classes that Bun throws
    const Class = length > 2 ** 53 ? TypeError : RangeError;
    throw ffiError(Class, "ERR_INVALID_ARG_VALUE", `Cannot ${action}: byteLength must be at most 2^32, got ${length}`);
  }
  return length;
}

/** See {@linkcode PtrFn}. */
export const ptr: PtrFn = (view, byteOffset) => {
  const action = "take the address of a buffer";
  if (!isMemory(view)) throw invalid(`Cannot ${action}: expected a buffer, got ${describe(view)}`);
  if (view.byteLength === 0) throw invalid(`Cannot ${action}: its length is 0`);
  const offset = checkOffset(Number.isNaN(byteOffset) ? 0 : byteOffset, action);
  if (offset < 0 || offset > view.byteLength) {
    throw invalid(`Cannot ${action}: byteOffset ${offset} is outside of its ${view.byteLength} bytes`);
  }
  return Number(addressOf(view)) + offset as Pointer;
};

/** A view made for the last address, since programs read many fields of one struct. */
let lastPointer: unknown = Number.NaN;
let lastAddress = 0;
let lastView: NativeView;

/** Makes a view that begins at an address, if there can be memory at the offset from it. */
function viewAt(pointer: unknown, offset: number, action: string): NativeView {
  if (pointer !== lastPointer) {
    const address = checkAddress(pointer, action);
    lastView = withBarePermission(
      action,
      ({ UnsafePointer, UnsafePointerView }) => new UnsafePointerView(UnsafePointer.create(address)!),
    );
    lastAddress = Number(address);
    lastPointer = pointer;
  }
  const begin = lastAddress + offset;
  if (!(begin >= firstAddress && begin < endOfAddresses)) {
    throw invalid(`Cannot ${action}: there can be no memory at address ${begin}`);
  }
  return lastView;
}

/** Makes one of the functions of {@linkcode read}. */
function reader<T>(name: string, get: (view: NativeView, offset: number) => T) {
  const action = `read ${name}`;
  function read(pointer: Pointer | number | bigint, byteOffset?: number): T {
    const offset = checkOffset(byteOffset, action);
    return get(viewAt(pointer, offset, action), offset);
  }
  return Object.defineProperty(read, "name", { value: name });
}

/** See {@linkcode Read}. */
export const read: Read = {
  u8: reader("u8", (view, offset) => view.getUint8(offset)),
  u16: reader("u16", (view, offset) => view.getUint16(offset)),
  u32: reader("u32", (view, offset) => view.getUint32(offset)),
  ptr: reader("ptr", (view, offset) => Number(view.getBigUint64(offset))),
  i8: reader("i8", (view, offset) => view.getInt8(offset)),
  i16: reader("i16", (view, offset) => view.getInt16(offset)),
  i32: reader("i32", (view, offset) => view.getInt32(offset)),
  i64: reader("i64", (view, offset) => view.getBigInt64(offset)),
  u64: reader("u64", (view, offset) => view.getBigUint64(offset)),
  intptr: reader("intptr", (view, offset) => Number(view.getBigInt64(offset))),
  f32: reader("f32", (view, offset) => view.getFloat32(offset)),
  f64: reader("f64", (view, offset) => view.getFloat64(offset)),
};

/** Gives the number of bytes before the zero byte. */
function stringLength(view: NativeView, offset: number): number {
  let length = 0;
  while (view.getUint8(offset + length) !== 0) length++;
  return length;
}

/** What frees memory when nothing refers to it any more. */
interface Deallocation {
  /** Begin of the memory. */
  readonly bytes: bigint;
  /** What the function is given with it. */
  readonly context: bigint;
  /** The function, `void (*)(void *bytes, void *context)`. */
  readonly deallocator: bigint;
}

let registry: FinalizationRegistry<Deallocation> | undefined;

/** Calls the C function when a buffer is collected. */
function deallocateWith(buffer: ArrayBuffer, deallocation: Deallocation): void {
  registry ??= new FinalizationRegistry(({ bytes, context, deallocator }) => {
    const { UnsafeFnPointer, UnsafePointer } = denoNamespace();
    const free = new UnsafeFnPointer(UnsafePointer.create(deallocator)!, {
      parameters: ["u64", "u64"],
      result: "void",
    });
    free.call(bytes, context);
    // The next one must be called even if this one was a callback that threw
    pending.report();
  });
  registry.register(buffer, deallocation);
}

/** Takes what a deallocator is given, which may be any word. */
function checkContext(value: unknown, action: string): bigint {
  if (value === undefined || value === null) return 0n;
  if (typeof value === "bigint") return BigInt.asUintN(64, value);
  if (typeof value === "number" && Number.isInteger(value)) return BigInt.asUintN(64, BigInt(value));
  throw invalid(`Cannot ${action}: the context of the deallocator must be an address, got ${describe(value)}`);
}

/** See {@linkcode ToArrayBufferFn}. */
export const toArrayBuffer: ToArrayBufferFn = (pointer, byteOffset, byteLength, context, deallocator) => {
  const action = "view memory as an ArrayBuffer";
  const offset = checkOffset(byteOffset, action);
  const view = viewAt(pointer, offset, action);
  const length = checkLength(byteLength, action) ?? stringLength(view, offset);
  // With one of them given it is the function, as in Bun
  const free = deallocator ?? context;
  const deallocation = free === undefined || free === null ? undefined : {
    bytes: checkAddress(pointer, action) + BigInt(offset),
    context: (deallocator ?? undefined) === undefined ? 0n : checkContext(context, action),
    deallocator: checkAddress(free, `${action}, with a deallocator`),
  };
  const buffer = view.getArrayBuffer(length, offset);
  if (deallocation !== undefined) deallocateWith(buffer, deallocation);
  return buffer;
};

/** See {@linkcode ToBufferFn}. */
export const toBuffer: ToBufferFn = (...args) => builtin("node:buffer").Buffer.from(toArrayBuffer(...args));

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads a string. */
function stringAt(pointer: unknown, byteOffset: unknown, byteLength: unknown): string {
  if (pointer === null || pointer === undefined || pointer === 0 || pointer === 0n) return "";
  const action = "read a string";
  const offset = checkOffset(byteOffset || 0, action);
  const view = viewAt(pointer, offset, action);
  // A fraction or NaN means no length here: so does Bun
  const length = checkLength(Number.isInteger(byteLength) ? byteLength : undefined, action);
  if (length === undefined) return view.getCString(offset);
  return decoder.decode(new Uint8Array(view.getArrayBuffer(length, offset)));
}

/**
 * See {@linkcode CStringConstructor}. Nothing that is written in JavaScript can
 * give a plain string to `new`, so there it is a `String` object, which knows
 * where it was read.
 */
function CStringFunction(
  this: unknown,
  pointer?: Pointer | number | bigint | null,
  byteOffset?: number,
  byteLength?: number,
): string {
  const text = stringAt(pointer, byteOffset, byteLength);
  if (new.target === undefined) return text;
  const object = Object.assign(new String(text), { ptr: pointer ?? null, byteOffset, byteLength });
  return Object.setPrototypeOf(object, new.target.prototype);
}
Object.setPrototypeOf(CStringFunction.prototype, String.prototype);
Object.defineProperty(CStringFunction, "name", { value: "CString" });

/** The function, with its two types. */
export const CString: CStringConstructor = CStringFunction as unknown as CStringConstructor;
