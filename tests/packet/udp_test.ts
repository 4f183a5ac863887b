// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encoded, ipv4, ipv6, PacketError, Udp, udp, verifyChecksums } from "vmnet/packet";
import { assertBytes, assertHarmless, hex } from "./golden.ts";

/** From port 1024 to 53, "hello". */
const datagram = hex("0400 0035 000d cb95 68656c6c6f");
const addresses = { source: "192.0.2.1", destination: "198.51.100.2" };
const ports = { sourcePort: 7, destinationPort: 7 };

test("Udp reads its fields", () => {
  const view = new Udp(datagram);
  assertEquals(view.layer, "udp");
  assertEquals([view.sourcePort, view.destinationPort, view.totalLength, view.checksum], [1024, 53, 13, 0xcb95]);
  assertEquals(view.headerLength, 8);
  assertEquals(new TextDecoder().decode(view.payload), "hello");
});

test("Udp copies nothing", () => {
  const frame = datagram.slice();
  const { payload } = new Udp(frame);
  frame[8] = 0x6a;
  assertEquals(new TextDecoder().decode(payload), "jello");
});

test("Udp ends where it says, where it is cut, and with its packet when it says 0", () => {
  assertEquals(new Udp(hex("0007 0007 0009 0000 01 ee ee")).payload, hex("01"));
  assertEquals(new Udp(hex("0007 0007 0020 0000 01")).payload, hex("01"));
  assertEquals(new Udp(hex("0007 0007 0000 0000 01 02")).payload, hex("01 02"));
  assertEquals(new Udp(hex("ff", "0007 0007 0009 0000 01 ee"), 1, 10).payload, hex("01"));
});

test("Udp throws PacketError when it is shorter than its header, or says so", () => {
  assertThrows(
    () => new Udp(datagram.subarray(0, 7)),
    PacketError,
    "Cannot read udp: it needs 8 bytes, and there are 7",
  );
  assertThrows(() => new Udp(hex("0007 0007 0007 0000")), PacketError, "its length is 7, at least 8 are wanted");
  assertThrows(() => new Udp(datagram, 0, 14), PacketError);
  assertThrows(() => new Udp(datagram, -1), PacketError);
  assertHarmless(datagram, Udp);
});

test("udp() writes the same datagram again, with its checksum over IPv4 and IPv6", () => {
  const view = new Udp(datagram);
  assertBytes(encoded(udp(view), view.payload), datagram);
  const { sourcePort, destinationPort } = view;
  const layer = udp({ sourcePort, destinationPort });
  const packet = encoded(ipv4({ ...addresses, identification: 0x1c46, dontFragment: true }), layer, view.payload);
  assertBytes(packet, hex("4500 0021 1c46 4000 4011 324f c0000201 c6336402 0400 0035 000d cb95 68656c6c6f"));
  const packet6 = encoded(
    ipv6({ source: "2001:db8::1", destination: "2001:db8::2", flowLabel: 0x12345 }),
    layer,
    view.payload,
  );
  assertBytes(
    packet6,
    hex(
      "60012345 000d 1140 20010db8000000000000000000000001 20010db8000000000000000000000002",
      "0400 0035 000d 5c58 68656c6c6f",
    ),
  );
});

test("udp() shows 65535 when the checksum is 0", () => {
  const packet = encoded(ipv4(addresses), udp(ports), hex("1395"));
  assertEquals(new Udp(packet, 20).checksum, 0xffff);
  const frame = new Uint8Array([...hex("525400000001 525400000002 0800"), ...packet]);
  assertEquals(verifyChecksums(frame)[1]?.status, "right");
});

test("udp() keeps a checksum and a length that it is given", () => {
  const packet = encoded(ipv4(addresses), udp({ ...ports, checksum: 0, totalLength: 9 }), hex("0102"));
  assertBytes(packet.subarray(20), hex("0007 0007 0009 0000 0102"));
});

test("udp() refuses what does not fit", () => {
  assertThrows(
    () => udp({ ...ports, sourcePort: 65536 }),
    RangeError,
    "Cannot encode udp: sourcePort takes a whole number from 0 to 65535, found 65536",
  );
  assertThrows(
    () => udp({ sourcePort: 7 } as never),
    TypeError,
    "Cannot encode udp: destinationPort takes a number from 0 to 65535, found undefined",
  );
  assertThrows(() => encoded(udp(ports), new Uint8Array(65528)), RangeError, "totalLength");
  assertEquals(encoded(udp(ports), new Uint8Array(65527)).length, 65535);
});
