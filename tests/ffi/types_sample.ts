// SPDX-License-Identifier: MIT

/**
 * Source that passes the type checker with the types of this library and, with
 * `vmnet/ffi` read as `bun:ffi`, with those of `bun-types`. Only checked.
 */

import {
  CFunction,
  CString,
  dlopen,
  FFIType,
  JSCallback,
  linkSymbols,
  type Pointer,
  ptr,
  read,
  suffix,
  toArrayBuffer,
  toBuffer,
  viewSource,
} from "vmnet/ffi";

/** Never called. */
export function sample(): unknown[] {
  const library = dlopen(`libexample.${suffix}`, {
    add: { args: ["i32", "i32"], returns: "i32" },
    enums: { args: [FFIType.u8, FFIType.f64, FFIType.cstring], returns: FFIType.ptr },
    mixed: { args: ["u64", "i64", FFIType.u64_fast, "bool", "ptr", "buffer"], returns: "u64" },
    pointers: { args: ["pointer", "usize", "callback"], returns: "pointer" },
    text: { args: [], returns: FFIType.cstring },
    nothing: {},
    nowhere: { args: ["float", "double", "char", "int", "uint8_t"], returns: "void" },
  });

  const sum: number = library.symbols.add(1, 2);
  const address: Pointer | bigint | null = library.symbols.enums(1, 0.5, ptr(new Uint8Array(4)));
  const big: bigint = library.symbols.mixed(1, 2n, 3, true, new Uint8Array(1), new Float64Array(1));
  const moved: Pointer | bigint | null = library.symbols.pointers(address, 5n, new JSCallback(() => 1, {}).ptr);
  const text: string = `${library.symbols.text()}`;
  const length: number = library.symbols.text()?.length ?? 0;
  library.symbols.nothing();
  const none: undefined = library.symbols.nowhere(1, 2, 3, 4, 5);
  library.close();

  const compare: JSCallback = new JSCallback((a: Pointer, b: Pointer) => read.i32(a) - read.i32(b), {
    args: ["ptr", "ptr"],
    returns: FFIType.i32,
    threadsafe: false,
  });
  const callbackAddress: Pointer | null = compare.ptr;
  const isThreadsafe: boolean = compare.threadsafe;
  compare.close();

  const linked = linkSymbols({ f: { args: ["f32"], returns: "f32", ptr: callbackAddress! } });
  const half: number = linked.symbols.f(1);
  linked.close();

  const called = CFunction({ args: ["i32"], returns: "i32", ptr: callbackAddress! });
  const answer: unknown = called(1);
  called.close();

  const memory: ArrayBuffer = toArrayBuffer(callbackAddress!, 0, 4);
  const buffer: Uint8Array = toBuffer(callbackAddress!, 0, 4);
  const word: bigint = read.u64(callbackAddress!, 8) + read.i64(callbackAddress!);
  const next: number = read.ptr(callbackAddress!, 8);
  const string: CString = new CString(callbackAddress!);
  const piece: string = new CString(callbackAddress!, 0, 5).toString();
  const sources: string[] = viewSource({ f: { args: ["f32"], returns: "f32" } });
  const source: string = viewSource({ args: ["f32"] }, true);
  return [
    library,
    sum,
    address,
    big,
    moved,
    text,
    length,
    none,
    compare,
    callbackAddress,
    isThreadsafe,
    linked,
    half,
    called,
    answer,
    memory,
    buffer,
    word,
    next,
    string,
    piece,
    sources,
    source,
  ];
}
