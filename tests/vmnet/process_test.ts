// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { ffiFlags } from "../backend.ts";
import { gatewaysOf, hasEnded, Program, runtimes, Scripts } from "./programs.ts";

const isLinux = process.platform === "linux";

/** Runs a script with every runtime. */
async function everywhere(
  source: string,
  check: (program: Program, runtime: string) => Promise<void>,
  flags?: string[],
): Promise<void> {
  using scripts = new Scripts();
  const file = scripts.write("script.ts", source);
  for (const runtime of runtimes) await check(new Program(runtime, file, [], flags), runtime);
}

const tenLines = `
import { Interface } from "vmnet";
await using a = await Interface.start({ mode: "host" });
await using b = await Interface.start({ mode: "host" });
const frame = new Uint8Array(60).fill(0xff, 0, 6);
await a.write(frame);
for await (const packet of b) {
  console.log(packet.length);
  break;
}
`;

test("ten lines run with no permission but --allow-ffi of the library's directory, and end by themselves", async () => {
  await everywhere(tenLines, async (program) => {
    const { code, output, errors } = await program.end();
    assertEquals([code, output, errors], [0, "60\n", ""]);
  }, [...ffiFlags]);
});

test("a script that may not use FFI is told what to do", async () => {
  using scripts = new Scripts();
  const file = scripts.write("script.ts", tenLines);
  if (!runtimes.includes("deno")) return;
  const { code, errors } = await new Program("deno", file, [], ["--no-prompt"]).end();
  assertEquals(code, 1);
  assertStringIncludes(errors, "Cannot open the shim");
  assertStringIncludes(errors, "--allow-ffi");
  const asking = scripts.write("asking.ts", 'import { probe } from "vmnet"; console.log((await probe()).shim.remedy);');
  const { output } = await new Program("deno", asking, [], ["--no-prompt"]).end();
  assertStringIncludes(output, "Run with --allow-ffi=/");
});

test("a missing shim is named, with the command that builds it, when something is started and not before", async () => {
  const source = `
import process from "node:process";
process.env.VMNET_SHIM_PATH = "/nowhere/libvmnet_shim.so";
const { Interface, probe, VmnetError } = await import("vmnet");
const { shim, shared } = await probe();
console.log(shim.works, shim.remedy, shared.works);
const error = await Interface.start({ mode: "host" }).catch((error) => error);
console.log(error instanceof VmnetError, error.code, error.message);
`.replace('import("vmnet")', `import("${new URL("../../mod.ts", import.meta.url)}")`);
  await everywhere(source, async (program) => {
    const { code, output } = await program.end();
    assertEquals(code, 0);
    assertStringIncludes(output, "false Build it: `make -C shim` false");
    assertStringIncludes(output, 'true missing Cannot open the shim: tried "/nowhere/libvmnet_shim.so"');
    assertStringIncludes(output, "(no such file). Build it: `make -C shim`");
  });
});

const forgetful = (ending: string) => `
import process from "node:process";
import { Interface, Network } from "vmnet";
const network = await Network.create({ mode: "host" });
const nic = await Interface.start({ network });
await nic.write(new Uint8Array(60));
console.log("started");
await new Promise((resolve) => process.stdin.once("data", resolve));
process.stdin.destroy();
${ending}
`;

/** A script that does not stop its network, and how it ends. */
const endings = {
  "forgets to stop": ["", 0],
  "has a loop of its own": ["nic.batches()", 0],
  "calls process.exit()": ["process.exit(3);", 3],
  "throws": ['throw new Error("boom");', 1],
  "rejects": ['Promise.reject(new Error("boom"));', 1],
} as const;

for (const [what, [ending, status]] of Object.entries(endings)) {
  test(`a process that ${what} ends, and its network with it`, { skip: !isLinux }, async () => {
    await everywhere(forgetful(ending), async (program) => {
      await program.line(/started/);
      const gateways = gatewaysOf(program.child.pid!);
      assertEquals(gateways.length, 1);
      const start = performance.now();
      program.child.stdin!.write("go\n");
      const { code, signal, errors } = await program.end();
      assertEquals([code, signal], [status, null], errors);
      assertLess(performance.now() - start, 5000);
      await gone(gateways);
    });
  });
}

/** Waits until processes have ended, a second at the most. */
async function gone(pids: number[]): Promise<void> {
  const until = performance.now() + 1000;
  while (!pids.every(hasEnded)) {
    assert(performance.now() < until, `still there: ${pids}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("a killed process leaves no gateway", { skip: !isLinux }, async () => {
  await everywhere(forgetful(""), async (program) => {
    await program.line(/started/);
    const gateways = gatewaysOf(program.child.pid!);
    program.kill("SIGKILL");
    await program.end();
    await gone(gateways);
  });
});

test("an idle interface does not keep the process, a waiting reader does", async () => {
  const source = `
import { Interface } from "vmnet";
const nic = await Interface.start({ mode: "host" });
setTimeout(() => nic.stop(), 200);
for await (const packet of nic);
console.log("loop ended");
const idle = await Interface.start({ mode: "host" });
console.log("idle");
`;
  await everywhere(source, async (program) => {
    const { code, output } = await program.end();
    assertEquals([code, output], [0, "loop ended\nidle\n"]);
  });
});

test("importing opens nothing", { skip: !isLinux }, async () => {
  const source = `
import { readdirSync, readFileSync } from "node:fs";
import * as library from "vmnet";
console.log(readFileSync("/proc/self/maps", "utf8").includes("libvmnet_shim"), Object.keys(library).length > 5);
`;
  await everywhere(source, async (program) => {
    const { output, errors } = await program.end();
    assertEquals([output, errors], ["false true\n", ""]);
  });
});

test("interrupted() resolves with the signal's name, and a second signal ends the process", async () => {
  const source = `
import { interrupted } from "vmnet";
const signal = interrupted();
console.log("waiting");
console.log(await signal);
setTimeout(() => {}, 10_000);
`;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await everywhere(source, async (program) => {
      await program.line(/waiting/);
      await new Promise((resolve) => setTimeout(resolve, 50));
      program.kill(signal);
      await program.line(new RegExp(signal));
      await new Promise((resolve) => setTimeout(resolve, 50));
      program.kill(signal);
      const ending = await program.end();
      assert(ending.signal === signal || ending.code === (signal === "SIGINT" ? 130 : 143), JSON.stringify(ending));
    });
  }
});

test("interrupted() gives up when its signal is aborted", async () => {
  const source = `
import { interrupted } from "vmnet";
const controller = new AbortController();
setTimeout(() => controller.abort("enough"), 20);
console.log(await interrupted({ signal: controller.signal }).catch((reason) => reason));
`;
  await everywhere(source, async (program) => {
    const { code, output } = await program.end();
    assertEquals([code, output], [0, "enough\n"]);
  });
});

const member = `
import process from "node:process";
import { Interface, Network, VmnetError } from "vmnet";
const network = await Network.join(process.argv[2]);
const nic = await Interface.start({ network });
console.log("joined", network.ipv4Subnet);
try {
  for await (const packet of nic) {
    packet.fill(2, 6, 12);
    await nic.write(packet);
  }
} catch (error) {
  console.log("ended", error instanceof VmnetError && error.code);
}
`;

test("a process of the other runtime joins, exchanges frames, and learns of the end", async () => {
  const { Interface, Network } = await import("vmnet");
  const { numbered, numberOf } = await import("./frames.ts");
  using scripts = new Scripts();
  const file = scripts.write("member.ts", member);
  for (const runtime of runtimes) {
    const network = await Network.create({ mode: "host" });
    const share = await network.share();
    const nic = await Interface.start({ network });
    const program = new Program(runtime, file, [share.token]);
    const [, subnet] = await program.line(/joined (\S+)/);
    assertEquals(subnet, network.ipv4Subnet);
    await nic.write([numbered(1), numbered(2)]);
    const numbers: number[] = [];
    for await (const packet of nic) {
      const number = numberOf(packet);
      if (number !== undefined) numbers.push(number);
      if (numbers.length === 2) break;
    }
    assertEquals(numbers, [1, 2]);
    await network.stop();
    await program.line(/ended networkGone/);
    assertEquals((await program.end()).code, 0);
  }
});
