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

/** Nanoseconds per frame of a way to take all frames, over many fills. */
async function cost(handle: number, take: () => number | Promise<number>): Promise<number> {
  let ns = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handle); await new Promise((r) => setTimeout(r, 0));
    const begin = performance.now();
    const frames = await take();
    ns += (performance.now() - begin) * 1e6;
    if (frames !== FRAMES) throw new Error(`Cannot measure: ${frames} frames of ${FRAMES}`);
  }
  return ns / (FILLS * FRAMES);
}

async function ceiling(handle: number): Promise<number> {
  let ns = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handle); await new Promise((r) => setTimeout(r, 0));
    if (lab.vb_drain(handle, arena, arena.length, descriptors, BATCH, out) !== FRAMES) throw new Error("Cannot drain");
    ns += Number(out[0]);
  }
  return ns / (FILLS * FRAMES);
}

let sink = 0;

const handleA = portOf(a).handle;
const handleB = portOf(b).handle;

function raw(): number {
  let frames = 0;
  for (;;) {
    const answer = shim.vn_drain(handleA, arena, arena.length, descriptors, BATCH);
    const count = answer & 0xffff;
    for (let i = 0; i < count; i++) sink += descriptors[6 * i + 1]! + arena[descriptors[6 * i]!]!;
    frames += count;
    if (answer === count) return frames;
  }
}

// One loop for all measurements, as a script has one: its batch is made once.
const batches = a.batches();

async function borrowedByOffset(): Promise<number> {
  for (let frames = 0;;) {
    const { value: batch } = await batches.next();
    const { bytes } = batch!;
    for (let i = 0; i < batch!.length; i++) sink += batch!.byteLength(i) + bytes[batch!.offset(i)]!;
    frames += batch!.length;
    if (frames === FRAMES) return frames;
  }
}

async function borrowedViews(): Promise<number> {
  for (let frames = 0;;) {
    const { value: batch } = await batches.next();
    for (let i = 0; i < batch!.length; i++) {
      const view = batch!.at(i);
      sink += view.length + view[0]!;
    }
    frames += batch!.length;
    if (frames === FRAMES) return frames;
  }
}

const packets = b[Symbol.asyncIterator]();

async function owned(): Promise<number> {
  for (let frames = 0;;) {
    const { value: packet } = await packets.next();
    sink += packet!.length + packet![0]!;
    if (++frames === FRAMES) return frames;
  }
}

const ways: [string, number, () => number | Promise<number>][] = [
  ["raw vn_drain()", handleA, raw],
  ["borrowed batches by offset", handleA, borrowedByOffset],
  ["borrowed views", handleA, borrowedViews],
  ["owned packets", handleB, owned],
];
for (const [name, handle, take] of ways) {
  const result = await compare(
    `drain 64 x 1514 B: ${name}`,
    "ns/frame",
    () => cost(handle, take),
    () => ceiling(handle),
  );
  console.log(JSON.stringify(result));
}
if (sink === 0) throw new Error("Cannot measure: nothing was read");
for (const nic of [a, b]) await nic.stop();
await network.stop();
process.exitCode = 0;
