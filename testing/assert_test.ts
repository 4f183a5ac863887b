// SPDX-License-Identifier: MIT

import { test } from "node:test";
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  fail,
} from "@std/assert";

/** The message with which `fn` fails. Written without `assertThrows`, which is under test itself. */
function messageOf(fn: () => void): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof AssertionError) return error.message;
    throw error;
  }
  throw new Error("Expected the assertion to fail, but it passed");
}

async function rejectionOf(fn: () => Promise<unknown>): Promise<string> {
  const error = await fn().then(() => undefined, (error: unknown) => error);
  if (error instanceof AssertionError) return error.message;
  throw new Error("Expected the assertion to fail, but it passed", { cause: error });
}

function same(actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`Expected "${expected}", but got "${actual}"`);
}

const cyclic = (): unknown => {
  const object: Record<string, unknown> = { name: "loop" };
  object.self = object;
  return object;
};

const equalPairs: [string, unknown, unknown][] = [
  ["numbers", 1, 1],
  ["NaN", NaN, NaN],
  ["0 and -0", 0, -0],
  ["bigints", 10n, 10n],
  ["nested objects in another order", { a: [1, { b: 2 }], c: 3 }, { c: 3, a: [1, { b: 2 }] }],
  ["bytes", new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  ["a view and another of the same bytes elsewhere", new Uint8Array([9, 1, 2]).subarray(1), new Uint8Array([1, 2])],
  ["floats", new Float64Array([NaN, 0]), new Float64Array([NaN, -0])],
  ["array buffers", new Uint8Array([1]).buffer, new Uint8Array([1]).buffer],
  ["maps with object keys", new Map([[{ a: 1 }, 1]]), new Map([[{ a: 1 }, 1]])],
  ["sets in another order", new Set([1, { b: 1 }]), new Set([{ b: 1 }, 1])],
  ["dates", new Date(5), new Date(5)],
  ["regular expressions", /a/g, /a/g],
  ["URLs", new URL("file:///a"), new URL("file:///a")],
  ["errors", new TypeError("x"), new TypeError("x")],
  ["an object without prototype", Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  ["cycles", cyclic(), cyclic()],
];

const differentPairs: [string, unknown, unknown][] = [
  ["number and string", 1, "1"],
  ["number and bigint", 1, 1n],
  ["null and undefined", null, undefined],
  ["a missing key and an undefined one", { a: undefined }, {}],
  ["keys of the same number", { a: undefined }, { b: undefined }],
  ["bytes", new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  ["bytes of another length", new Uint8Array([1]), new Uint8Array([1, 0])],
  ["bytes of another class", new Uint8Array([1]), new Int8Array([1])],
  ["floats", new Float32Array([1]), new Float32Array([2])],
  ["arrays of another length", [1, undefined], [1]],
  ["maps", new Map([["a", 1]]), new Map([["a", 2]])],
  ["sets where one element would match twice", new Set([{ a: 1 }, { a: 1 }]), new Set([{ a: 1 }, { a: 2 }])],
  ["dates", new Date(5), new Date(6)],
  ["errors", new Error("x"), new Error("y")],
  ["classes", new TypeError("x"), new RangeError("x")],
];

for (const [what, a, b] of equalPairs) {
  test(`assertEquals() passes for equal ${what}`, () => {
    assertEquals(a, b);
    same(messageOf(() => assertNotEquals(a, b)).slice(0, 17), "Expected actual: ");
  });
}

for (const [what, a, b] of differentPairs) {
  test(`assertEquals() fails for different ${what}`, () => {
    assertNotEquals(a, b);
    same(messageOf(() => assertEquals(a, b)).split("\n")[0]!, "Values are not equal.");
    same(messageOf(() => assertEquals(b, a, "why")).split("\n")[0]!, "Values are not equal: why");
  });
}

test("assertEquals() shows both values", () => {
  same(
    messageOf(() => assertEquals({ a: 1 }, { a: 2 })),
    "Values are not equal.\n\n    Actual:   { a: 1 }\n    Expected: { a: 2 }\n",
  );
});

test("assert() and assertFalse() take truth as JavaScript does", () => {
  assert(1);
  assertFalse("");
  same(messageOf(() => assert(0, "zero")), "zero");
  same(messageOf(() => assertFalse("x", "text")), "text");
});

test("assertStrictEquals() compares by identity", () => {
  const object = {};
  assertStrictEquals(object, object);
  same(messageOf(() => assertStrictEquals(0, -0)).split("\n")[0]!, "Values are not strictly equal.");
  same(
    messageOf(() => assertStrictEquals({}, object)).split("\n")[0]!,
    "Values have the same structure but are not reference-equal.",
  );
});

test("assertAlmostEquals() takes a tolerance", () => {
  assertAlmostEquals(0.1 + 0.2, 0.3);
  assertAlmostEquals(95, 100, 5);
  same(
    messageOf(() => assertAlmostEquals(94, 100, 5)),
    'Expected actual: "94" to be close to "100": delta "6" is greater than "5".',
  );
  assertMatch(messageOf(() => assertAlmostEquals(NaN, 1)), /to be close/);
});

test("the order assertions fail at their limits", () => {
  assertGreater(2, 1);
  assertGreaterOrEqual(1, 1);
  assertLess(1n, 2n);
  assertLessOrEqual("a", "a");
  same(messageOf(() => assertGreater(1, 1)), "Expect 1 > 1");
  same(messageOf(() => assertGreaterOrEqual(0, 1)), "Expect 0 >= 1");
  same(messageOf(() => assertLess(1, 1)), "Expect 1 < 1");
  same(messageOf(() => assertLessOrEqual(2, 1)), "Expect 2 <= 1");
});

test("assertExists() refuses null and undefined only", () => {
  assertExists(0);
  assertExists("");
  same(messageOf(() => assertExists(null)), 'Expected actual: "null" to not be null or undefined.');
  same(messageOf(() => assertExists(undefined, "x")), 'Expected actual: "undefined" to not be null or undefined: x');
});

test("assertInstanceOf() names both classes", () => {
  assertInstanceOf(new TypeError("x"), Error);
  const wanted = 'Expected object to be an instance of "Date"';
  same(messageOf(() => assertInstanceOf(5, Date)), `${wanted} but was "number".`);
  same(messageOf(() => assertInstanceOf(null, Date)), `${wanted} but was "null".`);
  same(messageOf(() => assertInstanceOf(new Map(), Date)), `${wanted} but was "Map".`);
  same(messageOf(() => assertInstanceOf(Date, Date)), `${wanted} but was not an instanced object.`);
});

test("the string and array assertions say what is missing", () => {
  assertMatch("abc", /b/);
  assertStringIncludes("abc", "bc");
  assertArrayIncludes([1, { a: 1 }], [{ a: 1 }]);
  same(messageOf(() => assertMatch("a", /b/)), 'Expected actual: "a" to match: "/b/".');
  same(messageOf(() => assertStringIncludes("a", "b")), 'Expected actual: "a" to contain: "b".');
  same(
    messageOf(() => assertArrayIncludes([1, 2], [2, 3])),
    'Expected actual: "[ 1, 2 ]" to include: "[ 2, 3 ]".\nmissing: [ 3 ]',
  );
});

test("assertThrows() returns the error, checks its class and text", () => {
  const error = new TypeError("wrong name");
  const thrower = () => {
    throw error;
  };
  assertStrictEquals(assertThrows(thrower), error);
  assertStrictEquals(assertThrows(thrower, TypeError, "name"), error);
  assertStrictEquals(
    assertThrows(() => {
      throw 5;
    }),
    5,
  );
  same(messageOf(() => assertThrows(() => {})), "Expected function to throw.");
  same(messageOf(() => assertThrows(() => {}, "why")), "Expected function to throw: why");
  same(
    messageOf(() => assertThrows(thrower, RangeError)),
    'Expected error to be instance of "RangeError", but was "TypeError".',
  );
  same(
    messageOf(() => assertThrows(thrower, TypeError, "other")),
    'Expected error message to include "other", but got "wrong name".',
  );
  same(
    messageOf(() =>
      assertThrows(() => {
        throw 5;
      }, Error)
    ),
    "A non-Error object was thrown.",
  );
});

test("assertRejects() resolves to the error, checks its class and text", async () => {
  const error = new RangeError("too far");
  const rejecter = () => Promise.reject(error);
  assertStrictEquals(await assertRejects(rejecter), error);
  assertStrictEquals(await assertRejects(rejecter, RangeError, "far"), error);
  same(await rejectionOf(() => assertRejects(() => Promise.resolve())), "Expected function to reject.");
  same(
    await rejectionOf(() => assertRejects(rejecter, TypeError)),
    'Expected error to be instance of "TypeError", but was "RangeError".',
  );
  same(
    await rejectionOf(() => assertRejects(rejecter, RangeError, "near")),
    'Expected error message to include "near", but got "too far".',
  );
  same(
    await rejectionOf(() =>
      assertRejects(() => {
        throw error;
      })
    ),
    "Function throws when expected to reject.",
  );
  same(await rejectionOf(() => assertRejects(() => Promise.reject(5), Error)), "A non-Error object was rejected.");
});

test("fail() fails", () => {
  same(messageOf(() => fail()), "Failed assertion.");
  same(messageOf(() => fail("here")), "Failed assertion: here");
});
