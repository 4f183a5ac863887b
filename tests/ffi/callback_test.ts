// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertInstanceOf, assertNotEquals } from "@std/assert";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { dlopen, type FFITypeName, JSCallback, type Pointer, ptr, read, suffix } from "vmnet/ffi";
import { cText, fixture, hot, isBun, memory, outcome } from "./fixture.ts";

const T = TypeError;
const libc = suffix === "dylib" ? "libSystem.dylib" : "libc.so.6";

/** Passes a value through a callback: the callback gives `value`, C gives what it got. */
function returned(type: FFITypeName, value: unknown): unknown {
  const base = type.replace("_fast", "") as FFITypeName;
  const narrow = !["u32", "i64", "u64", "f64", "f32", "ptr"].includes(base);
  const call = fixture(`call_${base}`, { args: ["function", base], returns: narrow ? "i32" : base });
  using callback = new JSCallback(() => value, { args: [type], returns: type });
  return outcome(() => call(callback, 0));
}

/** What C gets for a value returned by a callback. Measured in Bun 1.4.5. */
const returns: Partial<Record<FFITypeName, readonly (readonly [unknown, unknown])[]>> = {
  i8: [[300, 44], [-1, -1], [1.9, 1], [undefined, 0], [null, 0], [true, 1], [5n, 5], [2 ** 33 + 1, 1], ["3", T], [
    {},
    0,
  ]],
  u8: [[300, 44], [-1, 255], [1.9, 1], [undefined, 0], [null, 0], [true, 1], [5n, 5], [NaN, 0], ["3", T]],
  i16: [[65537, 1], [-1, -1], [40000, -25536], [undefined, 0], ["3", T]],
  u16: [[65537, 1], [-1, 65535], [undefined, 0], ["3", T]],
  u32: [[2 ** 33 + 1, 1], [-1, 2 ** 32 - 1], [undefined, 0], [2n ** 40n + 3n, 3], ["3", T]],
  i64: [[-1, -1n], [1.9, 1n], [5n, 5n], [2 ** 33, 2n ** 33n], [NaN, 0n], [undefined, T], [null, T], [true, T], [
    "3",
    T,
  ]],
  u64: [[-1, 2n ** 64n - 1n], [5n, 5n], [2n ** 64n + 1n, 1n], [undefined, T], [{}, T]],
  i64_fast: [[-1, -1n], [5n, 5n], [undefined, T]],
  f64: [[1.9, 1.9], [undefined, NaN], [null, 0], [true, 1], [5n, 5], ["3", T], [-0, -0]],
  f32: [[1.9, Math.fround(1.9)], [undefined, NaN], [5n, 5], ["3", T]],
  bool: [[0, 0], [2, 1], ["", 0], ["x", 1], [undefined, 0], [{}, 1]],
  ptr: [[4096, 4096], [4096n, 4096], [null, null], [undefined, null], [-1, 2n ** 64n - 1n], ["x", T], [true, T], [
    {},
    T,
  ]],
};

describe("JSCallback", () => {
  for (const [type, rows] of Object.entries(returns)) {
    test(`a result of type ${type} is converted as Bun does`, () => {
      for (const [value, expected] of rows) {
        const actual = returned(type as FFITypeName, value);
        if (expected === T) assertInstanceOf(actual, TypeError, String(value));
        else assertEquals([String(value), actual], [String(value), expected]);
      }
    });
  }

  test("arguments of every type arrive", () => {
    const seen = (type: FFITypeName, value: unknown, call = `call_${type.replace("_fast", "")}`) => {
      let got: unknown;
      using callback = new JSCallback((argument: unknown) => {
        got = argument;
        return 0n;
      }, { args: [type], returns: "u64" });
      fixture(call, { args: ["function", type] })(callback, value);
      return got;
    };
    assertEquals([seen("char", -1), seen("char", 200)], [-1, -56]);
    assertEquals([seen("i8", -1), seen("u8", -1)], [-1, 255]);
    assertEquals([seen("i16", -1), seen("u16", -1), seen("u32", -1)], [-1, 65535, 2 ** 32 - 1]);
    assertEquals([seen("i64", -1), seen("u64", -1)], [-1n, 2n ** 64n - 1n]);
    assertEquals([seen("i64_fast", -8), seen("i64_fast", 2n ** 60n)], [-8, 2n ** 60n]);
    assertEquals([seen("u64_fast", 7), seen("u64_fast", -1)], [7, 2n ** 64n - 1n]);
    assertEquals([seen("f64", 1.5), seen("f32", 0.1)], [1.5, Math.fround(0.1)]);
    assertEquals([seen("bool", true), seen("bool", false)], [true, false]);
    assertEquals([seen("ptr", 4096), seen("ptr", null), seen("ptr", -1)], [4096, null, 2n ** 64n - 1n]);
    assertEquals(seen("function", 4096, "call_ptr"), 4096);
    assertEquals(seen("cstring", "h\u00e9 \u20ac", "call_string"), "h\u00e9 \u20ac");
    assertEquals(seen("cstring", null, "call_string"), null);
    assertEquals(seen("cstring", memory([65, 255, 195, 169, 0]), "call_string"), "A\u00ff\u00c3\u00a9");
  });

  test("ten arguments of mixed types arrive", () => {
    const args = ["i32", "f64", "i64", "f32", "u8", "f64", "u64", "f32", "i16", "f64"] as const;
    let got: unknown[] = [];
    using callback = new JSCallback((...values: unknown[]) => {
      got = values;
      return 0.5;
    }, { args, returns: "f64" });
    assertEquals(fixture("call_mix", { args: ["function"], returns: "f64" })(callback), 0.5);
    assertEquals(got, [-1, 2.5, -3n, 4.25, 255, 6.125, 7n, 8.5, -9, 10.75]);
  });

  test("a callback can return memory", () => {
    const bytes = memory([1, 2, 3]);
    using callback = new JSCallback(() => bytes, { args: ["ptr"], returns: "ptr" });
    assertEquals(fixture("call_ptr", { args: ["function", "ptr"], returns: "ptr" })(callback, null), ptr(bytes));
  });

  test("a callback can return a string", () => {
    using callback = new JSCallback((text: string) => `${text}\u20ac`, { args: ["cstring"], returns: "cstring" });
    assertEquals(fixture("call_string", { args: ["function", "cstring"], returns: "i64" })(callback, "abc"), 6n);
  });

  test("a callback is passed as itself, as its address and as a bigint", () => {
    const call = fixture("call_i32", { args: ["function", "i32", "i32"], returns: "i32" });
    const other = fixture("call_i32", { args: ["ptr", "i32", "i32"], returns: "i32" });
    using callback = new JSCallback((a: number, b: number) => a * b, { args: ["i32", "i32"], returns: "i32" });
    for (const form of [callback, callback.ptr, BigInt(callback.ptr!)]) {
      assertEquals([call(form, 6, 7), other(form, 6, 7)], [42, 42]);
    }
    assertEquals(hot(() => call(callback, 6, 7)), 42);
  });

  test("qsort sorts with a callback", () => {
    const library = dlopen(libc, {
      qsort: { args: ["buffer", "usize", "usize", "function"], returns: "void" },
    });
    using compare = new JSCallback((a: Pointer, b: Pointer) => read.i32(a) - read.i32(b), {
      args: ["ptr", "ptr"],
      returns: "i32",
    });
    const numbers = new Int32Array(memory(4000).buffer).map((_, i) => (i * 7919) % 1009 - 500);
    const stable = new Int32Array(memory(4000).buffer);
    stable.set(numbers);
    library.symbols.qsort(stable, 1000, 4, compare);
    assertEquals([...stable], [...numbers].sort((a, b) => a - b));
    library.close();
  });

  test("callbacks nest", () => {
    const call = fixture("call_i32", { args: ["function", "i32", "i32"], returns: "i32" });
    using callback: JSCallback = new JSCallback(
      (a: number, b: number): unknown => a === 0 ? b : call(callback, a - 1, b + 1),
      { args: ["i32", "i32"], returns: "i32" },
    );
    assertEquals(call(callback, 20, 1), 21);
  });

  test("an error thrown by a callback comes out of the call of C", () => {
    const call = fixture("call_i32", { args: ["function", "i32", "i32"], returns: "i32" });
    const error = new RangeError("no");
    let throws = true;
    using callback = new JSCallback((a: number) => {
      if (throws) throw error;
      return a;
    }, { args: ["i32", "i32"], returns: "i32" });
    assertEquals(outcome(() => call(callback, 5, 1)), error);
    throws = false;
    assertEquals(call(callback, 5, 1), 5);
    throws = true;
    for (let i = 0; i < 2000; i++) assertEquals(outcome(() => call(callback, 5, 1)), error);
  });

  test("after an error C gets 0 from the callbacks it still makes", () => {
    const call = fixture("call_times", { args: ["function", "i32"], returns: "i32" });
    let calls = 0;
    using callback = new JSCallback((i: number) => {
      calls++;
      if (i === 2) throw new Error("third");
      return 1;
    }, { args: ["i32"], returns: "i32" });
    const error = outcome(() => call(callback, 10));
    assertInstanceOf(error, Error);
    assertEquals([error.message, calls], ["third", 3]);
    assertEquals(call(callback, 2), 2);
  });

  test("an inner error is caught between two callbacks", () => {
    const call = fixture("call_i32", { args: ["function", "i32", "i32"], returns: "i32" });
    using inner = new JSCallback(() => {
      throw new Error("inner");
    }, { args: ["i32", "i32"], returns: "i32" });
    using outer = new JSCallback((a: number) => outcome(() => call(inner, 1, 1)) instanceof Error ? a : -1, {
      args: ["i32", "i32"],
      returns: "i32",
    });
    assertEquals(call(outer, 9, 0), 9);
  });

  test("close() is idempotent and takes the address away", () => {
    const callback = new JSCallback(() => 1, { returns: "i32" });
    assert(typeof callback.ptr === "number" && callback.ptr > 4096);
    callback.close();
    assertEquals(callback.ptr, null);
    callback.close();
    assertEquals(callback.ptr, null);
    const disposed = new JSCallback(() => 1, { returns: "i32" });
    disposed[Symbol.dispose]();
    assertEquals(disposed.ptr, null);
  });

  for (const threadsafe of [false, true]) {
    test(`close() is safe inside the callback when threadsafe is ${threadsafe}`, async () => {
      const call = fixture("call_i32", { args: ["function", "i32", "i32"], returns: "i32" });
      for (let i = 0; i < 20; i++) {
        const callback: JSCallback = new JSCallback((a: number) => {
          callback.close();
          return a;
        }, { args: ["i32", "i32"], returns: "i32", threadsafe });
        // Bun posts a threadsafe call to the event loop, even on its own thread
        assertEquals(call(callback, 9, 1), isBun && threadsafe ? 0 : 9);
        await sleep(0);
        assertEquals(callback.ptr, null);
      }
      await sleep(5);
    });
  }

  test("a threadsafe callback is called from another thread", async () => {
    const start = fixture("thread_start", { args: ["function", "i32"], returns: "i32" });
    const join = fixture("thread_join", { returns: "i32" });
    const seen: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    using callback = new JSCallback((i: number) => {
      seen.push(i);
      if (seen.length === 50) resolve();
    }, { args: ["i32"], returns: "void", threadsafe: true });
    assertEquals(callback.threadsafe, true);
    assertEquals(start(callback, 50), 0);
    // A callback alone does not keep the program alive
    const alive = setInterval(() => {}, 1000);
    await promise;
    clearInterval(alive);
    // In Deno the thread waits for the callback and everything that follows it at once
    await sleep(0);
    assertEquals(join(), 0);
    assertEquals(seen, Array.from({ length: 50 }, (_, i) => i));
  });

  test("a threadsafe callback is called on its own thread, in Bun a turn later", async () => {
    const call = fixture("call_void", { args: ["function"] });
    let calls = 0;
    using callback = new JSCallback(() => void calls++, { returns: "void", threadsafe: true });
    call(callback);
    assertEquals(calls, isBun ? 0 : 1);
    await sleep(5);
    assertEquals(calls, 1);
  });

  test("JSCallback refuses wrong definitions", () => {
    const Callback = JSCallback as new (...args: unknown[]) => JSCallback;
    for (const callback of [undefined, null, "x", 5, {}]) {
      assertInstanceOf(outcome(() => new Callback(callback, {})), TypeError);
    }
    assertInstanceOf(outcome(() => new Callback(() => 1)), TypeError);
    for (
      const definition of [
        { args: ["nonsense"] },
        { returns: "nonsense" },
        { args: ["void"] },
        { args: ["buffer_length"] },
        { args: ["napi_value"] },
        { returns: "buffer" },
      ]
    ) {
      assertInstanceOf(outcome(() => new Callback(() => 1, definition)), Error);
    }
    assertInstanceOf(outcome(() => (Callback as unknown as () => void)()), TypeError);
  });

  test("two callbacks have two addresses", () => {
    using a = new JSCallback(() => 1, { returns: "i32" });
    using b = new JSCallback(() => 2, { returns: "i32" });
    assertNotEquals(a.ptr, b.ptr);
    assertEquals(Number(a), a.ptr);
    assertEquals(read.u8(ptr(cText("x"))), 120);
  });
});
