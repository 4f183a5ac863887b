/**
 * Frames per second through two interfaces and the script's loops: counted are the frames that the script drained. Run
 * by `npm run bench`.
 *
 * @module
 */

import { ceiling, drained, dropped, end } from "./echo_cases.ts";
import { compare, measure } from "./harness.ts";
import { usage } from "./lab.ts";

const SECONDS = 0.25;
let cpuPerFrame = 0;

/** Millions of frames per second over a while. */
async function subject(): Promise<number> {
  const before = drained();
  const cpu = usage().cpuNs;
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const count = drained() - before;
  cpuPerFrame = (usage().cpuNs - cpu) / count;
  return count / (performance.now() - begin) / 1e3;
}

const name = "echo of 1514 B between two interfaces, drained";
console.log(JSON.stringify(await compare(name, "Mframes/s", subject, ceiling, { invert: true })));
console.log(JSON.stringify(await measure("echo, CPU of all threads per frame", "ns", () => cpuPerFrame, 1)));
if (dropped() > 0) throw new Error(`Cannot measure: ${dropped()} frames were lost`);
await end();
