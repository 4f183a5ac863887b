/**
 * `npm run bench:peers`: ours beside whatever else carries frames between virtual machines and out of them, in one run.
 *
 * `scripts/peers.mjs` starts it, inside a private network where that can be had; see there for its options.
 *
 * @module
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { frameBars, frameLimits, measureFrames, shownFrames } from "./frames.ts";
import { measureGuests, measureNamespaces, natBars, natLimits, natPeers, noGuests, shownNat } from "./nat.ts";
import { picture } from "./picture.ts";
import { Program, runtimes, versionOf, which } from "./programs.ts";
import { asMarkdown, asText, judge, type Role, type Row, rowsOf, type Series } from "./report.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean" },
    rounds: { type: "string" },
    only: { type: "string" },
    json: { type: "string" },
    picture: { type: "string" },
    markdown: { type: "string" },
  },
});
const quick = options.quick === true;
const given = options.rounds === undefined ? undefined : Number(options.rounds);
const wants = (part: string) => (options.only ?? part).split(",").includes(part);
const say = (text: string) => process.stderr.write(`${text}\n`);

/** Shares of time since the last look that somebody else had the processors, in percent. */
function stolen(): () => string {
  const read = () => readFileSync("/proc/stat", "utf8").split("\n")[0]!.split(/\s+/).slice(1, 9).map(Number);
  const before = read();
  return () => {
    const spent = read().map((ticks, i) => ticks - before[i]!);
    return (100 * spent[7]! / spent.reduce((a, b) => a + b, 0)).toFixed(1);
  };
}

async function versions(): Promise<string[]> {
  const list = await Promise.all([
    ...runtimes.map(async ({ name, path }) =>
      `${name} ${(await versionOf(path, ["--version"]))?.match(/\d+\.\d+\.\d+/)?.[0]}`
    ),
    versionOf("vde_switch", ["--version"], "vde2"),
    versionOf("slirp4netns", ["--version"], "slirp4netns"),
    versionOf("qemu-system-x86_64", ["--version"], "qemu-system-x86"),
    versionOf("passt", ["--version"], "passt"),
    versionOf("gvproxy", ["-version"]),
    versionOf("iperf3", ["--version"], "iperf3"),
  ]);
  return list.filter((text) => text !== undefined);
}

const parts: { name: string; measure: (folder: string) => Promise<Series[]> }[] = [
  {
    name: "frames",
    measure: (folder) =>
      measureFrames(folder, {
        rounds: given ?? (quick ? 3 : 15),
        fineRounds: given ?? (quick ? 5 : 31),
        ms: quick ? 80 : 200,
        fineMs: quick ? 150 : 500,
      }),
  },
  { name: "nat", measure: (folder) => measureNamespaces(folder, given ?? (quick ? 1 : 7)) },
  { name: "guests", measure: (folder) => measureGuests(folder, given ?? 9) },
];

/** Why a part cannot be measured here. */
function obstacle(part: string): string | undefined {
  if (part === "frames") return undefined;
  if (!process.env.VMNET_TEST_OUTSIDE) return "there is no private network here";
  if (!which("iperf3")) return "iperf3 is not installed";
  if (part === "guests") return quick ? "--quick goes without" : noGuests();
  return undefined;
}

async function main(): Promise<boolean> {
  if (runtimes.length === 0) throw new Error("Cannot measure: neither Deno nor Bun is here");
  const begin = performance.now();
  const steal = stolen();
  const folder = mkdtempSync(join(tmpdir(), "vmnet-peers-"));
  const series: Series[] = [];
  const absent: { test: string; subject: string; unit: string; note: string }[] = [];
  const notes: string[] = [];
  let failed = false;
  try {
    if (process.env.VMNET_TEST_OUTSIDE) {
      // Of this namespace alone, and what a desktop has: with the kernel's 10 vde_switch waits for its clients all the
      // time
      try {
        writeFileSync("/proc/sys/net/unix/max_dgram_qlen", "512");
      } catch {
        notes.push("net.unix.max_dgram_qlen is as it was: a handicap for vde_switch where it is 10");
      }
    }
    for (const { name, measure } of parts.filter(({ name }) => wants(name))) {
      const why = obstacle(name);
      if (why) notes.push(`${name}: not measured, ${why}`);
      else {
        try {
          series.push(...await measure(folder));
        } catch (error) {
          failed = true;
          notes.push(`${name}: ${(error as Error).message}`);
        }
      }
      for (const program of Program.all.splice(0)) program.end();
    }
  } finally {
    for (const program of Program.all) program.end();
    rmSync(folder, { recursive: true, force: true });
  }
  if (!which("vde_switch")) {
    absent.push({ test: shownFrames[0]!, subject: "vde_switch", unit: "frames/s", note: "not installed" });
  }
  for (const [program, subject, tests] of natPeers) {
    for (const test of which(program) ? [] : tests) {
      if (series.some((one) => one.test === test)) {
        absent.push({ test, subject, unit: "Mbit/s", note: "not installed" });
      }
    }
  }
  const rows = rowsOf(series, { ...frameLimits, ...natLimits }, absent);
  const verdicts = judge(series, [...frameBars(), ...natBars]);
  const machine = {
    processors: `${cpus().length} x ${cpus()[0]?.model ?? "?"}`,
    kernel: release(),
    versions: await versions(),
    load: loadavg().map((value) => value.toFixed(1)).join(" "),
    stealPercent: steal(),
    seconds: Math.round((performance.now() - begin) / 1000),
    command: `npm run bench:peers${process.argv.length > 2 ? ` -- ${process.argv.slice(2).join(" ")}` : ""}`,
    date: new Date().toISOString().slice(0, 10),
  };
  console.log(asText(rows, verdicts));
  console.log(
    `\n${Object.entries(machine).map(([name, value]) => `${name}: ${[value].flat().join("; ")}`).join("\n")}`,
  );
  for (const note of notes) console.log(note);
  const roleOf = (row: Row): Role =>
    series.find(({ test, subject }) => test === row.test && subject === row.subject)?.role ?? "peer";
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine, notes, rows, verdicts }, null, 2)}\n`);
  if (options.markdown) writeFileSync(options.markdown, `${asMarkdown(rows, verdicts)}\n`);
  if (options.picture) {
    const title = "vmnet beside other switches and user networks, measured by npm run bench:peers";
    writeFileSync(options.picture, picture(title, rows, [...shownFrames, ...shownNat], roleOf));
  }
  return !failed;
}

main().then((isFine) => process.exit(isFine ? 0 : 1), (error) => {
  say((error as Error).message);
  process.exit(1);
});
