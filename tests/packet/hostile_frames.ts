// SPDX-License-Identifier: MIT

/**
 * Frames that are made to take time: as many parts as fit into a frame, and parts that lead to one another.
 *
 * @module
 */

import { encoded, ethernet, icmpv6, ipv4, ipv6, tcp, udp } from "vmnet/packet";

const SIZE = 1500;
const link = ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" });
const inIpv4 = ipv4({ source: "192.0.2.1", destination: "192.0.2.2" });
const inIpv6 = ipv6({ source: "fe80::1", destination: "fe80::2" });
const repeated = (length: number, ...pattern: number[]): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => pattern[i % pattern.length]!);

/** A message of DNS behind its ports. */
function dnsOf(counts: number[], ...parts: Uint8Array[]): Uint8Array {
  const head = new Uint8Array(12);
  counts.forEach((count, i) => head.set([count >>> 8, count & 255], 4 + 2 * i));
  const length = SIZE - 28 - 12;
  const body = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    body.set(part.subarray(0, length - at), at);
    at = Math.min(at + part.length, length);
  }
  return encoded(link, inIpv4, udp({ sourcePort: 53, destinationPort: 53 }), head, body);
}

/** The longest name there is: 127 labels of one letter. */
const longName = Uint8Array.of(...repeated(254, 1, 0x61), 0);
/** A record of which only the name says much: a pointer to byte 12. */
const pointing = [0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0];

function relays(): Uint8Array {
  let message = Uint8Array.of(1, 0, 0, 1);
  while (message.length + 38 < SIZE - 48) {
    const relay = new Uint8Array(38 + message.length);
    relay[0] = 12;
    relay.set([0, 9, message.length >>> 8, message.length & 255], 34);
    relay.set(message, 38);
    message = relay;
  }
  return message;
}

const chain = (type: number, length: number): Uint8Array => repeated(length, type, 0, 1, 4, 0, 0, 0, 0);

/** The frames by what is in them. */
export const hostileFrames: Record<string, Uint8Array> = {
  "as many tags as fit": Uint8Array.of(...repeated(12, 2), ...repeated(SIZE, 0x81, 0, 0, 7)),
  "a name of 127 labels, and a record for each 12 bytes that points to it": dnsOf(
    [0, 100, 0, 0],
    longName,
    repeated(1200, ...pointing),
  ),
  "names that point to names that point": dnsOf(
    [0, 0xffff, 0xffff, 0xffff],
    Uint8Array.of(0),
    Uint8Array.from({ length: 1400 }, (_, i) => i % 2 === 0 ? 0xc0 | (i + 10) >>> 8 & 0x3f : (i + 9) & 255),
  ),
  "pointers into labels": dnsOf(
    [0, 64, 0, 0],
    Uint8Array.of(0, 3, 0xe8, 0, 1, 0, 0, 0, 0, 1, 0, ...repeated(192, 63), ...new Uint8Array(64)),
    Uint8Array.from({ length: 63 }, (_, i) => i).reduce(
      (records, i) => Uint8Array.of(...records, 0xc0, 23 + i, 3, 0xe8, 0, 1, 0, 0, 0, 0, 0, 0),
      new Uint8Array(0),
    ),
  ),
  "types of records that there are": dnsOf(
    [0, 1, 0, 0],
    Uint8Array.of(0, 0, 47, 0, 1, 0, 0, 0, 0, 5, 0x95, 0),
    Uint8Array.from({ length: 42 * 34 }, (_, i) => i % 34 === 0 ? i / 34 : i % 34 === 1 ? 32 : 255),
  ),
  "records with as many types as are read": dnsOf(
    [0, 4, 0, 0],
    repeated(
      4 * 148,
      0,
      0,
      47,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      137,
      0,
      ...[0, 1, 2, 3].flatMap((i) => [i, 32, ...repeated(32, 255)]),
    ),
  ),
  "questions without end": dnsOf([0xffff, 0xffff, 0xffff, 0xffff], repeated(1400, 0, 0, 1, 0, 1)),
  "texts of one byte": dnsOf([0, 1, 0, 0], Uint8Array.of(0, 0, 16, 0, 1, 0, 0, 0, 0, 5, 100), repeated(1380, 1, 0x5c)),
  "an option for each byte in DHCP": encoded(
    link,
    inIpv4,
    udp({ sourcePort: 68, destinationPort: 67 }),
    Uint8Array.of(1, 1, 6, 0),
    new Uint8Array(232),
    Uint8Array.of(0x63, 0x82, 0x53, 0x63, 52, 1, 3),
    repeated(1200, 12, 0),
  ),
  "relays in relays": encoded(link, inIpv6, udp({ sourcePort: 547, destinationPort: 547 }), relays()),
  "an option of DHCPv6 for each 4 bytes": encoded(
    link,
    inIpv6,
    udp({ sourcePort: 546, destinationPort: 547 }),
    Uint8Array.of(1, 0, 0, 1),
    repeated(1400, 0, 3, 0, 0),
  ),
  "extensions without end": encoded(
    link,
    ipv6({ source: "fe80::1", destination: "fe80::2", nextHeader: 60 }),
    chain(60, 1400),
  ),
  "an option for each byte in IPv6": encoded(
    link,
    ipv6({ source: "fe80::1", destination: "fe80::2", nextHeader: 0 }),
    Uint8Array.of(59, 174),
    new Uint8Array(1398),
  ),
  "an option for each 8 bytes of a router": encoded(
    link,
    inIpv6,
    icmpv6({ type: 134, options: repeated(1400, 99, 1, 0, 0, 0, 0, 0, 0) }),
  ),
  "options that do nothing": encoded(
    link,
    ipv4({ source: "192.0.2.1", destination: "192.0.2.2", options: repeated(40, 1) }),
    tcp({ sourcePort: 1, destinationPort: 2, options: repeated(40, 1) }),
  ),
} satisfies Record<string, Uint8Array>;
