// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encoded, Icmp, icmp, type IcmpOptions, IcmpType, Ipv4, ipv4, PacketError, Udp } from "vmnet/packet";
import { assertBytes, assertHarmless, hex } from "./golden.ts";

const original = "4500 0021 1c46 4000 4011 324f c0000201 c6336402 0400 0035 000d cb95";
const ping = hex("0800 f7f7 0007 0001");
const unreachable = hex("0303 2d25 00000000", original);
const redirect = hex("0501 68c3 c0000263", original);
const timestamp = hex("0d00 f293 0007 0001 00000064 00000000 00000000");

test("Icmp reads a ping", () => {
  const view = new Icmp(hex("0000 ffff 1234 5678 616263"));
  assertEquals(view.layer, "icmp");
  assertEquals([view.type, view.code, view.checksum], [IcmpType.echoReply, 0, 0xffff]);
  assertEquals([view.identifier, view.sequence, view.rest], [0x1234, 0x5678, 0x12345678]);
  assertEquals(view.payload, hex("616263"));
  assertEquals(
    [view.gateway, view.mtu, view.pointer, view.original, view.originateTimestamp],
    Array(5).fill(undefined),
  );
});

test("Icmp reads the packet that an error is about, as far as there is one", () => {
  const view = new Icmp(unreachable);
  assertEquals([view.type, view.code, view.identifier], [IcmpType.unreachable, 3, undefined]);
  const about = view.original!;
  assertEquals([`${about.source}`, about.isTruncated, about.length], ["192.0.2.1", true, 28]);
  assertEquals(new Udp(about.frame, about.start + about.headerLength, about.end).destinationPort, 53);
  assertThrows(() => new Icmp(unreachable.subarray(0, 20)).original, PacketError, "Cannot read ipv4");
});

test("Icmp leaves extensions out of the packet that an error is about", () => {
  const extended = new Uint8Array([...hex("0b00 0000 00200000"), ...new Uint8Array(128), ...hex("20000000")]);
  extended.set(hex(original), 8);
  extended.fill(0, 10, 12); // its length is not known
  assertEquals(new Icmp(extended).original?.length, 128);
});

test("Icmp reads redirects, timestamps, and what else types have", () => {
  assertEquals(`${new Icmp(redirect).gateway}`, "192.0.2.99");
  assertEquals(new Icmp(redirect).original?.protocol, 17);
  const view = new Icmp(timestamp);
  assertEquals([view.identifier, view.sequence, view.headerLength], [7, 1, 20]);
  assertEquals([view.originateTimestamp, view.receiveTimestamp, view.transmitTimestamp], [100, 0, 0]);
  assertEquals(new Icmp(hex("0304 0000 0000 05dc")).mtu, 1500);
  assertEquals(new Icmp(hex("0303 0000 0000 05dc")).mtu, undefined);
  assertEquals(new Icmp(hex("0c00 0000 09000000")).pointer, 9);
});

test("Icmp throws PacketError when it is shorter than its type says", () => {
  assertThrows(() => new Icmp(ping.subarray(0, 7)), PacketError, "it needs 8 bytes, and there are 7");
  assertThrows(() => new Icmp(timestamp.subarray(0, 19)), PacketError, "it needs 20 bytes, and there are 19");
  assertThrows(() => new Icmp(hex("")), PacketError);
  for (const golden of [ping, unreachable, redirect, timestamp]) assertHarmless(golden, Icmp);
});

test("icmp() writes the same message again", () => {
  for (const golden of [ping, unreachable, redirect, timestamp, hex("0c00 eaff 09000000"), hex("2a07 d1f2 01020304")]) {
    const view = new Icmp(golden);
    const { type, code, rest, checksum, identifier, sequence, gateway, mtu, pointer } = view;
    const { originateTimestamp, receiveTimestamp, transmitTimestamp } = view;
    const times = { originateTimestamp, receiveTimestamp, transmitTimestamp };
    const all: IcmpOptions = { type, code, rest, checksum, identifier, sequence, gateway, mtu, pointer, ...times };
    assertBytes(encoded(icmp(all), view.payload), golden);
    assertBytes(encoded(icmp({ type, code, rest, ...times }), view.payload), golden);
    assertBytes(encoded(icmp(view), view.payload), golden);
  }
});

test("icmp() writes what it is about behind it", () => {
  const packet = encoded(
    ipv4({ source: "198.51.100.2", destination: "192.0.2.1", identification: 0x1c46, dontFragment: true }),
    icmp({ type: IcmpType.unreachable, code: 3 }),
    hex(original),
  );
  assertBytes(packet, hex("4500 0038 1c46 4000 4001 3248 c6336402 c0000201 0303 2d25 00000000", original));
  assertEquals(new Icmp(packet, 20).original?.identification, 0x1c46);
  assertEquals(new Ipv4(packet).protocol, 1);
});

test("icmp() keeps a checksum that it is given", () => {
  assertBytes(encoded(icmp({ type: 8, checksum: 1 })), hex("0800 0001 0000 0000"));
});

test("icmp() refuses what a type does not have and what does not fit", () => {
  assertThrows(
    () => icmp({ type: IcmpType.echoRequest, gateway: "192.0.2.1" }),
    TypeError,
    "Cannot encode icmp: a message of type 8 and code 0 has no gateway",
  );
  assertThrows(() => icmp({ type: IcmpType.unreachable, mtu: 1500 }), TypeError, "has no mtu");
  assertThrows(() => icmp({ type: 256 }), RangeError, "type takes a whole number from 0 to 255, found 256");
  assertThrows(() => icmp({ type: 8, sequence: -1 }), RangeError, "sequence");
});
