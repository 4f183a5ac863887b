// SPDX-License-Identifier: MIT

import { assertEquals, assertInstanceOf } from "@std/assert";
import { describe, test } from "node:test";
import type { FFITypeName } from "vmnet/ffi";
import { fixture, hot, outcome } from "./fixture.ts";

/** Marks a value that is refused with a TypeError. */
const T = TypeError;

const columns = [
  "i8",
  "u8",
  "i16",
  "u16",
  "i32",
  "u32",
  "i64",
  "u64",
  "i64_fast",
  "u64_fast",
  "f64",
  "f32",
  "bool",
] as FFITypeName[];

/** What an identity function of each type gives for a value. Measured in Bun 1.4.5. */
// deno-fmt-ignore
const table: readonly (readonly [unknown, readonly unknown[]])[] = [
  [0, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, 0, 0, false]],
  [1, [1, 1, 1, 1, 1, 1, 1n, 1n, 1, 1, 1, 1, true]],
  [127, [127, 127, 127, 127, 127, 127, 127n, 127n, 127, 127, 127, 127, true]],
  [128, [-128, 128, 128, 128, 128, 128, 128n, 128n, 128, 128, 128, 128, true]],
  [200, [-56, 200, 200, 200, 200, 200, 200n, 200n, 200, 200, 200, 200, true]],
  [255, [-1, 255, 255, 255, 255, 255, 255n, 255n, 255, 255, 255, 255, true]],
  [256, [0, 0, 256, 256, 256, 256, 256n, 256n, 256, 256, 256, 256, true]],
  [300, [44, 44, 300, 300, 300, 300, 300n, 300n, 300, 300, 300, 300, true]],
  [65535, [-1, 255, -1, 65535, 65535, 65535, 65535n, 65535n, 65535, 65535, 65535, 65535, true]],
  [65536, [0, 0, 0, 0, 65536, 65536, 65536n, 65536n, 65536, 65536, 65536, 65536, true]],
  [-0, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, -0, -0, false]],
  [-1, [-1, 255, -1, 65535, -1, 4294967295, -1n, 18446744073709551615n, -1, 18446744073709551615n, -1, -1, true]],
  [1.9, [1, 1, 1, 1, 1, 1, 1n, 1n, 1, 1, 1.9, 1.899999976158142, true]],
  [-1.9, [-1, 255, -1, 65535, -1, 4294967295, -1n, 18446744073709551615n, -1, 18446744073709551615n, -1.9, -1.899999976158142, true]],
  [-129, [127, 127, -129, 65407, -129, 4294967167, -129n, 18446744073709551487n, -129, 18446744073709551487n, -129, -129, true]],
  [2 ** 31, [0, 0, 0, 0, -2147483648, 2147483648, 2147483648n, 2147483648n, 2147483648, 2147483648, 2147483648, 2147483648, true]],
  [2 ** 32 - 1, [-1, 255, -1, 65535, -1, 4294967295, 4294967295n, 4294967295n, 4294967295, 4294967295, 4294967295, 4294967296, true]],
  [2 ** 32 + 5, [5, 5, 5, 5, 5, 5, 4294967301n, 4294967301n, 4294967301, 4294967301, 4294967301, 4294967296, true]],
  [-(2 ** 31) - 1, [-1, 255, -1, 65535, 2147483647, 2147483647, -2147483649n, 18446744071562067967n, -2147483649, 18446744071562067967n, -2147483649, -2147483648, true]],
  [2 ** 53, [0, 0, 0, 0, 0, 0, 9007199254740992n, 9007199254740992n, 9007199254740992n, 9007199254740992n, 9007199254740992, 9007199254740992, true]],
  [2 ** 53 + 2, [2, 2, 2, 2, 2, 2, 9007199254740994n, 9007199254740994n, 9007199254740994n, 9007199254740994n, 9007199254740994, 9007199254740992, true]],
  [-(2 ** 53), [0, 0, 0, 0, 0, 0, -9007199254740992n, 18437736874454810624n, -9007199254740992n, 18437736874454810624n, -9007199254740992, -9007199254740992, true]],
  [2 ** 63, [0, 0, 0, 0, 0, 0, -9223372036854775808n, 9223372036854775808n, -9223372036854775808n, 9223372036854775808n, 9223372036854776000, 9223372036854776000, true]],
  [-(2 ** 63), [0, 0, 0, 0, 0, 0, -9223372036854775808n, 9223372036854775808n, -9223372036854775808n, 9223372036854775808n, -9223372036854776000, -9223372036854776000, true]],
  [2 ** 64, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, 18446744073709552000, 18446744073709552000, true]],
  [2 ** 64 + 4096, [0, 0, 4096, 4096, 4096, 4096, 4096n, 4096n, 4096, 4096, 18446744073709556000, 18446744073709552000, true]],
  [2 ** 65, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, 36893488147419103000, 36893488147419103000, true]],
  [1e30, [0, 0, 0, 0, 0, 0, 5076964154930102272n, 5076964154930102272n, 5076964154930102272n, 5076964154930102272n, 1e30, 1.0000000150474662e+30, true]],
  [NaN, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, NaN, NaN, false]],
  [Infinity, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, Infinity, Infinity, true]],
  [-Infinity, [0, 0, 0, 0, 0, 0, 0n, 0n, 0, 0, -Infinity, -Infinity, true]],
  [undefined, [0, 0, 0, 0, 0, 0, T, T, T, T, NaN, NaN, false]],
  [null, [0, 0, 0, 0, 0, 0, T, T, T, T, 0, 0, false]],
  [true, [1, 1, 1, 1, 1, 1, T, T, T, T, 1, 1, true]],
  [false, [0, 0, 0, 0, 0, 0, T, T, T, T, 0, 0, false]],
  ["3", [T, T, T, T, T, T, T, T, T, T, T, T, true]],
  ["", [T, T, T, T, T, T, T, T, T, T, T, T, false]],
  ["x", [T, T, T, T, T, T, T, T, T, T, T, T, true]],
  [5n, [5, 5, 5, 5, 5, 5, 5n, 5n, 5, 5, 5, 5, true]],
  [-5n, [-5, 251, -5, 65531, -5, 4294967291, -5n, 18446744073709551611n, -5, 18446744073709551611n, -5, -5, true]],
  [2n ** 63n, [0, 0, 0, 0, 0, 0, -9223372036854775808n, 9223372036854775808n, -9223372036854775808n, 9223372036854775808n, 9223372036854776000, 9223372036854776000, true]],
  [2n ** 64n - 1n, [-1, 255, -1, 65535, -1, 4294967295, -1n, 18446744073709551615n, -1, 18446744073709551615n, 18446744073709552000, 18446744073709552000, true]],
  [2n ** 64n + 7n, [7, 7, 7, 7, 7, 7, 7n, 7n, 7, 7, 18446744073709552000, 18446744073709552000, true]],
  [-(2n ** 63n) - 1n, [-1, 255, -1, 65535, -1, 4294967295, 9223372036854775807n, 9223372036854775807n, 9223372036854775807n, 9223372036854775807n, -9223372036854776000, -9223372036854776000, true]],
  [{}, [0, 0, 0, 0, 0, 0, T, T, T, T, NaN, NaN, true]],
  [{ valueOf: () => 7 }, [7, 7, 7, 7, 7, 7, T, T, T, T, 7, 7, true]],
  [[], [0, 0, 0, 0, 0, 0, T, T, T, T, 0, 0, true]],
  [[3], [3, 3, 3, 3, 3, 3, T, T, T, T, 3, 3, true]],
  [Symbol("s"), [T, T, T, T, T, T, T, T, T, T, T, T, true]],
  [() => {}, [0, 0, 0, 0, 0, 0, T, T, T, T, NaN, NaN, true]],
  [new Date(5), [5, 5, 5, 5, 5, 5, T, T, T, T, 5, 5, true]],
  [new Number(4), [4, 4, 4, 4, 4, 4, T, T, T, T, 4, 4, true]],
  [new Uint8Array([9, 9]), [0, 0, 0, 0, 0, 0, T, T, T, T, NaN, NaN, true]],
  [new ArrayBuffer(12), [0, 0, 0, 0, 0, 0, T, T, T, T, NaN, NaN, true]],
];

function identity(type: FFITypeName): (value: unknown) => unknown {
  return fixture(`id_${type.replace("_fast", "")}`, { args: [type], returns: type });
}

function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (Object.is(value, -0)) return "-0";
  return typeof value === "object" && value !== null ? Object.prototype.toString.call(value) : String(value);
}

describe("numbers", () => {
  columns.forEach((type, column) => {
    test(`a function converts ${type} as Bun does`, () => {
      const convert = identity(type);
      for (const [value, row] of table) {
        const expected = row[column];
        const actual = outcome(() => convert(value));
        if (expected === T) assertInstanceOf(actual, TypeError, `${type}(${show(value)})`);
        else assertEquals([show(value), actual], [show(value), expected]);
      }
    });

    test(`a function converts ${type} the same when it is hot`, () => {
      const convert = identity(type);
      for (const [value, row] of table) {
        if (row[column] !== T) assertEquals([show(value), hot(() => convert(value))], [show(value), row[column]]);
      }
    });
  });

  const aliases = {
    i8: ["int8_t"],
    u8: ["uint8_t"],
    i16: ["int16_t"],
    u16: ["uint16_t"],
    i32: ["int32_t", "int", "c_int"],
    u32: ["uint32_t", "c_uint"],
    i64: ["int64_t", "isize"],
    u64: ["uint64_t", "usize"],
    f64: ["double"],
    f32: ["float"],
  } as const;
  for (const [type, names] of Object.entries(aliases)) {
    for (const name of names) {
      test(`a function takes ${name} for ${type}`, () => {
        const convert = fixture(`id_${type}`, { args: [name], returns: name });
        assertEquals(convert(-3), identity(type as FFITypeName)(-3));
      });
    }
  }

  test("char is signed", () => {
    const char = fixture("id_char", { args: ["char"], returns: "char" });
    assertEquals([char(200), char(127), char(-1)], [-56, 127, -1]);
  });

  test("i64_fast gives a number up to 2^53 - 1", () => {
    const convert = fixture("id_i64", { args: ["i64"], returns: "i64_fast" });
    assertEquals(convert(2n ** 53n - 1n), 2 ** 53 - 1);
    assertEquals(convert(2n ** 53n), 2n ** 53n);
    assertEquals(convert(-(2n ** 53n) + 1n), -(2 ** 53) + 1);
    assertEquals(convert(-(2n ** 53n)), -(2n ** 53n));
  });

  test("u64_fast gives a number up to 2^53 - 2", () => {
    const convert = fixture("id_u64", { args: ["u64"], returns: "u64_fast" });
    assertEquals(convert(2n ** 53n - 2n), 2 ** 53 - 2);
    assertEquals(convert(2n ** 53n - 1n), 2n ** 53n - 1n);
    assertEquals(convert(2n ** 64n - 1n), 2n ** 64n - 1n);
  });

  test("a bool result is true for every byte but 0", () => {
    const truth = fixture("truth", { args: ["i32"], returns: "bool" });
    assertEquals([0, 1, 2, 255, 256].map((value) => truth(value)), [false, true, true, true, false]);
  });

  test("a void result is undefined", () => {
    assertEquals(fixture("nothing", {})(), undefined);
    assertEquals(fixture("add", { args: ["i32", "i32"] })(1, 2), undefined);
  });

  test("valueOf() of an object is called once, and its error is passed on", () => {
    const convert = identity("i32");
    let calls = 0;
    assertEquals(convert({ valueOf: () => (calls++, "12") }), 12);
    assertEquals(calls, 1);
    const error = new RangeError("no");
    assertEquals(
      outcome(() =>
        convert({
          valueOf: () => {
            throw error;
          },
        })
      ),
      error,
    );
  });

  test("arguments beyond the declared ones are ignored", () => {
    assertEquals(fixture("add", { args: ["i32", "i32"], returns: "i32" })(1, 2, 3, "x"), 3);
  });
});
