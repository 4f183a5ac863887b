/**
 * What it costs to get frames of 1514 bytes out of an interface, in four ways, beside the same loop in C. The ring is
 * filled before each measurement, so only the taking is timed. Each function answers nanoseconds per frame.
 *
 * @module
 */

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

/** The same loop in C: nanoseconds per frame. */
export function ceiling(handle: number): number {
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
/** Handle of the interface that all ways but the last drain. */
export const handleA: number = portOf(a).handle;
/** Handle of the interface that {@linkcode owned} drains. */
export const handleB: number = portOf(b).handle;
// Sums of 32 bits, as in C: a module's variable that outgrows them would be allocated anew for every packet.
let sink = 0;

/** What was read, so that no engine leaves the reading out. */
export const total = (): number => sink;

/** `vn_drain()` itself. */
export function raw(): number {
  let ms = 0;
  let sum = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleA);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES;) {
      const count = shim.vn_drain(handleA, arena, arena.length, descriptors, BATCH) & 0xffff;
      for (let k = 0; k < count; k++) sum = (sum + descriptors[6 * k + 1]! + arena[descriptors[6 * k]!]!) | 0;
      frames += count;
    }
    ms += performance.now() - begin;
  }
  sink |= sum;
  return ms * 1e6 / (FILLS * FRAMES);
}

const batches = a.batches();

/** Batches, packets by offset. */
export async function borrowedByOffset(): Promise<number> {
  let ms = 0;
  let sum = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleA);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES;) {
      const { bytes, descriptors, length } = (await batches.next()).value!;
      for (let k = 0; k < length; k++) sum = (sum + descriptors[6 * k + 1]! + bytes[descriptors[6 * k]!]!) | 0;
      frames += length;
    }
    ms += performance.now() - begin;
  }
  sink |= sum;
  return ms * 1e6 / (FILLS * FRAMES);
}

/** Batches, a view of each packet. */
export async function borrowedViews(): Promise<number> {
  let ms = 0;
  let sum = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleA);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES;) {
      const batch = (await batches.next()).value!;
      const { length } = batch;
      for (let k = 0; k < length; k++) {
        const view = batch.at(k);
        sum = (sum + view.length + view[0]!) | 0;
      }
      frames += length;
    }
    ms += performance.now() - begin;
  }
  sink |= sum;
  return ms * 1e6 / (FILLS * FRAMES);
}

const packets = b[Symbol.asyncIterator]();

/** Packets that are the script's to keep. */
export async function owned(): Promise<number> {
  let ms = 0;
  let sum = 0;
  for (let i = 0; i < FILLS; i++) {
    fill(handleB);
    const begin = performance.now();
    for (let frames = 0; frames < FRAMES; frames++) {
      const packet = (await packets.next()).value!;
      sum = (sum + packet.length + packet[0]!) | 0;
    }
    ms += performance.now() - begin;
  }
  sink |= sum;
  return ms * 1e6 / (FILLS * FRAMES);
}

/** Ends what the measurements used. */
export async function end(): Promise<void> {
  for (const nic of [a, b]) await nic.stop();
  await network.stop();
}
