// npm run bench: every benchmark in both runtimes, taking turns, so that a slow minute of the machine hits both.
//
//   npm run bench                      all, in Deno and Bun
//   npm run bench -- --only drain      those whose name contains "drain"
//   npm run bench -- --json FILE       also writes [{ name, runtime, median, unit, ceiling, ratio, spread, rounds }]
//
// "ceiling" is the same work in C (or the peer that the name says), in the same process and the same rounds; "ratio" is
// the median of the ratios of the rounds.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { run } from "./run.mjs";
import { root, runtimeEnvironment, runtimePath } from "./runtimes.mjs";

// Each program prints one JSON line per result. A turn is short; a benchmark that needs a guest takes one long turn.
const programs = [
  { file: "bench/drain.ts", turns: 3, minutes: 3 },
  { file: "bench/doorbell.ts", turns: 3, minutes: 3 },
  { file: "bench/echo.ts", turns: 3, minutes: 3 },
  { file: "bench/packet.ts", turns: 3, minutes: 3 },
  { file: "bench/pcapng.ts", turns: 3, minutes: 3 },
  { file: "bench/start.ts", turns: 1, minutes: 5 },
  { file: "bench/guest_tcp.ts", turns: 1, minutes: 20 },
];

const { values: options } = parseArgs({ options: { only: { type: "string" }, json: { type: "string" } } });

const build = await run("make", ["-C", join(root, "shim"), "bench"], { timeoutMs: 300_000 });
if (build.code !== 0) {
  process.stderr.write(build.output);
  process.exit(1);
}

/** npm packages that decode frames. Their install scripts build what captures packets, and are not run. */
const peers = { folder: join(root, "shim/build/packet_peers"), packages: ["cap@0.2.1", "pcap@3.1.0"] };

if ("bench/packet.ts".includes(options.only ?? "") && !existsSync(join(peers.folder, "node_modules"))) {
  mkdirSync(peers.folder, { recursive: true });
  const switches = ["--prefix", peers.folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  process.stderr.write(`npm install ${peers.packages.join(" ")}, below shim/build: 2 MB\n`);
  const { code, output } = await run("npm", ["install", ...switches, ...peers.packages], { timeoutMs: 300_000 });
  if (code !== 0) process.stderr.write(`Going on without them: ${output.trim().split("\n").at(-1)}\n`);
}

const results = new Map();
let failed = 0;
for (const { file, turns, minutes } of programs.filter(({ file }) => file.includes(options.only ?? ""))) {
  for (let turn = 0; turn < turns; turn++) {
    for (const runtime of turn % 2 === 0 ? ["deno", "bun"] : ["bun", "deno"]) {
      const program = runtimePath(runtime);
      if (!program) continue;
      process.stderr.write(`${file} in ${runtime}, turn ${turn + 1} of ${turns}\n`);
      const { code, output } = await run(program, [...(runtime === "deno" ? ["run", "-A"] : []), join(root, file)], {
        timeoutMs: minutes * 60_000,
        env: { ...runtimeEnvironment(), VMNET_SHIM_PATH: join(root, "shim/build/libvmnet_bench.so") },
      });
      for (const line of output.split("\n").filter((line) => line.startsWith('{"name"'))) {
        const result = JSON.parse(line);
        const key = `${result.name}\n${result.runtime}`;
        results.set(key, [...(results.get(key) ?? []), result]);
      }
      if (code !== 0) {
        failed++;
        process.stderr.write(`Cannot finish ${file} in ${runtime}: status ${code}\n${output}\n`);
      }
    }
  }
}

/** The turns of one benchmark as one row: the turn with the middle ratio, or the middle figure. */
function middle(list) {
  const sorted = [...list].sort((a, b) => (a.ratio ?? a.median) - (b.ratio ?? b.median));
  const chosen = sorted[Math.floor((sorted.length - 1) / 2)];
  return { ...chosen, rounds: list.reduce((sum, { rounds }) => sum + rounds, 0) };
}

const rows = [...results.values()].map(middle).sort((a, b) => a.name.localeCompare(b.name));
const width = Math.max(10, ...rows.map(({ name }) => name.length));
console.log(`${"benchmark".padEnd(width)}  runtime     median  ceiling  unit        ratio`);
for (const { name, runtime, median, ceiling, unit, ratio, spread } of rows) {
  const figures = [
    name.padEnd(width),
    runtime.padEnd(7),
    String(median).padStart(10),
    String(ceiling ?? "").padStart(8),
  ];
  const tail = ratio === null ? "" : `${ratio} (${spread[0]} to ${spread[1]})`;
  console.log(`${figures.join("  ")}  ${unit.padEnd(10)}  ${tail}`);
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
process.exit(failed === 0 ? 0 : 1);
