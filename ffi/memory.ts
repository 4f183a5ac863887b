// SPDX-License-Identifier: MIT

/**
 * Addresses and what is at them, on Deno: `ptr`, `read`, `toArrayBuffer`,
 * `toBuffer` and `CString`. All of it needs the bare permission.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { addressOf, isMemory } from "./convert.ts";
import { denoNamespace, type NativeView, withBarePermission } from "./deno_api.ts";
import { describe, ffiError } from "./errors.ts";
import type { CStringConstructor, Pointer, PtrFn, Read, ToArrayBufferFn, ToBufferFn } from "./types.ts";

function invalid(message: string): TypeError {
  return ffiError(TypeError, "ERR_INVALID_ARG_TYPE", message);
}

/** Takes an address where only a number or bigint will do. */
function checkAddress(value: unknown, action: string): bigint {
  if (typeof value !== "number" && typeof value !== "bigint") {
    throw invalid(`Cannot ${action}: the pointer must be a number, got ${describe(value)}`);
  }
  if (typeof value === "number" && !(value >= 0 && value < 2 ** 64)) {
    throw invalid(`Cannot ${action}: the pointer must be an address, got ${describe(value)}`);
  }
  if (BigInt.asUintN(64, typeof value === "bigint" ? value : BigInt(Math.trunc(value))) === 0n) {
    throw invalid(`Cannot ${action}: the pointer is null`);
  }
  return BigInt.asUintN(64, typeof value === "bigint" ? value : BigInt(Math.trunc(value)));
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
  return length;
}

/** See {@linkcode PtrFn}. */
export const ptr: PtrFn = (view, byteOffset) => {
  const action = "take the address of a buffer";
  if (!isMemory(view)) throw invalid(`Cannot ${action}: expected a buffer, got ${describe(view)}`);
  if (view.byteLength === 0) throw invalid(`Cannot ${action}: its length is 0`);
  const offset = checkOffset(byteOffset, action);
  if (offset < 0 || offset > view.byteLength) {
    throw invalid(`Cannot ${action}: byteOffset ${offset} is outside of its ${view.byteLength} bytes`);
  }
  return Number(addressOf(view)) + offset as Pointer;
};

/** A view made for the last address, since programs read many fields of one struct. */
let lastPointer: unknown = Number.NaN;
let lastView: NativeView;

/** Makes a view that begins at an address. */
function viewAt(pointer: unknown, action: string): NativeView {
  if (pointer === lastPointer) return lastView;
  const address = checkAddress(pointer, action);
  const view = withBarePermission(
    action,
    ({ UnsafePointer, UnsafePointerView }) => new UnsafePointerView(UnsafePointer.create(address)!),
  );
  lastPointer = pointer;
  lastView = view;
  return view;
}

/** Makes one of the functions of {@linkcode read}. */
function reader<T>(name: string, get: (view: NativeView, offset: number) => T) {
  const action = `read ${name}`;
  return (pointer: Pointer | number | bigint, byteOffset?: number): T =>
    get(viewAt(pointer, action), checkOffset(byteOffset, action));
}

/** See {@linkcode Read}. */
export const read: Read = {
  u8: reader("u8", (view, offset) => view.getUint8(offset)),
  i8: reader("i8", (view, offset) => view.getInt8(offset)),
  u16: reader("u16", (view, offset) => view.getUint16(offset)),
  i16: reader("i16", (view, offset) => view.getInt16(offset)),
  u32: reader("u32", (view, offset) => view.getUint32(offset)),
  i32: reader("i32", (view, offset) => view.getInt32(offset)),
  u64: reader("u64", (view, offset) => view.getBigUint64(offset)),
  i64: reader("i64", (view, offset) => view.getBigInt64(offset)),
  f32: reader("f32", (view, offset) => view.getFloat32(offset)),
  f64: reader("f64", (view, offset) => view.getFloat64(offset)),
  ptr: reader("ptr", (view, offset) => Number(view.getBigUint64(offset))),
  intptr: reader("intptr", (view, offset) => Number(view.getBigInt64(offset))),
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
  });
  registry.register(buffer, deallocation);
}

/** See {@linkcode ToArrayBufferFn}. */
export const toArrayBuffer: ToArrayBufferFn = (pointer, byteOffset, byteLength, context, deallocator) => {
  const action = "view memory as an ArrayBuffer";
  const view = viewAt(pointer, action);
  const offset = checkOffset(byteOffset, action);
  const length = checkLength(byteLength, action) ?? stringLength(view, offset);
  const buffer = view.getArrayBuffer(length, offset);
  // With one of them given it is the function, as in Bun
  const free = deallocator ?? context;
  if (free !== undefined && free !== null) {
    deallocateWith(buffer, {
      bytes: checkAddress(pointer, action) + BigInt(offset),
      context: deallocator === undefined || deallocator === null ? 0n : BigInt(context ?? 0),
      deallocator: checkAddress(free, action),
    });
  }
  return buffer;
};

/** See {@linkcode ToBufferFn}. */
export const toBuffer: ToBufferFn = (...args) => Buffer.from(toArrayBuffer(...args));

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads a string. */
function stringAt(pointer: unknown, byteOffset: unknown, byteLength: unknown): string {
  if (pointer === null || pointer === undefined || pointer === 0) return "";
  const action = "read a string";
  const view = viewAt(pointer, action);
  const offset = checkOffset(byteOffset, action);
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
