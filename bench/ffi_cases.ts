// SPDX-License-Identifier: MIT

/**
 * The calls that the FFI benchmarks measure.
 *
 * @module
 */

import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { dlopen, type FFIFunction, JSCallback, type Pointer, ptr, suffix } from "../ffi/mod.ts";
import { runtimeName } from "../ffi/runtime.ts";

/** Who makes the call: the runtime's own FFI, this library, or koffi. */
export type Contender = "native" | "vmnet/ffi" | "koffi";

/** A call to measure. */
export interface BenchCase {
  /** What it shows. */
  readonly name: string;
  /** The function of each contender, with the arguments it is called with. */
  readonly calls: Partial<Record<Contender, readonly [(...args: never[]) => unknown, ...unknown[]]>>;
}

const path = fileURLToPath(new URL(`../tests/ffi/build/libfixture.${suffix}`, import.meta.url));

interface Koffi {
  load(path: string): { func(declaration: string): (...args: never[]) => unknown };
  proto(declaration: string): unknown;
  pointer(type: unknown): unknown;
  register(callback: (...args: never[]) => unknown, type: unknown): unknown;
}

function loadKoffi(): Koffi | undefined {
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch {
    return undefined;
  }
}

const koffi = loadKoffi();
const koffiLibrary = koffi?.load(path);

interface DenoFFI {
  dlopen(path: string, symbols: Record<string, { parameters: string[]; result: string }>): {
    symbols: Record<string, (...args: never[]) => unknown>;
  };
  UnsafePointer: { create(value: bigint): unknown; value(pointer: unknown): bigint };
  UnsafePointerView: { getCString(pointer: unknown): string };
  UnsafeCallback: new (
    types: { parameters: string[]; result: string },
    callback: (...args: never[]) => unknown,
  ) => { pointer: unknown };
}
const deno = (globalThis as unknown as { Deno: DenoFFI }).Deno;

/** The native declaration: types of Deno, or the ones of the case in Bun. */
function nativeFunction(name: string, types: string, ours: FFIFunction): (...args: never[]) => unknown {
  if (runtimeName !== "deno") {
    const bun = process.getBuiltinModule("bun:ffi" as "process") as unknown as { dlopen: typeof dlopen };
    return bun.dlopen(path, { [name]: ours }).symbols[name]! as (...args: never[]) => unknown;
  }
  const [parameters = "", result = "void"] = types.split(" -> ");
  const declaration = { parameters: parameters.split(" ").filter((type) => type !== ""), result };
  return deno.dlopen(path, { [name]: declaration }).symbols[name]!;
}

const bytes = new Uint8Array(new ArrayBuffer(4096));
const address = ptr(bytes);
const pointerObject = runtimeName === "deno" ? deno.UnsafePointer.create(BigInt(address)) : address;
const isDeno = runtimeName === "deno";

/** One case: C function, native types, our types, C declaration for koffi, arguments of each. */
function entry(
  name: string,
  symbol: string,
  types: string,
  ours: FFIFunction,
  declaration: string | undefined,
  args: readonly unknown[],
  nativeArgs: readonly unknown[] = args,
  wrapNative: (native: (...args: never[]) => unknown) => (...args: never[]) => unknown = (native) => native,
): BenchCase {
  const native = nativeFunction(symbol, types, ours);
  return {
    name,
    calls: {
      native: [isDeno ? wrapNative(native) : native, ...(isDeno ? nativeArgs : args)],
      "vmnet/ffi": [dlopen(path, { [symbol]: ours }).symbols[symbol]! as (...args: never[]) => unknown, ...args],
      ...(koffiLibrary !== undefined && declaration !== undefined
        ? { koffi: [koffiLibrary.func(declaration), ...args] }
        : {}),
    },
  };
}

const encoder = new TextEncoder();
const callback = new JSCallback((a: number, b: number) => a + b, { args: ["i32", "i32"], returns: "i32" });
const nativeCallback = isDeno
  ? new deno.UnsafeCallback({ parameters: ["i32", "i32"], result: "i32" }, (a: number, b: number) => a + b).pointer
  : callback;

/** All cases. */
export const cases: readonly BenchCase[] = [
  entry("void f(void)", "nothing", " -> void", {}, "void nothing()", []),
  entry("i32 f(i32, i32)", "add", "i32 i32 -> i32", { args: ["i32", "i32"], returns: "i32" }, "int add(int, int)", [
    1,
    2,
  ]),
  entry(
    "u32 f(u32, u32)",
    "add_u32",
    "u32 u32 -> u32",
    { args: ["u32", "u32"], returns: "u32" },
    "uint32_t add_u32(uint32_t, uint32_t)",
    [1, 2],
  ),
  entry("u8 f(u8)", "id_u8", "u8 -> u8", { args: ["u8"], returns: "u8" }, "uint8_t id_u8(uint8_t)", [200]),
  entry("i16 f(i16)", "id_i16", "i16 -> i16", { args: ["i16"], returns: "i16" }, "int16_t id_i16(int16_t)", [-200]),
  entry(
    "f64 f(f64, f64)",
    "add_f64",
    "f64 f64 -> f64",
    { args: ["f64", "f64"], returns: "f64" },
    "double add_f64(double, double)",
    [1.5, 2.5],
  ),
  entry(
    "f32 f(f32, f32)",
    "add_f32",
    "f32 f32 -> f32",
    { args: ["f32", "f32"], returns: "f32" },
    "float add_f32(float, float)",
    [1.5, 2.5],
  ),
  entry("bool f(bool)", "not", "bool -> bool", { args: ["bool"], returns: "bool" }, "bool not(bool)", [true]),
  entry(
    "u64 f(u64, u64), bigint",
    "add_u64",
    "u64 u64 -> u64",
    { args: ["u64", "u64"], returns: "u64" },
    "uint64_t add_u64(uint64_t, uint64_t)",
    [1n, 2n],
  ),
  entry(
    "i64_fast f(i64_fast, i64_fast)",
    "add_i64",
    "i64 i64 -> i64",
    { args: ["i64_fast", "i64_fast"], returns: "i64_fast" },
    "int64_t add_i64(int64_t, int64_t)",
    [1, 2],
  ),
  entry(
    "i32 f(buffer, i32)",
    "sum_bytes",
    "buffer i32 -> i32",
    { args: ["buffer", "i32"], returns: "i32" },
    "int sum_bytes(const uint8_t *, int)",
    [bytes, 0],
  ),
  entry(
    "i32 f(ptr), Uint8Array",
    "is_null",
    "buffer -> i32",
    { args: ["ptr"], returns: "i32" },
    "int is_null(const uint8_t *)",
    [bytes],
  ),
  entry(
    "i32 f(ptr), ArrayBuffer",
    "is_null",
    "buffer -> i32",
    { args: ["ptr"], returns: "i32" },
    undefined,
    [bytes.buffer],
  ),
  entry(
    "i32 f(ptr), number",
    "is_null",
    "pointer -> i32",
    { args: ["ptr"], returns: "i32" },
    undefined,
    [address],
    [pointerObject],
  ),
  entry(
    "i32 f(ptr, ptr), numbers",
    "same",
    "pointer pointer -> i32",
    { args: ["ptr", "ptr"], returns: "i32" },
    undefined,
    [address, address],
    [pointerObject, pointerObject],
  ),
  entry(
    "i32 f(ptr, ptr), views",
    "same",
    "buffer buffer -> i32",
    { args: ["ptr", "ptr"], returns: "i32" },
    "int same(const uint8_t *, const uint8_t *)",
    [bytes, bytes],
  ),
  entry(
    "i32 f(ptr, ptr), number, view",
    "same",
    "pointer buffer -> i32",
    { args: ["ptr", "ptr"], returns: "i32" },
    undefined,
    [address, bytes],
    [pointerObject, bytes],
  ),
  entry("i32 f(ptr), null", "is_null", "pointer -> i32", { args: ["ptr"], returns: "i32" }, "int is_null(void *)", [
    null,
  ]),
  entry(
    "ptr f(ptr), number",
    "id_ptr",
    "pointer -> pointer",
    { args: ["ptr"], returns: "ptr" },
    undefined,
    [address],
    [pointerObject],
  ),
  entry(
    "u64 f(ptr, buffer_length)",
    "length_of",
    "buffer u64 -> u64",
    { args: ["ptr", "buffer_length"], returns: "u64" },
    undefined,
    [bytes, bytes],
    [bytes, 4096n],
  ),
  entry(
    "i64 f(cstring), 5 letters",
    "length_of_string",
    "buffer -> i64",
    { args: ["cstring"], returns: "i64" },
    "int64_t length_of_string(const char *)",
    ["hello"],
    ["hello"],
    (native) => ((text: string) => (native as (text: Uint8Array) => unknown)(encoder.encode(`${text}\0`))) as never,
  ),
  entry(
    "cstring f(void)",
    "greeting",
    " -> pointer",
    { returns: "cstring" },
    "const char *greeting()",
    [],
    [],
    (native) => () => deno.UnsafePointerView.getCString((native as () => unknown)()),
  ),
  entry(
    "i32 f(callback, i32, i32)",
    "call_i32",
    "pointer i32 i32 -> i32",
    { args: ["function", "i32", "i32"], returns: "i32" },
    undefined,
    [callback, 1, 2],
    [nativeCallback, 1, 2],
  ),
];

/** Those for which there is anything to call. */
export const contenders: readonly Contender[] = koffi === undefined
  ? ["native", "vmnet/ffi"]
  : ["native", "vmnet/ffi", "koffi"];

let count = 0;

/**
 * Makes the loop that calls a function. Each has source of its own, because
 * loops with shared source share what the compiler learned, and the second one
 * measured would be slower than the first.
 */
export function loopOf(entry: BenchCase, contender: Contender): (times: number) => unknown {
  const [call, ...args] = entry.calls[contender]!;
  const names = args.map((_, i) => `a${i}`).join(", ");
  const source = `// ${count++}
    return (times) => {
      let last;
      for (let i = 0; i < times; i++) last = call(${names});
      return last;
    };`;
  return new Function("call", ...args.map((_, i) => `a${i}`), source)(call, ...args);
}

// The address stays valid only as long as the buffer is alive
export const keptAlive: readonly [Uint8Array, Pointer] = [bytes, address];
