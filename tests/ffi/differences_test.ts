// SPDX-License-Identifier: MIT

/**
 * The table of differences in docs/ffi.md, row by row, in both runtimes. What
 * crashes Bun is not run there.
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import {
  cc,
  CFunction,
  CString,
  dlopen,
  FFIType,
  JSCallback,
  linkSymbols,
  native,
  type Pointer,
  ptr,
  read,
  toArrayBuffer,
  toBuffer,
} from "vmnet/ffi";
import { cText, fixture, fixturePath, isBun, memory, outcome, runWith } from "./fixture.ts";

/** The error that a call throws. */
function thrown(call: () => unknown): TypeError {
  const error = outcome(call);
  assertInstanceOf(error, Error);
  return error as TypeError;
}

describe("differences", () => {
  test("a refused value: the error names function, argument and type", () => {
    const add = fixture("add", { args: ["i32", "i32"], returns: "i32" });
    const { message } = thrown(() => add(1, "2"));
    if (isBun) assertEquals(message, "bun:ffi cannot convert argument to 'i32'");
    else assertEquals(message, 'Cannot call add: argument 2 of type i32 does not take string "2"');
  });

  test("a missing argument: a TypeError instead of undefined", () => {
    const add = fixture("add", { args: ["i32", "i32"], returns: "i32" });
    const pointer = fixture("same", { args: ["ptr", "ptr"], returns: "i32" });
    if (isBun) return assertEquals([add(1), pointer(null)], [1, 1]);
    assertEquals(thrown(() => add(1)).message, "Cannot call add: it takes 2 arguments, got 1");
    assertEquals(thrown(() => pointer(null)).message, "Cannot call same: it takes 2 arguments, got 1");
  });

  test("an empty view: NULL instead of some address", () => {
    for (const type of ["ptr", "cstring", "buffer"] as const) {
      const isNull = fixture("is_null", { args: [type], returns: "i32" });
      assertEquals(isNull(new Uint8Array(0)), isBun ? 0 : 1);
    }
  });

  test("a detached view: a TypeError instead of NULL", () => {
    const view = memory(16);
    structuredClone(view.buffer, { transfer: [view.buffer] });
    for (const type of ["ptr", "cstring", "buffer"] as const) {
      const isNull = fixture("is_null", { args: [type], returns: "i32" });
      for (const value of type === "buffer" ? [view] : [view, view.buffer]) {
        if (isBun) assertEquals(isNull(value), 1);
        else assertStringIncludes(thrown(() => isNull(value)).message, "Cannot call is_null: argument 1");
      }
    }
  });

  test("NaN and numbers beyond 64 bits as an address: a TypeError instead of 2^63", () => {
    const address = fixture("address_of", { args: ["ptr"], returns: "u64" });
    for (const value of [NaN, Infinity, 2 ** 64, -(2 ** 64), -(2 ** 64) + 2048]) {
      if (isBun) assertEquals(address(value), 2n ** 63n);
      else assertInstanceOf(outcome(() => address(value)), TypeError);
    }
  });

  test("a closed library: an Error instead of a crash", () => {
    if (isBun) return;
    const library = dlopen(fixturePath, {
      add: { args: ["i32", "i32"], returns: "i32" },
      same: { args: ["ptr", "ptr"], returns: "i32" },
      five_pointers: { args: ["ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
    });
    const { add, same, five_pointers } = library.symbols;
    assertEquals([add(1, 2), same(null, null), five_pointers(null, null, null, null, null)], [3, 1, 0]);
    library.close();
    assertEquals(thrown(() => add(1, 2)).message, "Cannot call add: it was closed");
    assertEquals(thrown(() => same(null, memory(1))).message, "Cannot call same: it was closed");
    assertStringIncludes(
      thrown(() => five_pointers(null, null, null, null, null)).message,
      "Cannot call five_pointers",
    );
  });

  test("a closed CFunction: an Error", () => {
    const { ptr: address } = fixture("answer", { returns: "i32" }) as unknown as { ptr: Pointer };
    const answer = CFunction({ returns: "i32", ptr: address });
    assertEquals(answer(), 42);
    answer.close();
    if (!isBun) assertStringIncludes(thrown(() => answer()).message, "it was closed");
  });

  test("a closed callback as an argument: a TypeError", () => {
    if (isBun) return;
    const call = fixture("call_void", { args: ["function"] });
    const callback = new JSCallback(() => {}, {});
    callback.close();
    assertStringIncludes(thrown(() => call(callback)).message, "Cannot call call_void: argument 1");
  });

  test("a library closed from its own callback stays until C has returned", async () => {
    if (isBun) return;
    const library = dlopen(fixturePath, { call_void: { args: ["function"] } });
    using callback = new JSCallback(() => library.close(), {});
    library.symbols.call_void(callback);
    await sleep(5);
    assertStringIncludes(thrown(() => library.symbols.call_void(callback)).message, "it was closed");
  });

  test("a library has Symbol.dispose", () => {
    const library = dlopen(fixturePath, { answer: { returns: "i32" } });
    assertEquals(Symbol.dispose in library, !isBun);
    library.close();
  });

  test("close() of linked symbols works without the library as this", () => {
    const { ptr: address } = fixture("answer", { returns: "i32" }) as unknown as { ptr: Pointer };
    const { close } = linkSymbols({ answer: { returns: "i32", ptr: address } });
    assertEquals(outcome(close) instanceof TypeError, isBun);
  });

  test("a view with another byteLength of its own: that one instead of its real one", () => {
    const length = fixture("length_of", { args: ["ptr", "buffer_length"], returns: "u64" });
    const view = Object.defineProperty(memory(8), "byteLength", { value: 5 });
    assertEquals(length(view, view), isBun ? 8n : 5n);
  });

  test("a wrong declaration: always a TypeError", () => {
    for (const args of [[22], [null], "i32", { length: 0 }] as unknown as ["i32"][]) {
      const error = thrown(() => fixture("answer", { args, returns: "i32" }));
      assertEquals(error instanceof TypeError, !isBun);
    }
    const declare = (declaration: unknown) => outcome(() => fixture("answer", declaration as { returns: "i32" })());
    assertEquals(declare({ args: undefined, returns: "i32" }) instanceof Error, isBun);
    assertEquals(declare(() => {}) instanceof TypeError, !isBun);
    assertEquals(declare({ returns: "" }) instanceof TypeError, !isBun);
  });

  test("a library name that is neither string nor URL: a TypeError instead of its text", () => {
    const open = (name: unknown) =>
      outcome(() => dlopen(name as string, { answer: { returns: "i32" } }).symbols.answer());
    assertEquals(open({ toString: () => fixturePath }) === 42, isBun);
    for (const name of [5, {}, true]) assertEquals(open(name) instanceof TypeError, !isBun);
  });

  test("own properties of libraries and callbacks, order of FFIType, length of toArrayBuffer", () => {
    const library = dlopen(fixturePath, { answer: { returns: "i32" } });
    using callback = new JSCallback(() => {}, {});
    assertEquals(Object.keys(library), isBun ? ["close"] : ["symbols", "close"]);
    assertEquals(Object.getOwnPropertyNames(callback), isBun ? ["ptr", "threadsafe"] : []);
    assertEquals(Object.keys(FFIType)[18], isBun ? "bool" : "char");
    assertEquals([toArrayBuffer.length, toBuffer.length, cc.length], isBun ? [1, 1, 1] : [5, 0, 0]);
  });

  test("ptr() throws its error instead of returning it", () => {
    if (isBun) assertInstanceOf(ptr(memory(0)) as unknown, TypeError);
    else assertEquals(thrown(() => ptr(memory(0))).message, "Cannot take the address of a buffer: its length is 0");
    if (isBun) assertEquals(ptr(memory(4), -1) + 1 > 0, true);
    else assertInstanceOf(outcome(() => ptr(memory(4), -1)), TypeError);
  });

  test("new CString() gives a String object that knows its address", () => {
    const address = ptr(cText("hello"));
    const text: unknown = new CString(address);
    assertEquals(typeof text, isBun ? "string" : "object");
    if (!isBun) {
      assertInstanceOf(text, String);
      assertInstanceOf(text, CString);
      assertEquals((text as unknown as { ptr: Pointer }).ptr, address);
    }
  });

  test("FFIType.buffer and FFIType.buffer_length work by number", () => {
    const declare = () => fixture("length_of", { args: [20, 21], returns: "u64" })(memory(5), memory(5));
    if (isBun) assertEquals(thrown(declare).message, "invalid ABI type");
    else assertEquals(declare(), 5n);
  });

  test("cc() and native are not there", () => {
    if (isBun) return;
    for (const call of [cc, native.dlopen, native.callback] as (() => unknown)[]) {
      const error = thrown(() => call()) as unknown as { code: string; message: string };
      assertEquals(error.code, "ERR_METHOD_NOT_IMPLEMENTED");
      assertStringIncludes(error.message, "use");
    }
  });

  test("a string returned by a callback stays until its next call", () => {
    using callback = new JSCallback(() => "stays", { args: ["ptr"], returns: "cstring" });
    const address = fixture("call_ptr", { args: ["function", "ptr"], returns: "ptr" })(callback, null) as Pointer;
    assert(address > 4096);
    if (!isBun) assertEquals(read.u8(address, 4), 115);
  });

  test("an error of a callback from the event loop is an uncaught error", () => {
    assertEquals(runWith(["--allow-ffi"], "callback_program.ts", fixturePath), "from a thread\n42");
  });

  test("a program with an open callback ends", () => {
    assertEquals(runWith(["--allow-ffi"], "callback_program.ts", fixturePath, "idle"), "42");
  });
});
