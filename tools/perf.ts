// SPDX-License-Identifier: MIT

/**
 * How fast frames go from one interface to another: frames and bits per second, what is lost, and how long they take.
 *
 *     bun tools/perf.ts
 *     deno run -A tools/perf.ts --socket /tmp/vm.sock --socket /tmp/vm.sock --size 1514 --seconds 5
 *
 * Theory of operation: one JavaScript thread writes batches of frames at one end and reads them at the other, so times are of
 * one clock. First a frame alone, again and again with a pause, which finds everybody asleep: the idle latency. Then for
 * each size as many frames as arrive, with up to 256 under way, which is fewer than any queue on the way holds: what arrives asks
 * for what is sent, and a frame that is lost is lost by the network. Every batch's first frame carries its time: the latency
 * under load. With --rate frames are sent by the clock instead, whether they arrive or not.
 *
 * What is measured is this way through JavaScript. Frames between VMs on a vmnetd, or a Switch, stay in native code.
 *
 * Status 0: done. 1: it failed, or nothing arrived. 2: a wrong command line. 130: interrupted; what was measured is printed.
 *
 * @module
 */

import process from "node:process";
import { integer, jsonOf, list, main, readOptions, say, text, UsageError } from "./_cli.ts";
import type { End, Ends, Load, Receiver } from "./_perf_ends.ts";
import { countText, histogram, type Latency, latencyOf, timeText } from "./_perf_figures.ts";
import { columns, interruption, isPlain, LiveLine, sparkline, table } from "./_terminal.ts";

const NAME = "vmnet-perf";

const ABOUT =
  `Measures frames from one interface to another: how many, how long they take. Without --socket or --join the
interfaces are on a host network of their own. Everything goes through JavaScript here; between VMs it does not.`;

const options = {
  seconds: { value: "N", help: "how long each measurement takes, 0.1 to 3600; 2 by default" },
  size: { value: "BYTES", help: "length of frames, 60 to 65549; 64, 512 and 1514 by default", repeat: true },
  rate: { value: "N", help: "send so many frames a second, 1 to 10000000, instead of as many as arrive" },
  socket: {
    value: "PATH",
    help: "stream socket of a vmnetd, given twice: to send and to receive",
    repeat: true,
    short: "s",
  },
  join: { value: "TOKEN", help: "use a network that another process shares" },
  json: { help: "print one JSON object a line" },
} as const;

/** Frames under way, and their bytes: the rings of an interface hold about 680 frames of 1514 bytes. */
const [WINDOW, WINDOW_BYTES] = [256, 400_000];

/** Frames under way of one size. */
const windowOf = (size: number): number => Math.min(WINDOW, Math.max(4, Math.floor(WINDOW_BYTES / size)));

/** Frames of one write: a power of two, and at most a quarter of those under way. */
const batchOf = (window: number): number => 2 ** Math.floor(Math.log2(window / 4));

/** When nothing has arrived for so long, what is under way is lost. */
const LOST_MS = 200;

/** Pause before each frame of the idle latency: long enough that the runtime and the network sleep. */
const PAUSE_MS = 1;

/** How often the live line and the sparkline get a value. */
const TICK_MS = 100;

/** How long the ends have to hear of one another. */
const HELLO_MS = 5000;

/** What was found with one size. */
interface Result {
  readonly size: number;
  /** Frames under way at the most; with a rate there is no limit. */
  readonly window: number | undefined;
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly framesPerSecond: number;
  readonly bitsPerSecond: number;
  /** Processors that this process kept busy, the network's thread included. */
  readonly cpus: number;
  readonly latency: Latency | undefined;
  readonly samples: readonly number[];
  readonly perTick: readonly number[];
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The receiving end: counts the frames of one run, and lets the sender wait for more. */
class Arrivals {
  run = 0;
  received = 0;
  samples: number[] = [];
  #wake: (() => void) | undefined;

  readonly receiver: Receiver = (run, count, sentAt) => {
    if (run !== this.run) return; // late
    const now = performance.now();
    this.received += count;
    for (const time of sentAt) this.samples.push((now - time) * 1000);
    this.#wake?.();
  };

  /** Begins a run; frames carry its number. */
  begin(): number {
    this.run = this.run % 255 + 1;
    [this.received, this.samples] = [0, []];
    return this.run;
  }

  /** Waits until more arrives, and answers whether that was in time. */
  async more(ms: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), ms);
    this.#wake = () => resolve(true);
    const isMore = await promise;
    clearTimeout(timer);
    this.#wake = undefined;
    return isMore;
  }
}

/** Makes the ends known to the network, so that it need not send frames everywhere, and sees that they arrive. */
async function sayHello(ends: Ends, at: Record<"a" | "b", Arrivals>): Promise<void> {
  const everybody = new Uint8Array(6).fill(0xff);
  for (const [from, to] of [["b", "a"], ["a", "b"]] as const) {
    const hello = ends[from].load(at[to].begin(), 64, everybody);
    const late = performance.now() + HELLO_MS;
    while (at[to].received === 0) {
      if (performance.now() > late) throw new Error(`nothing arrived within ${HELLO_MS} ms on ${ends.what}`);
      await hello.send(1);
      if (at[to].received === 0) await at[to].more(LOST_MS);
    }
  }
}

/** One frame at a time. */
async function measureIdle(from: End, to: End, at: Arrivals, seconds: number, signal: AbortSignal): Promise<number[]> {
  const load = from.load(at.begin(), 64, to.mac);
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end && !signal.aborted) {
    await sleep(PAUSE_MS);
    const before = at.received;
    await load.send(1);
    if (at.received === before) await at.more(LOST_MS);
  }
  return at.samples;
}

/** As many frames as arrive. */
async function sendWindow(load: Load, window: number, at: Arrivals, goesOn: () => boolean): Promise<number> {
  const batch = batchOf(window);
  let [sent, settled] = [0, 0]; // settled: arrived or given up
  let arrived = 0;
  while (goesOn()) {
    settled += at.received - arrived;
    arrived = at.received;
    if (sent - settled + batch <= window) {
      sent += batch;
      await load.send(batch);
    } else if (at.received === arrived && !await at.more(LOST_MS)) {
      settled = sent; // they will not come any more
    }
  }
  return sent;
}

/** Frames by the clock. */
async function sendRate(load: Load, rate: number, goesOn: () => boolean): Promise<number> {
  const start = performance.now();
  let sent = 0;
  while (goesOn()) {
    const due = Math.floor((performance.now() - start) / 1000 * rate) - sent;
    if (due < 1) {
      await sleep(1);
      continue;
    }
    const count = Math.min(batchOf(WINDOW), 2 ** Math.floor(Math.log2(due)));
    sent += count;
    await load.send(count);
  }
  return sent;
}

/** Measures with frames of one size. */
async function measure(
  from: End,
  to: End,
  at: Arrivals,
  { size, seconds, rate }: { size: number; seconds: number; rate: number | undefined },
  live: (perTick: readonly number[]) => void,
  signal: AbortSignal,
): Promise<Result> {
  const load = from.load(at.begin(), size, to.mac);
  const window = rate === undefined ? windowOf(size) : undefined;
  const perTick: number[] = [];
  const start = performance.now();
  let [lastCount, lastTime] = [0, start];
  const tick = () => {
    const now = performance.now();
    perTick.push((at.received - lastCount) / (now - lastTime) * 1000);
    [lastCount, lastTime] = [at.received, now];
    live(perTick);
  };
  const timer = setInterval(tick, TICK_MS);
  const cpu = process.cpuUsage();
  const goesOn = () => performance.now() - start < seconds * 1000 && !signal.aborted;
  let [sent, took, received] = [0, 0, 0];
  try {
    sent = await (window === undefined ? sendRate(load, rate!, goesOn) : sendWindow(load, window, at, goesOn));
  } finally {
    clearInterval(timer);
    took = Math.round(performance.now() - start) / 1000;
    received = at.received; // in that time; what is under way still counts as not lost
  }
  const { user, system } = process.cpuUsage(cpu);
  while (at.received < sent && await at.more(LOST_MS));
  return {
    ...{ size, window, seconds: took, sent, received: at.received, lost: sent - at.received },
    framesPerSecond: Math.round(received / took),
    bitsPerSecond: Math.round(8 * size * received / took),
    cpus: Math.round((user + system) / 1e4 / took) / 100,
    ...{ latency: latencyOf(at.samples), samples: at.samples, perTick },
  };
}

/** Which runtime this is: the way through JavaScript is what is measured. */
function runtimeText(): string {
  const { bun, deno, node } = process.versions;
  const [name, version] = bun ? ["Bun", bun] : deno ? ["Deno", deno] : ["Node.js", node];
  return `${name} ${version} on ${process.platform}-${process.arch}`;
}

const latencyCells = (latency: Latency | undefined, plain: boolean): string[] =>
  (["p50", "p90", "p99", "p999", "max"] as const).map((key) => timeText(latency?.[key], plain));

function printReport(results: readonly Result[], idle: readonly number[], rate: number | undefined): void {
  const plain = isPlain();
  const head = ["SIZE", "FRAMES/S", "GBIT/S", "LOST", "CPUS", "P50", "P90", "P99", "P99.9", "MAX"];
  const rows = results.map(({ size, framesPerSecond, bitsPerSecond, lost, sent, cpus, latency }) => [
    ...[String(size), countText(framesPerSecond), (bitsPerSecond / 1e9).toFixed(2)],
    lost === 0 ? "0" : `${countText(lost)} (${(100 * lost / sent).toFixed(1)} %)`,
    ...[cpus.toFixed(1), ...latencyCells(latency, plain)],
  ]);
  const idleRow = ["idle", "-", "-", "-", "-", ...latencyCells(latencyOf(idle), plain)];
  say(`\n${table([head, ...(idle.length > 0 ? [idleRow] : []), ...rows])}`);
  if (results.some(({ perTick }) => perTick.length > 1)) {
    say(`\nFrames per second, each ${TICK_MS} ms`);
    for (const { size, perTick } of results) {
      say(
        `  ${String(size).padStart(9)}  ${sparkline(perTick.slice(-Math.max(8, Math.min(60, columns() - 13))), plain)}`,
      );
    }
  }
  const draw = (title: string, samples: readonly number[]) => {
    if (samples.length > 0) say(`\nLatency ${title}\n${histogram(samples, plain).join("\n")}`);
  };
  draw("idle, one frame at a time", idle);
  for (const { size, samples, window } of results.slice(-1)) {
    const way = window === undefined ? `${rate} frames a second` : `${window} frames under way`;
    draw(`under load, ${size} bytes, ${way}`, samples);
  }
}

/** A number of seconds. */
function secondsOf(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.1 && seconds <= 3600) return seconds;
  throw new UsageError(`--seconds takes a number from 0.1 to 3600, not "${text}"`);
}

/** The command line. */
function settings() {
  const values = readOptions(NAME, ABOUT, options);
  const sizes = list(values, "size").map((size) => integer({ size }, "size", 60, 65_549)!);
  const [sockets, token] = [list(values, "socket"), text(values, "join")];
  if (sockets.length !== 0 && sockets.length !== 2) {
    throw new UsageError("--socket is given twice: to send, to receive");
  }
  if (sockets.length > 0 && token !== undefined) throw new UsageError("--socket and --join are one or the other");
  const [seconds, rate] = [secondsOf(text(values, "seconds") ?? "2"), integer(values, "rate", 1, 1e7)];
  return {
    sizes: sizes.length > 0 ? sizes : [64, 512, 1514],
    sockets,
    token,
    seconds,
    rate,
    json: values["json"] === true,
  };
}

await main(NAME, async () => {
  const { sizes, sockets, token, seconds, rate, json } = settings();
  const signal = interruption();
  const { makeEnds } = await import("./_perf_ends.ts");
  const ends = await makeEnds(sockets, token, Math.max(...sizes));
  const at = { a: new Arrivals(), b: new Arrivals() };
  const print = (event: string, details: object) => json && say(jsonOf({ event, ...details }));
  const live = new LiveLine();
  const [results, idle]: [Result[], number[]] = [[], []];
  const receiving = Promise.all([ends.a.receive(at.a.receiver), ends.b.receive(at.b.receiver)]);
  receiving.catch(() => {}); // whoever sends finds out
  try {
    const { a, b, what } = ends;
    const tooLong = sizes.find((size) => size > Math.min(a.most, b.most));
    if (tooLong !== undefined) {
      throw new UsageError(`--size takes up to ${Math.min(a.most, b.most)} here, not ${tooLong}`);
    }
    print("start", { what, runtime: runtimeText(), ...(rate === undefined ? {} : { rate }) });
    if (!json) say(`${what}; one JavaScript thread of ${runtimeText()} writes and reads`);
    await sayHello(ends, at);
    live.show("idle latency");
    idle.push(...await measureIdle(a, b, at.b, seconds, signal));
    print("idle", { latency: latencyOf(idle) });
    for (const size of sizes) {
      if (signal.aborted) break;
      const result = await measure(a, b, at.b, { size, seconds, rate }, (perTick) => {
        const now = perTick.at(-1)!;
        const bits = (8 * size * now / 1e9).toFixed(2);
        live.show(
          `${size} bytes  ${countText(now)} frames/s  ${bits} Gbit/s  ${sparkline(perTick.slice(-30), isPlain())}`,
        );
      }, signal);
      const { samples: _, perTick: __, ...figures } = result;
      print("result", figures);
      results.push(result);
    }
  } finally {
    live.clear();
    await ends.stop();
  }
  if (!json) printReport(results, idle, rate);
  if (signal.aborted) process.exitCode = 130;
  else if (results.some(({ received }) => received === 0)) throw new Error("nothing arrived");
});
