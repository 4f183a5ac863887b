// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects, assertStrictEquals } from "@std/assert";
import { PacketBatch, Status, VmnetError } from "vmnet";
import { stoppedError } from "../../vmnet/errors.ts";
import type { Port } from "../../vmnet/port.ts";
import { PacketWriter } from "../../vmnet/writer.ts";
import { delay, numbered, numberOf } from "./frames.ts";

/** A network that takes as many frames as it is told to, instead of the shim. */
class FakePort {
  readonly limits = { minPacketSize: 14, maxPacketSize: 1514, maxReadPacketCount: 256, maxWritePacketCount: 4 };
  readonly handle = 1;
  readonly context = { hold: () => this.holds++, release: () => this.holds-- };
  readonly shim = { vn_send: this.#send.bind(this) };
  onWritable: () => void = () => {};
  stopping = false;
  holds = 0;
  /** How many frames there is room for. */
  room = Infinity;
  /** Answered instead of a number of frames. */
  status: number = Status.ok;
  calls = 0;
  readonly taken: (number | undefined)[] = [];
  readonly writer: PacketWriter = new PacketWriter(this as unknown as Port);

  #send(_handle: number, arena: Uint8Array, length: number, words: Uint32Array, first: number, count: number): number {
    this.calls++;
    assert(count <= 4 && length === arena.length);
    if (this.status !== Status.ok) return -this.status;
    let sent = 0;
    for (; sent < count && this.room > 0; sent++, this.room--) {
      const at = (first + sent) * 6;
      this.taken.push(numberOf(arena.subarray(words[at]!, words[at]! + words[at + 1]!)));
    }
    return sent;
  }

  /** Makes room and says so. */
  drain(room: number): void {
    this.room = room;
    this.onWritable();
  }

  check(action: string): void {
    if (this.stopping) throw stoppedError(action);
  }

  errorOf(action: string, status: number): VmnetError {
    return new VmnetError(`Cannot ${action}`, { status, operation: action });
  }
}

/** Whether a promise has settled by now. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  const never = Symbol();
  return await Promise.race([promise, Promise.resolve().then(() => never)]) !== never;
}

const frames = (...numbers: number[]) => numbers.map((number) => numbered(number));

test("write() waits for room, in the order of the calls, and keeps the process alive meanwhile", async () => {
  const port = new FakePort();
  port.room = 2;
  const first = port.writer.write(frames(1, 2, 3));
  const second = port.writer.write(numbered(4));
  assertEquals(port.taken, [1, 2]);
  assertEquals([await settled(first), await settled(second), port.holds], [false, false, 2]);
  assertEquals(port.writer.tryWrite(numbered(9)), 0);
  port.drain(1);
  await first;
  assertEquals([await settled(second), port.holds], [false, 1]);
  port.drain(Infinity);
  await second;
  assertEquals([port.taken, port.holds], [[1, 2, 3, 4], 0]);
  assertEquals(port.writer.tryWrite(numbered(5)), 1);
});

test("write() has taken the bytes when it returns", async () => {
  const port = new FakePort();
  port.room = 0;
  const [frame, pair] = [numbered(1), frames(2, 3)];
  const batch = new PacketBatch();
  batch.push(numbered(4));
  const writes = [port.writer.write(frame), port.writer.write(pair), port.writer.write(batch)];
  for (const bytes of [frame, ...pair, batch.bytes]) bytes.fill(0);
  batch.clear();
  port.drain(Infinity);
  await Promise.all(writes);
  assertEquals(port.taken, [1, 2, 3, 4]);
});

test("write() sends views of one buffer at one go, as many as a call takes", async () => {
  const port = new FakePort();
  const slab = new Uint8Array(7 * 60);
  frames(0, 1, 2, 3, 4, 5, 6).forEach((frame, i) => slab.set(frame, i * 60));
  const view = (i: number) => slab.subarray(i * 60, (i + 1) * 60);
  await port.writer.write([3, 0, 6, 2, 1, 4].map(view));
  assertEquals([port.taken, port.calls], [[3, 0, 6, 2, 1, 4], 2]);
  await port.writer.write([view(0), numbered(8), view(1), view(2)]);
  assertEquals([port.taken.slice(6), port.calls], [[0, 8, 1, 2], 5]);
});

test("write() takes an iterable that writes itself", async () => {
  const port = new FakePort();
  const inner: Promise<void>[] = [];
  await port.writer.write(
    (function* () {
      yield numbered(1);
      inner.push(port.writer.write(frames(7, 8)));
      yield numbered(2);
    })(),
  );
  await Promise.all(inner);
  assertEquals(port.taken, [7, 8, 1, 2]);
});

test("write() rejects what waits when the interface stops", async () => {
  const port = new FakePort();
  port.room = 1;
  const writes = [port.writer.write(frames(1, 2)), port.writer.write(numbered(3))];
  port.stopping = true;
  port.onWritable();
  for (const write of writes) assertEquals((await assertRejects(() => write, VmnetError)).code, "stopped");
  assertEquals(port.holds, 0);
});

test("write() rejects with what the network answers", async () => {
  const port = new FakePort();
  port.status = Status.networkGone;
  const error = await assertRejects(() => port.writer.write(numbered(1)), VmnetError);
  assertStrictEquals(error.code, "networkGone");
});

test("full buffers of vmnet are tried again, and a frame is dropped and counted in the end", async () => {
  const port = new FakePort();
  port.status = Status.bufferExhausted;
  assertEquals(port.writer.tryWrite(numbered(9)), 0);
  const write = port.writer.write(frames(1, 2));
  await delay(10);
  assertGreater(port.calls, 2);
  port.status = Status.ok;
  await write;
  assertEquals([port.taken, port.writer.dropped], [[1, 2], 0]);
  port.status = Status.bufferExhausted;
  await port.writer.write(frames(3, 4));
  assertEquals([port.writer.dropped, port.holds], [2, 0]);
});

test("write() lets the event loop have its turn when there is always room", async () => {
  const port = new FakePort();
  let turns = 0;
  let over = false;
  const count = () => void (++turns, over || setImmediate(count));
  setImmediate(count);
  for (let i = 0; i < 20_000; i++) await port.writer.write(numbered(i));
  over = true;
  assertGreater(turns, 10);
});
