// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { probe, UnsupportedError } from "vmnet";
import { unsafeNetworkFromPointer } from "vmnet/unsafe";

test("unsafeNetworkFromPointer() takes a bigint", async () => {
  for (const wrong of [undefined, null, 8, "8", {}, true]) {
    await assertRejects(() => unsafeNetworkFromPointer(wrong as unknown as bigint), TypeError, "must be a bigint");
  }
});

test("unsafeNetworkFromPointer() refuses what is no pointer", async () => {
  for (const wrong of [0n, -8n, 7n, 4n, 1n << 64n, (1n << 64n) + 8n]) {
    await assertRejects(() => unsafeNetworkFromPointer(wrong), RangeError, `got ${wrong}n`);
  }
});

test("unsafeNetworkFromPointer() answers UnsupportedError where there are no network objects of vmnet", {
  // With them an address that is none ends the process; macos_network_test.ts has a real one
  skip: (await probe()).macos?.networks === true && "there are",
}, async () => {
  const error = await assertRejects(() => unsafeNetworkFromPointer(8n), UnsupportedError);
  assertEquals(error.needs, "macOS 26");
});
