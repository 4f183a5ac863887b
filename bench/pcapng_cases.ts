/**
 * Writing frames of 1514 bytes as pcapng into memory, beside copying the same frames with `set()`, which no writer can
 * do without; and reading them back. Each function answers gigabytes of frames per second (10^9 bytes).
 *
 * @module
 */

import { CaptureReader, pcapngChunks, PcapngWriter } from "../packet/mod.ts";

const SIZE = 1514;
/** Frames of a batch, as many as a borrowed one has. */
const FRAMES = 128;
const STRIDE = 1520;
const BATCHES = 200;

const arena = new Uint8Array(new ArrayBuffer(FRAMES * STRIDE)).map((_, i) => i);
const descriptors = new Uint32Array(6 * FRAMES);
for (let i = 0; i < FRAMES; i++) descriptors.set([i * STRIDE, SIZE, SIZE, 0, 1000 + i, 0x17979cfe], 6 * i);
const batch = { length: FRAMES, bytes: arena, descriptors };
const frames = Array.from({ length: FRAMES }, (_, i) => arena.subarray(i * STRIDE, i * STRIDE + SIZE));

/** Bytes of a frame's block. */
const BLOCK = 1548;

function rate(begin: number, batches: number = BATCHES): number {
  return batches * FRAMES * SIZE / ((performance.now() - begin) * 1e6);
}

let sink = 0;

/** What was written and read, so that no engine leaves it out. */
export const total = (): number => sink;

const target = new Uint8Array(FRAMES * BLOCK);

/** The ceiling: frames are copied to where a writer would put them, into the same memory each time. */
export function copied(): number {
  const begin = performance.now();
  for (let n = 0; n < BATCHES; n++) {
    for (let i = 0, at = 28; i < FRAMES; i++, at += BLOCK) target.set(frames[i]!, at);
    sink |= target[28]!;
  }
  return rate(begin);
}

/** The ceiling for new memory: the same, and what it costs to have it. */
export function copiedAnew(): number {
  const begin = performance.now();
  for (let n = 0; n < BATCHES; n++) {
    const fresh = new Uint8Array(FRAMES * BLOCK);
    for (let i = 0, at = 28; i < FRAMES; i++, at += BLOCK) fresh.set(frames[i]!, at);
    sink |= fresh[28]!;
  }
  return rate(begin);
}

const writer = new PcapngWriter();
writer.addInterface();

/** Batches, in memory that is given back. */
export function batches(): number {
  const begin = performance.now();
  for (let n = 0; n < BATCHES; n++) {
    writer.writeBatch(batch);
    const bytes = writer.take();
    sink |= bytes[28]!;
    writer.recycle(bytes);
  }
  return rate(begin);
}

/** Batches, in new memory each. */
export function batchesAnew(): number {
  const begin = performance.now();
  for (let n = 0; n < BATCHES; n++) {
    writer.writeBatch(batch);
    sink |= writer.take()[28]!;
  }
  return rate(begin);
}

/** Packets one by one, in memory that is given back. */
export function packets(): number {
  const begin = performance.now();
  for (let n = 0; n < BATCHES; n++) {
    for (let i = 0; i < FRAMES; i++) writer.write(frames[i]!);
    const bytes = writer.take();
    sink |= bytes[28]!;
    writer.recycle(bytes);
  }
  return rate(begin);
}

/** Batches through the asynchronous chunks that files, pipes and responses take. */
export async function chunks(): Promise<number> {
  const begin = performance.now();
  for await (const chunk of pcapngChunks(Array<typeof batch>(BATCHES).fill(batch))) sink |= chunk[0]!;
  return rate(begin);
}

const READ = 100;
const source = new PcapngWriter();
for (let i = 0; i < READ; i++) source.writeBatch(batch);
const file = source.take();

/** Reads a file that comes in pieces, as from a disk. */
export function read(piece: number): number {
  const begin = performance.now();
  const reader = new CaptureReader();
  for (let at = 0; at < file.length; at += piece) {
    reader.push(file.subarray(at, at + piece));
    for (let packet = reader.read(); packet !== undefined; packet = reader.read()) {
      sink |= packet.bytes[0]! | Number(packet.timestampNs! & 1n);
    }
  }
  reader.end();
  return rate(begin, READ);
}
