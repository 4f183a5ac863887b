/**
 * Two interfaces on one network and one JavaScript loop each: what one writes the other gets and writes back, with so
 * many frames under way that neither ever waits. The ceiling is a plain memcpy of the same frames in C: one copy, where
 * the echo makes three.
 *
 * @module
 */

import type { Interface } from "../vmnet/interface.ts";
import { lab, out, pair, portOf } from "./lab.ts";

const SIZE = 1514;
/** Frames under way: enough to keep both threads busy, and well below what the rings hold (about 680 each). */
const WINDOW = 256;

const { network, a, b } = await pair();
const idle = await pair();
const arena = new Uint8Array(new ArrayBuffer(64 * 2048));
const descriptors = new Uint32Array(new ArrayBuffer(8192));
let running = true;

async function echo(from: Interface): Promise<void> {
  for await (const batch of from.batches()) {
    if (!running) return;
    // Addressed to nobody the switch knows, so it goes to the other one; what does not fit is waited for
    if (from.tryWrite(batch) < batch.length) throw new Error("Cannot measure: the ring was full");
  }
}

/** A frame from one interface to the other. */
function frame(from: number): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  bytes.set([2, 0, 0, 0, 0, 3 - from, 2, 0, 0, 0, 0, from, 0x88, 0xb5]);
  return bytes;
}

const frames = Array.from({ length: WINDOW }, (_, i) => frame(1 + i % 2));
const loops = [echo(a), echo(b)];
// Both addresses become known; then the window goes in. An echoed frame keeps its addresses and is sent back to where
// it came from by the other side's port, so the table would learn each address at both ports: frames are broadcast.
for (const bytes of frames) bytes.fill(0xff, 0, 6);
for (let i = 0; i < WINDOW; i += 2) await a.write(frames[i]!);
for (let i = 1; i < WINDOW; i += 2) await b.write(frames[i]!);

/** Frames that the script has drained, both interfaces together. */
export const drained = (): number => a.stats().framesIn + b.stats().framesIn;

/** Frames that were lost; more than none means that the measurement is void. */
export const dropped = (): number => a.stats().droppedIn + a.stats().droppedOut + b.stats().droppedIn;

/** Millions of frames per second that one memcpy in C takes out of a ring. */
export function ceiling(): number {
  const { handle } = portOf(idle.a);
  let ns = 0;
  for (let i = 0; i < 40; i++) {
    lab.vb_fill(handle, 640, SIZE);
    lab.vb_drain(handle, arena, arena.length, descriptors, 64, out);
    ns += Number(out[0]);
  }
  return 640 * 40 / ns * 1e3;
}

/** Ends what the measurements used. */
export async function end(): Promise<void> {
  running = false;
  for (const nic of [a, b, idle.a, idle.b]) await nic.stop();
  await Promise.all(loops);
  for (const each of [network, idle.network]) await each.stop();
}
