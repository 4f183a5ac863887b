// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encoded, icmpv6, Ipv6, ipv6, type Ipv6Extension, PacketError, Udp, udp, verifyChecksums } from "vmnet/packet";
import { assertBytes, assertHarmless, hex } from "./golden.ts";

const source = "20010db8000000000000000000000001";
const destination = "20010db8000000000000000000000002";
const addresses = { source: "2001:db8::1", destination: "2001:db8::2" };
const datagram = hex("60012345 000d 1140", source, destination, "0400 0035 000d 5c58 68656c6c6f");
const echo = "0007 0007 0009 2bc2 78";
/** Router alert, a segment route with one segment left, an option for the receiver, one byte for the port of echo. */
const extended = hex(
  "60012345 0041 0040",
  source,
  destination,
  "2b00 0502 0000 0100",
  "3c04 0401 01000000 20010db8000000000000000000000099",
  destination,
  "1100 0104 00000000",
  echo,
);
const extensions: Ipv6Extension[] = [
  { name: "hopByHop", options: [{ type: 5, data: hex("0000") }, { type: 1, data: hex("") }] },
  {
    name: "routing",
    routingType: 4,
    segmentsLeft: 1,
    data: hex("01000000 20010db8000000000000000000000099", destination),
  },
  { name: "destinationOptions", options: [{ type: 1, data: hex("00000000") }] },
];
const authenticated = hex(
  "60000000 0020 3340",
  source,
  destination,
  "1104 0000 00000100 00000001 000102030405060708090a0b",
  "0007 0007 0008 a45b",
);
const fragment = (bits: string) =>
  hex("60000000 0018 2c40", source, destination, "1100", bits, "01020304 0007 0007 0010 0000 0000000000000000");

test("Ipv6 reads its fields", () => {
  const view = new Ipv6(datagram);
  assertEquals(view.layer, "ipv6");
  assertEquals([view.version, view.dscp, view.ecn, view.flowLabel], [6, 0, 0, 0x12345]);
  assertEquals([view.payloadLength, view.nextHeader, view.protocol, view.hopLimit], [13, 17, 17, 64]);
  assertEquals([`${view.source}`, `${view.destination}`], ["2001:db8::1", "2001:db8::2"]);
  assertEquals([view.headerLength, view.extensions, view.isFragment, view.isTruncated], [40, [], false, false]);
  assertEquals([view.fragmentOffset, view.moreFragments, view.identification], [0, false, undefined]);
  assertEquals(new Udp(view.payload).destinationPort, 53);
});

test("Ipv6 reads service code point and congestion notification", () => {
  const bytes = datagram.slice();
  bytes.set(hex("6b9f ffff"));
  const view = new Ipv6(bytes);
  assertEquals([view.dscp, view.ecn, view.flowLabel], [46, 1, 0xfffff]);
});

test("Ipv6 reads extension headers and the protocol behind them", () => {
  const view = new Ipv6(extended);
  assertEquals([view.nextHeader, view.protocol, view.headerLength], [0, 17, 96]);
  assertEquals(view.extensions, extensions);
  assertEquals(view.payload, hex(echo));
  assertEquals(new Ipv6(authenticated).extensions, [
    { name: "authentication", spi: 256, sequence: 1, icv: hex("000102030405060708090a0b") },
  ]);
  assertEquals([new Ipv6(authenticated).protocol, new Ipv6(authenticated).headerLength], [17, 64]);
});

test("Ipv6 reads the place of a fragment in bytes", () => {
  const first = new Ipv6(fragment("0001"));
  assertEquals([first.isFragment, first.fragmentOffset, first.moreFragments], [true, 0, true]);
  assertEquals([first.identification, first.protocol, first.headerLength], [0x01020304, 17, 48]);
  const last = new Ipv6(fragment("05c8"));
  assertEquals([last.isFragment, last.fragmentOffset, last.moreFragments], [true, 1480, false]);
  assertEquals(new Ipv6(fragment("0000")).isFragment, false);
});

test("Ipv6 looks for no extension behind the header of a later fragment", () => {
  const bytes = fragment("05c8");
  bytes[40] = 60; // the rest would be no options
  assertEquals([new Ipv6(bytes).protocol, new Ipv6(bytes).headerLength], [60, 48]);
});

test("Ipv6 stops at what it cannot look into", () => {
  const bytes = datagram.slice();
  for (const number of [50, 59, 135, 253]) {
    bytes[6] = number;
    assertEquals([new Ipv6(bytes).protocol, new Ipv6(bytes).headerLength], [number, 40]);
  }
});

test("Ipv6 ends where it says, where it is cut, and with its frame when it says 0", () => {
  const padded = new Uint8Array(60).fill(0xee);
  padded.set(datagram);
  assertEquals(new Ipv6(padded).length, 53);
  const cut = new Ipv6(datagram.subarray(0, 50));
  assertEquals([cut.length, cut.isTruncated], [50, true]);
  padded.fill(0, 4, 6);
  assertEquals([new Ipv6(padded).length, new Ipv6(padded).isTruncated], [60, false]);
  padded[6] = 59;
  assertEquals(new Ipv6(padded).length, 40);
});

test("Ipv6 throws PacketError when it is none", () => {
  assertThrows(() => new Ipv6(datagram.subarray(0, 39)), PacketError, "it needs 40 bytes, and there are 39");
  const old = datagram.slice();
  old[0] = 0x45;
  assertThrows(() => new Ipv6(old), PacketError, "its version is 4, 6 is wanted");
});

test("Ipv6 throws PacketError when extensions are broken or too many", () => {
  const cut = new Ipv6(extended.subarray(0, 60));
  assertThrows(() => cut.protocol, PacketError, "extension 43 has 40 bytes, and there are 12");
  assertThrows(() => cut.headerLength, PacketError);
  assertThrows(() => cut.payload, PacketError);
  assertThrows(() => cut.extensions, PacketError);
  const option = extended.slice();
  option[43] = 5;
  assertThrows(() => new Ipv6(option).extensions, PacketError, "Cannot read ipv6");
  const chain = (count: number) => {
    const bytes = new Uint8Array(40 + 8 * count);
    bytes.set(datagram.subarray(0, 40));
    bytes.fill(0, 4, 6);
    for (let i = 0; i < count; i++) bytes[40 + 8 * i] = i === count - 1 ? 59 : 60;
    bytes[6] = 60;
    return new Ipv6(bytes);
  };
  assertEquals([chain(16).protocol, chain(16).headerLength], [59, 168]);
  assertThrows(() => chain(17).protocol, PacketError, "it has more than 16 extension headers");
  assertThrows(() => chain(180).headerLength, PacketError, "it has more than 16 extension headers");
  for (const golden of [datagram, extended, authenticated, fragment("05c9")]) assertHarmless(golden, Ipv6);
});

test("ipv6() writes the same packet again", () => {
  for (const golden of [datagram, extended, authenticated, fragment("0001"), fragment("05c8")]) {
    const view = new Ipv6(golden);
    assertBytes(encoded(ipv6(view), view.payload), golden);
    const { source, destination, protocol, extensions, hopLimit, flowLabel } = view;
    assertBytes(
      encoded(ipv6({ source, destination, protocol, extensions, hopLimit, flowLabel }), view.payload),
      golden,
    );
  }
});

test("ipv6() covers the final address of a route with the checksum inside", () => {
  const packet = encoded(
    ipv6({ ...addresses, flowLabel: 0x12345, extensions }),
    udp({ sourcePort: 7, destinationPort: 7 }),
    hex("78"),
  );
  assertBytes(packet, extended);
  const frame = new Uint8Array([...hex("525400000001 525400000002 86dd"), ...packet]);
  assertEquals(verifyChecksums(frame).map(({ layer, status }) => `${layer} ${status}`), ["udp right"]);
  frame[14 + 40 + 8 + 2] = 3; // a route that is not known
  assertEquals(verifyChecksums(frame)[0]?.status, "unverifiable");
});

test("ipv6() pads options and routes to a multiple of 8", () => {
  const short: Ipv6Extension[] = [
    { name: "hopByHop", options: [{ type: 5, data: hex("00") }] },
    { name: "destinationOptions", options: [{ type: 200, data: hex("010203") }] },
    { name: "routing", routingType: 253, segmentsLeft: 0, data: hex("01") },
  ];
  const packet = encoded(ipv6({ ...addresses, extensions: short, protocol: 59 }));
  assertBytes(packet.subarray(40), hex("3c00 0501 00 010100", "2b00 c803 010203 00", "3b00 fd00 01 000000"));
  assertThrows(
    () => ipv6({ ...addresses, extensions: [{ name: "authentication", spi: 1, sequence: 1, icv: hex("01") }] }),
    RangeError,
    "icv takes a multiple of 4 bytes",
  );
});

test("ipv6() leaves the checksum inside a fragment alone, and not that of a whole packet with such a header", () => {
  const checksumWith = (moreFragments: boolean) => {
    const extension = { name: "fragment", fragmentOffset: 0, moreFragments, identification: 1 } as const;
    const layer = ipv6({ ...addresses, extensions: [extension] });
    return new Udp(encoded(layer, udp({ sourcePort: 7, destinationPort: 7 })), 48).checksum;
  };
  assertEquals(checksumWith(true), 0);
  assertEquals(checksumWith(false), 0xa45b);
});

test("ipv6() has neighbour discovery pass no router", () => {
  const hopLimitOf = (type: number) => new Ipv6(encoded(ipv6(addresses), icmpv6({ type }))).hopLimit;
  assertEquals([hopLimitOf(128), hopLimitOf(133), hopLimitOf(137)], [64, 255, 255]);
  assertEquals(new Ipv6(encoded(ipv6({ ...addresses, hopLimit: 1 }), icmpv6({ type: 133 }))).hopLimit, 1);
});

test("ipv6() names what it carries", () => {
  assertEquals(new Ipv6(encoded(ipv6(addresses))).protocol, 59);
  assertEquals(new Ipv6(encoded(ipv6(addresses), ipv6(addresses))).protocol, 41);
  assertEquals(new Ipv6(encoded(ipv6({ ...addresses, nextHeader: 253 }), hex("01"))).protocol, 253);
  assertThrows(() => encoded(ipv6(addresses), hex("01")), TypeError, "protocol has to be given");
});

test("ipv6() refuses what does not fit", () => {
  assertThrows(() => ipv6({ ...addresses, flowLabel: 2 ** 20 }), RangeError, "flowLabel takes a whole number");
  assertThrows(() => ipv6({ ...addresses, source: "192.0.2.1" }), TypeError, "source");
  assertThrows(() => ipv6({ ...addresses, extensions: [{ name: "other" } as never] }), TypeError, "named other");
  const layer = ipv6({ ...addresses, protocol: 253 });
  assertThrows(() => encoded(layer, new Uint8Array(65536)), RangeError, "payloadLength");
  assertEquals(encoded(layer, new Uint8Array(65535)).length, 65575);
});
