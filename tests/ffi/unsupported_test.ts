// SPDX-License-Identifier: MIT

import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { FFIType, suffix } from "vmnet/ffi";
import { unsupportedBackend } from "../../ffi/unsupported.ts";
import { directory, isBun, outcome } from "./fixture.ts";

describe("unsupportedBackend()", () => {
  const cause = new Error("why");
  const backend = unsupportedBackend(cause);
  const calls: Record<string, () => unknown> = {
    CFunction: () => backend.CFunction({ ptr: 1 as never }),
    CString: () => backend.CString(null),
    JSCallback: () => new backend.JSCallback(() => {}, {}),
    cc: () => backend.cc({ source: "x.c", symbols: {} }),
    dlopen: () => backend.dlopen("x", {}),
    linkSymbols: () => backend.linkSymbols({}),
    "native.dlopen": () => backend.native.dlopen(),
    ptr: () => backend.ptr(new Uint8Array(1)),
    "read.u8": () => backend.read.u8(1 as never),
    "read.intptr": () => backend.read.intptr(1 as never),
    toArrayBuffer: () => backend.toArrayBuffer(1 as never),
    toBuffer: () => backend.toBuffer(1 as never),
    viewSource: () => backend.viewSource({}),
  };

  for (const [name, call] of Object.entries(calls)) {
    test(`${name} throws on use, with the cause`, () => {
      const error = outcome(call);
      assertInstanceOf(error, Error);
      assertStringIncludes(error.message, `Cannot use ${name}: `);
      assertEquals(error.cause, cause);
    });
  }

  const root = fileURLToPath(new URL("../../", import.meta.url));
  const esbuild = join(root, "node_modules/.bin/esbuild");
  // Once is enough, the program is the same
  const skip = isBun ? "done in Deno" : !existsSync(esbuild) && "esbuild is not installed";
  test("Node.js imports the module, and dlopen() throws when it is called", { skip }, () => {
    const outfile = join(directory, "build/node.mjs");
    const options = ["--bundle", "--format=esm", "--platform=node", "--log-level=error", `--outfile=${outfile}`];
    execFileSync(esbuild, [join(root, "ffi/mod.ts"), ...options]);
    const input = `import { dlopen } from ${JSON.stringify(outfile)};
      try { dlopen("x", {}); } catch (error) { console.log(error.message); }`;
    // Through a shell, since Deno takes a call of node for one of itself
    const output = execFileSync("sh", ["-c", "node --input-type=module"], { input, encoding: "utf8" });
    rmSync(outfile);
    assertEquals(
      output,
      "Cannot use dlopen: node has no foreign function interface, run the program in Deno or Bun\n",
    );
  });

  test("FFIType and suffix are there", () => {
    assertEquals({ ...backend.FFIType } as Record<string, number>, { ...FFIType } as Record<string, number>);
    assertEquals(backend.suffix, suffix);
  });
});
