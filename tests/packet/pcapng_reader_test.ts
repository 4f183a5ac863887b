// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertLess, assertStringIncludes, assertThrows } from "@std/assert";
import { CaptureReader, MacAddress, PacketError, readCapture } from "../../packet/mod.ts";
import { chance, contentsOf, frames, joined, Maker } from "./pcapng_files.ts";

const data = Uint8Array.from({ length: 61 }, (_, i) => i);
const orders = [["little-endian", true], ["big-endian", false]] as const;

/** A file with every kind of block that is known, and one that is not. */
function everything(little: boolean): Uint8Array<ArrayBuffer> {
  const make = new Maker(little);
  return joined(
    make.section(make.options([1, "a remark"], [2, "a machine"], [3, "a system"], [4, "a program"], [99, "unknown"])),
    make.interface(
      1,
      96,
      make.options(
        [1, "first"],
        [1, "second"],
        [2, "lab"],
        [3, "the lab's"],
        [6, Uint8Array.of(0x52, 0x54, 0, 0, 0, 1)],
        [8, make.u64(10_000_000_000n)],
        [9, Uint8Array.of(9)],
        [11, "\0tcp"],
        [12, "its system"],
        [15, "its hardware"],
      ),
    ),
    make.interface(101),
    make.block(0x0bad, new Uint8Array(40)),
    make.packet(0, 1_700_000_000_123_456_789n, data, 100, make.options([1, "x"], [2, make.u32(2)], [4, make.u64(7n)])),
    make.packet(1, 1_700_000_000_000_001n, data.subarray(0, 1)),
    make.oldPacket(1, 3, 5n, data, make.options([2, make.u32(1)], [1, "old"])),
    make.oldPacket(1, 0xffff, 5n, new Uint8Array(0)),
    make.simplePacket(new Uint8Array(96), 1514),
    make.statistics(
      0,
      9n,
      make.options([2, make.time(1n << 33n)], [3, make.time(8n)], [4, make.u64(40n)], [5, make.u64(1n)]),
    ),
    make.statistics(0, 10n, make.options([1, "end"], [6, make.u64(3n)], [7, make.u64(2n)], [8, make.u64(1n)])),
  );
}

for (const [name, little] of orders) {
  test(`CaptureReader reads every kind of block when the file is ${name}`, () => {
    const { packets, error } = contentsOf([everything(little)]);
    assertEquals(error, undefined);
    const [first, second, old, unknownDrops, simple] = packets;
    assertEquals(packets.length, 5);
    const { section, ...lab } = first!.interface;
    assertEquals(section, {
      format: "pcapng",
      application: "a program",
      operatingSystem: "a system",
      hardware: "a machine",
      comments: ["a remark"],
    });
    assertEquals([lab.name, lab.description, lab.index, lab.linkType, lab.snapLength], ["lab", "the lab's", 0, 1, 96]);
    assertEquals([lab.filter, lab.operatingSystem, lab.hardware], ["tcp", "its system", "its hardware"]);
    assertEquals([lab.speed, lab.comments], [10_000_000_000, ["first", "second"]]);
    assert(lab.macAddress instanceof MacAddress);
    assertEquals(`${lab.macAddress}`, "52:54:00:00:00:01");
    assertEquals(lab.statistics, {
      timestampNs: 10n,
      comments: ["end"],
      accepted: 3,
      systemDropped: 2,
      delivered: 1,
    });

    assertEquals(first!.bytes, data);
    assertEquals([first!.timestampNs, first!.originalLength], [1_700_000_000_123_456_789n, 100]);
    assertEquals([first!.direction, first!.dropped, first!.comments], ["outbound", 7, ["x"]]);
    assertEquals(second!.interface.linkType, 101);
    assertEquals([second!.bytes.length, second!.timestampNs], [1, 1_700_000_000_000_001_000n]); // microseconds
    assertEquals([old!.bytes, old!.timestampNs, old!.dropped], [data, 5000n, 3]);
    assertEquals([old!.direction, old!.comments], ["inbound", ["old"]]);
    assertEquals([unknownDrops!.dropped, unknownDrops!.bytes.length], [undefined, 0]);
    assertEquals([simple!.bytes.length, simple!.originalLength, simple!.timestampNs], [96, 1514, undefined]);
    assertEquals(simple!.interface, first!.interface);
  });

  test(`CaptureReader finds the same packets when a ${name} file is cut anywhere`, () => {
    const file = everything(little);
    const whole = contentsOf([file]).packets;
    const random = chance(20261123);
    const cuts = [
      Array.from(file, (_, i) => i),
      ...Array.from({ length: 200 }, () => {
        return Array.from({ length: random(40) }, () => random(file.length + 1)).sort((a, b) => a - b);
      }),
    ];
    for (const places of cuts) {
      const pieces = [...places, file.length].map((end, i) => file.slice(i === 0 ? 0 : places[i - 1], end));
      assertEquals(contentsOf(pieces).packets, whole);
      const reader = new CaptureReader(); // all at once, but still in pieces
      for (const piece of pieces) reader.push(piece);
      assertEquals([...reader], whole);
      reader.end();
    }
  });

  test(`CaptureReader reads classic pcap when it is ${name}`, () => {
    const make = new Maker(little);
    for (const [magic, ns] of [[0xa1b2c3d4, 123_456_000n], [0xa1b23c4d, 123_456n]] as const) {
      const head = make.pcap(magic, 262144, 0x5400_0071); // FCS bits above the link type
      const file = joined(head, make.record(0xffff_fffe, 123_456, data, 1514), make.record(1, 0, data.subarray(0, 0)));
      for (const pieces of [[file], Array.from(file, (byte) => Uint8Array.of(byte))]) {
        const { packets, error } = contentsOf(pieces);
        assertEquals(error, undefined);
        assertEquals(packets.map((packet) => packet.bytes), [data, data.subarray(0, 0)]);
        assertEquals(packets[0]!.timestampNs, 0xffff_fffen * 1_000_000_000n + ns);
        assertEquals(packets[0]!.originalLength, 1514);
        const { section, linkType, snapLength } = packets[1]!.interface;
        assertEquals([section.format, linkType, snapLength], ["pcap", 0x71, 262144]);
      }
    }
  });
}

test("CaptureReader reads times of any unit", () => {
  const make = new Maker(true);
  const cases: [resolution: number, time: bigint, offset: bigint, ns: bigint][] = [
    [0, 5n, 0n, 5_000_000_000n],
    [3, 1_700_000_000_123n, 0n, 1_700_000_000_123_000_000n],
    [6, 7n, -1n, 7000n - 1_000_000_000n],
    [9, 2n ** 64n - 1n, 0n, 2n ** 64n - 1n],
    [9, 5n, 1_700_000_000n, 1_700_000_000_000_000_005n],
    [12, 1_999n, 0n, 1n],
    [127, 2n ** 64n - 1n, 0n, 0n],
    [0x80, 3n, 0n, 3_000_000_000n],
    [0x80 | 1, 3n, 0n, 1_500_000_000n],
    [0x80 | 32, 1n << 31n, 0n, 500_000_000n],
    [0x80 | 127, 2n ** 64n - 1n, 0n, 0n],
  ];
  for (const [resolution, time, offset, ns] of cases) {
    const options = make.options([9, Uint8Array.of(resolution)], [14, make.u64(offset)]);
    const file = joined(make.section(), make.interface(1, 0, options), make.packet(0, time, data));
    assertEquals(contentsOf([file]).packets[0]!.timestampNs, ns, `resolution ${resolution}`);
  }
});

test("CaptureReader begins anew when a section does", () => {
  const [a, b] = [new Maker(true), new Maker(false)];
  const { packets, error } = contentsOf([joined(
    a.section(),
    a.interface(1),
    a.interface(101, 0, a.options([2, "second"])),
    a.packet(1, 1n, data),
    b.section(),
    b.interface(228, 0, b.options([2, "other"])),
    b.packet(0, 2n, data),
  )]);
  assertEquals(error, undefined);
  assertEquals(packets.map((packet) => packet.interface.name), ["second", "other"]);
  assert(packets[0]!.interface.section !== packets[1]!.interface.section);
});

test("CaptureReader passes over options that it does not know", () => {
  const make = new Maker(true);
  const strange = make.options([6, "short"], [8, "short"], [9, "long"], [14, "short"], [11, ""], [11, "\x01code"], [
    0x8001,
    "own",
  ]);
  const flags = make.options([2, "no"], [4, "no"], [3, "hash"]);
  const { packets, error } = contentsOf([joined(
    make.section(),
    make.interface(1, 0, strange),
    make.packet(0, 1n, data, data.length, flags),
    make.packet(0, 1n, data, data.length, make.u16(0, 0), make.option(1, "behind the end")),
    make.packet(0, 1n, data, data.length, make.option(1, "without an end")),
  )]);
  assertEquals(error, undefined);
  const { macAddress, speed, filter } = packets[0]!.interface;
  assertEquals([macAddress, speed, filter, packets[0]!.timestampNs], [undefined, undefined, undefined, 1000n]);
  assertEquals([packets[0]!.direction, packets[0]!.dropped], [undefined, undefined]);
  assertEquals(packets.map(({ comments }) => comments), [[], [], ["without an end"]]);
});

test("CaptureReader yields all before the cut when a file is cut", () => {
  const make = new Maker(true);
  const parts = [
    make.section(),
    make.interface(),
    ...frames(6, 40).map((frame, i) => make.packet(0, BigInt(i), frame)),
  ];
  const pcap = [make.pcap(0xa1b2c3d4), ...frames(6, 40).map((frame, i) => make.record(i, 0, frame))];
  for (const [list, before, layer] of [[parts, 2, "pcapng"], [pcap, 1, "pcap"]] as const) {
    const file = joined(...list);
    const ends = list.map((_, i) => joined(...list.slice(0, i + 1)).length);
    for (let length = 0; length <= file.length; length++) {
      const { packets, error } = contentsOf([file.subarray(0, length)]);
      const whole = ends.filter((end) => end <= length).length;
      assertEquals(packets.length, Math.max(0, whole - before));
      if (ends.includes(length)) assertEquals(error, undefined);
      else assertEquals(error!.offset, whole === 0 ? 0 : ends[whole - 1]);
      if (error && whole > 0) assertEquals(error.layer, layer);
    }
  }
});

test("CaptureReader names the damage and where it is", () => {
  const make = new Maker(true);
  const head = joined(make.section(), make.interface());
  const changed = (file: Uint8Array, at: number, value: number) => {
    const copy = file.slice();
    copy.set(make.u32(value), at);
    return copy;
  };
  const packet = make.packet(0, 1n, data);
  const at = head.length;
  const cases: [file: Uint8Array, offset: number, message: string][] = [
    [new Uint8Array(0), 0, "the file ends after 0 bytes"],
    [new TextEncoder().encode("GIF89a"), 0, "0x47494638 begins neither pcapng nor pcap"],
    [make.pcap(0xa1b2cd34), 0, "0xa1b2cd34 in one byte order or the other"],
    [changed(make.section(), 8, 0x11111111), 8, "no known byte order"],
    [changed(make.section(), 4, 24), 4, "a block of 24 bytes"],
    [changed(make.section(), 12, 2), 12, "unknown version"],
    [joined(head, changed(packet, 4, 7)), at + 4, "a block of 7 bytes"],
    [joined(head, changed(packet, 4, 8)), at + 4, "a block of 8 bytes"],
    [joined(head, changed(packet, 4, 0)), at + 4, "a block of 0 bytes"],
    [joined(head, changed(packet, 4, (16 << 20) + 4)), at + 4, "up to 16777216"],
    [joined(head, changed(packet, packet.length - 4, 12)), at + packet.length - 4, "that says 12 at its end"],
    [joined(head, changed(packet, 8, 1)), at, "a packet of interface 1, and there are 1"],
    [joined(head, changed(packet, 20, 65)), at, "a packet of 65 bytes in a block with room for 64"],
    [joined(head, changed(packet, 20, 0xffff_ffff)), at, "with room for 64"],
    [joined(head, make.block(6, new Uint8Array(16))), at, "a packet's block of 28 bytes is too short"],
    [joined(head, make.block(3)), at, "too short"],
    [joined(head, make.block(5, new Uint8Array(8))), at, "statistics of 20 bytes"],
    [joined(head, make.statistics(4, 0n)), at, "statistics of interface 4"],
    [joined(make.section(), make.block(1, new Uint8Array(4))), 28, "too short"],
    [joined(make.section(), make.simplePacket(data)), 28, "a packet of interface 0, and there are 0"],
    [joined(head, make.packet(0, 1n, data, 61, make.u16(1, 5))), at + 28 + 64, "option 1 needs 5 bytes"],
    [joined(make.section(make.u16(1, 400))), 24, "option 1 needs 400 bytes"],
    [joined(make.pcap(0xa1b2c3d4), make.u32(0, 0, (16 << 20) + 1, 60)), 24, "a packet of 16777217 bytes"],
    [changed(make.pcap(0xa1b2c3d4), 4, 1), 4, "version 1"],
  ];
  for (const [file, offset, message] of cases) {
    const { error } = contentsOf([file]);
    assert(error instanceof PacketError, message);
    assertStringIncludes(error.message, message.startsWith("0xa1b2cd34") ? "begins neither" : message);
    assertEquals(error.offset, offset, message);
  }
  const reader = new CaptureReader();
  reader.push(joined(head, packet, changed(packet, 4, 7), packet));
  assertEquals(reader.read()?.bytes, data);
  const first = assertThrows(() => reader.read(), PacketError);
  for (const again of [() => reader.read(), () => reader.end(), () => [...reader]]) {
    assertEquals(assertThrows(again, PacketError) === first, true);
  }
  assertThrows(() => new CaptureReader().push("text" as unknown as Uint8Array), TypeError, "must be a Uint8Array");
});

test("CaptureReader keeps to its bounds when a section has too many interfaces", () => {
  const make = new Maker(true);
  const many = [make.section(), ...Array.from({ length: 65537 }, () => make.interface())];
  assertStringIncludes(contentsOf([joined(...many)]).error!.message, "too many interfaces");
  const wordy = make.interface(1, 0, ...Array.from({ length: 20 }, () => make.option(1, new Uint8Array(0xfff0))));
  const { error } = contentsOf([make.section(), ...Array.from({ length: 20 }, () => wordy)]);
  assertStringIncludes(error!.message, "too much about its interfaces");
});

test("CaptureReader keeps to its bounds when interfaces have long statistics", () => {
  const make = new Maker(true);
  const interfaces = Array.from({ length: 20 }, () => make.interface());
  const remarks = Array.from({ length: 20 }, () => make.option(1, new Uint8Array(0xfff0)));
  const statistics = (index: number) => make.block(5, make.u32(index), make.time(0n), ...remarks);
  const again = contentsOf([make.section(), ...interfaces, ...Array.from({ length: 20 }, () => statistics(0))]);
  assertEquals(again.error, undefined); // each takes the place of the one before
  const { error } = contentsOf([make.section(), ...interfaces, ...interfaces.map((_, i) => statistics(i))]);
  assertStringIncludes(error!.message, "too much about its interfaces");
});

test("CaptureReader lets go of pieces that were read when others always wait", () => {
  const make = new Maker(true);
  const reader = new CaptureReader();
  reader.push(joined(make.section(), make.interface()));
  const packet = make.packet(0, 0n, new Uint8Array(1 << 20));
  reader.push(packet);
  const before = process.memoryUsage().external;
  for (let i = 0; i < 1000; i++) {
    reader.push(packet.slice());
    assertEquals(reader.read()!.bytes.length, 1 << 20);
  }
  assertLess(process.memoryUsage().external - before, 500 << 20); // of 1000 MiB that were pushed
});

test("CaptureReader takes time that grows with the file when it comes byte by byte", () => {
  const make = new Maker(true);
  const file = joined(make.section(), make.interface(), make.packet(0, 0n, new Uint8Array(1 << 20)));
  const begin = performance.now();
  const { packets } = contentsOf(Array.from({ length: file.length }, (_, i) => file.subarray(i, i + 1)));
  assertEquals(packets.length, 1);
  assertLess(performance.now() - begin, 10_000); // copying the beginning each time would take minutes
});

test("CaptureReader throws nothing but PacketError when files are hostile", () => {
  const rounds = process.env["VMNET_LONG"] === "1" ? 300_000 : 15_000;
  const random = chance(1123);
  const make = new Maker(false);
  const originals = [
    everything(true),
    everything(false),
    joined(make.pcap(0xa1b2c3d4), ...frames(5, 60).map((frame, i) => make.record(i, i, frame))),
  ];
  const interesting = [0, 1, 4, 7, 8, 11, 12, 28, 32, 0x7f, 0x80, 0xff];
  let [broken, packets] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const file = originals[round % originals.length]!.slice();
    for (let i = random(6); i >= 0; i--) {
      file[random(file.length)] = random(2) ? interesting[random(interesting.length)]! : random(256);
    }
    const cut = random(file.length);
    const found = contentsOf(random(2) ? [file] : [file.subarray(0, cut), file.subarray(cut)]);
    if (found.error) broken++;
    packets += found.packets.length;
  }
  assert(broken > rounds / 4 && packets > rounds, `${broken} broken, ${packets} packets`);
});

test("readCapture() reads what bytes come in", async () => {
  const file = everything(true);
  const whole = contentsOf([file]).packets;
  const stream = () => new Response(file).body!;
  const { getReader } = { getReader: () => stream().getReader() };
  async function* pieces() {
    yield file.subarray(0, 100);
    yield file.subarray(100);
  }
  const sources = [file, [file.subarray(0, 7), file.subarray(7)], pieces(), stream(), { getReader }];
  for (const source of sources) {
    const packets = [];
    for await (const packet of readCapture(source as Uint8Array)) packets.push(packet);
    assertEquals(packets, whole);
  }
});

test("readCapture() ends its source when the loop is left", async () => {
  const file = everything(true);
  let cancelled = 0;
  const stream = () =>
    new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(file), cancel: () => void cancelled++ });
  const source = stream();
  const noIterator = { getReader: () => source.getReader() };
  for (const each of [stream(), noIterator as ReadableStream<Uint8Array>]) {
    for await (const _ of readCapture(each)) break;
  }
  assertEquals(cancelled, 2);
});
