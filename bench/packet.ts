/**
 * Describing frames, and reading them down to TCP beside npm packages and beside reads by hand. Run by `npm run bench`.
 *
 * @module
 */

import { compare, measure } from "./harness.ts";
import {
  ceiling,
  ceilingInNumbers,
  describeMixed,
  mixed,
  ours,
  oursInNumbers,
  peers,
  peersInNumbers,
  segments,
} from "./packet_cases.ts";

/** Milliseconds of one measurement: longer than a clock's step, shorter than the machine's moods. */
const SLICE = 15;

let sink = 0;

/** Frames a second of something that goes over so many frames. */
function rate(run: () => number, frames: number): () => number {
  return () => {
    const begin = performance.now();
    let rounds = 0;
    let now = begin;
    do {
      for (let i = 0; i < 20; i++) sink += run();
      rounds += 20;
    } while ((now = performance.now()) < begin + SLICE);
    return rounds * frames * 1000 / (now - begin);
  };
}

const print = (result: object) => console.log(JSON.stringify(result));

print(await measure("describe(), mixed frames", "frames/s", rate(describeMixed, mixed.length), 41));
const kinds = [
  ["addresses as text", ours, ceiling, peers],
  ["addresses as numbers", oursInNumbers, ceilingInNumbers, peersInNumbers],
] as const;
for (const [kind, own, byHand, others] of kinds) {
  const subject = rate(own, segments.length);
  print(await compare(`decode to TCP, ${kind}: beside DataView`, "frames/s", subject, rate(byHand, segments.length)));
  for (const [name, run] of Object.entries(others)) {
    print(await compare(`decode to TCP, ${kind}: beside ${name}`, "frames/s", subject, rate(run, segments.length)));
  }
}
if (Object.keys(peers).length < 2) {
  console.log("Not all npm packages are there, their lines are missing: npm run bench");
}
if (sink === 0) throw new Error("Cannot measure: nothing was read");
