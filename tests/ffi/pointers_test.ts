// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { describe, test } from "node:test";
import { type FFITypeName, JSCallback, ptr } from "vmnet/ffi";
import { fixture, hot, memory, outcome } from "./fixture.ts";

const bytes = memory([10, 20, 30, 40, 50, 60, 70, 80]);
const base = BigInt(ptr(bytes));
const callback = new JSCallback(() => 1, { returns: "i32" });
const detached = memory(16);
structuredClone(detached.buffer, { transfer: [detached.buffer] });

/** Every form of an address, and the address that C must see. */
const forms: readonly (readonly [string, unknown, bigint])[] = [
  ["a Uint8Array", bytes, base],
  ["a part of a Uint8Array", bytes.subarray(5), base + 5n],
  ["a DataView", new DataView(bytes.buffer, 3), base + 3n],
  ["an Int32Array", new Int32Array(bytes.buffer, 4), base + 4n],
  ["a BigInt64Array", new BigInt64Array(bytes.buffer), base],
  ["an ArrayBuffer", bytes.buffer, base],
  ["a number", 4096, 4096n],
  ["a fraction, cut off", 4096.9, 4096n],
  ["0", 0, 0n],
  ["-1", -1, 2n ** 64n - 1n],
  ["-1.5, cut off", -1.5, 2n ** 64n - 1n],
  ["2^52 - 1", 2 ** 52 - 1, 2n ** 52n - 1n],
  ["2^52", 2 ** 52, 2n ** 52n],
  ["2^53 + 2", 2 ** 53 + 2, 2n ** 53n + 2n],
  ["a bigint", 5n, 5n],
  ["-1n", -1n, 2n ** 64n - 1n],
  ["a bigint beyond 64 bits", 2n ** 64n + 1n, 1n],
  ["null", null, 0n],
  ["undefined", undefined, 0n],
  ["a callback", callback, BigInt(callback.ptr!)],
  ["an object with a number as ptr", { ptr: 77 }, 77n],
  ["an object with a bigint as ptr", { ptr: 78n }, 78n],
];

/** What is no address. */
const refused: readonly (readonly [string, unknown])[] = [
  ["a string", "text"],
  ["true", true],
  ["a plain object", {}],
  ["an array", []],
  ["a function", () => 1],
  ["a symbol", Symbol("s")],
  ["a Date", new Date(0)],
  ["an object without address", { ptr: null }],
  ["an object with a view as ptr", { ptr: bytes }],
];

describe("pointers", () => {
  for (const type of ["ptr", "pointer", "void*", "char*", "cstring", "function", "fn", "callback"] as FFITypeName[]) {
    const isFunction = ["function", "fn", "callback"].includes(type);
    test(`an argument of type ${type} takes every form of an address`, () => {
      const address = fixture("address_of", { args: [type], returns: "u64" });
      for (const [name, value, expected] of forms) {
        if (isFunction && (value === null || value === undefined)) continue;
        assertEquals([name, address(value)], [name, expected]);
      }
    });

    test(`an argument of type ${type} refuses what is no address`, () => {
      const address = fixture("address_of", { args: [type], returns: "u64" });
      for (const [name, value] of refused) {
        if (type === "cstring" && typeof value === "string") continue;
        assertInstanceOf(outcome(() => address(value)), TypeError, name);
      }
      if (isFunction) {
        assertInstanceOf(outcome(() => address(null)), TypeError);
        assertInstanceOf(outcome(() => address(undefined)), TypeError);
      }
    });
  }

  test("an argument takes every form in turn when it is hot", () => {
    const address = fixture("address_of", { args: ["ptr"], returns: "u64" });
    for (let round = 0; round < 500; round++) {
      for (const [name, value, expected] of forms) assertEquals([name, address(value)], [name, expected]);
    }
    for (const [name, value, expected] of forms) assertEquals([name, hot(() => address(value))], [name, expected]);
  });

  test("two arguments take all combinations of forms", () => {
    const same = fixture("same", { args: ["ptr", "ptr"], returns: "i32" });
    const equal = [bytes, bytes.buffer, Number(base), base, new DataView(bytes.buffer)];
    const others = [bytes.subarray(1), null, undefined, 5, 7n];
    for (let round = 0; round < 200; round++) {
      for (const a of equal) {
        for (const b of equal) assertEquals(same(a, b), 1);
        for (const b of others) assertEquals([same(a, b), same(b, a)], [0, 0]);
      }
    }
  });

  test("five arguments take all combinations of forms", () => {
    const call = fixture("five_pointers", { args: ["ptr", "cstring", "ptr", "pointer", "ptr"], returns: "i32" });
    const one = memory([1]);
    const address = ptr(one);
    for (let mask = 0; mask < 3 ** 5; mask++) {
      let expected = 0;
      const args = Array.from({ length: 5 }, (_, i) => {
        const form = Math.floor(mask / 3 ** i) % 3;
        if (form < 2) expected += 10 ** i;
        return [one, address, null][form];
      });
      assertEquals([mask, call(...args)], [mask, expected]);
    }
  });

  test("shared memory is passed like other memory", () => {
    const shared = new SharedArrayBuffer(8);
    const view = new Uint8Array(shared);
    const fill = fixture("fill", { args: ["ptr", "i32", "u8"] });
    fill(shared, 4, 7);
    assertEquals([...view], [7, 7, 7, 7, 0, 0, 0, 0]);
    fill(view.subarray(4), 2, 9);
    assertEquals([...view], [7, 7, 7, 7, 9, 9, 0, 0]);
  });

  test("a resizable buffer is passed with its content", () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 4096 });
    const fill = fixture("fill", { args: ["ptr", "i32", "u8"] });
    buffer.resize(4096);
    fill(buffer, 4096, 1);
    assertEquals(new Uint8Array(buffer).every((byte) => byte === 1), true);
  });

  test("a buffer argument takes views and nothing else", () => {
    const address = fixture("address_of", { args: ["buffer"], returns: "u64" });
    for (const [name, value, expected] of forms) {
      const actual = outcome(() => address(value));
      if (ArrayBuffer.isView(value)) assertEquals([name, actual], [name, expected]);
      else assertInstanceOf(actual, TypeError, name);
    }
    for (const [name, value] of refused) assertInstanceOf(outcome(() => address(value)), TypeError, name);
    assertInstanceOf(outcome(() => address(new SharedArrayBuffer(4))), TypeError);
  });

  test("a buffer_length argument gives the length of the view in bytes", () => {
    for (const type of ["buffer_length", "buffer_bytelength"] as const) {
      const length = fixture("length_of", { args: ["ptr", type], returns: "u64" });
      assertEquals(length(bytes, bytes), 8n);
      assertEquals(length(bytes, bytes.subarray(5)), 3n);
      assertEquals(length(bytes, new Int16Array(bytes.buffer, 2, 3)), 6n);
      assertEquals(length(bytes, new DataView(bytes.buffer, 7)), 1n);
      assertEquals(length(bytes, memory(0)), 0n);
      for (const value of [bytes.buffer, 8, 8n, null, undefined, "x", {}]) {
        assertInstanceOf(outcome(() => length(bytes, value)), TypeError);
      }
    }
  });

  test("a pointer result is a number, a bigint beyond 2^53, and null for NULL", () => {
    const identity = fixture("id_ptr", { args: ["ptr"], returns: "ptr" });
    assertEquals(identity(bytes), Number(base));
    assertEquals(identity(null), null);
    assertEquals(identity(2 ** 32), 2 ** 32);
    assertEquals(identity(2 ** 32 - 1), 2 ** 32 - 1);
    assertEquals(identity(2n ** 53n - 1n), 2 ** 53 - 1);
    assertEquals(hot(() => identity(2 ** 47 + 5)), 2 ** 47 + 5);
    assertEquals(hot(() => identity(null)), null);
    assertEquals(fixture("high_pointer", { returns: "ptr" })(), 0x8000000000001234n);
    assertEquals(fixture("no_pointer", { returns: "function" })(), null);
  });

  test("the address of a function is a number that can be passed to C", () => {
    const fn = fixture("answer", { returns: "i32" }) as unknown as { ptr: number };
    assert(fn.ptr > 4096);
    assertEquals(fixture("address_of", { args: ["function"], returns: "u64" })(fn.ptr), BigInt(fn.ptr));
  });

  test("memory is written through every form", () => {
    const fill = fixture("fill", { args: ["ptr", "i32", "u8"] });
    const target = memory(8);
    fill(target.subarray(1), 1, 1);
    fill(new DataView(target.buffer, 2), 1, 2);
    fill(ptr(target) + 3, 1, 3);
    fill(BigInt(ptr(target)) + 4n, 1, 4);
    fill(target.buffer, 1, 9);
    assertEquals([...target], [9, 1, 2, 3, 4, 0, 0, 0]);
  });

  test("a getter named ptr that throws passes its error on", () => {
    const error = new Error("no");
    const address = fixture("address_of", { args: ["ptr"], returns: "u64" });
    const object = {
      get ptr(): never {
        throw error;
      },
    };
    assertEquals(outcome(() => address(object)), error);
  });
});
