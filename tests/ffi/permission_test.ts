// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { directory, fixturePath, isBun, runWith } from "./fixture.ts";

// On each test: Bun counts a skipped group as no test at all
const skip = isBun && "Bun has no permissions";
const bare = "this needs --allow-ffi without a path, since an address may point anywhere, not only into one library";

describe("permissions", () => {
  test("with --allow-ffi=<path> everything works but addresses", { skip }, () => {
    for (const path of [fixturePath, `${directory}build`]) {
      const output: Record<string, unknown> = JSON.parse(
        runWith([`--allow-ffi=${path}`], "permission_program.ts", fixturePath),
      );
      assertEquals(output, {
        integers: 3,
        "64 bits": "12",
        buffer: 6,
        "pointer: buffer": 6,
        "pointer: number": "4096",
        "pointer result": 4096,
        string: "5",
        "many pointers": 21,
        "detached in between":
          "ERR_INVALID_ARG_TYPE: Cannot call sum_bytes: argument 1 of type buffer takes a buffer " +
          "that is not detached, got Uint8Array",
        ptr: `ERR_ACCESS_DENIED: Cannot take the address of a buffer: ${bare}`,
        read: `ERR_ACCESS_DENIED: Cannot read u8: ${bare}`,
        CString: `ERR_ACCESS_DENIED: Cannot read a string: ${bare}`,
        toArrayBuffer: `ERR_ACCESS_DENIED: Cannot view memory as an ArrayBuffer: ${bare}`,
        "string result": `ERR_ACCESS_DENIED: Cannot read a string that C returned: ${bare}`,
        JSCallback: `ERR_ACCESS_DENIED: Cannot create callback: ${bare}`,
        CFunction: `ERR_ACCESS_DENIED: Cannot link CFunction0: ${bare}`,
        "address of a function": `ERR_ACCESS_DENIED: Cannot take the address of a function: ${bare}`,
      });
    }
  });

  test("with --allow-ffi everything works", { skip }, () => {
    const output: Record<string, unknown> = JSON.parse(runWith(["--allow-ffi"], "permission_program.ts", fixturePath));
    for (const [name, value] of Object.entries(output)) {
      if (name !== "detached in between") assertEquals([name, String(value).includes("Cannot")], [name, false]);
    }
  });

  test("without it dlopen() throws an Error that says so", { skip }, () => {
    const hint = "run again with --allow-ffi, or with --allow-ffi=<path> where that is the path of the library";
    for (const flags of [[], ["--allow-ffi=/nowhere"]]) {
      assertEquals(
        runWith(flags, "permission_program.ts", fixturePath),
        `ERR_ACCESS_DENIED: Cannot open library "${fixturePath}": ${hint}`,
      );
    }
  });

  test("without code from strings the same functions are made another way", { skip }, () => {
    const flags = ["--allow-ffi", "--v8-flags=--disallow-code-generation-from-strings"];
    const output = runWith(flags, "permission_program.ts", fixturePath);
    assertEquals(output, runWith(["--allow-ffi"], "permission_program.ts", fixturePath));
  });

  test("importing the module needs no permission", { skip }, () => {
    assertEquals(runWith([], "permission_program.ts"), "imported");
  });
});
