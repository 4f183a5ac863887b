/**
 * How long a frame takes to wake the script: a native thread makes one frame visible and waits until the script has
 * seen it, thousands of times. The floor is the same game between two C threads by socketpair, epoll and read.
 *
 * @module
 */

import { lab, out, pair, portOf, usage } from "./lab.ts";

/** Wakes in one measurement. */
export const WAKES = 2000;

const { network, a, b } = await pair();
const { handle } = portOf(a);
/** Microseconds of CPU per wake of each measurement, the ringing thread's own left out. */
export const cpu: number[] = [];

/** Microseconds per wake in the script. */
export async function script(): Promise<number> {
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

/** Microseconds per wake between two threads in C. */
export function floor(): number {
  lab.vb_floor(WAKES, out);
  return Number(out[0]) / 1e3 / WAKES;
}

/** Frames and wakes of the interface so far. */
export function counters(): { frames: number; wakes: number } {
  const { framesIn, wakes } = a.stats();
  return { frames: framesIn, wakes };
}

/** Ends what the measurements used. */
export async function end(): Promise<void> {
  for (const nic of [a, b]) await nic.stop();
  await network.stop();
}
