/**
 * Draining an interface beside the loop in C: the ratios. Run by `npm run bench`.
 *
 * @module
 */

import { borrowedByOffset, borrowedViews, ceiling, end, handleA, handleB, owned, raw, total } from "./drain_cases.ts";
import { compare } from "./harness.ts";

const ways: [string, number, () => number | Promise<number>][] = [
  ["raw vn_drain()", handleA, raw],
  ["borrowed batches by offset", handleA, borrowedByOffset],
  ["borrowed views", handleA, borrowedViews],
  ["owned packets", handleB, owned],
];
// A script that receives at this rate calls next() ten thousand times a second; the optimizing compilers need as many
// calls to notice. Until then Deno's FFI calls alone cost a microsecond or two.
const WARM_UP = 400;

for (const [name, handle, take] of ways) {
  for (let i = 0; i < WARM_UP; i++) await take();
  console.log(JSON.stringify(await compare(`drain 64 x 1514 B: ${name}`, "ns/frame", take, () => ceiling(handle))));
}
if (total() === 0) throw new Error("Cannot measure: nothing was read");
await end();
