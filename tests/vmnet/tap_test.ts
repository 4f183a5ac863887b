// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Network, PacketBatch, Switch, VmnetError } from "vmnet";
import { delay, numbered, numberOf } from "./frames.ts";
import { numberedFrom, Peer, until, Wire, withoutFilters } from "./peers.ts";

const noFilters = { skip: await withoutFilters(() => Switch.create()) };

/** An IPv4 packet of UDP to a port, broadcast. */
function udp(port: number, length = 60): Uint8Array {
  const frame = new Uint8Array(length).fill(0xff, 0, 6);
  frame.set([2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, length - 14, 0, 0, 0, 0, 64, 17], 6);
  frame.set([10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0, port >> 8, port & 255, 0, length - 34], 26);
  return frame;
}

test("taps get copies of every frame, each with its port and its time", async () => {
  await using wire = await Wire.start();
  const { sw } = wire;
  await using tap = await sw.tap();
  wire.a.send(numbered(1));
  await wire.b.take(1);
  wire.b.send(numbered(2, 1514));
  const seen: unknown[] = [];
  for await (const batch of tap.batches()) {
    for (let i = 0; i < batch.length; i++) {
      seen.push([numberOf(batch.at(i)), batch.byteLength(i), batch.originalLength(i), batch.portOf(i)]);
      assertGreater(batch.timestampNs(i), 0n);
      assertEquals(batch.descriptors[6 * i + 3]! >>> 16, batch.portOf(i));
    }
    if (seen.length === 2) break;
  }
  assertEquals(seen, [[1, 60, 60, wire.ports.a], [2, 1514, 1514, wire.ports.b]]);
  const { matched, dropped, framesIn, bytesIn } = tap.stats();
  assertEquals([matched, dropped, framesIn, bytesIn], [2, 0, 2, 1574]);
});

test("a snap length cuts copies, and says how long they were", async () => {
  await using wire = await Wire.start();
  const { sw } = wire;
  await using tap = await sw.tap({ snapLength: 18 });
  assertEquals(tap.maxPacketSize, 18);
  wire.a.send(numbered(1), numbered(2, 1000));
  while (await tap.readable() < 2) await delay(1);
  const batch = new PacketBatch({ maxPacketSize: 18 });
  assertEquals(tap.read(batch), 2);
  assertEquals([0, 1].map((i) => [numberOf(batch.at(i)), batch.byteLength(i), batch.originalLength(i)]), [
    [1, 18, 60],
    [2, 18, 1000],
  ]);
  const copy = batch.copy(1);
  assertEquals([copy.originalLength(0), copy.portOf(0)], [1000, batch.portOf(1)]);
  assertEquals(tap.read(batch), 0);
});

test("a tap is read as an interface is: one reader, break keeps the rest, borrowed batches are poisoned", async () => {
  await using wire = await Wire.start();
  const { sw } = wire;
  await using tap = await sw.tap();
  wire.a.send(numbered(1), numbered(2), numbered(3));
  await until(() => tap.stats().matched === 3, "three copies");
  for await (const packet of tap) {
    assertEquals(numberOf(packet), 1);
    break;
  }
  const loop = tap.batches();
  const { value: batch } = await loop.next();
  const borrowed = batch!.at(0);
  assertEquals([batch!.length, numberOf(borrowed), batch!.portOf(0) > 0], [2, 2, true]);
  await assertRejects(() => tap.readable(), TypeError, "the tap has a reader");
  await loop.return!();
  if (process.env["VMNET_CHECK"] === "1") assertEquals(borrowed[17], 0xdb);
  assertThrows(() => tap.read(new PacketBatch()), RangeError, '"maxPacketSize" of the batch must be at least 65562');
});

test("filters choose, in native code", noFilters, async () => {
  await using wire = await Wire.start();
  const { sw } = wire;
  await using dns = await sw.tap({ filter: "udp port 53" });
  await using long = await sw.tap({ filter: "greater 200" });
  await using all = await sw.tap();
  wire.a.send(udp(53), udp(80), numbered(1, 300), udp(53, 250));
  await until(() => all.stats().matched === 4, "four frames");
  assertEquals([dns.stats().matched, long.stats().matched], [2, 2]);
  const lengths: number[] = [];
  for await (const packet of dns) if (lengths.push(packet.length) === 2) break;
  assertEquals(lengths, [60, 250]);
});

test("a filter that does not compile is named, with the words of libpcap", noFilters, async () => {
  await using sw = await Switch.create();
  for (const filter of ["tcp prot 80", "host", "((", "ip6 host 1.2.3.4", "udp port 99999999"]) {
    const error = await assertRejects(() => sw.tap({ filter }), VmnetError);
    assertEquals(error.code, "badOption");
    assertStringIncludes(error.message, 'Cannot open tap: "filter": ');
  }
  const rule = await assertRejects(() => sw.drop("blah blah"), VmnetError);
  assertStringIncludes(rule.message, 'Cannot add drop rule: "filter": ');
});

test("a tap of one port sees that port alone", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using a = await Peer.connect(door.port);
  a.sendNumber(1, 1);
  await until(() => sw.stats().frames === 1, "a frame");
  const [first] = sw.stats().ports;
  await using b = await Peer.connect(door.port);
  b.sendNumber(2, 2);
  await a.received(2);
  await using tap = await sw.tap({ port: first!.number });
  b.sendNumber(3, 2);
  await a.received(3);
  a.sendNumber(4, 1);
  for await (const packet of tap) {
    assertEquals(numberOf(packet), 4);
    break;
  }
  assertEquals(tap.stats().matched, 1);
  assertEquals((await assertRejects(() => sw.tap({ port: 65535 }), VmnetError)).code, "notFound");
});

test("a tap that nobody reads drops copies and costs the others nothing", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using a = await Peer.connect(door.port);
  await using b = await Peer.connect(door.port);
  await using tap = await sw.tap({ ringBytes: 131072, snapLength: 1514 });
  await until(() => door.stats().clients === 2, "both");
  for (let i = 1; i <= 300; i++) a.send(numberedFrom(i, 1, 1514));
  await b.received(300);
  assertEquals(b.numbers.length, 300);
  const { matched, dropped } = tap.stats();
  assertEquals(matched, 300);
  assertGreater(dropped, 100);
  let count = 0;
  for await (const batch of tap.batches()) if ((count += batch.length) === matched - dropped) break;
});

test("drop rules drop, for one port or for all, and are taken back", noFilters, async () => {
  await using wire = await Wire.start();
  const { sw } = wire;
  await using tap = await sw.tap();
  const { a, b } = wire.ports;
  const rule = await sw.drop("udp port 53", { port: a });
  assertEquals(rule.filter, "udp port 53");
  wire.a.send(udp(53), udp(80));
  wire.b.send(udp(53));
  await until(() => tap.stats().matched === 2, "what is not dropped");
  assertEquals([rule.stats().matched, sw.stats().dropped.filtered], [1, 1]);
  assertEquals(sw.stats().ports.map(({ number, dropped }) => [number, dropped.filtered]), [[a, 1], [b, 0]]);
  await rule.stop();
  await rule.stop();
  assertThrows(() => rule.stats(), VmnetError, "stopped");
  wire.a.send(udp(53));
  await until(() => tap.stats().matched === 3, "what is dropped no more");
});

test("stopping a tap, or its switch, ends loops quietly", async () => {
  const sw = await Switch.create();
  const tap = await sw.tap();
  const other = await sw.tap();
  const loops = [tap, other].map(async (one) => {
    for await (const _ of one.batches());
  });
  await delay(5);
  await tap.stop();
  await loops[0];
  assertThrows(() => tap.stats(), VmnetError, "stopped");
  const readable = assertRejects(() => tap.readable(), VmnetError, "stopped");
  await sw.stop();
  await Promise.all([...loops, readable]);
  await other.stop();
  assertThrows(() => other.stats(), VmnetError, "stopped");
  await assertRejects(() => sw.tap(), VmnetError, "Cannot open tap: it was stopped");
});

test("the end of the network makes a tap's loop throw", async () => {
  const network = await Network.create({ mode: "host", dhcp: false });
  await using sw = await Switch.create({ uplink: network });
  await using tap = await sw.tap();
  const loop = assertRejects(() => tap.batches().next(), VmnetError);
  await delay(5);
  await network.stop();
  assertEquals((await loop).code, "networkGone");
  assertEquals((await assertRejects(() => sw.tap(), VmnetError)).code, "networkGone");
});

test("wrong options are refused before anything is opened", async () => {
  await using sw = await Switch.create();
  const wrong = async (options: unknown, kind: typeof TypeError | typeof RangeError, says: string) => {
    const error = await assertRejects(() => sw.tap(options as object), kind, says);
    assertStringIncludes((error as Error).message, "Cannot open tap: ");
  };
  await wrong(null, TypeError, "options must be an object");
  await wrong({ snaplen: 5 }, TypeError, 'unknown option "snaplen", known are "filter", "snapLength"');
  await wrong({ filter: 5 }, TypeError, '"filter" must be a string');
  await wrong({ filter: "x".repeat(4096) }, RangeError, "1 to 4095 characters");
  await wrong({ filter: "ether host \u00e9" }, RangeError, "characters of ASCII");
  await wrong({ snapLength: 13 }, RangeError, "from 14 to 65562");
  await wrong({ ringBytes: 65535 }, RangeError, "from 65536 to 67108864");
  await wrong({ port: 0 }, RangeError, "from 1 to 65535");
  await assertRejects(() => sw.drop(undefined as unknown as string), TypeError, '"filter" is missing');
  await assertRejects(() => sw.drop(""), RangeError, '"filter"');
  await assertRejects(() => sw.drop("ip", { ports: 1 } as object), TypeError, 'unknown option "ports"');
});
