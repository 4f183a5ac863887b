// SPDX-License-Identifier: MIT

/** What the types allow and what not. The compiler runs these tests. */

import { assertEquals } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { dlopen, type FFIFunction, FFIType, JSCallback, linkSymbols, type Pointer, ptr } from "vmnet/ffi";
import { directory, isBun } from "./fixture.ts";

/** Whether two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

function expectType<_ extends true>(): void {}

/** Never called: only its types count. */
export function checked(): void {
  const { symbols } = dlopen("x", {
    add: { args: ["i32", "i32"], returns: "i32" },
    wide: { args: ["u64", FFIType.i64_fast, "usize"], returns: "u64" },
    fast: { args: [], returns: "i64_fast" },
    memory: { args: ["ptr", "buffer", "buffer_length"], returns: "ptr" },
    string: { args: ["cstring", "char*"], returns: "cstring" },
    call: { args: ["function"], returns: "bool" },
    alias: { args: ["c_int", "double", "fn"], returns: "c_uint" },
    nothing: {},
  });
  expectType<Same<typeof symbols.add, (...args: [number, number]) => number>>();
  expectType<Same<Parameters<typeof symbols.add>, [number, number]>>();
  expectType<Same<ReturnType<typeof symbols.wide>, bigint>>();
  expectType<Same<Parameters<typeof symbols.wide>[1], number | bigint>>();
  expectType<Same<ReturnType<typeof symbols.fast>, number | bigint>>();
  expectType<Same<ReturnType<typeof symbols.memory>, Pointer | bigint | null>>();
  expectType<Same<ReturnType<typeof symbols.string>, string | null>>();
  expectType<Same<ReturnType<typeof symbols.call>, boolean>>();
  expectType<Same<ReturnType<typeof symbols.alias>, number>>();
  expectType<Same<typeof symbols.nothing, (...args: []) => undefined>>();

  const sum: (a: number, b: number) => number = symbols.add;
  symbols.memory(new Uint8Array(1), new DataView(new ArrayBuffer(1)), new Float32Array(1));
  symbols.memory(new SharedArrayBuffer(1), new Uint8Array(1), new Uint8Array(1));
  symbols.memory(null, new Uint8Array(1), new Uint8Array(1));
  symbols.memory(5n, new Uint8Array(1), new Uint8Array(1));
  symbols.memory(ptr(new Uint8Array(1)), new Uint8Array(1), new Uint8Array(1));
  symbols.string("text", ptr(new Uint8Array(1)));
  symbols.call(new JSCallback(() => {}, {}));

  // @ts-expect-error one argument is missing
  symbols.add(1);
  // @ts-expect-error one argument is too many
  symbols.add(1, 2, 3);
  // @ts-expect-error a string is no number
  symbols.add(1, "2");
  // @ts-expect-error a bigint is no number
  symbols.add(1, 2n);
  // @ts-expect-error undefined is no number
  symbols.add(1, undefined);
  // @ts-expect-error there is no such function
  symbols.subtract(1, 2);
  // @ts-expect-error the result is no string
  const wrong: string = symbols.add(1, 2);
  // @ts-expect-error a pointer may be null
  const address: Pointer = symbols.memory(null, new Uint8Array(1), new Uint8Array(1));
  // @ts-expect-error a number is no pointer unless it came from C
  symbols.memory(5, new Uint8Array(1), new Uint8Array(1));
  // @ts-expect-error a pointer argument takes no string
  symbols.memory("text", new Uint8Array(1), new Uint8Array(1));
  // @ts-expect-error a buffer argument takes no ArrayBuffer
  symbols.memory(null, new ArrayBuffer(1), new Uint8Array(1));
  // @ts-expect-error a buffer argument takes no null
  symbols.memory(null, null, new Uint8Array(1));
  // @ts-expect-error a function argument takes no plain function
  symbols.call(() => {});
  // @ts-expect-error the function takes nothing
  symbols.nothing(1);
  // @ts-expect-error there is no such type
  dlopen("x", { f: { args: ["i33"], returns: "i32" } });
  // @ts-expect-error there is no such type
  dlopen("x", { f: { returns: "text" } });
  // @ts-expect-error it is called returns
  dlopen("x", { f: { args: ["i32"], return: "i32" } });
  // @ts-expect-error it is called returns
  linkSymbols({ f: { ptr: 1, result: "i32" } });
  // @ts-expect-error types are a list
  dlopen("x", { f: { args: "i32" } });
  // @ts-expect-error there is no such number
  dlopen("x", { f: { args: [99] } });
  // @ts-expect-error a path is a string or URL
  dlopen(5, { f: {} });
  // @ts-expect-error a callback needs a function
  new JSCallback("f", {});
  // @ts-expect-error a callback needs its types
  new JSCallback(() => {});
  // @ts-expect-error only buffers have addresses
  ptr("text");
  // @ts-expect-error a string may be null
  const text: string = symbols.string("a", null);
  // @ts-expect-error the table is constant
  FFIType.i32 = 6;

  const constant = { add: { args: ["i32"], returns: "i32" } } as const;
  expectType<Same<ReturnType<ReturnType<typeof opened>["symbols"]["add"]>, number>>();
  function opened() {
    return dlopen("x", constant);
  }
  const loose: Record<string, FFIFunction> = {};
  dlopen("x", loose).symbols["f"]?.();
  void [sum, wrong, address, text];
}

describe("types", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const isInstalled = existsSync(tsc) && existsSync(join(root, "node_modules/bun-types"));

  // Once is enough, the compiler is the same
  test("the same source passes with the types of bun-types", {
    skip: isBun ? "done in Deno" : !isInstalled && "bun-types is not installed",
    timeout: 120_000,
  }, () => {
    const folder = mkdtempSync(join(tmpdir(), "ffi-types-"));
    try {
      const source = readFileSync(`${directory}types_sample.ts`, "utf8");
      writeFileSync(join(folder, "sample.ts"), source.replace('from "vmnet/ffi"', 'from "bun:ffi"'));
      writeFileSync(
        join(folder, "tsconfig.json"),
        JSON.stringify({
          extends: join(root, "tsconfig.json"),
          compilerOptions: {
            types: ["bun-types"],
            typeRoots: [join(root, "node_modules")],
            paths: {},
          },
          include: [join(folder, "sample.ts")],
        }),
      );
      let output = "";
      try {
        execFileSync("node", [tsc, "-p", folder], { encoding: "utf8", stdio: "pipe" });
      } catch (error) {
        output = String((error as { stdout?: unknown }).stdout ?? error);
      }
      assertEquals(output, "");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("the types of this library are checked with the program", () => {
    assertEquals(typeof checked, "function");
  });
});
