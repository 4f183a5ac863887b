/**
 * Writing pcapng into memory beside copying the frames, and reading it. Run by `npm run bench -- --only pcapng`.
 *
 * @module
 */

import { compare, measure } from "./harness.ts";
import { batches, batchesAnew, chunks, copied, copiedAnew, packets, read, total } from "./pcapng_cases.ts";

const ways: [string, () => number | Promise<number>, () => number][] = [
  ["writeBatch(), memory recycled", batches, copied],
  ["write(), memory recycled", packets, copied],
  ["writeBatch(), new memory", batchesAnew, copiedAnew],
  ["pcapngChunks() of batches", chunks, copiedAnew],
];
const pieces: [string, number][] = [["64 KiB", 64 << 10], ["1 MiB", 1 << 20]];

for (const [name, write, ceiling] of ways) {
  console.log(JSON.stringify(await compare(`pcapng 1514 B: ${name}`, "GB/s", write, ceiling)));
}
for (const [name, piece] of pieces) {
  for (let i = 0; i < 5; i++) read(piece);
  console.log(JSON.stringify(await measure(`pcapng 1514 B: read in pieces of ${name}`, "GB/s", () => read(piece))));
}
if (total() === 0) throw new Error("Cannot measure: nothing was written");
