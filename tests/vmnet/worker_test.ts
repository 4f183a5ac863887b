// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertLess } from "@std/assert";
import { Interface, Network } from "vmnet";
import { isVmnet } from "../backend.ts";
import { numbered, numbersOf } from "./frames.ts";
import { Program, runtimes, Scripts } from "./programs.ts";

/** Workers of the web, which the types of Node.js do not know. */
interface WebWorker {
  onmessage: (event: { data: unknown }) => void;
  onerror: (event: { message?: string }) => void;
  terminate(): void;
}
const { Worker } = globalThis as unknown as { Worker: new (url: string, options: { type: "module" }) => WebWorker };

/** A program whose worker owns a network, so that its end can be watched from the main thread. */
const owner = (ending: string) => `
import process from "node:process";
import { readdirSync, readFileSync } from "node:fs";
const main = ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
const source = \`
  const { Interface, Network } = await import("\${main}");
  const network = await Network.create({ mode: "host" });
  const nic = await Interface.start({ network });
  await nic.write(new Uint8Array(60));
  postMessage(network.ipv4Subnet);
  for await (const packet of nic);
\`;
const url = URL.createObjectURL(new Blob([source], { type: "application/typescript" }));
const gateways = () => readdirSync("/proc").filter((name) => /^\\d+$/.test(name)).filter((pid) => {
  try {
    return readFileSync("/proc/" + pid + "/stat", "utf8").includes("(vmnet-gateway) ") &&
      readFileSync("/proc/" + pid + "/stat", "utf8").split(") ")[1].split(" ")[1] === String(process.pid);
  } catch {
    return false;
  }
}).length;
const worker = new Worker(url, { type: "module" });
const subnet = await new Promise((resolve) => worker.onmessage = (event) => resolve(event.data));
console.log("running", gateways());
${ending}
`;

const isLinux = process.platform === "linux";

async function everywhere(source: string, check: (program: Program) => Promise<void>): Promise<void> {
  using scripts = new Scripts();
  const file = scripts.write("owner.ts", source);
  for (const runtime of runtimes) await check(new Program(runtime, file));
}

test("terminating a worker takes its network down within a second", { skip: !isLinux }, async () => {
  const ending = `
const { Network } = await import(main);
worker.terminate();
const start = performance.now();
const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
const create = () => Network.create({ mode: "host", ipv4Subnet: subnet }).catch(() => undefined);
let again;
while (gateways() > 0 && performance.now() - start < 5000) await pause();
const left = gateways();
while ((again = await create()) === undefined && performance.now() - start < 5000) await pause();
console.log("left", left, Math.round(performance.now() - start));
console.log("again", again?.ipv4Subnet === subnet);
await again?.stop();
`;
  await everywhere(owner(ending), async (program) => {
    const { code, output, errors } = await program.end(20_000);
    const [, ms] = /left 0 (\d+)/.exec(output) ?? [];
    // vmnet has no gateway program
    const running = `running ${await isVmnet() ? 0 : 1}`;
    assertEquals([code, output.includes(running), output.includes("again true")], [0, true, true], output + errors);
    assertLess(Number(ms), 1000);
  });
});

test("a process ends although a worker's loop runs", { skip: !isLinux }, async () => {
  await everywhere(owner("process.exit(5);"), async (program) => {
    const { code, ms } = await program.end(20_000);
    assertEquals(code, 5);
    assertLess(ms, 8000);
  });
});

test("a worker has a context of its own, and joins by token", async () => {
  await using network = await Network.create({ mode: "host", dhcp: false });
  await using share = await network.share();
  await using nic = await Interface.start({ network });
  const source = `
    const { Interface, Network } = await import(${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)});
    const network = await Network.join(${JSON.stringify(share.token)});
    const nic = await Interface.start({ network });
    postMessage("ready");
    for await (const packet of nic) await nic.write(packet);
  `;
  const url = URL.createObjectURL(new Blob([source], { type: "application/typescript" }));
  const worker = new Worker(url, { type: "module" });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve();
      worker.onerror = (event) => reject(new Error(event.message));
    });
    await nic.write([numbered(1), numbered(2)]);
    assertEquals(await numbersOf(nic, 2), [1, 2]);
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
});
