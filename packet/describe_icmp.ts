// SPDX-License-Identifier: MIT

/**
 * What ICMP and ICMPv6 messages say, in a few words.
 *
 * @module
 */

import { ipv4Text, ipv6Text } from "./describe_ends.ts";
import { getU16, getU32 } from "./field.ts";
import { IcmpType } from "./icmp.ts";
import { Icmpv6Type } from "./icmpv6_type.ts";

/** Bytes that messages have at least, of both versions: type, code, checksum and 32 bits more. */
const HEADER = 8;

const unreachable = ["network", "host", "protocol", "port", "fragmentation needed", "source route"];
const unreachable6 = ["no route", "prohibited", "beyond scope", "address", "port"];

/** Describes an ICMP message (RFC 792). */
export function describeIcmp(frame: Uint8Array, at: number, end: number): string {
  if (end - at < HEADER) return "ICMP (cut short)";
  const code = frame[at + 1]!;
  switch (frame[at]) {
    case IcmpType.echoReply:
      return "ICMP echo reply" + echo(frame, at, end);
    case IcmpType.unreachable:
      return `ICMP unreachable: ${unreachable[code] ?? `code ${code}`}`;
    case IcmpType.redirect:
      return `ICMP redirect to ${ipv4Text(frame, at + 4)}`;
    case IcmpType.echoRequest:
      return "ICMP echo request" + echo(frame, at, end);
    case IcmpType.timeExceeded:
      return "ICMP time exceeded";
    default:
      return `ICMP type ${frame[at]} code ${code}`;
  }
}

/** Describes an ICMPv6 message (RFC 4443, RFC 4861). */
export function describeIcmpv6(frame: Uint8Array, at: number, end: number): string {
  if (end - at < HEADER) return "ICMPv6 (cut short)";
  const code = frame[at + 1]!;
  switch (frame[at]) {
    case Icmpv6Type.unreachable:
      return `ICMPv6 unreachable: ${unreachable6[code] ?? `code ${code}`}`;
    case Icmpv6Type.packetTooBig:
      return `ICMPv6 packet too big, MTU ${getU32(frame, at + 4)}`;
    case Icmpv6Type.timeExceeded:
      return "ICMPv6 time exceeded";
    case Icmpv6Type.echoRequest:
      return "ICMPv6 echo request" + echo(frame, at, end);
    case Icmpv6Type.echoReply:
      return "ICMPv6 echo reply" + echo(frame, at, end);
    case Icmpv6Type.listenerQuery:
    case Icmpv6Type.listenerReport:
    case Icmpv6Type.listenerDone:
    case Icmpv6Type.listenerReport2:
      return "ICMPv6 multicast listener";
    case Icmpv6Type.routerSolicitation:
      return "ICMPv6 router solicitation";
    case Icmpv6Type.routerAdvertisement:
      return `ICMPv6 router advertisement, lifetime ${getU16(frame, at + 6)} s`;
    case Icmpv6Type.neighbourSolicitation:
      if (end - at < HEADER + 16) return "ICMPv6 neighbour solicitation (cut short)";
      return `ICMPv6 neighbour solicitation, who has ${ipv6Text(frame, at + 8)}?`;
    case Icmpv6Type.neighbourAdvertisement:
      if (end - at < HEADER + 16) return "ICMPv6 neighbour advertisement (cut short)";
      return `ICMPv6 neighbour advertisement, ${ipv6Text(frame, at + 8)} is here`;
    default:
      return `ICMPv6 type ${frame[at]} code ${code}`;
  }
}

function echo(frame: Uint8Array, at: number, end: number): string {
  return " id " + getU16(frame, at + 4) + " seq " + getU16(frame, at + 6) + ", " + (end - at - HEADER) + " bytes";
}
