// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  encoded,
  ethernet,
  fixChecksums,
  icmp,
  icmpv6,
  internetChecksum,
  internetSum,
  IpProtocol,
  ipv4,
  type Ipv4Options,
  ipv6,
  type Ipv6Options,
  PacketError,
  pseudoHeaderSum,
  tcp,
  udp,
  verifyChecksums,
} from "vmnet/packet";
import { hex } from "./golden.ts";

const link = ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" });
const over4 = (options: Partial<Ipv4Options> = {}) =>
  ipv4({ source: "192.0.2.1", destination: "198.51.100.2", ...options });
const over6 = (options: Partial<Ipv6Options> = {}) =>
  ipv6({ source: "2001:db8::1", destination: "2001:db8::2", ...options });
const echo = udp({ sourcePort: 7, destinationPort: 7 });
const statuses = (frame: Uint8Array) => verifyChecksums(frame).map(({ layer, status }) => `${layer} ${status}`);

test("internetSum() adds the words of RFC 1071, section 3", () => {
  assertEquals(internetSum(hex("0001 f203 f4f5 f6f7")), 0xddf2);
  assertEquals(internetSum(hex("0001 f203 f4f5 f6")), 0xdcfb);
  assertEquals(internetSum(hex("f203 f4f5 f6f7"), 0, 6, 1), 0xddf2);
});

test("internetSum() is the sum by definition when bytes start and end anywhere", () => {
  const all = Uint8Array.from({ length: 3000 }, (_, i) => i * i * 31 >>> 4);
  for (const start of [0, 1, 2, 3, 7]) {
    for (const length of [0, 1, 2, 3, 20, 126, 127, 128, 129, 143, 144, 145, 1500, 1501]) {
      for (const offset of [0, 1]) {
        const bytes = all.subarray(offset);
        let sum = 0;
        for (let i = 0; i < length; i++) sum += bytes[start + i]! * (i % 2 === 0 ? 256 : 1);
        while (sum > 0xffff) sum = Math.floor(sum / 65536) + sum % 65536;
        assertEquals(internetSum(bytes, start, start + length), sum, `${length} bytes from ${start}`);
      }
    }
  }
});

test("internetSum() keeps carries when there are very many", () => {
  assertEquals(internetSum(new Uint8Array(20_000_001).fill(0xff)), 0xff00);
});

test("internetSum() refuses a part that is not there", () => {
  assertThrows(() => internetSum(new Uint8Array(4), 0, 5), RangeError, "Cannot sum bytes 0 to 5: there are 4");
  assertThrows(() => internetChecksum(new Uint8Array(4), 3, 2), RangeError);
  assertThrows(() => internetChecksum(new Uint8Array(4), -1), RangeError);
});

test("internetChecksum() is that of a known header", () => {
  assertEquals(internetChecksum(hex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7")), 0xb861);
  assertEquals(internetChecksum(hex("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7")), 0);
});

test("pseudoHeaderSum() covers addresses, protocol and all bits of the length", () => {
  const [source, destination] = [hex("c0000201"), hex("c6336402")];
  const datagram = hex("04000035000d0000 68656c6c6f");
  assertEquals(internetChecksum(datagram, 0, 13, pseudoHeaderSum(source, destination, 17, 13)), 0xcb95);
  assertEquals(internetSum(hex(""), 0, 0, pseudoHeaderSum(hex("00000000"), hex("00000000"), 0, 0x12345)), 0x2346);
});

test("verifyChecksums() finds what encoders wrote right", () => {
  assertEquals(statuses(encoded(link, over4(), echo, hex("68656c6c6f"))), ["ipv4 right", "udp right"]);
  assertEquals(statuses(encoded(link, over4(), tcp({ sourcePort: 1, destinationPort: 2 }))), [
    "ipv4 right",
    "tcp right",
  ]);
  assertEquals(statuses(encoded(link, over4(), icmp({ type: 8 }), hex("01"))), ["ipv4 right", "icmp right"]);
  assertEquals(statuses(encoded(link, over6(), icmpv6({ type: 128 }), hex("01"))), ["icmpv6 right"]);
  assertEquals(statuses(encoded(link, over4(), over6(), over4(), echo)), ["ipv4 right", "ipv4 right", "udp right"]);
});

test("verifyChecksums() answers nothing when there is no IP", () => {
  assertEquals(verifyChecksums(hex("525400000001 525400000002 0806 0001 0800 0604 0001")), []);
});

test("verifyChecksums() says what is found and expected when a bit is wrong", () => {
  const frame = encoded(link, over4(), echo, hex("68656c6c6f"));
  frame[frame.length - 1]! ^= 1;
  const [, wrong] = verifyChecksums(frame);
  assertEquals(wrong, { layer: "udp", status: "wrong", offset: 40, found: 0xcfbc, expected: 0xd0bc });
  frame[22] = 63;
  assertEquals(statuses(frame), ["ipv4 wrong", "udp wrong"]);
});

test("verifyChecksums() takes 0 for absent only in UDP over IPv4", () => {
  const none = udp({ sourcePort: 7, destinationPort: 7, checksum: 0 });
  assertEquals(statuses(encoded(link, over4(), none)), ["ipv4 right", "udp absent"]);
  assertEquals(statuses(encoded(link, over6(), none)), ["udp wrong"]);
  assertEquals(statuses(encoded(link, over4(), tcp({ sourcePort: 7, destinationPort: 7, checksum: 0 }))), [
    "ipv4 right",
    "tcp wrong",
  ]);
});

test("verifyChecksums() knows what a sender leaves to its network card", () => {
  const partial = pseudoHeaderSum(hex("c0000201"), hex("c6336402"), 6, 20);
  const checksum = internetSum(hex(""), 0, 0, partial);
  const frame = encoded(link, over4(), tcp({ sourcePort: 7, destinationPort: 7, checksum }));
  assertEquals(statuses(frame), ["ipv4 right", "tcp partial"]);
  assertEquals(fixChecksums(frame), 1);
  assertEquals(statuses(frame), ["ipv4 right", "tcp right"]);
});

test("verifyChecksums() cannot verify what is not all there", () => {
  const fragment = { name: "fragment", fragmentOffset: 8, moreFragments: false, identification: 1 } as const;
  assertEquals(statuses(encoded(link, over4({ moreFragments: true }), echo)), ["ipv4 right", "udp unverifiable"]);
  assertEquals(statuses(encoded(link, over4({ fragmentOffset: 8 }), echo)), ["ipv4 right", "udp unverifiable"]);
  assertEquals(statuses(encoded(link, over6({ extensions: [fragment] }), echo)), ["udp unverifiable"]);
  const frame = encoded(link, over4(), echo, hex("68656c6c6f"));
  assertEquals(statuses(frame.subarray(0, -1)), ["ipv4 right", "udp unverifiable"]);
  assertEquals(statuses(frame.subarray(0, 14 + 20 + 4)), ["ipv4 right", "udp unverifiable"]);
  const long = udp({ sourcePort: 7, destinationPort: 7, totalLength: 9 });
  assertEquals(statuses(encoded(link, over4(), long)), ["ipv4 right", "udp unverifiable"]);
  assertThrows(() => verifyChecksums(frame.subarray(0, 30)), PacketError, "Cannot read ipv4");
});

test("verifyChecksums() covers what a UDP datagram says to be its own, not what follows", () => {
  const short = udp({ sourcePort: 7, destinationPort: 7, totalLength: 9 });
  const frame = encoded(link, over4(), short, hex("6869 6a"));
  assertEquals(statuses(frame), ["ipv4 right", "udp right"]);
  frame[frame.length - 1] = 0;
  assertEquals(statuses(frame), ["ipv4 right", "udp right"]);
});

test("verifyChecksums() leaves out what Ethernet is padded with", () => {
  const padded = new Uint8Array(60).fill(0xee);
  padded.set(encoded(link, over4(), tcp({ sourcePort: 7, destinationPort: 7 })));
  assertEquals(statuses(padded), ["ipv4 right", "tcp right"]);
});

test("verifyChecksums() takes a length of 0 for the rest of the frame", () => {
  const segment = tcp({ sourcePort: 7, destinationPort: 7 });
  assertEquals(statuses(encoded(link, over4({ totalLength: 0 }), segment, new Uint8Array(3000))), [
    "ipv4 right",
    "tcp right",
  ]);
  assertEquals(statuses(encoded(link, over6({ payloadLength: 0 }), segment, new Uint8Array(3000))), ["tcp right"]);
});

test("fixChecksums() repairs every checksum that is wrong, and no other", () => {
  for (const payload of [echo, tcp({ sourcePort: 1, destinationPort: 2 }), icmp({ type: 8 })]) {
    const right = encoded(link, over4(), payload, hex("616263"));
    const frame = right.slice();
    frame[24]! ^= 0xff;
    const at = verifyChecksums(right)[1]!.offset;
    frame[at]! ^= 0xff;
    assertEquals(fixChecksums(frame), 2);
    assertEquals(frame, right);
    assertEquals(fixChecksums(frame), 0);
  }
  const none = encoded(link, over4(), udp({ sourcePort: 7, destinationPort: 7, checksum: 0 }));
  assertEquals(fixChecksums(none), 0);
});

test("verifyChecksums() and fixChecksums() get to the end of packets in packets when these fill a long frame", () => {
  const header = encoded(over4({ protocol: IpProtocol.ipv4, totalLength: 0 }));
  const frame = encoded(link, over4({ protocol: IpProtocol.ipv4, totalLength: 0 }), repeated(header, 3200));
  frame[24]! ^= 0xff;
  frame[14 + 20 * 3200 + 9] = 253; // the last carries nothing that is known, and its checksum is wrong with that
  assertEquals(fixChecksums(frame), 2);
  assertEquals(verifyChecksums(frame).length, 3201);
  assert(verifyChecksums(frame).every(({ status }) => status === "right"));
});

function repeated(bytes: Uint8Array, times: number): Uint8Array {
  const all = new Uint8Array(bytes.length * times);
  for (let at = 0; at < all.length; at += bytes.length) all.set(bytes, at);
  return all;
}
