/**
 * How long a frame takes to wake the script: a native thread makes one frame visible and waits until the script has
 * seen it, thousands of times. The floor is the same game between two C threads by socketpair, epoll and read. Run by
 * `npm run bench`.
 *
 * @module
 */

import { compare, quantile, type Result } from "./harness.ts";
import { lab, out, pair, portOf, usage } from "./lab.ts";

const WAKES = 2000;

const { network, a, b } = await pair();
const { handle } = portOf(a);
const cpu: number[] = [];

/** Microseconds per wake in the script; also notes the CPU that a wake costs, without the ringing thread's own. */
async function script(): Promise<number> {
  const batches = a.batches();
  const before = usage().cpuNs;
  const begin = performance.now();
  let seen = 0;
  // The first frame comes after the loop waits, as all later ones do
  const first = batches.next();
  if (lab.vb_pingpong(handle, WAKES) !== 0) throw new Error("Cannot start the ringing thread");
  for (let step = first; seen < WAKES; step = batches.next()) {
    const { value: batch } = await step;
    seen += batch!.length;
    lab.vb_seen(batch!.length);
  }
  const us = (performance.now() - begin) * 1e3;
  await batches.return!();
  while (lab.vb_done(out) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const ringing = Number(out[0]);
  cpu.push((usage().cpuNs - before - ringing) / WAKES / 1e3);
  return us / WAKES;
}

function floor(): number {
  lab.vb_floor(WAKES, out);
  return Number(out[0]) / 1e3 / WAKES;
}

const before = a.stats();
const result = await compare("doorbell ping-pong, per wake", "us", script, floor);
const { framesIn, wakes } = a.stats();
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
  alone("doorbell ping-pong, frames per wake", "frames", [(framesIn - before.framesIn) / (wakes - before.wakes)]),
));
for (const nic of [a, b]) await nic.stop();
await network.stop();
