// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encodeList, List } from "../../vmnet/list.ts";

test("encodeList() writes the bytes that the header describes", () => {
  const bytes = encodeList([["a", 258], ["bc", "é"]]);
  assertEquals([...bytes], [
    ...[1, 1, 0, 0, 8, 0, 0, 0, 97, 2, 1, 0, 0, 0, 0, 0, 0],
    ...[2, 2, 0, 0, 2, 0, 0, 0, 98, 99, 0xc3, 0xa9],
  ]);
});

test("List reads what encodeList() wrote, in order", () => {
  const bytes = encodeList([
    ["number", Number.MAX_SAFE_INTEGER],
    ["yes", true],
    ["text", "name"],
    ["empty", ""],
    ["bytes", Uint8Array.of(1, 2, 3)],
    ["rule", [["port", 1]]],
    ["rule", [["port", 2], ["deep", [["x", "y"]]]]],
  ]);
  const list = new List(bytes);
  assertEquals(list.number("number"), Number.MAX_SAFE_INTEGER);
  assertEquals(list.number("yes"), 1);
  assertEquals(list.text("text"), "name");
  assertEquals(list.text("empty"), "");
  assertEquals(list.bytes("bytes"), Uint8Array.of(1, 2, 3));
  assertEquals(list.lists("rule").map((rule) => rule.number("port")), [1, 2]);
  assertEquals(list.lists("rule")[1]?.lists("deep")[0]?.text("x"), "y");
  assertEquals(list.entries.map(([key]) => key), ["number", "yes", "text", "empty", "bytes", "rule", "rule"]);
});

test("List answers undefined when a key is missing or has another type", () => {
  const list = new List(encodeList([["a", 1]]));
  assertEquals([list.text("a"), list.number("b"), list.bytes("a"), list.lists("a")], [
    undefined,
    undefined,
    undefined,
    [],
  ]);
});

test("List answers the last value when a key occurs several times", () => {
  assertEquals(new List(encodeList([["a", 1], ["a", 2]])).number("a"), 2);
});

test("List keeps nothing of the bytes it was read from", () => {
  const bytes = encodeList([["b", Uint8Array.of(1)]]);
  const list = new List(bytes);
  bytes.fill(0);
  assertEquals(list.bytes("b"), Uint8Array.of(1));
});

test("List passes over types it does not know", () => {
  const bytes = encodeList([["a", 1], ["b", 2]]);
  bytes[0] = 99;
  assertEquals(new List(bytes).entries, [["b", 2]]);
});

test("List throws when an entry reaches beyond the end, wherever it is cut", () => {
  const bytes = encodeList([["key", "value"], ["rule", [["port", 1]]]]);
  const wholes = [0, 16];
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    if (wholes.includes(length)) new List(cut);
    else assertThrows(() => new List(cut), RangeError);
  }
});
