/**
 * Waking the script beside waking a thread in C: the ratio, and what a wake costs. Run by `npm run bench`.
 *
 * @module
 */

import { counters, cpu, end, floor, script } from "./doorbell_cases.ts";
import { compare, quantile, type Result } from "./harness.ts";

const before = counters();
const result = await compare("doorbell ping-pong, per wake", "us", script, floor);
const after = counters();
const alone = (name: string, unit: string, values: number[]): Result => ({
  ...result,
  name,
  unit,
  median: Number(quantile(values, 0.5).toPrecision(4)),
  ceiling: null,
  ratio: null,
  spread: [Number(quantile(values, 0.25).toPrecision(4)), Number(quantile(values, 0.75).toPrecision(4))],
});
console.log(JSON.stringify(result));
console.log(JSON.stringify(alone("doorbell ping-pong, CPU per wake", "us", cpu)));
console.log(JSON.stringify(
  alone("doorbell ping-pong, frames per wake", "frames", [
    (after.frames - before.frames) / (after.wakes - before.wakes),
  ]),
));
await end();
