// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertThrows } from "@std/assert";
import {
  type CaptureInterfaceOptions,
  type CapturePacketOptions,
  type CaptureStatistics,
  type FrameBatch,
  PcapngWriter,
  type PcapngWriterOptions,
  readCapture,
} from "../../packet/mod.ts";
import { chance, contentsOf, frames, joined, Maker } from "./pcapng_files.ts";

const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
const make = new Maker(isLittleEndian);
const data = frames(1)[0]!;

/** A batch of frames that lie apart, as those of `vmnet` do. */
function batchOf(list: readonly Uint8Array[], meta = 0): FrameBatch {
  const descriptors = new Uint32Array(6 * list.length + 6);
  const bytes = new Uint8Array(list.reduce((sum, { length }) => sum + length + 16, 0)).fill(0xee);
  let offset = 3;
  list.forEach((frame, i) => {
    bytes.set(frame, offset);
    descriptors.set([offset, frame.length, frame.length + i, meta, 1000 + i, 0x17979cfe], 6 * i);
    offset += frame.length + i % 7;
  });
  return { length: list.length, bytes, descriptors };
}

test("PcapngWriter writes what the format says", () => {
  const writer = new PcapngWriter({ application: "it", comments: ["one", "two"], hardware: "h", operatingSystem: "o" });
  assertEquals(writer.take(), make.section(make.options([1, "one"], [1, "two"], [2, "h"], [3, "o"], [4, "it"])));
  assertEquals(writer.length, 0);
  assertEquals(writer.take().length, 0);
  const number = writer.addInterface({
    name: "lab",
    description: "the lab's",
    linkType: 101,
    snapLength: 96,
    filter: "tcp",
    macAddress: "52:54:00:00:00:01",
    speed: 1e10,
    operatingSystem: "its o",
    hardware: "its h",
    comments: "c",
  });
  assertEquals([number, writer.addInterface()], [0, 1]);
  assertEquals(
    writer.take(),
    joined(
      make.interface(
        101,
        96,
        make.options(
          [1, "c"],
          [2, "lab"],
          [3, "the lab's"],
          [6, Uint8Array.of(0x52, 0x54, 0, 0, 0, 1)],
          [8, make.u64(10_000_000_000n)],
          [9, Uint8Array.of(9)],
          [11, "\0tcp"],
          [12, "its o"],
          [15, "its h"],
        ),
      ),
      make.interface(1, 0, make.options([9, Uint8Array.of(9)])),
    ),
  );
  const timestampNs = 1_700_000_000_123_456_789n;
  writer.write(data, { interface: 1, timestampNs, originalLength: 99 });
  writer.write(data, { timestampNs, direction: "inbound", dropped: 7, comments: "hm" });
  writer.write(new Uint8Array(0), { timestampNs: 2n ** 64n - 1n, comments: [] });
  writer.writeStatistics(1, {
    timestampNs,
    startNs: 1n,
    endNs: 1n << 40n,
    received: 1,
    interfaceDropped: 2,
    accepted: 3,
    systemDropped: 4,
    delivered: 2 ** 53 - 1,
    comments: "end",
  });
  writer.writeStatistics(0, { timestampNs });
  assertEquals(
    writer.take(),
    joined(
      make.packet(1, timestampNs, data, 99),
      make.packet(0, timestampNs, data, 14, make.options([1, "hm"], [2, make.u32(1)], [4, make.u64(7n)])),
      make.packet(0, 2n ** 64n - 1n, new Uint8Array(0)),
      make.statistics(
        1,
        timestampNs,
        make.options(
          [1, "end"],
          [2, make.time(1n)],
          [3, make.time(1n << 40n)],
          [4, make.u64(1n)],
          [5, make.u64(2n)],
          [6, make.u64(3n)],
          [7, make.u64(4n)],
          [8, make.u64(2n ** 53n - 1n)],
        ),
      ),
      make.statistics(0, timestampNs),
    ),
  );
});

test("PcapngWriter.write() adds an Ethernet interface when there is none", () => {
  const writer = new PcapngWriter();
  const before = BigInt(Date.now()) * 1_000_000n;
  writer.write(data);
  const after = BigInt(Date.now()) * 1_000_000n;
  const [packet] = contentsOf([writer.take()]).packets;
  assertEquals([packet!.bytes, packet!.interface.linkType], [data, 1]);
  assertGreaterOrEqual(packet!.timestampNs!, before);
  assertLessOrEqual(packet!.timestampNs!, after);
  const { now } = Date;
  try {
    for (const ms of [0, 1, 4294, 4295, 2 ** 20 - 1, 2 ** 32, 1_700_000_000_123, 1_799_999_999_999, 2 ** 44]) {
      Date.now = () => ms;
      const clocked = new PcapngWriter();
      clocked.write(data);
      assertEquals(contentsOf([clocked.take()]).packets[0]!.timestampNs, BigInt(ms) * 1_000_000n);
    }
  } finally {
    Date.now = now;
  }
});

test("PcapngWriter.writeBatch() writes what write() does", () => {
  const list = [...frames(40, 80), new Uint8Array(0), ...frames(3, 65562)];
  const [one, many] = [new PcapngWriter(), new PcapngWriter()];
  for (const writer of [one, many]) {
    writer.addInterface();
    writer.addInterface();
    writer.take();
  }
  many.write(new Uint8Array(300_000).fill(0xdd)); // so that there is something to recycle that is not zero
  many.recycle(many.take());
  list.forEach((frame, i) => {
    const timestampNs = 0x17979cfen << 32n | BigInt(1000 + i);
    one.write(frame, { interface: 1, timestampNs, originalLength: frame.length + i });
  });
  const batch = batchOf(list);
  many.writeBatch(batch, 1);
  const written = many.take();
  assertEquals(written, one.take());
  many.recycle(written);
  for (const writer of [one, many]) writer.write(list[1]!, { timestampNs: 0n, comments: "odd" });
  const remark = many.take();
  assertEquals(remark, one.take());
  many.recycle(remark);
  many.writeBatch({ ...batch, length: 0 }, 1);
  assertEquals(many.length, 0);
});

test("PcapngWriter.writeBatch() leaves virtio headers out", () => {
  const list = [joined(new Uint8Array(12).fill(1), data), new Uint8Array(5)];
  const writer = new PcapngWriter();
  writer.writeBatch(batchOf(list, 2));
  writer.write(data);
  const { packets, error } = contentsOf([writer.take()]);
  assertEquals(error, undefined);
  assertEquals(packets.map((packet) => packet.bytes), [data, new Uint8Array(0), data]);
  assertEquals(packets.map((packet) => packet.originalLength), [14, 1, 14]);
});

test("PcapngWriter.writeBatch() writes nothing when a descriptor is wrong", () => {
  const writer = new PcapngWriter();
  writer.addInterface();
  const { length } = writer;
  const batch = batchOf(frames(3));
  for (const [word, value] of [[6, 1e6], [7, 1e6], [12, 0xffff_ffff], [13, 0xffff_ffff]] as const) {
    const descriptors = batch.descriptors.slice();
    descriptors[word] = value;
    assertThrows(() => writer.writeBatch({ ...batch, descriptors }), RangeError, `of frame ${word < 12 ? 1 : 2}`);
  }
  assertThrows(() => writer.writeBatch({ ...batch, length: 9 }), RangeError, "of frame");
  assertThrows(() => writer.writeBatch(batch, 1), RangeError, "no interface 1, there are 1");
  assertEquals(writer.length, length);
});

test("PcapngWriter gives memory away when its bytes are taken", () => {
  const random = chance(7);
  const list = frames(3000, 200);
  const writer = new PcapngWriter();
  const copies: Uint8Array[] = [];
  const lent: { bytes: Uint8Array<ArrayBuffer>; copy: Uint8Array }[] = [];
  for (let i = 0; i < list.length;) {
    for (let n = random(20); n > 0 && i < list.length; n--) writer.write(list[i++]!);
    while (random(2) && lent.length > 0) { // while others wait, as a file's bytes come back when they are written
      const [back] = lent.splice(random(lent.length), 1);
      assertEquals(back!.bytes, back!.copy);
      writer.recycle(back!.bytes);
    }
    const bytes = writer.take();
    if (bytes.length === 0) continue;
    const copy = bytes.slice();
    copies.push(copy);
    lent.push({ bytes, copy });
  }
  for (const { bytes, copy } of lent) assertEquals(bytes, copy);
  assertEquals(contentsOf(copies).packets.map((packet) => packet.bytes), list);
});

test("PcapngWriter.recycle() refuses bytes when they are not its own", () => {
  const writer = new PcapngWriter();
  const taken = writer.take();
  assertThrows(() => writer.recycle(new Uint8Array(8)), TypeError, "not taken from this writer");
  assertThrows(() => new PcapngWriter().recycle(taken), TypeError, "not taken from this writer");
  writer.recycle(taken);
  assertThrows(() => writer.recycle(taken), TypeError, "not taken from this writer");
  writer.recycle(writer.take()); // nothing was written, nothing is given back
  writer.write(data);
  const sent = writer.take();
  structuredClone(sent, { transfer: [sent.buffer] });
  writer.recycle(sent); // somebody else has it
  writer.write(data);
  assertEquals(writer.take().length, 48);
});

test("PcapngWriter.write() copies a packet when it was read from another file", () => {
  const swapped = new Maker(!isLittleEndian);
  const source = joined(
    swapped.section(),
    swapped.interface(1, 100, swapped.options([2, "a"], [6, Uint8Array.of(2, 0, 0, 0, 0, 1)])),
    swapped.interface(101, 0, swapped.options([2, "b"], [9, Uint8Array.of(3)])),
    swapped.packet(1, 5n, data, 90, swapped.options([1, "remark"], [2, swapped.u32(2)], [4, swapped.u64(1n)])),
    swapped.packet(0, 5n, data),
    swapped.packet(1, 6n, data),
  );
  const { packets } = contentsOf([source]);
  const writer = new PcapngWriter();
  for (const packet of packets) writer.write(packet.bytes, packet);
  const copies = contentsOf([writer.take()]).packets;
  const shown = (list: typeof packets) =>
    list.map(({ interface: { name, linkType, snapLength, macAddress }, ...rest }) => {
      return { ...rest, name, linkType, snapLength, macAddress };
    });
  assertEquals(shown(copies), shown(packets));
  assertEquals(copies.map((packet) => packet.interface.index), [0, 1, 0]); // by their first packets
});

test("PcapngWriter refuses wrong values", () => {
  const long = "x".repeat(65536);
  const files: [PcapngWriterOptions, string][] = [
    [{ application: 1 as unknown as string }, "application takes a string, found number"],
    [{ comments: long }, "comments takes 65535 bytes at most, found 65536"],
  ];
  for (const [options, message] of files) assertThrows(() => new PcapngWriter(options), Error, message);
  const writer = new PcapngWriter();
  const interfaces: [CaptureInterfaceOptions, string][] = [
    [{ linkType: 65536 }, "linkType takes a whole number from 0 to 65535, found 65536"],
    [{ linkType: "1" as unknown as number }, "linkType takes a number, found string"],
    [{ snapLength: -1 }, "snapLength takes a whole number from 0 to 4294967295, found -1"],
    [{ speed: 0.5 }, "speed takes a whole number"],
    [{ macAddress: "52:54" }, "macAddress"],
    [{ name: "é".repeat(32768) }, "name takes 65535 bytes at most, found 65536"],
    [{ filter: long }, "filter takes 65535 bytes at most"],
    [{ comments: Array.from({ length: 300 }, () => long.slice(1)) }, "a block takes 16777216 bytes at most"],
  ];
  for (const [options, message] of interfaces) assertThrows(() => writer.addInterface(options), Error, message);
  assertThrows(() => writer.write(data, { interface: 1 }), RangeError, "no interface 1, there are 0");
  writer.addInterface();
  const packets: [CapturePacketOptions, string][] = [
    [{ interface: 1 }, "no interface 1, there are 1"],
    [{ interface: -1 }, "no interface -1"],
    [{ interface: 0.5 }, "no interface 0.5"],
    [{ timestampNs: -1n }, "timestampNs takes nanoseconds from 0 to 2^64 - 1, found -1"],
    [{ timestampNs: 1n << 64n }, "timestampNs takes nanoseconds"],
    [{ timestampNs: 5 as unknown as bigint }, "timestampNs takes a bigint, found number"],
    [{ originalLength: 2 ** 32 }, "originalLength takes a whole number"],
    [{ dropped: -1 }, "dropped takes a whole number"],
    [{ direction: "up" as "inbound" }, 'direction takes "inbound" or "outbound", found "up"'],
  ];
  const statistics: [CaptureStatistics, string][] = [
    [{ startNs: -1n }, "startNs takes nanoseconds"],
    [{ received: NaN }, "received takes a whole number"],
  ];
  const { length } = writer;
  for (const [options, message] of packets) assertThrows(() => writer.write(data, options), Error, message);
  for (const [options, message] of statistics) assertThrows(() => writer.writeStatistics(0, options), Error, message);
  assertThrows(() => writer.write([1] as unknown as Uint8Array), TypeError, "must be a Uint8Array");
  assertThrows(() => writer.write(new Uint8Array(16 << 20)), RangeError, "a block takes 16777216 bytes at most");
  assertEquals(writer.length, length);
  writer.write(new Uint8Array((16 << 20) - 32));
  const { packets: [packet], error } = contentsOf([writer.take()]);
  assert(packet!.bytes.length === (16 << 20) - 32 && error === undefined); // what is written can be read
});

test("PcapngWriter knows an interface of a file that was added before its packets", async () => {
  const writer = new PcapngWriter();
  const lab = writer.addInterface({ name: "lab" });
  writer.write(new Uint8Array(60), { interface: lab });
  const copy = new PcapngWriter();
  copy.addInterface({ name: "other" });
  for await (const packet of readCapture(writer.take())) {
    assertEquals(copy.addInterface(packet.interface), 1);
    copy.write(packet.bytes, packet);
    copy.writeStatistics(packet.interface, { received: 1 });
  }
  const { packets } = contentsOf([copy.take()]);
  assertEquals(packets.map((packet) => [packet.interface.index, packet.interface.name]), [[1, "lab"]]);
  assertEquals(packets[0]!.interface.statistics?.received, 1);
});
