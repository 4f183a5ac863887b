// SPDX-License-Identifier: MIT

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertLess, assertStringIncludes } from "@std/assert";

const script = fileURLToPath(new URL("../../scripts/setup.mjs", import.meta.url));

/** The real `node`: a test must not depend on what else the PATH holds. */
const node = spawnSync("node", ["-p", "process.execPath"], { encoding: "utf8" }).stdout.trim();

function setup(env: Record<string, string>): { status: number | null; stderr: string; ms: number } {
  const start = performance.now();
  const { status, stderr } = spawnSync(node, [script, "test"], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { status, stderr, ms: performance.now() - start };
}

test("setup has an answer within a second, and the same one twice", () => {
  const runs = [1, 2, 3].map(() => setup({ VMNET_SETUP: "no" }));
  for (const { status, stderr } of runs) {
    assertEquals(status, 0);
    assertEquals(stderr, runs[0]!.stderr);
  }
  // The fastest of three: another test may keep the processors busy. What is missing takes apt a second to size up.
  const limit = runs[0]!.stderr === "" ? 1000 : 5000;
  assertLess(Math.min(...runs.map(({ ms }) => ms)), limit);
});

test("setup says what is missing and fetches nothing when VMNET_SETUP=no", () => {
  const cache = mkdtempSync(join(tmpdir(), "vmnet-setup-"));
  try {
    // With an empty PATH nothing is there, apt-get included, so it could not do harm either.
    const { status, stderr } = setup({ VMNET_SETUP: "no", PATH: cache, XDG_CACHE_HOME: cache });
    assertEquals(status, 0);
    for (const text of ["qemu-system-x86", "make", "busybox-static", "tshark", "VMNET_SETUP=no: nothing is fetched"]) {
      assertStringIncludes(stderr, text);
    }
    assertStringIncludes(stderr, "Going on without");
  } finally {
    rmSync(cache, { recursive: true });
  }
});
