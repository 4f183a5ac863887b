// SPDX-License-Identifier: MIT

import { assertEquals, assertInstanceOf } from "@std/assert";
import { describe, test } from "node:test";
import { CString, ptr } from "vmnet/ffi";
import { cText, fixture, hot, memory, outcome } from "./fixture.ts";

const texts = [
  "",
  "plain",
  "h\u00e9llo \u20ac",
  "\u{1f600}\u{1f468}\u200d\u{1f469}",
  "\u65e5\u672c\u8a9e",
  "\ufeffmark",
  'tab\tline\nquote"',
  "x".repeat(100_000),
  "\u00fc".repeat(5000),
];

describe("strings", () => {
  test("a cstring argument takes a string as UTF-8", () => {
    const length = fixture("length_of_string", { args: ["cstring"], returns: "i64" });
    for (const text of texts) assertEquals(length(text), BigInt(new TextEncoder().encode(text).length));
    assertEquals(hot(() => length("h\u00e9")), 3n);
  });

  test("a cstring argument ends at a zero byte in the string", () => {
    assertEquals(fixture("length_of_string", { args: ["cstring"], returns: "i64" })("a\0b"), 1n);
  });

  test("a cstring argument takes a lone surrogate as U+FFFD", () => {
    assertEquals(fixture("length_of_string", { args: ["cstring"], returns: "i64" })("\ud800"), 3n);
  });

  test("a cstring argument takes memory and addresses", () => {
    const length = fixture("length_of_string", { args: ["cstring"], returns: "i64" });
    const bytes = cText("hello");
    for (const value of [bytes, bytes.buffer, ptr(bytes), BigInt(ptr(bytes))]) assertEquals(length(value), 5n);
    assertEquals(length(bytes.subarray(2)), 3n);
    assertEquals(length(null), -1n);
  });

  test("two strings of one call do not disturb each other", () => {
    const join = fixture("join", { args: ["cstring", "cstring"], returns: "ptr" });
    const release = fixture("release", { args: ["ptr"] });
    for (const a of texts) {
      for (const b of texts) {
        const joined = join(a, b) as number;
        assertEquals(String(CString(joined as never)), a + b);
        release(joined);
      }
    }
  });

  test("a ptr argument refuses a string", () => {
    assertInstanceOf(outcome(() => fixture("address_of", { args: ["ptr"], returns: "u64" })("text")), TypeError);
  });

  test("a cstring result is a string, and null for NULL", () => {
    const greeting = fixture("greeting", { returns: "cstring" });
    assertEquals(greeting(), "h\u00e9llo \u20ac \u{1f600}");
    assertEquals(hot(greeting), "h\u00e9llo \u20ac \u{1f600}");
    assertEquals(fixture("no_string", { returns: "cstring" })(), null);
  });

  test("a cstring result survives a round trip", () => {
    const identity = fixture("id_cstring", { args: ["ptr"], returns: "cstring" });
    for (const text of texts) assertEquals(identity(cText(text)), text);
  });

  test("a cstring result that is not UTF-8 is taken for Latin-1", () => {
    assertEquals(fixture("latin1", { returns: "cstring" })(), "caf\u00e9");
    const identity = fixture("id_cstring", { args: ["ptr"], returns: "cstring" });
    const cases: readonly (readonly [number[], string])[] = [
      [[0xed, 0xa0, 0x80], "\u00ed\u00a0\u0080"],
      [[0xc0, 0x80], "\u00c0\u0080"],
      [[0xf4, 0x90, 0x80, 0x80], "\u00f4\u0090\u0080\u0080"],
      [[0x80], "\u0080"],
      [[0xc3, 0xa9, 0xff], "\u00c3\u00a9\u00ff"],
      [[0xef, 0xbf, 0xbd], "\ufffd"],
      [[0xef, 0xbb, 0xbf, 0x41], "\ufeffA"],
    ];
    for (const [bytes, text] of cases) assertEquals(identity(memory([...bytes, 0])), text);
  });

  test("CString() reads up to a zero byte", () => {
    for (const text of texts) {
      const bytes = cText(text);
      assertEquals(CString(ptr(bytes)), text);
      assertEquals(CString(BigInt(ptr(bytes))), text);
    }
  });

  test("CString() reads a part", () => {
    const bytes = memory([104, 195, 169, 0, 105, 106, 0]);
    const address = ptr(bytes);
    assertEquals(CString(address, 1), "\u00e9");
    assertEquals(CString(address, 4), "ij");
    assertEquals(CString(address, 4, 1), "i");
    assertEquals(CString(address, 0, 6), "h\u00e9\0ij");
    assertEquals(CString(address, undefined, 3), "h\u00e9");
    assertEquals(CString(ptr(bytes, 4), -4, 3), "h\u00e9");
  });

  test("CString() replaces what is not UTF-8", () => {
    assertEquals(CString(ptr(memory([65, 255, 0]))), "A\ufffd");
    assertEquals(CString(ptr(memory([104, 195])), 0, 2), "h\ufffd");
  });

  test("CString() gives an empty string for a null pointer", () => {
    assertEquals(CString(null), "");
    assertEquals(CString(undefined as never), "");
    assertEquals(CString(0 as never), "");
  });

  test("CString() refuses what is no address, and a length that is not positive", () => {
    for (const value of [memory([65, 0]), "text", {}, true]) {
      assertInstanceOf(outcome(() => CString(value as never)), TypeError);
    }
    const address = ptr(memory([65, 0]));
    for (const length of [0, -1]) assertInstanceOf(outcome(() => CString(address, 0, length)), TypeError);
  });

  test("new CString() reads the same text", () => {
    const text = new CString(ptr(cText("h\u00e9llo")));
    assertEquals(text.toString(), "h\u00e9llo");
    assertEquals(`${text}`, "h\u00e9llo");
    assertEquals(text.length, 5);
    assertEquals(text.startsWith("h"), true);
  });
});
