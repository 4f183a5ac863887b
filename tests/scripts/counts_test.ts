// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals } from "@std/assert";

type Counts = { passed: number; failed: number; skipped: number };
const script = new URL("../../scripts/counts.mjs", import.meta.url).href;
const { countTests } = await import(script) as {
  countTests: (runner: "deno" | "bun" | "plain", output: string, code: number) => Counts;
};

const counts = (passed: number, failed: number, skipped = 0): Counts => ({ passed, failed, skipped });

test("countTests() reads Deno's summary", () => {
  assertEquals(countTests("deno", "x ... ok (1ms)\n\nok | 43 passed | 0 failed (29ms)\n", 0), counts(43, 0));
  assertEquals(
    countTests("deno", "FAILED | 1 passed (2 steps) | 2 failed (2 steps) | 3 ignored | 1 filtered out (68ms)\n", 1),
    counts(3, 2, 3),
  );
  assertEquals(
    countTests("deno", "\x1b[0m\x1b[32mok\x1b[0m | 2 passed | 0 failed \x1b[0m\x1b[38;5;245m(29ms)\x1b[0m\n", 0),
    counts(2, 0),
  );
});

test("countTests() reads Bun's summary", () => {
  assertEquals(
    countTests("bun", "\n 2 pass\n 1 skip\n 0 fail\nRan 3 tests across 1 file. [8.00ms]\n", 0),
    counts(2, 0, 1),
  );
  assertEquals(
    // A file that throws is one error, and also one of the failures.
    countTests("bun", "\n 1 pass\n 1 todo\n 2 fail\n 1 error\nRan 4 tests across 1 file. [8.00ms]\n", 1),
    counts(1, 2, 1),
  );
});

test("countTests() adds the C tests' lines up", () => {
  const output = "tests/core_list_test (plain)\n12 passed, 0 failed\nlist: 3 passed, 1 failed, 2 skipped\nmake: done\n";
  assertEquals(countTests("plain", output, 2), counts(15, 1, 2));
});

test("countTests() takes the last summary, not one that a test printed", () => {
  const output = "ok | 99 passed | 0 failed (1ms)\nok | 1 passed | 0 failed (2ms)\n";
  assertEquals(countTests("deno", output, 0), counts(1, 0));
});

test("countTests() counts a crash, a silent runner and a file without tests as a failure", () => {
  assertEquals(countTests("deno", "running 3 tests\n", 139), counts(0, 1));
  assertEquals(countTests("bun", "", 0), counts(0, 1));
  assertEquals(countTests("plain", "3 passed, 0 failed\n", 2), counts(3, 1));
  assertEquals(countTests("deno", "ok | 0 passed | 0 failed (1ms)\n", 0), counts(0, 1));
  assertEquals(countTests("deno", "ok | 0 passed | 0 failed | 2 ignored (1ms)\n", 0), counts(0, 0, 2));
});
