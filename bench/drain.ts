/**
 * What it costs to get frames of 1514 bytes out of an interface, in four ways, beside the same loop in C. The ring is
 * filled before each measurement, so only the taking is timed. Run by `npm run bench`.
 *
 * @module
 */

import process from "node:process";
import { compare } from "./harness.ts";
import { lab, out, pair, portOf } from "./lab.ts";

const SIZE = 1514;
const BATCH = 64;
/** What fits in a ring of 1 MiB, in whole batches. */
const FRAMES = 10 * BATCH;
const FILLS = 40;

const { network, a, b } = await pair();
const { shim } = portOf(a);
const arena = new Uint8Array(new ArrayBuffer(BATCH * 2048));
const descriptors = new Uint32Array(new ArrayBuffer(8192));

function fill(handle: number): void {
  if (lab.vb_fill(handle, FRAMES, SIZE) !== FRAMES) throw new Error("Cannot fill the ring");
}

function ceiling(handle: number): number {
  let ns = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handle);
    if (lab.vb_drain(handle, arena, arena.length, descriptors, BATCH, out) !== FRAMES) throw new Error("Cannot drain");
    ns += Number(out[0]);
  }
  return ns / (FILLS * FRAMES);
}

// Each way is one loop that never ends, as in a script; only the clock and the filling are added. Times are in
// milliseconds until the end.
const handleA = portOf(a).handle;
const handleB = portOf(b).handle;
let sink = 0;

function raw(): number {
  let ms = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleA);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES;) {
      const count = shim.vn_drain(handleA, arena, arena.length, descriptors, BATCH) & 0xffff;
      for (let k = 0; k < count; k++) sink += descriptors[6 * k + 1]! + arena[descriptors[6 * k]!]!;
      frames += count;
    }
    ms += performance.now() - begin;
  }
  return ms * 1e6 / (FILLS * FRAMES);
}

const batches = a.batches();

async function borrowedByOffset(): Promise<number> {
  let ms = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleA);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES;) {
      const { bytes, descriptors, length } = (await batches.next()).value!;
      for (let k = 0; k < length; k++) sink += descriptors[6 * k + 1]! + bytes[descriptors[6 * k]!]!;
      frames += length;
    }
    ms += performance.now() - begin;
  }
  return ms * 1e6 / (FILLS * FRAMES);
}

async function borrowedViews(): Promise<number> {
  let ms = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleA);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES;) {
      const batch = (await batches.next()).value!;
      const { length } = batch;
      for (let k = 0; k < length; k++) {
        const view = batch.at(k);
        sink += view.length + view[0]!;
      }
      frames += length;
    }
    ms += performance.now() - begin;
  }
  return ms * 1e6 / (FILLS * FRAMES);
}

const packets = b[Symbol.asyncIterator]();

async function owned(): Promise<number> {
  let ms = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleB);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES; frames++) {
      const packet = (await packets.next()).value!;
      sink += packet.length + packet[0]!;
    }
    ms += performance.now() - begin;
  }
  return ms * 1e6 / (FILLS * FRAMES);
}

const ways: [string, number, () => number | Promise<number>][] = [
  ["raw vn_drain()", handleA, raw],
  ["borrowed batches by offset", handleA, borrowedByOffset],
  ["borrowed views", handleA, borrowedViews],
  ["owned packets", handleB, owned],
];
for (const [name, handle, take] of ways) {
  console.log(JSON.stringify(await compare(`drain 64 x 1514 B: ${name}`, "ns/frame", take, () => ceiling(handle))));
}
if (sink === 0) throw new Error("Cannot measure: nothing was read");
for (const nic of [a, b]) await nic.stop();
await network.stop();
process.exitCode = 0;
