// SPDX-License-Identifier: MIT

import { Buffer } from "node:buffer";
import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Interface, PacketBatch, Status, UnsupportedError, VmnetError } from "vmnet";
import { embeddedOnly, isVmnet } from "../backend.ts";
import { delay, numbered, numberOf, numbersOf, Pair } from "./frames.ts";

const range = (count: number, start = 0) => Array.from({ length: count }, (_, i) => start + i);

test("Interface.start() gives limits and parameters when the mode is host", async () => {
  await using nic = await Interface.start({ mode: "host", mtu: 1400 });
  assertEquals(nic.mtu, 1400);
  assertEquals(nic.maxPacketSize, 1414);
  assertEquals([nic.maxReadPacketCount, nic.maxWritePacketCount], [256, 256]);
  assertMatch(nic.macAddress, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
  assertEquals(nic.parameters.macAddress, nic.macAddress);
  assertEquals(nic.parameters.mtu, 1400);
  assertMatch(nic.parameters.startAddress ?? "", /^\d+\.\d+\.\d+\.\d+$/);
  assertEquals({ ...nic.options }, { mode: "host", mtu: 1400 });
  assert(Object.isFrozen(nic.options) && Object.isFrozen(nic.parameters));
});

test("Interface.start() reports 1514 bytes at MTU 1500 and 65550 with TSO", async () => {
  await using nic = await Interface.start({ mode: "host" });
  await using tso = await Interface.start({ mode: "host", enableTso: true });
  assertEquals([nic.maxPacketSize, tso.maxPacketSize], [1514, 65550]);
});

test("Interface.start() counts the virtio header in maxPacketSize", async () => {
  await using nic = await Interface.start({ mode: "host", enableVirtioHeader: true });
  assertEquals(nic.maxPacketSize, 1526);
  assertThrows(() => nic.tryWrite(new Uint8Array(25)), VmnetError, "26");
});

test("Interface.start() gives the same MAC address when the id is the same", async () => {
  const interfaceId = "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b10";
  const start = async () => {
    await using nic = await Interface.start({ mode: "host", interfaceId });
    assertEquals(nic.parameters.interfaceId, interfaceId);
    return nic.macAddress;
  };
  assertEquals(await start(), await start());
});

test("Interface.start() gives no MAC address when allocateMacAddress is false", async () => {
  await using nic = await Interface.start({ mode: "host", allocateMacAddress: false });
  assertEquals(nic.macAddress, "");
});

test("Interface.start() rejects with UnsupportedError when the mode is bridged", {
  skip: await embeddedOnly("vmnet has mode bridged"),
}, async () => {
  const start = () => Interface.start({ mode: "bridged", externalInterface: "en0" });
  const error = await assertRejects(start, UnsupportedError);
  assertEquals([error.code, error.operation], ["unsupported", "start interface"]);
  assertMatch(error.remedy ?? "", /macOS/);
});

test("Interface.start() rejects with a wrong option before anything is started", async () => {
  await assertRejects(() => Interface.start({ mode: "host", mtu: 67 }), RangeError, '"mtu"');
  await assertRejects(() => Interface.start({ mode: "host", mtv: 1 } as never), TypeError, '"mtv"');
  await assertRejects(() => Interface.start({ mode: "host" }, { timeoutMs: 0 }), RangeError, '"timeoutMs"');
  await assertRejects(() => Interface.start({ mode: "host" }, { timeoutMs: 1.5 }), RangeError, '"timeoutMs"');
});

test("Interface.start() rejects with the signal's reason when it is cancelled", async () => {
  const reason = new Error("enough");
  await assertStrictReject(() => Interface.start({ mode: "host" }, { signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const start = Interface.start({ mode: "host" }, { signal: controller.signal });
  controller.abort(reason);
  await assertStrictReject(() => start, reason);
});

async function assertStrictReject(fn: () => Promise<unknown>, reason: unknown): Promise<void> {
  assertStrictEquals(await assertRejects(fn), reason);
}

test("frames pass between two interfaces in every style of writing and reading", async () => {
  await using pair = await Pair.start();
  const { a, b } = pair;
  await a.write(numbered(0));
  await a.write([numbered(1), numbered(2, 1514)]);
  await a.write(
    (function* () {
      yield numbered(3);
    })(),
  );
  const batch = new PacketBatch({ slots: 3 });
  for (const i of [4, 5, 6]) batch.push(numbered(i));
  await a.write(batch);
  assertEquals(a.tryWrite(numbered(7)), 1);
  assertEquals(a.tryWrite([numbered(8), numbered(9)]), 2);
  assertEquals(a.tryWrite(batch), 3);
  const slab = new Uint8Array([...numbered(10), ...numbered(11, 61), ...numbered(12)]);
  await a.write([slab.subarray(0, 60), slab.subarray(60, 121), slab.subarray(121)]);
  assertEquals(await numbersOf(b, 16), [...range(10), 4, 5, 6, 10, 11, 12]);
});

test("an interface writes views of any buffer", async () => {
  await using pair = await Pair.start();
  const frame = numbered(1, 100);
  const large = new Uint8Array(5000);
  large.set(frame, 1234);
  const shared = new Uint8Array(new SharedArrayBuffer(200)).subarray(50, 150);
  shared.set(frame);
  const resizable = new Uint8Array(new ArrayBuffer(100, { maxByteLength: 1000 }));
  resizable.set(frame);
  const variants = [large.subarray(1234, 1334), Buffer.from(frame), shared, resizable];
  for (const variant of variants) await pair.a.write(variant);
  await pair.a.write(variants);
  let seen = 0;
  for await (const packet of pair.b) {
    assertEquals(packet, frame);
    if (++seen === 8) break;
  }
});

test("stop() ends a loop quietly, wherever it is", async () => {
  await using pair = await Pair.start();
  const waiting = numbersOf(pair.a, 1);
  await delay(5);
  await pair.a.stop();
  assertEquals(await waiting, []);
  await pair.a.stop();
  // In the middle of a batch
  const { b } = pair;
  await using c = await Interface.start({ network: pair.network });
  await c.write(range(10).map((i) => numbered(i)));
  let seen = 0;
  for await (const _ of b) {
    if (++seen === 3) await b.stop();
  }
  assertEquals(seen, 3);
});

test("stop() answers the same promise however often it is called", async () => {
  const nic = await Interface.start({ mode: "host" });
  const first = nic.stop();
  assertStrictEquals(nic.stop(), first);
  await first;
  await nic[Symbol.asyncDispose]();
});

test("every call after stop() fails with code stopped", async () => {
  const nic = await Interface.start({ mode: "host" });
  await nic.stop();
  const rule = { protocol: "tcp", externalPort: 1, internalAddress: "10.0.0.1", internalPort: 1 } as const;
  const calls: (() => unknown)[] = [
    () => nic.write(numbered(1)),
    () => nic.tryWrite(numbered(1)),
    () => nic.read(new PacketBatch()),
    () => nic.readable(),
    () => nic.stats(),
    () => numbersOf(nic, 1),
    () => nic.batches().next(),
    () => nic.addPortForwardingRule(rule),
    () => nic.removePortForwardingRule(rule),
    () => nic.portForwardingRules(),
  ];
  for (const call of calls) {
    const error = await assertRejects(async () => await call(), VmnetError);
    assertEquals([error.code, error.status], ["stopped", Status.stopped]);
  }
});

test("a loop throws when its network ends, and so does every call", async () => {
  await using pair = await Pair.start();
  const { a, b, network } = pair;
  const gone = async (call: () => Promise<unknown>) => (await assertRejects(call, VmnetError)).code;
  const waiting = [gone(() => numbersOf(a, 1)), gone(() => b.readable())];
  await delay(5);
  await network.stop();
  assertEquals(await Promise.all(waiting), ["networkGone", "networkGone"]);
  const calls = [() => a.write(numbered(1)), () => numbersOf(a, 1), () => a.batches().next(), () => b.readable()];
  for (const call of calls) assertEquals(await gone(call), "networkGone");
});

test("a packet of the wrong size is refused, nothing is written, and the interface goes on", async () => {
  await using pair = await Pair.start();
  const { a, b } = pair;
  const cases = [
    [13, "invalidArgument", "packet 1 has 13 bytes, at least 14"],
    [0, "invalidArgument", "packet 1 has 0 bytes"],
    [1515, "packetTooBig", "packet 1 has 1515 bytes, at most 1514"],
  ] as const;
  for (const [length, code, says] of cases) {
    const packets = [numbered(99), new Uint8Array(length)];
    const errors = [
      assertThrows(() => a.tryWrite(packets), VmnetError, says),
      await assertRejects(() => a.write(packets), VmnetError, says),
    ];
    if (length > 0) {
      const batch = new PacketBatch({ maxPacketSize: 2000 });
      for (const packet of packets) batch.push(packet);
      errors.push(assertThrows(() => a.tryWrite(batch), VmnetError, says));
    }
    for (const error of errors) assertEquals([error.code, error.status], [code, Status[code]]);
  }
  assertThrows(() => a.tryWrite(new Uint8Array(13)), VmnetError, "packet 0");
  await a.write([numbered(1, 18), numbered(2, 1514)]);
  assertEquals(await numbersOf(b, 2), [1, 2]);
});

test("tryWrite() throws RangeError when there are more packets than the limit, write() splits", async () => {
  await using pair = await Pair.start();
  const packets = range(257).map((i) => numbered(i));
  assertThrows(() => pair.a.tryWrite(packets), RangeError, "at most 256 packets");
  assertEquals(pair.a.tryWrite(packets.slice(0, 256)), 256);
  await numbersOf(pair.b, 256);
  await pair.a.write(range(1000).map((i) => numbered(i)));
  assertEquals(await numbersOf(pair.b, 1000), range(1000));
});

test("writing something else throws TypeError", async () => {
  await using nic = await Interface.start({ mode: "host" });
  for (const wrong of [undefined, null, 5, {}, "frame", ["frame"], [[1, 2]], new ArrayBuffer(60)]) {
    assertThrows(() => nic.tryWrite(wrong as never), TypeError);
    await assertRejects(() => nic.write(wrong as never), TypeError);
  }
  assertEquals(nic.tryWrite([]), 0);
  await nic.write([]);
});

test("writing a transferred buffer throws TypeError", async () => {
  await using nic = await Interface.start({ mode: "host" });
  const frame = new Uint8Array(60);
  structuredClone(frame, { transfer: [frame.buffer] });
  assertThrows(() => nic.tryWrite(frame), TypeError, "transferred");
  await assertRejects(() => nic.write([new Uint8Array(60), frame]), TypeError, "packet 1 was transferred");
  const batch = new PacketBatch();
  batch.push(new Uint8Array(60));
  structuredClone(0, { transfer: [batch.bytes.buffer as ArrayBuffer] });
  assertThrows(() => nic.tryWrite(batch), TypeError, "transferred");
});

test("write() has taken every byte when it returns", async () => {
  await using pair = await Pair.start();
  const frame = numbered(0, 1514);
  const view = new DataView(frame.buffer);
  const writes: Promise<void>[] = [];
  // Far more than a ring holds, so that most of it has to be copied and wait
  for (let i = 0; i < 5000; i++) {
    view.setUint32(14, i);
    writes.push(pair.a.write(frame));
  }
  frame.fill(0xee);
  const numbers = readAll(pair.b);
  await Promise.all(writes);
  const got = await numbers;
  assertEquals(got, [...got].sort((x, y) => x - y), "in order");
  assertEquals(new Set(got).size, got.length, "none twice");
  const { framesOut } = pair.a.stats();
  assertEquals(framesOut, 5000);
  // vmnet does not tell what its own queue could not hold
  if (await isVmnet()) assertGreaterOrEqual(5000, got.length);
  else assertEquals(got.length + pair.b.stats().droppedIn, 5000);
});

/** Reads numbers until nothing has come for a while. */
async function readAll(nic: Interface): Promise<number[]> {
  const numbers: number[] = [];
  const controller = new AbortController();
  let timer = setTimeout(() => controller.abort(), 1000);
  for await (const batch of nic.batches({ signal: controller.signal })) {
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(), 200);
    for (const packet of batch) numbers.push(numberOf(packet) ?? -1);
  }
  return numbers;
}

test("stats() counts frames and bytes both ways", async () => {
  await using pair = await Pair.start();
  await pair.a.write([numbered(1, 60), numbered(2, 1000)]);
  await numbersOf(pair.b, 2);
  const [a, b] = [pair.a.stats(), pair.b.stats()];
  assertEquals([a.framesOut, a.bytesOut, a.framesIn], [2, 1060, 0]);
  assertEquals([b.framesIn, b.bytesIn, b.framesOut], [2, 1060, 0]);
  assertGreaterOrEqual(b.drains, 1);
  assertEquals([a.droppedOut, b.droppedIn], [0, 0]);
});

test("frames of 65550 bytes pass when both interfaces have TSO", async () => {
  await using pair = await Pair.start({ enableTso: true });
  await pair.a.write([numbered(1, 65550), numbered(2, 60), numbered(3, 40000)]);
  const lengths: number[] = [];
  for await (const packet of pair.b) {
    lengths.push(packet.length);
    if (lengths.length === 3) break;
  }
  assertEquals(lengths, [65550, 60, 40000]);
});

test("interfaces with isolation do not see one another", async () => {
  await using pair = await Pair.start({ enableIsolation: true });
  await pair.a.write(numbered(1));
  for await (const _ of pair.b.batches({ signal: AbortSignal.timeout(50) })) throw new Error("not isolated");
});
