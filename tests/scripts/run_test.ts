// SPDX-License-Identifier: MIT

import { test } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertLess } from "@std/assert";

interface Result {
  code: number;
  output: string;
  timedOut: boolean;
  missing: boolean;
}

const script = new URL("../../scripts/run.mjs", import.meta.url).href;
const { run, which } = await import(script) as {
  run: (command: string, args: string[], options?: Record<string, unknown>) => Promise<Result>;
  which: (name: string) => string | undefined;
};

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 100 && alive(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 20));
  return !alive(pid);
}

test("run() answers with the status and everything printed", async () => {
  const result = await run("sh", ["-c", "echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three; exit 3"]);
  assertEquals(result, { code: 3, output: "one\ntwo\nthree", timedOut: false, missing: false });
});

test("run() says when there is no such program", async () => {
  const result = await run("vmnet-no-such-program", []);
  assertEquals([result.code, result.missing], [127, true]);
});

test("run() reports a signal as the shell does", async () => {
  assertEquals((await run("sh", ["-c", "kill -SEGV $$"])).code, 139);
});

test("run() ends a command that takes too long, with everything it started", async () => {
  const start = performance.now();
  const result = await run("sh", ["-c", "sleep 60 & echo $!; wait"], { timeoutMs: 300 });
  assertEquals(result.timedOut, true);
  assertLess(performance.now() - start, 10_000);
  assert(await gone(Number(result.output)), "the grandchild is still alive");
});

test("run() ends what a command left behind, and does not wait for it", async () => {
  const start = performance.now();
  const result = await run("sh", ["-c", "sleep 60 & echo $!"]);
  assertEquals([result.code, result.timedOut], [0, false]);
  assertLess(performance.now() - start, 10_000);
  assert(await gone(Number(result.output)), "the grandchild is still alive");
});

test("which() finds programs and nothing else", () => {
  assert(which("sh")?.startsWith("/"));
  assertEquals(which("vmnet-no-such-program"), undefined);
});
