// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encoded, Ethernet, ethernet, EtherType, ipv4, PacketError, vlan } from "vmnet/packet";

const bytes = (hex: string) => Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (b) => parseInt(b, 16));
const addresses = { destination: "ff:ff:ff:ff:ff:ff", source: "52:54:00:00:00:01" };

test("Ethernet reads a frame without tags", () => {
  const view = new Ethernet(bytes("ffffffffffff 525400000001 88b5 0102"));
  assertEquals([`${view.destination}`, `${view.source}`], [addresses.destination, addresses.source]);
  assertEquals([view.type, view.headerLength, view.vlans], [0x88b5, 14, []]);
  assertEquals(view.payload, Uint8Array.of(1, 2));
});

test("Ethernet reads tags and what lies behind them", () => {
  const view = new Ethernet(bytes("ffffffffffff 525400000001 88a8 7064 8100 a007 0800 4500"));
  assertEquals(view.vlans, [
    { tpid: EtherType.serviceVlan, priority: 3, dropEligible: true, id: 100 },
    { tpid: EtherType.vlan, priority: 5, dropEligible: false, id: 7 },
  ]);
  assertEquals([view.type, view.headerLength], [EtherType.ipv4, 22]);
  assertEquals(view.payload, Uint8Array.of(0x45, 0));
});

test("Ethernet ends where 802.3 says when its type is a length", () => {
  const view = new Ethernet(bytes("0180c2000000 525400000001 0003 424203 00000000"));
  assertEquals([view.type, view.payload], [3, Uint8Array.of(0x42, 0x42, 3)]);
  assertEquals(new Ethernet(bytes("0180c2000000 525400000001 0026 4242")).payload, Uint8Array.of(0x42, 0x42));
});

test("Ethernet throws a PacketError when a frame ends in its header or in a tag", () => {
  const frame = bytes("ffffffffffff 525400000001 88a8 0001 8100 0002 0800");
  for (let length = 0; length < frame.length; length++) {
    assertThrows(() => new Ethernet(frame.subarray(0, length)), PacketError, "Cannot read ethernet");
  }
  assertEquals(new Ethernet(frame).payload.length, 0);
  assertThrows(() => new Ethernet(frame, -1), PacketError);
  assertThrows(() => new Ethernet(frame, 0, frame.length + 1), PacketError);
});

test("Ethernet reads 8 tags and throws a PacketError when there are more", () => {
  const frame = (tags: number) => bytes(`ffffffffffff 525400000001 ${"8100 0001".repeat(tags)} 88b5`);
  assertEquals(new Ethernet(frame(8)).vlans.length, 8);
  for (const tags of [9, 10000]) {
    assertThrows(() => new Ethernet(frame(tags)), PacketError, "Cannot read ethernet: it has more than 8 tags");
  }
});

test("ethernet() and vlan() write what Ethernet reads", () => {
  const tags = [
    { tpid: 0x88a8, priority: 7, dropEligible: true, id: 4095 },
    { tpid: 0x8100, priority: 0, dropEligible: false, id: 1 },
  ] as const;
  const frame = encoded(ethernet({ ...addresses, vlans: tags, type: 0x88b5 }), Uint8Array.of(9));
  const layered = encoded(ethernet(addresses), vlan(tags[0]), vlan({ ...tags[1], type: 0x88b5 }), Uint8Array.of(9));
  assertEquals(layered, frame);
  const { destination, source, vlans, type, payload } = new Ethernet(frame);
  assertEquals([vlans, type, payload], [tags, 0x88b5, Uint8Array.of(9)]);
  assertEquals(encoded(ethernet({ destination, source, vlans, type }), payload), frame);
});

test("ethernet() and vlan() name the layer inside", () => {
  const ip = ipv4({ source: "10.0.0.1", destination: "10.0.0.2", protocol: 253 });
  assertEquals(new Ethernet(encoded(ethernet(addresses), ip)).type, EtherType.ipv4);
  assertEquals(new Ethernet(encoded(ethernet(addresses), vlan({ id: 5 }), ip)).type, EtherType.ipv4);
  assertEquals(encoded(ethernet(addresses), vlan({ id: 5 }), ip).subarray(12, 16), Uint8Array.of(0x81, 0, 0, 5));
});

test("ethernet() does not pad", () => {
  assertEquals(encoded(ethernet({ ...addresses, type: 0x88b5 }), Uint8Array.of(1)).length, 15);
});

test("ethernet() refuses bytes without a type", () => {
  assertThrows(
    () => encoded(ethernet(addresses), Uint8Array.of(1)),
    TypeError,
    "Cannot encode ethernet: type is needed, for it carries bytes",
  );
  assertThrows(() => encoded(ethernet(addresses), vlan({ id: 1 })), TypeError, "Cannot encode vlan: type is needed");
});

test("ethernet() and vlan() name the option that is wrong", () => {
  const wrong: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
    [
      () => ethernet({ ...addresses, source: "x" }),
      TypeError,
      'source takes six octets in hexadecimal, such as "52:54',
    ],
    [() => ethernet({ ...addresses, type: 65536 }), RangeError, "Cannot encode ethernet: type takes"],
    [() => ethernet({ ...addresses, vlans: [{ id: 4096 }] }), RangeError, "Cannot encode vlan: id takes"],
    [() => vlan({ id: 1, priority: 8 }), RangeError, "Cannot encode vlan: priority takes"],
    [() => vlan({ id: 1, tpid: -1 }), RangeError, "Cannot encode vlan: tpid takes"],
    [() => vlan({ id: 1.5 }), RangeError, "Cannot encode vlan: id takes"],
    [() => vlan({ id: "1" as unknown as number }), TypeError, "Cannot encode vlan: id takes a number"],
  ];
  for (const [make, kind, message] of wrong) assertThrows(make, kind, message);
});
