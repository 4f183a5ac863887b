// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertGreater, assertGreaterOrEqual, assertRejects, assertThrows } from "@std/assert";
import { Interface, PacketBatch } from "vmnet";
import { isVmnet } from "../backend.ts";
import { delay, numbered, numberOf, numbersOf, Pair } from "./frames.ts";

const range = (count: number, start = 0) => Array.from({ length: count }, (_, i) => start + i);

test("owned packets stay as they are", async () => {
  await using pair = await Pair.start();
  for (const i of range(200)) await pair.a.write(numbered(i, 60 + i));
  const packets: Uint8Array[] = [];
  for await (const packet of pair.b) {
    packets.push(packet);
    if (packets.length === 200) break;
  }
  assertEquals(packets.map(numberOf), range(200));
  assertEquals(packets.map(({ length }) => length), range(200, 60));
});

test("batches() yields borrowed batches that copy() keeps", async () => {
  await using pair = await Pair.start();
  const kept: PacketBatch[] = [];
  const before = BigInt(Date.now()) * 1_000_000n;
  await pair.a.write(range(100).map((i) => numbered(i, 60 + i)));
  for await (const batch of pair.b.batches()) {
    assertGreater(batch.length, 0);
    for (let i = 0; i < batch.length; i++) {
      assertEquals(batch.originalLength(i), batch.byteLength(i));
      assertGreaterOrEqual(batch.timestampNs(i), before - 1_000_000n);
    }
    kept.push(batch.copy());
    if (kept.reduce((sum, { length }) => sum + length, 0) === 100) break;
  }
  assertEquals(kept.flatMap((batch) => [...batch].map(numberOf)), range(100));
});

test("read() fills a batch without waiting, readable() waits", async () => {
  await using pair = await Pair.start();
  const batch = new PacketBatch({ slots: 4 });
  assertEquals(pair.b.read(batch), 0);
  const waiting = pair.b.readable();
  await pair.a.write(range(6).map((i) => numbered(i)));
  assertGreaterOrEqual(await waiting, 1);
  const numbers: (number | undefined)[] = [];
  while (numbers.length < 6) {
    await pair.b.readable();
    const count = pair.b.read(batch);
    // vmnet's estimate can be of frames that the read before has got
    if (!await isVmnet()) assertGreater(count, 0);
    numbers.push(...[...batch].map(numberOf));
  }
  assertEquals(numbers, range(6));
  assertEquals(pair.b.read(batch), 0);
  assertEquals(batch.length, 0);
});

test("read() throws when the batch does not fit", async () => {
  await using nic = await Interface.start({ mode: "host" });
  assertThrows(() => nic.read({} as PacketBatch), TypeError, '"batch"');
  assertThrows(() => nic.read(new PacketBatch({ maxPacketSize: 1513 })), RangeError, "at least 1514");
  const batch = new PacketBatch();
  structuredClone(0, { transfer: [batch.bytes.buffer as ArrayBuffer] });
  assertThrows(() => nic.read(batch), TypeError, "transferred");
  assertEquals(nic.read(new PacketBatch()), 0);
});

test("a second reader throws, and the first goes on", async () => {
  await using pair = await Pair.start();
  const first = numbersOf(pair.b, 2);
  await delay(5);
  await assertRejects(() => numbersOf(pair.b, 1), TypeError, "has a reader");
  await assertRejects(() => pair.b.batches().next(), TypeError, "has a reader");
  await assertRejects(() => pair.b.readable(), TypeError, "has a reader");
  assertThrows(() => pair.b.read(new PacketBatch()), TypeError, "has a reader");
  await pair.a.write([numbered(1), numbered(2)]);
  assertEquals(await first, [1, 2]);
});

test("break releases the interface and loses nothing, whatever reads next", async () => {
  await using pair = await Pair.start();
  await pair.a.write(range(130).map((i) => numbered(i, 60 + i)));
  await delay(20);
  assertEquals(await numbersOf(pair.b, 3), [0, 1, 2]);
  assertEquals(await numbersOf(pair.b, 2), [3, 4]);
  const small = new PacketBatch({ slots: 2 });
  while (await pair.b.readable() < 2) await delay(1); // the wire may be behind
  assertEquals(pair.b.read(small), 2);
  assertEquals([...small].map((packet) => [numberOf(packet), packet.length]), [[5, 65], [6, 66]]);
  assertGreater(small.timestampNs(0), 0n);
  const rest: (number | undefined)[] = [];
  for await (const batch of pair.b.batches()) {
    rest.push(...[...batch].map(numberOf));
    if (rest.length === 123) break;
  }
  assertEquals(rest, range(123, 7));
});

test("an abort ends a loop of batches quietly", async () => {
  await using pair = await Pair.start();
  for (const signal of [AbortSignal.abort(), AbortSignal.timeout(20)]) {
    for await (const _ of pair.b.batches({ signal })) throw new Error("nothing was written");
  }
  const controller = new AbortController();
  let count = 0;
  await pair.a.write(numbered(1));
  for await (const batch of pair.b.batches({ signal: controller.signal })) {
    count += batch.length;
    controller.abort();
  }
  assertEquals(count, 1);
  await pair.a.write(numbered(2));
  assertEquals(await numbersOf(pair.b, 1), [2]);
});

test("readable() rejects with the signal's reason when it is aborted", async () => {
  await using nic = await Interface.start({ mode: "host", enableIsolation: true });
  await drainQuietly(nic);
  const controller = new AbortController();
  setTimeout(() => controller.abort("enough"), 5);
  const reason = await nic.readable({ signal: controller.signal }).then(() => undefined, (error) => error);
  assertEquals(reason, "enough");
  assertEquals(nic.read(new PacketBatch()), 0);
});

test("next() can be called ahead", async () => {
  await using pair = await Pair.start();
  const packets = pair.b[Symbol.asyncIterator]();
  const ahead = [packets.next(), packets.next(), packets.next()];
  await pair.a.write(range(3).map((i) => numbered(i)));
  assertEquals((await Promise.all(ahead)).map(({ value }) => numberOf(value!)), [0, 1, 2]);
  const last = packets.next();
  assertEquals(await packets.return!(), { value: undefined, done: true });
  assertEquals((await last).done, true);
  assertEquals((await packets.next()).done, true);
});

test("an interface can be made a ReadableStream", async () => {
  await using pair = await Pair.start();
  await pair.a.write([numbered(1), numbered(2)]);
  const reader = ReadableStream.from(pair.b).getReader();
  assertEquals([numberOf((await reader.read()).value!), numberOf((await reader.read()).value!)], [1, 2]);
  await reader.cancel();
});

/**
 * Runs a loop until a timer of 1 ms came five times. Without a turn of the event loop it never comes, and the loop runs
 * for five seconds. A busy machine only takes longer.
 */
async function assertTurns(loop: (isEnough: () => boolean) => Promise<void>): Promise<void> {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const end = performance.now() + 5000;
  await loop(() => ticks >= 5 || performance.now() > end);
  clearInterval(timer);
  assertGreaterOrEqual(ticks, 5);
}

test("a busy writer leaves the event loop its turn", async () => {
  await using pair = await Pair.start();
  const frame = numbered(0); // one at a time: the network keeps up, so that no full queue gives the turn
  await assertTurns(async (isEnough) => {
    while (!isEnough()) await pair.a.write(frame);
  });
});

test("a busy reader leaves the event loop its turn", async () => {
  await using pair = await Pair.start();
  const frames = range(64).map((i) => numbered(i));
  await assertTurns(async (isEnough) => {
    pair.a.tryWrite(frames);
    for await (const _ of pair.b.batches()) {
      if (isEnough()) break;
      // Always more than a batch on the way, and nothing that waits
      for (let i = 0; i < 4; i++) pair.a.tryWrite(frames);
    }
  });
});

test(
  "VMNET_CHECK=1 overwrites borrowed packets after their turn",
  { skip: process.env.VMNET_CHECK !== "1" },
  async () => {
    await using pair = await Pair.start();
    await pair.a.write(numbered(1));
    let kept: Uint8Array | undefined;
    for await (const batch of pair.b.batches()) {
      kept = batch.at(0);
      assertEquals(numberOf(kept), 1);
      break;
    }
    assertEquals(kept, new Uint8Array(60).fill(0xdb));
  },
);

/** Host mode has a gateway, which may say something of its own at first. */
async function drainQuietly(nic: Interface): Promise<void> {
  for await (const _ of nic.batches({ signal: AbortSignal.timeout(50) }));
}
