// SPDX-License-Identifier: MIT

import { assertEquals, assertMatch } from "@std/assert";
import { describe, test } from "node:test";
import { runWith } from "./fixture.ts";

describe("examples", () => {
  const run = (name: string) => runWith(["--allow-ffi"], `../../examples/${name}`);

  test("ffi_qsort.ts sorts", () => {
    assertEquals(run("ffi_qsort.ts"), "50 51.5 48 3 99 -7");
  });

  test("ffi_zlib.ts compresses and restores", () => {
    assertMatch(
      run("ffi_zlib.ts"),
      /^zlib [\d.]+.*: 4400 bytes in \d{2,3}\nAll work and no play makes Jack a dull boy\.$/,
    );
  });

  test("ffi_sqlite.ts asks and is answered", () => {
    assertEquals(run("ffi_sqlite.ts"), "Saturn: 274 moons\nMars: 2 moons");
  });
});
