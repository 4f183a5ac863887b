// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { after, describe, test } from "node:test";
import { CFunction, CString, dlopen, type FFITypeName, JSCallback, type Pointer, suffix } from "vmnet/ffi";
import { envIfPermitted, runtimeName } from "../../ffi/runtime.ts";
import { directory, memory } from "./fixture.ts";
import { cSource, type RandomFunction, randomFunctions } from "./random.ts";

const seed = Number(envIfPermitted("FFI_SEED") ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
const file = `build/random-${runtimeName}-${process.pid}`;
const functions = randomFunctions(seed, 1000, 4);

// Not in a hook: those have 5 seconds in Bun, which a busy machine may not keep
writeFileSync(`${directory}${file}.c`, cSource(functions));
execFileSync("make", ["-s", "-C", directory, `${file}.${suffix}`], { stdio: ["ignore", "ignore", "inherit"] });
const path = `${directory}${file}.${suffix}`;
const declarations = functions.map(({ name, args, returns }) => [name, { args, returns }] as const);
const call = dlopen(path, Object.fromEntries(declarations)).symbols as unknown as Record<
  string,
  (...args: unknown[]) => unknown
>;
const { expected } = dlopen(path, { expected: { args: ["i32", "i32", "buffer"] } }).symbols;

/** Reads what C stored, as the result of that type has to be. */
function stored(type: FFITypeName, view: DataView): unknown {
  switch (type) {
    case "char":
    case "i8":
      return view.getInt8(0);
    case "u8":
      return view.getUint8(0);
    case "i16":
      return view.getInt16(0, true);
    case "u16":
      return view.getUint16(0, true);
    case "i32":
      return view.getInt32(0, true);
    case "u32":
      return view.getUint32(0, true);
    case "i64":
      return view.getBigInt64(0, true);
    case "u64":
      return view.getBigUint64(0, true);
    case "f64":
      return view.getFloat64(0, true);
    case "f32":
      return view.getFloat32(0, true);
    case "bool":
      return view.getUint8(0) !== 0;
    case "i64_fast": {
      const value = view.getBigInt64(0, true);
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    }
    case "u64_fast": {
      const value = view.getBigUint64(0, true);
      return value < 2n ** 53n - 1n ? Number(value) : value;
    }
    case "ptr":
      return Number(view.getBigUint64(0, true)) || null;
    default: {
      const address = Number(view.getBigUint64(0, true));
      return address === 0 ? null : CString(address as Pointer);
    }
  }
}

/** A value as a callback gets it after it went through C. */
function canonical(type: FFITypeName, value: unknown): unknown {
  if (type === "bool") return Boolean(value);
  if (type === "f64") return value;
  if (type === "f32") return Math.fround(value as number);
  const width = Number(type.slice(1));
  const cut = type.startsWith("i") ? BigInt.asIntN : BigInt.asUintN;
  const whole = cut(width, BigInt(value as number | bigint));
  return width === 64 ? whole : Number(whole);
}

describe(`random signatures, FFI_SEED=${seed}`, () => {
  after(() => {
    for (const extension of ["c", suffix]) rmSync(`${directory}${file}.${extension}`, { force: true });
  });

  function check({ name, args, returns, calls }: RandomFunction, index: number, times: number): void {
    const out = memory(8);
    const view = new DataView(out.buffer);
    calls.forEach(({ values }, n) => {
      out.fill(0);
      expected(index, n, out);
      const wanted = stored(returns, view);
      for (let i = 0; i < times; i++) {
        const actual = call[name]!(...values);
        if (!Object.is(actual, wanted)) {
          assertEquals([seed, index, n, args, values, actual], [seed, index, n, args, values, wanted]);
        }
      }
    });
  }

  test("1000 functions give C's own answer to 4000 calls", () => {
    functions.forEach((fn, index) => check(fn, index, 1));
  });

  test("30 functions give C's own answer when they are hot", () => {
    functions.slice(0, 30).forEach((fn, index) => check(fn, index, 2000));
  });

  test("callbacks of 60 random signatures get C's arguments and give C its result", () => {
    const simple: FFITypeName[] = ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f64", "f32", "bool"];
    let checked = 0;
    functions.forEach(({ args, calls }) => {
      if (checked === 60 || args.length > 12 || !args.every((type) => simple.includes(type))) return;
      checked++;
      // The callback stands in for the C function: what JavaScript passes to C is what C passes on
      let got: unknown[] = [];
      using callback = new JSCallback((...values: unknown[]) => {
        got = values;
        return 7;
      }, { args, returns: "i32" });
      const through = CFunction({ args, returns: "i32", ptr: callback.ptr! });
      for (const { values } of calls) {
        assertEquals([seed, through(...values)], [seed, 7]);
        assertEquals([seed, got], [seed, args.map((type, i) => canonical(type, values[i]))]);
      }
    });
  });
});
