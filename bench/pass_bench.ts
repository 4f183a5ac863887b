/**
 * `deno bench -A bench/pass_bench.ts`: 64 frames of 1514 bytes written to one interface, switched, and drained from another,
 * with the wake-ups of both threads. Build the loop in C first: `make -C shim bench`.
 *
 * @module
 */

import { bench } from "./deno.ts";
import { PacketBatch } from "../vmnet/batch.ts";
import { lab, out, pair, portOf } from "./lab.ts";

const FRAMES = 64;
const SIZE = 1514;
const group = `${FRAMES} frames of ${SIZE} bytes`;

const { a, b } = await pair();
const { handle } = portOf((await pair()).a);
const arena = new Uint8Array(new ArrayBuffer(FRAMES * 2048));
const descriptors = new Uint32Array(new ArrayBuffer(8192));
const sent = new PacketBatch({ slots: FRAMES });
for (let i = 0; i < FRAMES; i++) sent.push(new Uint8Array(SIZE).fill(255, 0, 6).fill(2, 6, 7));
const received = b.batches();

bench({ name: "one memcpy out of a ring in C", group, baseline: true }, () => {
  lab.vb_fill(handle, FRAMES, SIZE);
  lab.vb_drain(handle, arena, arena.length, descriptors, FRAMES, out);
});

bench({ name: "written, switched, drained", group }, async () => {
  await a.write(sent);
  for (let count = 0; count < FRAMES;) count += (await received.next()).value!.length;
});
