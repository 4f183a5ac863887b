// SPDX-License-Identifier: MIT

/**
 * Checksums of a whole frame: whether they are right, and how they become so.
 *
 * @module
 */

import { internetSum } from "./checksum.ts";
import { Ethernet, EtherType } from "./ethernet.ts";
import { getU16, setU16 } from "./field.ts";
import { IpProtocol } from "./ip_protocol.ts";
import { Ipv4 } from "./ipv4.ts";
import { Ipv6 } from "./ipv6.ts";
import { walkExtensions } from "./ipv6_extensions.ts";
import { coveredLength, ipv4AddressSum, ipv6AddressSum, shown } from "./pseudo_header.ts";

/**
 * What a checksum was found to be:
 *
 * - `right`,
 * - `wrong`,
 * - `absent`: a UDP datagram over IPv4 says that it has none,
 * - `partial`: only the sum of the pseudo header, as a sender leaves it whose network card does the rest,
 * - `unverifiable`: not all that it covers is there, as in a fragment or in a frame that was cut short.
 */
export type ChecksumStatus = "right" | "wrong" | "absent" | "partial" | "unverifiable";

/** A checksum of a frame. */
export interface FrameChecksum {
  /** The layer that it is of. */
  readonly layer: "ipv4" | "icmp" | "icmpv6" | "udp" | "tcp";
  /** What it was found to be. */
  readonly status: ChecksumStatus;
  /** Its offset in the frame. */
  readonly offset: number;
  /** What it is, 0 to 65535; undefined if the frame ends before. */
  readonly found: number | undefined;
  /** What it should be, 0 to 65535; undefined if it cannot be verified. */
  readonly expected: number | undefined;
}

/** Protocols with a checksum: the layer, and where it is in the header. */
const protocols: ReadonlyMap<number, { layer: FrameChecksum["layer"]; at: number }> = new Map([
  [IpProtocol.icmp, { layer: "icmp", at: 2 }],
  [IpProtocol.tcp, { layer: "tcp", at: 16 }],
  [IpProtocol.udp, { layer: "udp", at: 6 }],
  [IpProtocol.icmpv6, { layer: "icmpv6", at: 2 }],
]);

/**
 * Looks whether the checksums of a frame are right. Of packets in packets, all are looked at.
 *
 * @param frame An Ethernet frame.
 * @returns The checksums from the outermost to the innermost; none if the frame has no IP.
 * @throws {PacketError} If the headers of Ethernet or IP are broken.
 *
 * @example Usage
 * ```ts
 * import { encoded, ethernet, ipv4, udp, verifyChecksums } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const frame = encoded(
 *   ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" }),
 *   ipv4({ source: "192.0.2.1", destination: "192.0.2.2" }),
 *   udp({ sourcePort: 7, destinationPort: 7 }),
 * );
 * frame[frame.length - 1]! ^= 1;
 * const found = verifyChecksums(frame).map(({ layer, status }) => `${layer} ${status}`);
 * assertEquals(found, ["ipv4 right", "udp wrong"]);
 * ```
 */
export function verifyChecksums(frame: Uint8Array): FrameChecksum[] {
  const checksums: FrameChecksum[] = [];
  const { type, start, headerLength, end } = new Ethernet(frame);
  let at = start + headerLength;
  let last = end;
  let version = type === EtherType.ipv4 ? 4 : type === EtherType.ipv6 ? 6 : undefined;
  // A loop, because a long frame has room for thousands of packets in packets, and the stack has not
  while (version !== undefined) {
    const inside = version === 4 ? verifyIpv4(checksums, frame, at, last) : insideIpv6(frame, at, last);
    const { protocol, isWhole } = inside;
    version = !isWhole ? undefined : protocol === IpProtocol.ipv4 ? 4 : protocol === IpProtocol.ipv6 ? 6 : undefined;
    if (version === undefined) verifyInside(checksums, inside);
    at = inside.start;
    last = inside.end;
  }
  return checksums;
}

/**
 * Makes the checksums of a frame right where they are wrong or partial. Absent and unverifiable ones stay as they are.
 *
 * @param frame An Ethernet frame, which is changed.
 * @returns The number of checksums that were changed.
 * @throws {PacketError} If the headers of Ethernet or IP are broken.
 *
 * @example Change an address
 * ```ts
 * import { encoded, ethernet, fixChecksums, ipv4, Ipv4Address, udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const frame = encoded(
 *   ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" }),
 *   ipv4({ source: "192.0.2.1", destination: "192.0.2.2" }),
 *   udp({ sourcePort: 7, destinationPort: 7 }),
 * );
 * Ipv4Address.parse("192.0.2.3").copyTo(frame, 14 + 16);
 * assertEquals(fixChecksums(frame), 2);
 * assertEquals(fixChecksums(frame), 0);
 * ```
 */
export function fixChecksums(frame: Uint8Array): number {
  let changed = 0;
  for (const { status, offset, expected } of verifyChecksums(frame)) {
    if ((status !== "wrong" && status !== "partial") || expected === undefined) continue;
    setU16(frame, offset, expected);
    changed++;
  }
  return changed;
}

/** Verifies the checksum of an IPv4 header and answers what the packet carries. */
function verifyIpv4(checksums: FrameChecksum[], frame: Uint8Array, start: number, end: number): Inside {
  const packet = new Ipv4(frame, start, end);
  const inside = start + packet.headerLength;
  const found = packet.checksum;
  const sum = sumWithout(frame, start, inside, start + 10, 0);
  const status = isRight(sum, found) ? "right" : "wrong";
  checksums.push({ layer: "ipv4", status, offset: start + 10, found, expected: ~sum & 0xffff });
  return {
    frame,
    start: inside,
    end: packet.end,
    version: 4,
    protocol: packet.protocol,
    isWhole: !packet.isTruncated && !packet.isFragment,
    isFirst: packet.fragmentOffset === 0,
    addresses: ipv4AddressSum(frame, start, packet.headerLength),
  };
}

/** What an IPv6 packet carries. Its header has no checksum. */
function insideIpv6(frame: Uint8Array, start: number, end: number): Inside {
  const packet = new Ipv6(frame, start, end);
  const { protocol, headerLength, final } = walkExtensions(frame, start, packet.end);
  return {
    frame,
    start: start + headerLength,
    end: packet.end,
    version: 6,
    protocol,
    isWhole: !packet.isTruncated && !packet.isFragment && final !== undefined,
    isFirst: packet.fragmentOffset === 0,
    addresses: ipv6AddressSum(frame, start, final),
  };
}

/** What a packet carries. */
interface Inside {
  readonly frame: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly version: 4 | 6;
  readonly protocol: number;
  /** Whether the checksum can be verified. */
  readonly isWhole: boolean;
  /** Whether it starts with a header. */
  readonly isFirst: boolean;
  /** Sum of the addresses. */
  readonly addresses: number;
}

/** Verifies the checksum of what a packet carries, if that has one. */
function verifyInside(checksums: FrameChecksum[], inside: Inside): void {
  const { frame, start, end, version, protocol, isWhole, isFirst, addresses } = inside;
  const known = protocols.get(protocol);
  if (known === undefined || protocol === (version === 4 ? IpProtocol.icmpv6 : IpProtocol.icmp)) return;
  const { layer, at } = known;
  const offset = start + at;
  const found = isFirst && offset + 2 <= end ? getU16(frame, offset) : undefined;
  if (!isWhole || found === undefined || (protocol === IpProtocol.udp && isCut(frame, start, end))) {
    checksums.push({ layer, status: "unverifiable", offset, found, expected: undefined });
    return;
  }
  const length = coveredLength(frame, start, end, protocol);
  const pseudo = protocol === IpProtocol.icmp ? 0 : internetSum(frame, 0, 0, addresses + protocol + length);
  const sum = sumWithout(frame, start, start + length, offset, pseudo);
  const status = statusOf(sum, found, pseudo, protocol, version);
  checksums.push({ layer, status, offset, found, expected: shown(~sum & 0xffff, protocol) });
}

function statusOf(sum: number, found: number, pseudo: number, protocol: number, version: 4 | 6): ChecksumStatus {
  // Over IPv6 a datagram has to have one (RFC 8200, section 8.1)
  if (protocol === IpProtocol.udp && found === 0) return version === 4 ? "absent" : "wrong";
  if (isRight(sum, found)) return "right";
  return protocol !== IpProtocol.icmp && found === pseudo ? "partial" : "wrong";
}

/** The folded sum of some bytes without the 16 bits at an offset that is even from their start. */
function sumWithout(frame: Uint8Array, start: number, end: number, offset: number, initial: number): number {
  return internetSum(frame, offset + 2, end, internetSum(frame, start, offset, initial));
}

/** Whether a receiver is content with a checksum: with it the sum of all is -0. */
function isRight(sum: number, checksum: number): boolean {
  const whole = sum + checksum;
  return whole === 0xffff || whole === 0x1fffe;
}

/** Whether a UDP datagram says that it is longer than its packet, or shorter than its header. */
function isCut(frame: Uint8Array, start: number, end: number): boolean {
  const length = getU16(frame, start + 4);
  return length > end - start || (length < 8 && length !== 0);
}
