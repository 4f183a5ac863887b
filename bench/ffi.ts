// SPDX-License-Identifier: MIT

/**
 * What a call of C costs, type by type, beside the alternatives.
 *
 *     deno run --allow-ffi --allow-env --allow-read bench/ffi.ts
 *     bun bench/ffi.ts [rounds [calls [part of a name]]]
 *
 * All contenders run in each round, in turn, so that whatever disturbs the
 * machine disturbs them alike. A ratio is the median of the ratios of the
 * rounds, each against the native call of this runtime in the same round.
 * `bench/ffi_bench.ts` is the same for `deno bench`.
 *
 * @module
 */

import { type BenchCase, cases, contenders, loopOf } from "./ffi_cases.ts";
import { runtimeName } from "../ffi/runtime.ts";
import process from "node:process";

// Many short rounds: in 20 to 50 microseconds a busy machine seldom interrupts
const rounds = Number(process.argv[2] ?? 501);
const calls = Number(process.argv[3] ?? 5000);
const filter = process.argv[4] ?? "";

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

/** Nanoseconds per call of each contender, round by round. */
function measure(entry: BenchCase): Map<string, number[]> {
  const loops = contenders
    .filter((contender) => entry.calls[contender] !== undefined)
    .map((contender) => ({ contender, loop: loopOf(entry, contender) }));
  const times = new Map(loops.map(({ contender }) => [contender, [] as number[]]));
  // Enough turns for the optimising compilers
  for (const { loop } of loops) for (let i = 0; i < 20; i++) loop(10_000);
  for (let round = 0; round < rounds; round++) {
    for (const { contender, loop } of loops) {
      const start = performance.now();
      loop(calls);
      times.get(contender)!.push((performance.now() - start) * 1e6 / calls);
    }
  }
  return times;
}

const version = (process.versions as Record<string, string | undefined>)[runtimeName];
console.log(`${runtimeName} ${version}, ${calls} calls in each of ${rounds} rounds; ns per call and ratio to native`);
if (!contenders.includes("koffi")) console.log("koffi is not installed, its column is missing: npm install");
console.log(`${"".padEnd(30)}${contenders.map((name) => name.padStart(20)).join("")}`);
for (const entry of cases.filter(({ name }) => name.includes(filter))) {
  const times = measure(entry);
  const native = times.get("native") ?? [];
  const cells = contenders.map((contender) => {
    const own = times.get(contender);
    if (own === undefined) return "-".padStart(20);
    const ratio = median(own.map((time, round) => time / native[round]!));
    return `${median(own).toFixed(1)} (${ratio.toFixed(2)}x)`.padStart(20);
  });
  console.log(entry.name.padEnd(30) + cells.join(""));
}
