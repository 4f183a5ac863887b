// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import process from "node:process";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import * as ffi from "vmnet/ffi";
import { CFunction, dlopen, FFIType, linkSymbols, suffix, viewSource } from "vmnet/ffi";
import { directory, fixture, fixturePath, memory, outcome } from "./fixture.ts";

const wrong = dlopen as (...args: unknown[]) => unknown;

/** Asserts class and code of the error that a call throws, and gives its message. */
function refusal(call: () => unknown, Class: new (message: string) => Error, code?: string): string {
  const error = outcome(call);
  assertInstanceOf(error, Class);
  if (code !== undefined) assertEquals((error as { code?: unknown }).code, code);
  return error.message;
}

describe("declarations", () => {
  test("the module has the exports of bun:ffi, and watchFd()", () => {
    const names = [
      ...["CFunction", "CString", "FFIType", "JSCallback", "cc", "default", "dlopen", "linkSymbols", "native", "ptr"],
      ...["read", "suffix", "toArrayBuffer", "toBuffer", "viewSource"],
    ];
    assertEquals(Object.keys(ffi).sort(), [...names, "watchFd"].sort());
    const { default: whole } = ffi;
    for (const name of names.filter((name) => name !== "default")) {
      assertEquals(whole[name as keyof typeof whole], ffi[name as keyof typeof ffi]);
    }
  });

  test("FFIType has the names and numbers of bun:ffi", () => {
    // deno-fmt-ignore
    const expected = {
      0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 9, 10: 10, 11: 11, 12: 12, 13: 13, 14: 14, 15: 15,
      16: 16, 17: 17, bool: 11, c_int: 5, c_uint: 6, char: 0, "char*": 12, double: 9, f32: 10, f64: 9, float: 10,
      i16: 3, i32: 5, i64: 7, i8: 1, int: 5, int16_t: 3, int32_t: 5, int64_t: 7, int8_t: 1, isize: 7, u16: 4, u32: 6,
      u64: 8, u8: 2, uint16_t: 4, uint32_t: 6, uint64_t: 8, uint8_t: 2, usize: 8, "void*": 12, ptr: 12, pointer: 12,
      void: 13, cstring: 14, i64_fast: 15, u64_fast: 16, function: 17, callback: 17, fn: 17, napi_env: 18,
      napi_value: 19, buffer: 20, buffer_length: 21, buffer_bytelength: 21,
    };
    assertEquals({ ...FFIType } as Record<string, number>, expected as Record<string, number>);
    assertEquals(Object.keys(FFIType).length, 61);
  });

  test("read has its 12 functions", () => {
    const names = ["f32", "f64", "i16", "i32", "i64", "i8", "intptr", "ptr", "u16", "u32", "u64", "u8"];
    assertEquals(Object.keys(ffi.read).sort(), names);
  });

  test("suffix is the extension of the fixture", () => {
    assert(fixturePath.endsWith(`.${suffix}`));
  });

  test("dlopen() takes a path, a URL and the text of a URL", () => {
    for (const name of [fixturePath, pathToFileURL(fixturePath), pathToFileURL(fixturePath).href]) {
      const library = dlopen(name, { answer: { returns: "i32" } });
      assertEquals(library.symbols.answer(), 42);
      library.close();
    }
  });

  test("dlopen() takes a relative path, and a name in the working directory", () => {
    const before = process.cwd();
    process.chdir(`${directory}build`);
    const name = `libfixture.${suffix}`;
    const symbols = [`./${name}`, name].map((path) =>
      dlopen(path, { is_null: { args: ["ptr"], returns: "i32" } }).symbols
    );
    process.chdir(before);
    // Linked later, elsewhere, in Deno
    for (const { is_null } of symbols) assertEquals([is_null(null), is_null(memory(1))], [1, 0]);
  });

  test("dlopen() takes types by name and by number", () => {
    const { symbols } = dlopen(fixturePath, {
      add: { args: [FFIType.i32, "int"], returns: FFIType.int32_t },
      add_f64: { args: [9, "double"], returns: 9 },
      id_bool: { args: ["bool"], returns: FFIType.bool },
    });
    assertEquals(symbols.add(1, 2), 3);
    assertEquals(symbols.add_f64(0.5, 1), 1.5);
    assertEquals(symbols.id_bool(true), true);
  });

  test("a function has the name and arity of its declaration", () => {
    const { symbols } = dlopen(fixturePath, {
      add: { args: ["i32", "i32"], returns: "i32" },
      answer: { returns: "i32" },
      address_of: { args: ["ptr"], returns: "u64" },
      five_pointers: { args: ["ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
    });
    for (const [name, length] of Object.entries({ add: 2, answer: 0, address_of: 1, five_pointers: 5 })) {
      const fn = symbols[name as keyof typeof symbols];
      assertEquals([fn.name, fn.length, typeof (fn as unknown as { ptr: unknown }).ptr], [name, length, "number"]);
      assertEquals(typeof (fn as unknown as { native: unknown }).native, "function");
    }
    assertEquals(Object.keys(symbols).sort(), ["add", "address_of", "answer", "five_pointers"]);
    assertInstanceOf(outcome(() => new (symbols.add as unknown as new () => unknown)()), TypeError);
  });

  test("dlopen() throws a TypeError when the symbol is missing", () => {
    for (const declaration of [{ args: ["i32"] }, { args: ["ptr"] }, {}] as const) {
      const call = () => dlopen(fixturePath, { add: { args: ["i32", "i32"] }, no_such_symbol: declaration });
      const message = refusal(call, TypeError, "ERR_INVALID_ARG_TYPE");
      assertEquals(message, `Symbol "no_such_symbol" not found in "${fixturePath}"`);
    }
  });

  test("dlopen() throws an Error when the library is missing or none", () => {
    for (const name of ["./no_such_library.so", "no_such_library.so", "/no/such/library.so", `${fixturePath}.c`]) {
      const message = refusal(() => dlopen(name, { add: {} }), Error, "ERR_DLOPEN_FAILED");
      assertStringIncludes(message, name);
    }
  });

  test("dlopen() throws when there is no symbol", () => {
    assertEquals(refusal(() => wrong(fixturePath, {}), TypeError), "Expected at least one symbol");
    for (const symbols of [undefined, null, 5, "add"]) refusal(() => wrong(fixturePath, symbols), TypeError);
    refusal(() => wrong(fixturePath, []), TypeError);
  });

  test("dlopen() throws when a declaration is wrong", () => {
    const declare = (declaration: unknown) => () => wrong(fixturePath, { add: declaration });
    assertEquals(refusal(declare({ args: ["I32"] }), TypeError, "ERR_INVALID_ARG_VALUE"), "Unknown type I32");
    assertEquals(refusal(declare({ returns: "foo" }), TypeError, "ERR_INVALID_ARG_VALUE"), "Unknown return type foo");
    for (
      const args of [["toString"], ["__proto__"], [99], [-1], [null], [{}], ["void"], ["napi_env"], ["napi_value"]]
    ) {
      refusal(declare({ args }), Error);
    }
    for (const returns of ["buffer", "buffer_length", "napi_env", "napi_value", 99]) {
      refusal(declare({ returns }), Error);
    }
    refusal(declare({ args: "i32" }), Error);
    for (const declaration of [null, undefined, 5, "i32"]) refusal(declare(declaration), TypeError);
  });

  test("linkSymbols() and CFunction() throw when the address is missing", () => {
    const link = linkSymbols as (...args: unknown[]) => unknown;
    const make = CFunction as (...args: unknown[]) => unknown;
    for (const ptr of [undefined, null, 0, "text", {}]) {
      const message = refusal(() => link({ lost: { returns: "i32", ptr } }), TypeError, "ERR_INVALID_ARG_TYPE");
      assertStringIncludes(message, 'Symbol "lost" is missing a "ptr" field');
      assertStringIncludes(refusal(() => make({ returns: "i32", ptr }), TypeError), 'missing a "ptr" field');
    }
    for (const value of [undefined, null]) {
      refusal(() => link(value), TypeError);
      refusal(() => make(value), TypeError);
    }
    refusal(() => link({}), TypeError);
  });

  test("close() is idempotent", () => {
    const library = dlopen(fixturePath, { add: { args: ["i32", "i32"], returns: "i32" } });
    assertEquals(library.close(), undefined);
    assertEquals(library.close(), undefined);
    assertEquals(fixture("answer", { returns: "i32" })(), 42);
  });

  test("viewSource() shows one source for each function", () => {
    const sources = viewSource({ add: { args: ["i32", "i32"], returns: "i32" }, name: { returns: "cstring" } });
    assertEquals(sources.length, 2);
    for (const source of sources) assertStringIncludes(source, "return");
    assertEquals(typeof viewSource({ args: ["i32"] }, true), "string");
    refusal(() => (viewSource as (...args: unknown[]) => unknown)(), TypeError);
  });
});
