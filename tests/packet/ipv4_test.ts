// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { encoded, icmp, Ipv4, ipv4, ipv6, type Layer, PacketError, udp, verifyChecksums } from "vmnet/packet";
import { assertBytes, assertHarmless, hex } from "./golden.ts";

const datagram = hex("4500 0021 1c46 4000 4011 324f c0000201 c6336402 0400 0035 000d cb95 68656c6c6f");
/** A membership report with the router alert option. */
const report = hex("4600 0020 0000 0000 0102 81db c0000201 e00000fb 94040000 1600 0904 e00000fb");
const fragment = hex("4500 0024 0077 20b9 4011 6d62 c0000201 c6336402 00000000000000000000000000000000");
const addresses = { source: "192.0.2.1", destination: "198.51.100.2" };

test("Ipv4 reads its fields", () => {
  const view = new Ipv4(datagram);
  assertEquals(view.layer, "ipv4");
  assertEquals([view.version, view.headerLength, view.totalLength], [4, 20, 33]);
  assertEquals([view.identification, view.flags, view.fragmentOffset], [0x1c46, 2, 0]);
  assertEquals([view.ttl, view.protocol, view.checksum], [64, 17, 0x324f]);
  assertEquals([`${view.source}`, `${view.destination}`], ["192.0.2.1", "198.51.100.2"]);
  assert(view.dontFragment);
  assertFalse(view.moreFragments || view.isFragment || view.isTruncated);
  assertEquals(view.options, []);
  assertEquals(view.payload.length, 13);
});

test("Ipv4 reads service code point and congestion notification", () => {
  const bytes = datagram.slice();
  bytes[1] = 0xb9;
  assertEquals([new Ipv4(bytes).dscp, new Ipv4(bytes).ecn], [46, 1]);
});

test("Ipv4 reads the place of a fragment in bytes", () => {
  const view = new Ipv4(fragment);
  assertEquals([view.flags, view.fragmentOffset, view.moreFragments, view.isFragment], [1, 1480, true, true]);
  const last = fragment.slice();
  last[6] = 0;
  assertEquals([new Ipv4(last).moreFragments, new Ipv4(last).isFragment], [false, true]);
});

test("Ipv4 reads options up to the end of their list", () => {
  assertEquals(new Ipv4(report).options, [{ type: 148, data: hex("0000") }]);
  assertEquals(new Ipv4(report).payload, hex("1600 0904 e00000fb"));
  const two = hex("4700 001c 0000 0000 4011 0000 c0000201 c6336402 01 44040500 00 0102");
  assertEquals(new Ipv4(two).options, [{ type: 1, data: hex("") }, { type: 68, data: hex("0500") }]);
});

test("Ipv4 ends where it says, where it is cut, and with its frame when it says 0", () => {
  const padded = new Uint8Array(46).fill(0xee);
  padded.set(datagram);
  assertEquals(new Ipv4(padded).length, 33);
  const cut = new Ipv4(datagram.subarray(0, 30));
  assertEquals([cut.length, cut.totalLength, cut.isTruncated], [30, 33, true]);
  padded.fill(0, 2, 4);
  assertEquals([new Ipv4(padded).length, new Ipv4(padded).isTruncated], [46, false]);
  const inside = new Uint8Array(60);
  inside.set(datagram, 14);
  assertEquals(new Ipv4(inside, 14, 60).bytes, datagram);
});

test("Ipv4 throws PacketError when it is none", () => {
  const changed = (at: number, value: number) => {
    const bytes = datagram.slice();
    bytes[at] = value;
    return bytes;
  };
  assertThrows(() => new Ipv4(datagram.subarray(0, 19)), PacketError, "it needs 20 bytes, and there are 19");
  assertThrows(() => new Ipv4(changed(0, 0x65)), PacketError, "its version is 6, 4 is wanted");
  assertThrows(() => new Ipv4(changed(0, 0x44)), PacketError, "its header has 16 bytes, at least 20 are wanted");
  assertThrows(() => new Ipv4(changed(0, 0x4f)), PacketError, "its header has 60 bytes, and there are 33");
  assertThrows(() => new Ipv4(changed(3, 19)), PacketError, "its length is 19, less than its header's 20");
});

test("Ipv4 throws PacketError when an option has a length that cannot be", () => {
  for (const wrong of ["94000000", "94010000", "94050000", "01010194"]) {
    const bytes = report.slice();
    bytes.set(hex(wrong), 20);
    assertThrows(() => new Ipv4(bytes).options, PacketError, "Cannot read ipv4");
  }
  for (const golden of [datagram, report, fragment]) assertHarmless(golden, Ipv4);
});

test("ipv4() writes the same packet again", () => {
  for (const golden of [datagram, report, fragment]) {
    const view = new Ipv4(golden);
    assertBytes(encoded(ipv4(view), view.payload), golden);
    const { source, destination, identification, flags, ttl, protocol, fragmentOffset, options } = view;
    const bare = { source, destination, identification, flags, ttl, protocol, fragmentOffset, options };
    assertBytes(encoded(ipv4(bare), view.payload), golden);
    assertBytes(encoded(ipv4({ ...bare, options: view.optionBytes }), view.payload), golden);
  }
});

test("ipv4() names what it carries", () => {
  const protocolOf = (...inside: (Layer | Uint8Array)[]) => new Ipv4(encoded(ipv4(addresses), ...inside)).protocol;
  assertEquals(protocolOf(icmp({ type: 8 })), 1);
  assertEquals(protocolOf(ipv4(addresses), udp({ sourcePort: 1, destinationPort: 2 })), 4);
  assertEquals(protocolOf(ipv6({ source: "::1", destination: "::1" })), 41);
  assertThrows(
    () => protocolOf(hex("01")),
    TypeError,
    "Cannot encode ipv4: protocol has to be given, because it carries bytes or nothing",
  );
});

test("ipv4() sets flags by name over those of the number", () => {
  const flagsOf = (options: object) => new Ipv4(encoded(ipv4({ ...addresses, protocol: 253, ...options }))).flags;
  assertEquals(flagsOf({}), 0);
  assertEquals(flagsOf({ dontFragment: true }), 2);
  assertEquals(flagsOf({ flags: 7, dontFragment: false }), 5);
  assertEquals(flagsOf({ moreFragments: true }), 1);
});

test("ipv4() covers the last address of a source route with the checksum inside", () => {
  const golden = hex("4700 0024 0000 0000 4011 4801 c0000201 c6336402 01 830704 cb007109 0007 0007 0008 01c5");
  const options = [{ type: 1, data: hex("") }, { type: 131, data: hex("04 cb007109") }];
  const packet = encoded(ipv4({ ...addresses, options }), udp({ sourcePort: 7, destinationPort: 7 }));
  assertBytes(packet, golden);
  const frame = new Uint8Array([...hex("525400000001 525400000002 0800"), ...packet]);
  assertEquals(verifyChecksums(frame).map(({ status }) => status), ["right", "right"]);
  frame[14 + 23] = 8; // the route has reached its end
  assertEquals(verifyChecksums(frame)[1]?.status, "wrong");
});

test("ipv4() leaves the checksum inside a fragment alone", () => {
  const packet = encoded(ipv4({ ...addresses, moreFragments: true }), udp({ sourcePort: 7, destinationPort: 7 }));
  assertBytes(packet.subarray(26), hex("0000"));
});

test("ipv4() keeps lengths and checksums that it is given", () => {
  const view = new Ipv4(encoded(ipv4({ ...addresses, protocol: 253, totalLength: 99, checksum: 7 })));
  assertEquals([view.totalLength, view.checksum, view.isTruncated], [99, 7, true]);
});

test("ipv4() refuses what does not fit", () => {
  const refuses = (options: object, type: typeof RangeError | typeof TypeError, message: string) =>
    assertThrows(() => ipv4({ ...addresses, ...options }), type, message);
  refuses({ ttl: 256 }, RangeError, "Cannot encode ipv4: ttl takes a whole number from 0 to 255, found 256");
  refuses({ fragmentOffset: 12 }, RangeError, "fragmentOffset takes a multiple of 8, found 12");
  refuses({ options: new Uint8Array(41) }, RangeError, "options take up to 40 bytes");
  refuses({ source: "192.0.2" }, TypeError, "source");
  refuses({ protocol: "udp" }, TypeError, "protocol takes a number from 0 to 255, found string");
  const layer = ipv4({ ...addresses, protocol: 253 });
  assertThrows(() => encoded(layer, new Uint8Array(65516)), RangeError, "totalLength");
  assertEquals(encoded(layer, new Uint8Array(65515)).length, 65535);
});
