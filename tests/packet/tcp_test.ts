// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { encoded, ipv4, PacketError, Tcp, tcp, TcpFlag, type TcpOption } from "vmnet/packet";
import { assertBytes, assertHarmless, hex } from "./golden.ts";

/** The SYN of a Linux host. */
const syn = hex(
  "c001 0050 00000001 00000000 a002 7210 295c 0000",
  "020405b4 0402 080a0000000a00000000 01 030307",
);
const options: TcpOption[] = [
  { name: "mss", value: 1460 },
  { name: "sackPermitted" },
  { name: "timestamps", value: 10, echo: 0 },
  { name: "nop" },
  { name: "windowScale", shift: 7 },
];
const ports = { sourcePort: 49153, destinationPort: 80 };

test("Tcp reads its fields", () => {
  const view = new Tcp(hex("0050 c001 fffffffe 80000000 5fff 0100 abcd 0007 6869"));
  assertEquals(view.layer, "tcp");
  assertEquals([view.sourcePort, view.destinationPort], [80, 49153]);
  assertEquals([view.sequence, view.acknowledgment], [0xfffffffe, 0x80000000]);
  assertEquals([view.window, view.checksum, view.urgentPointer], [256, 0xabcd, 7]);
  assertEquals([view.headerLength, view.flags], [20, 0xfff]);
  assertEquals(view.payload, hex("6869"));
  assertEquals(view.options, []);
});

test("Tcp shows each flag as a boolean", () => {
  for (const name of Object.keys(TcpFlag) as (keyof typeof TcpFlag)[]) {
    const bytes = encoded(tcp({ ...ports, [name]: true }));
    const view = new Tcp(bytes);
    assertEquals(view.flags, TcpFlag[name]);
    for (const other of Object.keys(TcpFlag) as (keyof typeof TcpFlag)[]) assertEquals(view[other], other === name);
  }
});

test("Tcp reads options", () => {
  const view = new Tcp(syn);
  assert(view.syn);
  assertFalse(view.ack);
  assertEquals(view.headerLength, 40);
  assertEquals(view.options, options);
  assertEquals(view.payload.length, 0);
});

test("Tcp reads what arrived out of order", () => {
  const view = new Tcp(hex("0050 0400 00000064 000000c8 8010 0100 844e 0000 0101 050a 0000012c 00000190"));
  assertEquals(view.options.at(-1), { name: "sack", blocks: [{ left: 300, right: 400 }] });
});

test("Tcp reads options of any length and kind as bytes, up to the end of their list", () => {
  const header = "0007 0007 00000000 00000000 8010 0000 0000 0000";
  assertEquals(new Tcp(hex(header, "fd04f989 0203ff 00 01010101")).options, [
    { name: "unknown", kind: 253, data: hex("f989") },
    { name: "unknown", kind: 2, data: hex("ff") },
  ]);
});

test("Tcp throws PacketError when its header is longer than it, or too short", () => {
  assertThrows(() => new Tcp(syn.subarray(0, 19)), PacketError, "it needs 20 bytes, and there are 19");
  assertThrows(() => new Tcp(syn.subarray(0, 39)), PacketError, "its header has 40 bytes, and there are 39");
  const short = syn.slice();
  short[12] = 0x40;
  assertThrows(() => new Tcp(short), PacketError, "its header has 16 bytes, at least 20 are wanted");
});

test("Tcp throws PacketError when an option has a length that cannot be", () => {
  const header = "0007 0007 00000000 00000000 6010 0000 0000 0000";
  for (const wrong of ["02000000", "02010000", "02050000", "01010102"]) {
    assertThrows(() => new Tcp(hex(header, wrong)).options, PacketError, "Cannot read tcp");
  }
  assertHarmless(syn, Tcp);
});

test("tcp() writes the same segment again", () => {
  const view = new Tcp(syn);
  assertBytes(encoded(tcp(view)), syn);
  assertBytes(encoded(tcp({ ...ports, sequence: 1, syn: true, window: 0x7210, checksum: 0x295c, options })), syn);
  assertBytes(
    encoded(tcp({ ...ports, sequence: 1, flags: 2, window: 0x7210, checksum: 0x295c, options: syn.slice(20) })),
    syn,
  );
});

test("tcp() leaves its checksum to IP", () => {
  const packet = encoded(
    ipv4({ source: "192.0.2.1", destination: "198.51.100.2", identification: 0x1c46, dontFragment: true }),
    tcp({ ...ports, sequence: 1, syn: true, window: 0x7210, options }),
  );
  assertBytes(
    packet,
    hex(
      "4500 003c 1c46 4000 4006 323f c0000201 c6336402",
      [...syn].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    ),
  );
});

test("tcp() sets and clears flags by name over those of the number", () => {
  const flags = TcpFlag.syn | TcpFlag.ack;
  assertEquals(new Tcp(encoded(tcp({ ...ports, flags, syn: false, psh: true }))).flags, TcpFlag.ack | TcpFlag.psh);
});

test("tcp() fills options up with zeros", () => {
  const view = new Tcp(encoded(tcp({ ...ports, options: [{ name: "windowScale", shift: 7 }] })));
  assertBytes(view.optionBytes, hex("030307 00"));
  const sack: TcpOption = { name: "sack", blocks: [{ left: 1, right: 2 }, { left: 0xfffffff0, right: 0xffffffff }] };
  const unknown: TcpOption = { name: "unknown", kind: 254, data: hex("010203") };
  assertEquals(new Tcp(encoded(tcp({ ...ports, options: [sack, unknown] }))).options, [sack, unknown]);
});

test("tcp() refuses what does not fit", () => {
  assertThrows(
    () => tcp({ ...ports, sequence: 2 ** 32 }),
    RangeError,
    "sequence takes a whole number from 0 to 4294967295",
  );
  assertThrows(() => tcp({ ...ports, window: 1.5 }), RangeError, "window");
  assertThrows(() => tcp({ ...ports, flags: 4096 }), RangeError, "flags");
  assertThrows(() => tcp({ ...ports, options: new Uint8Array(41) }), RangeError, "options take up to 40 bytes");
  assertThrows(() => tcp({ ...ports, options: [{ name: "mss", value: 65536 }] }), RangeError, "value of mss");
  assertThrows(() => tcp({ ...ports, options: [{ name: "other" } as never] }), TypeError, "no option named other");
  assertThrows(() => tcp({ sourcePort: "80" } as never), TypeError, "sourcePort");
});
