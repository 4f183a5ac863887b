/**
 * What it costs to begin: importing the module, starting an interface until its first frame arrives, keeping an idle
 * one. Every figure comes from processes of their own, because a second start in a process is cheaper than the first.
 * Run by `npm run bench`.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../ffi/runtime.ts";
import { measure } from "./harness.ts";

const library = new URL("../mod.ts", import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), "vmnet-bench-"));

// As a package ships it: one file
const bundle = join(folder, "vmnet.js");
const esbuild = fileURLToPath(new URL("../node_modules/.bin/esbuild", import.meta.url));
const entry = fileURLToPath(new URL("../mod.ts", import.meta.url));
execFileSync(esbuild, [
  entry,
  "--bundle",
  "--format=esm",
  "--platform=neutral",
  "--external:node:*",
  `--outfile=${bundle}`,
], {
  stdio: "ignore",
});

const programs = {
  empty: `console.log(0);`,
  bundled: `import { Interface } from "./vmnet.js"; console.log(typeof Interface === "function" ? 0 : 1);`,
  imported: `import { Interface } from ${
    JSON.stringify(library)
  }; console.log(typeof Interface === "function" ? 0 : 1);`,
  // Two interfaces on a network without DHCP; the first frame of one at the other
  withoutGateway: `
    import { Interface, Network } from ${JSON.stringify(library)};
    const begin = performance.now();
    const network = await Network.create({ mode: "host", dhcp: false });
    const a = await Interface.start({ network });
    const b = await Interface.start({ network });
    const frame = new Uint8Array(60).fill(255, 0, 6);
    frame[6] = 2;
    await a.write(frame);
    for await (const packet of b) { if (packet.length === 60) break; }
    console.log(performance.now() - begin);
    await network.stop();`,
  // vmnet's shared network; the gateway's answer to an ARP request
  withGateway: `
    import { Interface } from ${JSON.stringify(library)};
    const begin = performance.now();
    const nic = await Interface.start({ mode: "shared" });
    const gateway = nic.parameters.startAddress.split(".").map(Number);
    const frame = new Uint8Array(42).fill(255, 0, 6);
    frame.set([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, ...gateway.slice(0, 3), 9], 6);
    frame.set(gateway, 38);
    await nic.write(frame);
    for await (const packet of nic) { if (packet[12] === 8 && packet[13] === 6) break; }
    console.log(performance.now() - begin);
    await nic.stop();`,
  idle: `
    import { Interface, Network } from ${JSON.stringify(library)};
    import process from "node:process";
import { fileURLToPath } from "node:url";
    const rss = () => process.memoryUsage().rss;
    const network = await Network.create({ mode: "host", dhcp: false });
    const nics = [await Interface.start({ network })]; // the first one's share of everything is not the interface's
    const before = rss();
    for (let i = 0; i < 50; i++) nics.push(await Interface.start({ network }));
    console.log((rss() - before) / 50 / 1024);
    await network.stop();`,
};

for (const [name, source] of Object.entries(programs)) writeFileSync(join(folder, `${name}.ts`), source);

function run(name: keyof typeof programs): { printed: number; ms: number } {
  const before = performance.now();
  const args = runtimeName === "deno" ? ["run", "--no-check", "-A"] : [];
  const printed = execFileSync(process.execPath, [...args, join(folder, `${name}.ts`)], { encoding: "utf8" });
  return { printed: Number(printed), ms: performance.now() - before };
}

try {
  const over = (name: "imported" | "bundled") => () => run(name).ms - run("empty").ms;
  over("imported")();
  over("bundled")();
  const results = [
    await measure("import of mod.ts from source, over an empty script", "ms", over("imported")),
    await measure("import of the module in one file, over an empty script", "ms", over("bundled")),
    await measure("start to first frame, without gateway", "ms", () => run("withoutGateway").printed),
    await measure("start to first frame, with gateway", "ms", () => run("withGateway").printed),
    await measure("resident memory of an idle interface", "KiB", () => run("idle").printed, 5),
  ];
  for (const result of results) console.log(JSON.stringify(result));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
