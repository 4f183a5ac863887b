// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { directory, fixturePath, isBun, runWith } from "./fixture.ts";

const skip = isBun && "Bun has no permissions";
const bare = "this needs --allow-ffi without a path, since an address may point anywhere, not only into one library";

describe("permissions", { skip }, () => {
  test("with --allow-ffi=<path> everything works but addresses", () => {
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

  test("with --allow-ffi everything works", () => {
    const output: Record<string, unknown> = JSON.parse(runWith(["--allow-ffi"], "permission_program.ts", fixturePath));
    for (const [name, value] of Object.entries(output)) {
      assertEquals([name, String(value).includes("Cannot")], [name, false]);
    }
  });

  test("without it dlopen() throws an Error that says so", () => {
    const hint = "run again with --allow-ffi, or with --allow-ffi=<path> where that is the path of the library";
    for (const flags of [[], ["--allow-ffi=/nowhere"]]) {
      assertEquals(
        runWith(flags, "permission_program.ts", fixturePath),
        `ERR_ACCESS_DENIED: Cannot open library "${fixturePath}": ${hint}`,
      );
    }
  });

  test("without code from strings the same functions are made another way", () => {
    const flags = ["--allow-ffi", "--v8-flags=--disallow-code-generation-from-strings"];
    const output = runWith(flags, "permission_program.ts", fixturePath);
    assertEquals(output, runWith(["--allow-ffi"], "permission_program.ts", fixturePath));
  });

  test("importing the module needs no permission", () => {
    assertEquals(runWith([], "permission_program.ts"), "imported");
  });
});
