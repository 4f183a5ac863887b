// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import process from "node:process";
import { envIfPermitted, platform, runtimeName } from "../../ffi/runtime.ts";
import { isBun, runWith } from "./fixture.ts";

describe("runtime", () => {
  test("runtimeName is the runtime of this program", () => {
    assertEquals(runtimeName, "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node");
  });

  test("platform is that of the process", () => {
    assertEquals(platform.os, process.platform as typeof platform.os);
    assertEquals(platform.arch, process.arch as typeof platform.arch);
  });

  test("envIfPermitted() reads a variable", () => {
    process.env["VMNET_TEST_VARIABLE"] = "value";
    assertEquals(envIfPermitted("VMNET_TEST_VARIABLE"), "value");
    delete process.env["VMNET_TEST_VARIABLE"];
    assertEquals(envIfPermitted("VMNET_TEST_VARIABLE"), undefined);
  });

  test("envIfPermitted() gives undefined and does not ask when it may not read", { skip: isBun }, () => {
    process.env["VMNET_TEST_VARIABLE"] = "value";
    const read = (...flags: string[]) => runWith(flags, "env_program.ts");
    assertEquals(read(), `undefined ${platform.os}`);
    assertEquals(read("--allow-env=OTHER"), `undefined ${platform.os}`);
    assertEquals(read("--allow-env=VMNET_TEST_VARIABLE"), `value ${platform.os}`);
    delete process.env["VMNET_TEST_VARIABLE"];
  });
});
