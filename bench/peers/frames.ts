/**
 * Guest to guest: rates, round trips, and what a switch pays for ports, filters, captures and a client that hangs.
 *
 * @module
 */

import { join } from "node:path";
import type { Bar, Series } from "./report.ts";
import { carry, ours, type Program, runtimes, serving, traffic, which } from "./programs.ts";
import { type Case, interleaved } from "./rounds.ts";

/** How long and how often. */
export interface Effort {
  /** Rounds of the comparisons with peers. */
  rounds: number;
  /** Rounds of what has to hold to a tenth. */
  fineRounds: number;
  /** Milliseconds of a measurement of rates, and of the finer ones. */
  ms: number;
  fineMs: number;
}

/** A switch that `traffic` can talk to. */
interface Subject {
  subject: string;
  role: Case["role"];
  kind: "stream" | "vde" | "pair" | "ring";
  path: string;
  program?: Program;
  /** Longest frame that it carries. */
  longest?: number;
}

/** A filter that none of the frames of `traffic` passes, and that has to look at more than their type to know. */
const NOTHING = "udp port 9 and src host 10.0.0.1";

/** Frames a second that go past a round trip under load: less than any subject's limit. */
const LOAD = 40_000;

const RELAY = "C relay, two hops";

function pidsOf({ program }: Subject): string[] {
  return program?.pids().map((pid) => `pid=${pid}`) ?? [];
}

async function startAll(folder: string): Promise<{ everybody: Subject[]; at: (name: string) => string }> {
  const at = (name: string) => join(folder, name);
  const list: Subject[] = [
    { subject: "SPSC ring in memory", role: "limit", kind: "ring", path: "-" },
    { subject: "socketpair, one hop", role: "limit", kind: "pair", path: "-" },
  ];
  for (const [hops, subject] of [[1, RELAY], [2, "two C relays, three hops"]] as const) {
    const path = at(`relay${hops}`);
    list.push({ subject, role: "limit", kind: "stream", path, program: await carry("stream", path, String(hops)) });
  }
  for (const runtime of runtimes) {
    for (
      const [mode, name] of [
        ["switch", "C path"],
        ["loops", "JS loops"],
        ["intercept", "JS verdicts"],
        ["sockets", "JS sockets"],
      ] as const
    ) {
      const path = at(`${mode}-${runtime.name}`);
      const paths = mode === "loops" ? [path, `${path}-2`] : [path];
      list.push({
        subject: `ours, ${name}, ${runtime.name}`,
        role: "ours",
        kind: "stream",
        path: paths.join(),
        program: await ours(runtime, mode, ...paths),
      });
    }
  }
  const vde = which("vde_switch");
  if (vde) {
    // Every port of its own count; it would end at the end of its input
    const program = await serving(vde, ["-s", at("vde"), "-n", "128"], at("vde/ctl"));
    list.push({ subject: "vde_switch", role: "peer", kind: "vde", path: at("vde"), program, longest: 1514 });
  }
  return { everybody: list, at };
}

const rateTest = (length: number) => `guest to guest, ${length} bytes`;
const cpuTest = (length: number) => `CPU of the switch, ${length} bytes`;

function rateCases(everybody: readonly Subject[], length: number, ms: number): Case[] {
  return everybody.filter(({ longest }) => length <= (longest ?? 65535)).map((one) => ({
    subject: one.subject,
    role: one.role,
    units: { [rateTest(length)]: "frames/s", ...(one.program ? { [cpuTest(length)]: "s/Gbit" } : {}) },
    measure: async () => {
      const figures = await traffic("rate", one.kind, one.path, `length=${length}`, `ms=${ms}`, ...pidsOf(one));
      return { [rateTest(length)]: figures.rate!, [cpuTest(length)]: figures.cpu! / (length * 8) };
    },
  }));
}

function echoCases(everybody: readonly Subject[], ms: number): Case[] {
  const able = everybody.filter(({ kind, subject }) =>
    kind !== "pair" && kind !== "ring" && !subject.includes("three")
  );
  return able.map((one) => ({
    subject: one.subject,
    role: one.role,
    units: Object.fromEntries(
      ["idle", "under load"].flatMap((when) => [50, 99].map((p) => [`round trip ${when}, p${p}`, "us"])),
    ),
    measure: async () => {
      const idle = await traffic("echo", one.kind, one.path, `ms=${ms}`);
      const busy = await traffic("echo", one.kind, one.path, `ms=${ms}`, `load=${LOAD}`);
      return {
        "round trip idle, p50": idle.p50!,
        "round trip idle, p99": idle.p99!,
        "round trip under load, p50": busy.p50!,
        "round trip under load, p99": busy.p99!,
      };
    },
  }));
}

const PORTS = [2, 8, 32];
const portsTest = (ports: number) => `${ports} ports, half of them sending, 1514 bytes`;

function portCases(everybody: readonly Subject[], ms: number): Case[] {
  const able = everybody.filter(({ subject }) =>
    subject === "vde_switch" || subject.includes("C path") || subject === RELAY
  );
  return able.flatMap((one) =>
    PORTS.map((ports) => ({
      subject: one.subject,
      role: one.role,
      units: { [portsTest(ports)]: "frames/s" },
      measure: async () => ({
        [portsTest(ports)]: (await traffic("rate", one.kind, one.path, `ports=${ports}`, `ms=${ms}`)).rate!,
      }),
    }))
  );
}

const EXTRA = "what else a switch has to do";
const EXTRA_CPU = "CPU of the busiest thread";
const EXTRA_ECHO = "round trip beside a third client";
const BASE = "two ports";

/** Ours alone: each has a process of its own, so that nothing that one leaves behind is another's. */
async function fineCases(at: (name: string) => string, ms: number): Promise<Case[]> {
  const cases: Case[] = [];
  const main = runtimes[0]!;
  const add = async (subject: string, mode: string, args: string[], words: string[], runtime = main) => {
    const path = at(`fine-${cases.length}`);
    const program = await ours(runtime, mode, path, ...args);
    cases.push({
      subject,
      role: "ours",
      units: { [EXTRA]: "frames/s", [EXTRA_CPU]: "ns/frame" },
      measure: async () => {
        const pids = program.pids().map((pid) => `pid=${pid}`);
        const figures = await traffic("rate", "stream", path, `ms=${ms}`, ...words, ...pids);
        return { [EXTRA]: figures.rate!, [EXTRA_CPU]: figures.thread! };
      },
    });
  };
  await add(BASE, "switch", [], []);
  await add("32 idle ports more", "switch", [], ["idle=32"]);
  await add("a filter that copies nothing", "filter", [NOTHING], []);
  for (const runtime of runtimes) await add(`a capture of everything, ${runtime.name}`, "capture", [], [], runtime);
  for (const [third, subject] of [[1, "a third client reads its tenth"], [2, "a third client has stalled"]] as const) {
    await add(subject, "switch", [], [`third=${third}`]);
    const path = at(`fine-${cases.length - 1}`);
    cases.push({
      subject,
      role: "ours",
      units: { [EXTRA_ECHO]: "us, p99" },
      measure: async () => ({
        [EXTRA_ECHO]: (await traffic("echo", "stream", path, `ms=${ms}`, `third=${third}`, `load=${LOAD}`)).p99!,
      }),
    });
  }
  return cases;
}

/** Everything between guests. */
export async function measureFrames(folder: string, effort: Effort): Promise<Series[]> {
  const { everybody, at } = await startAll(folder);
  const series: Series[] = [];
  for (const length of [1514, 64, 65000]) {
    const cases = rateCases(everybody, length, effort.ms);
    series.push(...await interleaved(rateTest(length), cases, effort.rounds));
  }
  const some = Math.ceil(effort.rounds / 2);
  series.push(...await interleaved("round trips", echoCases(everybody, effort.fineMs), some, false));
  series.push(...await interleaved("ports", portCases(everybody, effort.ms), some, false));
  for (const { program } of everybody) program?.end();
  series.push(...await interleaved(EXTRA, await fineCases(at, effort.fineMs), effort.fineRounds));
  return series;
}

/** The limit of each test: what a relay of bytes does that has as many hops. */
export const frameLimits: Record<string, string> = {
  ...Object.fromEntries([64, 1514, 65000].flatMap((length) => [[rateTest(length), RELAY], [cpuTest(length), RELAY]])),
  ...Object.fromEntries(PORTS.map((ports) => [portsTest(ports), RELAY])),
  ...Object.fromEntries(
    ["idle", "under load"].flatMap((when) => [50, 99].map((p) => [`round trip ${when}, p${p}`, RELAY])),
  ),
  [EXTRA]: BASE,
  [EXTRA_CPU]: BASE,
};

/** What must hold between guests. */
export function frameBars(): Bar[] {
  const test = rateTest(1514);
  const bars: Bar[] = [];
  for (const { name } of runtimes) {
    const plane = `ours, C path, ${name}`;
    bars.push(
      { name: `C path over vde_switch, ${name}`, of: [test, plane], to: [test, "vde_switch"], least: 3 },
      { name: `C path over a C relay of two hops, ${name}`, of: [test, plane], to: [test, RELAY], least: 0.8 },
    );
    for (const way of ["JS loops", "JS verdicts", "JS sockets"]) {
      const script = `ours, ${way}, ${name}`;
      // Sockets that the script reads itself are there to show what the C path saves
      const least = way === "JS sockets" ? {} : { least: name === "Bun" ? 0.4 : 0.3 };
      bars.push({ name: `${way} over C path, ${name}`, of: [test, script], to: [test, plane], ...least });
      bars.push({ name: `${way} over vde_switch, ${name}`, of: [test, script], to: [test, "vde_switch"], least: 1 });
    }
    const capture = `a capture of everything, ${name}`;
    bars.push({ name: capture, of: [EXTRA, capture], to: [EXTRA, BASE], least: 0.5 });
  }
  const [reads, stalled] = ["a third client reads its tenth", "a third client has stalled"];
  for (const subject of ["32 idle ports more", "a filter that copies nothing"]) {
    bars.push({ name: `${subject}: CPU per frame`, of: [EXTRA_CPU, subject], to: [EXTRA_CPU, BASE], most: 1.1 });
  }
  bars.push(
    { name: "stalled client: frames of the others", of: [EXTRA, stalled!], to: [EXTRA, reads!], least: 0.85 },
    { name: "stalled client: p99 of the others", of: [EXTRA_ECHO, stalled!], to: [EXTRA_ECHO, reads!], most: 3 },
  );
  return bars;
}

/** The test that the picture shows. */
export const shownFrames: string[] = [rateTest(1514), rateTest(64), "round trip under load, p50"];
