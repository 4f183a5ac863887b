// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, test } from "node:test";
import { CFunction, CString, dlopen, linkSymbols, type Pointer, ptr, read, suffix } from "vmnet/ffi";
import { cText, fixture, fixturePath, hot, memory } from "./fixture.ts";

const libc = suffix === "dylib" ? "libSystem.dylib" : "libc.so.6";
const libm = suffix === "dylib" ? "libSystem.dylib" : "libm.so.6";
const libsqlite = suffix === "dylib" ? "libsqlite3.dylib" : "libsqlite3.so.0";

describe("calls", () => {
  test("a function passes 8 arguments of mixed types", () => {
    const mix = fixture("mix8", {
      args: ["i32", "f64", "i64", "f32", "u8", "f64", "u64", "f32"],
      returns: "f64",
    });
    const call = () => mix(-1, 2.5, -3n, 4.25, 255, 6.125, 7n, 8.5);
    assertEquals(call(), -1 + 5 - 9 + 17 + 1275 + 36.75 + 49 + 68);
    assertEquals(hot(call), 1440.75);
  });

  test("a function passes 24 arguments past the registers", () => {
    const types = Array.from({ length: 24 }, (_, i) => i >> 2 & 1 ? "f64" as const : "i32" as const);
    const mix = fixture("mix24", { args: types, returns: "f64" });
    const args = types.map((type, i) => type === "i32" ? (i - 12) * 1000 : i + 0.5);
    const expected = args.reduce((sum, value, i) => sum + (i + 1) * value, 0);
    assertEquals(mix(...args), expected);
    assertEquals(hot(() => mix(...args)), expected);
  });

  test("a function passes narrow arguments on the stack", () => {
    const types = ["i8", "u8", "i16", "u16", "i8", "u8", "i16", "u16", "i8", "u8", "i16", "u16"] as const;
    const narrow = fixture("narrow12", { args: types, returns: "i64" });
    const args = [-128, 255, -32768, 65535, 127, 1, 32767, 2, -1, 254, -2, 65534];
    const expected = args.reduce((sum, value) => sum * 7n + BigInt(value), 0n);
    assertEquals(narrow(...args), expected);
    assertEquals(narrow(...args.map((value) => value + 65536 * 3)), expected);
    assertEquals(hot(() => narrow(...args)), expected);
  });

  test("a function reports failure through out parameters", () => {
    const divide = fixture("divide", { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" });
    const out = new Int32Array(memory(8).buffer);
    assertEquals(divide(42, 5, out, out.subarray(1)), 0);
    assertEquals([...out], [8, 0]);
    assertEquals(divide(1, 0, out, out.subarray(1)), -1);
    assertEquals(out[1], 33); // EDOM
    assertEquals(divide(-9, 2, ptr(out), ptr(out, 4)), 0);
    assertEquals(out[0], -4);
  });

  test("200 functions of one library work side by side", () => {
    const names = ["add", "add_u32", "add_f64", "add_f32"] as const;
    const libraries = Array.from({ length: 50 }, () =>
      dlopen(fixturePath, {
        add: { args: ["i32", "i32"], returns: "i32" },
        add_u32: { args: ["u32", "u32"], returns: "u32" },
        add_f64: { args: ["f64", "f64"], returns: "f64" },
        add_f32: { args: ["f32", "f32"], returns: "f32" },
      }));
    for (let i = 0; i < 2000; i++) {
      const { symbols } = libraries[i % 50]!;
      assertEquals(symbols[names[i % 4]!](i, 2), i + 2);
    }
    for (const library of libraries) library.close();
  });

  test("CFunction() calls an address", () => {
    const { ptr: address } = fixture("add", { args: ["i32", "i32"], returns: "i32" }) as unknown as { ptr: Pointer };
    const add = CFunction({ args: ["i32", "i32"], returns: "i32", ptr: address });
    assertEquals(add(1, 2), 3);
    assertEquals(add.length, 2);
    assertMatch(add.name, /^CFunction\d+$/);
    add.close();
    const same = CFunction({ args: ["i32", "i32"], returns: "i32", ptr: BigInt(address) });
    assertEquals(same(2 ** 31, 0), -(2 ** 31));
    same.close();
  });

  test("linkSymbols() calls addresses with every kind of argument", () => {
    const address = (name: string) => (fixture(name, {}) as unknown as { ptr: Pointer }).ptr;
    const library = linkSymbols({
      sum_bytes: { args: ["ptr", "i32"], returns: "i32", ptr: address("sum_bytes") },
      length_of_string: { args: ["cstring"], returns: "i64", ptr: address("length_of_string") },
      greeting: { returns: "cstring", ptr: address("greeting") },
      id_bool: { args: ["bool"], returns: "bool", ptr: address("id_bool") },
      id_f32: { args: ["f32"], returns: "f32", ptr: address("id_f32") },
    });
    const { symbols } = library;
    const bytes = memory([1, 2, 3]);
    assertEquals(symbols.sum_bytes(bytes, 3), 6);
    assertEquals(symbols.sum_bytes(ptr(bytes), 2), 3);
    assertEquals(symbols.length_of_string("\u20ac"), 3n);
    assertEquals(symbols.greeting(), "h\u00e9llo \u20ac \u{1f600}");
    assertEquals(symbols.id_bool(true), true);
    assertEquals(symbols.id_f32(0.5), 0.5);
    library.close();
  });

  test("libc formats, copies and finds", () => {
    const library = dlopen(libc, {
      strtol: { args: ["cstring", "ptr", "i32"], returns: "i64_fast" },
      memcmp: { args: ["ptr", "ptr", "usize"], returns: "i32" },
      strchr: { args: ["ptr", "i32"], returns: "ptr" },
      getenv: { args: ["cstring"], returns: "cstring" },
      malloc: { args: ["usize"], returns: "ptr" },
      memset: { args: ["ptr", "i32", "usize"], returns: "ptr" },
      free: { args: ["ptr"], returns: "void" },
      div: { args: ["i32", "i32"], returns: "i64" },
    });
    const { symbols } = library;
    assertEquals(symbols.strtol("-1234xyz", null, 10), -1234);
    assertEquals(symbols.strtol("ff", null, 16), 255);
    assertEquals(symbols.memcmp(memory([1, 2]), memory([1, 2]), 2), 0);
    const text = cText("a=b");
    assertEquals(symbols.strchr(text, 61), ptr(text) + 1 as Pointer);
    assertEquals(symbols.strchr(text, 90), null);
    assertEquals(symbols.getenv("VMNET_NO_SUCH_VARIABLE"), null as never);
    const block = symbols.malloc(32)!;
    assertEquals(symbols.memset(block, 7, 32), block);
    assertEquals(read.u64(block, 24), 0x0707070707070707n);
    symbols.free(block);
    // A struct of two ints comes back in one register
    assertEquals(symbols.div(17, 5), 3n | 2n << 32n);
    library.close();
  });

  test("libm computes", () => {
    const library = dlopen(libm, {
      pow: { args: ["f64", "f64"], returns: "f64" },
      cosf: { args: ["f32"], returns: "f32" },
      fma: { args: ["f64", "f64", "f64"], returns: "f64" },
      ldexp: { args: ["f64", "i32"], returns: "f64" },
      frexp: { args: ["f64", "ptr"], returns: "f64" },
      isnan: { args: ["f64"], returns: "i32" },
    });
    const { symbols } = library;
    assertEquals(symbols.pow(2, 10), 1024);
    assertEquals(symbols.cosf(0), 1);
    assertEquals(symbols.fma(2, 3, 4), 10);
    assertEquals(symbols.ldexp(0.5, 11), 1024);
    const exponent = new Int32Array(memory(4).buffer);
    assertEquals([symbols.frexp(48, exponent), exponent[0]], [0.75, 6]);
    assert(symbols.isnan(NaN) !== 0);
    library.close();
  });

  test("SQLite stores and finds text, numbers and blobs", () => {
    const library = dlopen(libsqlite, {
      sqlite3_open: { args: ["cstring", "ptr"], returns: "i32" },
      sqlite3_exec: { args: ["ptr", "cstring", "ptr", "ptr", "ptr"], returns: "i32" },
      sqlite3_prepare_v2: { args: ["ptr", "cstring", "i32", "ptr", "ptr"], returns: "i32" },
      sqlite3_bind_text: { args: ["ptr", "i32", "cstring", "i32", "ptr"], returns: "i32" },
      sqlite3_bind_int64: { args: ["ptr", "i32", "i64"], returns: "i32" },
      sqlite3_bind_double: { args: ["ptr", "i32", "f64"], returns: "i32" },
      sqlite3_bind_blob: { args: ["ptr", "i32", "ptr", "i32", "ptr"], returns: "i32" },
      sqlite3_step: { args: ["ptr"], returns: "i32" },
      sqlite3_reset: { args: ["ptr"], returns: "i32" },
      sqlite3_column_text: { args: ["ptr", "i32"], returns: "cstring" },
      sqlite3_column_int64: { args: ["ptr", "i32"], returns: "i64" },
      sqlite3_column_double: { args: ["ptr", "i32"], returns: "f64" },
      sqlite3_column_blob: { args: ["ptr", "i32"], returns: "ptr" },
      sqlite3_column_bytes: { args: ["ptr", "i32"], returns: "i32" },
      sqlite3_errmsg: { args: ["ptr"], returns: "cstring" },
      sqlite3_finalize: { args: ["ptr"], returns: "i32" },
      sqlite3_close: { args: ["ptr"], returns: "i32" },
    });
    const { symbols: sqlite } = library;
    // SQLITE_TRANSIENT, an address of -1: SQLite copies the memory
    const transient = -1n;
    const out = new BigUint64Array(memory(8).buffer);
    assertEquals(sqlite.sqlite3_open(":memory:", out), 0);
    const db = Number(out[0]) as Pointer;
    assertEquals(sqlite.sqlite3_exec(db, "create table t (a text, b integer, c real, d blob)", null, null, null), 0);
    assertEquals(sqlite.sqlite3_prepare_v2(db, "insert into t values (?, ?, ?, ?)", -1, out, null), 0);
    const insert = Number(out[0]) as Pointer;
    for (let i = 0; i < 100; i++) {
      sqlite.sqlite3_bind_text(insert, 1, `row ${i} \u20ac`, -1, transient);
      sqlite.sqlite3_bind_int64(insert, 2, 2n ** 62n + BigInt(i));
      sqlite.sqlite3_bind_double(insert, 3, i / 8);
      sqlite.sqlite3_bind_blob(insert, 4, memory([i, 0, 255]), 3, transient);
      assertEquals(sqlite.sqlite3_step(insert), 101);
      sqlite.sqlite3_reset(insert);
    }
    sqlite.sqlite3_finalize(insert);
    assertEquals(sqlite.sqlite3_prepare_v2(db, "select * from t where b = ?", -1, out, null), 0);
    const select = Number(out[0]) as Pointer;
    sqlite.sqlite3_bind_int64(select, 1, 2n ** 62n + 42n);
    assertEquals(sqlite.sqlite3_step(select), 100);
    assertEquals(sqlite.sqlite3_column_text(select, 0), "row 42 \u20ac");
    assertEquals(sqlite.sqlite3_column_int64(select, 1), 2n ** 62n + 42n);
    assertEquals(sqlite.sqlite3_column_double(select, 2), 5.25);
    const blob = sqlite.sqlite3_column_blob(select, 3)!;
    assertEquals([0, 1, 2].map((i) => read.u8(blob, i)), [42, 0, 255]);
    assertEquals(sqlite.sqlite3_column_bytes(select, 3), 3);
    sqlite.sqlite3_finalize(select);
    assertEquals(sqlite.sqlite3_exec(db, "select nonsense", null, null, null), 1);
    assertEquals(String(sqlite.sqlite3_errmsg(db)), "no such column: nonsense");
    assertEquals(sqlite.sqlite3_close(db), 0);
    library.close();
  });

  test("C reads what CString() reads", () => {
    const join = fixture("join", { args: ["cstring", "ptr"], returns: "ptr" });
    const joined = join("\u00e4", cText("\u20ac")) as Pointer;
    assertEquals(CString(joined), "\u00e4\u20ac");
    fixture("release", { args: ["ptr"] })(joined);
  });
});
