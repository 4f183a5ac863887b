// SPDX-License-Identifier: MIT

import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { Network } from "vmnet";
import { countText, histogram, type Latency, latencyOf, timeText } from "../../tools/_perf_figures.ts";
import { bar, printable, sparkline, table } from "../../tools/_terminal.ts";
import { Program, root, runtimes } from "../vmnet/programs.ts";
import { Daemon } from "./vmnetd_clients.ts";

const file = join(root, "tools/perf.ts");

/** What `--json` prints of a size. */
interface Result {
  event: string;
  size: number;
  window?: number;
  seconds: number;
  sent: number;
  received: number;
  lost: number;
  framesPerSecond: number;
  bitsPerSecond: number;
  cpus: number;
  latency: Latency;
}

test("latencyOf() reads percentiles", () => {
  assertEquals(latencyOf([]), undefined);
  assertEquals(latencyOf([7]), { samples: 1, min: 7, p50: 7, p90: 7, p99: 7, max: 7 });
  const thousand = Array.from({ length: 1000 }, (_, i) => 1000 - i);
  assertEquals(latencyOf(thousand), { samples: 1000, min: 1, p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 });
});

test("timeText() and countText() choose a unit", () => {
  assertEquals([0.84, 12.3, 999, 1500, 15_000, 2.5e6, undefined].map((value) => timeText(value, false)), [
    ...["0.8 µs", "12 µs", "999 µs", "1.50 ms", "15.0 ms", "2.50 s", "-"],
  ]);
  assertEquals(timeText(12, true), "12 us");
  assertEquals([7, 9999, 10_000, 2_345_678].map(countText), ["7", "9999", "10 k", "2.35 M"]);
});

test("histogram(), bar() and sparkline() draw in blocks and in ASCII", () => {
  assertEquals(histogram([3, 5, 6, 7, 20], false), [
    "     2.0 µs  █████████████▍ 20.0 %",
    "     4.0 µs  ████████████████████████████████████████ 60.0 %",
    "     8.0 µs",
    "      16 µs  █████████████▍ 20.0 %",
  ]);
  const long = histogram(Array.from({ length: 30 }, (_, i) => 2 ** i), true);
  assertEquals(long.length, 12);
  assertMatch(long.at(-1)!, /and more {2}#{40} 63\.3 %$/);
  assert(long.every((line) => /^[ -~]*$/.test(line)));
  assertEquals(sparkline([0, 1, 2, 4], false), "▁▃▅█");
  assertEquals(sparkline([0, 1, 2, 4], true), "_-+#");
  assertEquals(sparkline([], true), "");
  assertEquals([bar(0, 8, false), bar(0.001, 8, false), bar(1, 3, false)], ["", "▏", "███"]);
  assertEquals([bar(0, 8, true), bar(0.001, 8, true), bar(0.5, 8, true)], ["", "#", "####"]);
});

test("table() lines up, and printable() takes away what a terminal would obey", () => {
  assertEquals(table([["A", "B"], ["long", ""]], " "), " A     B\n long");
  assertEquals(printable("a\x1b[2Jé\n"), "a?[2J??");
});

for (const runtime of runtimes) {
  const run = (...args: string[]) => new Program(runtime, file, args).end(30_000);
  const results = (output: string): Result[] =>
    output.trimEnd().split("\n").map((line) => JSON.parse(line)).filter(({ event }) => event === "result");

  test(`perf measures two interfaces, in ${runtime}`, async () => {
    const { code, output, errors } = await run("--json", "--seconds", "0.3", "--size", "64", "--size", "9014");
    assertEquals([code, errors], [0, ""]);
    const [small, large] = results(output) as [Result, Result];
    assertEquals([small.size, large.size, small.window], [64, 9014, 256]);
    for (const { sent, received, lost, size, framesPerSecond, bitsPerSecond, latency, cpus } of [small, large]) {
      assertGreater(framesPerSecond, 1000);
      assertEquals(sent - received, lost);
      assertLess(lost, sent / 100);
      assertLess(Math.abs(bitsPerSecond / framesPerSecond / size - 8), 0.01);
      assert(latency.min > 0 && latency.p50 <= latency.p90 && latency.p90 <= latency.p99 && latency.p99 <= latency.max);
      assert(cpus > 0 && cpus < 64);
    }
    const idle = output.split("\n").map((line) => JSON.parse(line || "{}")).find(({ event }) => event === "idle");
    assertGreater(idle.latency.samples, 20);
    assertEquals(idle.latency.p999 === undefined, idle.latency.samples < 1000);
  });

  test(`perf draws in ASCII where there is no terminal, and ends on Ctrl-C, in ${runtime}`, async () => {
    const whole = await run("--seconds", "0.3", "--size", "128");
    assertEquals([whole.code, whole.errors], [0, ""]);
    assert(/^[\n -~]*$/.test(whole.output));
    assertMatch(whole.output, /^two interfaces on a host network of their own; one JavaScript thread of (Deno|Bun) /);
    assertMatch(whole.output, /^SIZE +FRAMES\/S +GBIT\/S +LOST +CPUS +P50 +P90 +P99 +P99\.9 +MAX\nidle .*\n128 .*$/m);
    assertMatch(whole.output, /^Latency under load, 128 bytes, 256 frames under way\n.* us +#+ <?[\d.]+ %$/m);
    const interrupted = new Program(runtime, file, ["--json", "--seconds", "1", "--size", "64", "--size", "512"]);
    await interrupted.line(/"event":"idle"/);
    await new Promise((resolve) => setTimeout(resolve, 200));
    interrupted.kill("SIGINT");
    const { code, output, errors } = await interrupted.end();
    assertEquals([code, errors], [130, ""]);
    const [{ size, seconds }, ...more] = results(output) as [Result, ...Result[]];
    assertEquals([size, more.length], [64, 0]);
    assertLess(seconds, 0.9);
  });

  test(`perf keeps to a rate, in ${runtime}`, async () => {
    const { code, output } = await run("--json", "--seconds", "0.3", "--size", "1514", "--rate", "5000");
    const [result] = results(output) as [Result];
    assertEquals([code, result.window], [0, undefined]);
    assert(Math.abs(result.sent - 1500) < 300, String(result.sent));
    assertEquals(result.lost, 0);
  });

  test(`perf measures two clients of a vmnetd, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("control");
    const sockets = ["-s", daemon.path, "-s", daemon.path];
    const { code, output, errors } = await run(
      "--json",
      "--seconds",
      "1",
      "--size",
      "64",
      "--size",
      "1514",
      ...sockets,
    );
    assertEquals([code, errors], [0, ""]);
    for (const { received, sent } of results(output)) assertGreater(received, sent / 2);
    await daemon.stop();
  });

  test(`perf measures on a network that it joins, in ${runtime}`, async () => {
    await using network = await Network.create({ mode: "host", dhcp: false });
    await using share = await network.share();
    const { code, output, errors } = await run("--json", "--seconds", "0.3", "--size", "64", "--join", share.token);
    assertEquals([code, errors], [0, ""]);
    assertGreater(results(output)[0]!.received, 1000);
  });

  test(`perf says what is wrong, in ${runtime}`, async () => {
    const cases: [args: string[], code: number, says: string][] = [
      [["--size", "59"], 2, "--size takes an integer from 60 to 65549"],
      [["--seconds", "x"], 2, "--seconds takes a number"],
      [["--socket", "/x"], 2, "--socket is given twice"],
      [["-s", "/x", "-s", "/y", "--join", "t"], 2, "one or the other"],
      [["more"], 2, "more"],
      [["-s", "/nowhere/x", "-s", "/nowhere/x"], 1, 'Cannot connect to "/nowhere/x"'],
      [["--join", "nonsense"], 1, "Cannot join network"],
    ];
    for (const [args, code, says] of cases) {
      const ending = await run(...args);
      assertEquals(ending.code, code, args.join(" "));
      assertStringIncludes(ending.errors, says);
    }
  });
}
