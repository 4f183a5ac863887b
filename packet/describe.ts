// SPDX-License-Identifier: MIT

/**
 * One readable line for a frame, as tcpdump would print it.
 *
 * Theory of operation: a program that prints frames does so for all of them, so this is read straight from the bytes, without
 * a view for each layer. Every function is told where its layer begins and ends, and looks whether there is enough before it
 * reads; what is cut says so, and nothing is thrown.
 *
 * @module
 */

import { describeDhcp, describeDhcpv6 } from "./describe_dhcp.ts";
import { describeDns } from "./describe_dns.ts";
import { Ends, ipv4Ends, ipv4Text, ipv6Ends } from "./describe_ends.ts";
import { describeIcmp, describeIcmpv6 } from "./describe_icmp.ts";
import { EtherType, isTagType, MOST_TAGS, SMALLEST_ETHER_TYPE } from "./ethernet.ts";
import { getU16, getU32 } from "./field.ts";
import { IpProtocol } from "./ip_protocol.ts";
import { extensionLength, FRAGMENT, isExtension, MOST_EXTENSIONS } from "./ipv6_extensions.ts";
import { readMac } from "./mac_address.ts";
import { TcpFlag } from "./tcp.ts";
import { udpApplication } from "./udp_application.ts";

const ETHERNET_HEADER = 14;

/** Characters of a line at most. */
const LONGEST = 200;

const CUT = " (cut short)";

/**
 * Describes a frame in one line. Whatever the bytes are, it answers a line of up to 200 characters of printable ASCII and
 * never throws.
 *
 * @param frame An Ethernet frame, without virtio header.
 * @returns For instance `"ARP who has 192.168.50.1? tell 192.168.50.2"`.
 *
 * @example Usage
 * ```ts
 * import { arp, describe, encoded, ethernet } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const frame = encoded(
 *   ethernet({ destination: "ff:ff:ff:ff:ff:ff", source: "52:54:00:00:00:01" }),
 *   arp({ senderMac: "52:54:00:00:00:01", senderIp: "192.168.50.2", targetIp: "192.168.50.1" }),
 * );
 * assertEquals(describe(frame), "ARP who has 192.168.50.1? tell 192.168.50.2");
 * ```
 */
export function describe(frame: Uint8Array): string {
  const end = frame.length;
  if (end < ETHERNET_HEADER) return `cut short after ${end} bytes`;
  const line = describeType(getU16(frame, 12), frame, ETHERNET_HEADER, end);
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 3)}...`;
}

function describeType(type: number, frame: Uint8Array, at: number, end: number): string {
  if (type === EtherType.ipv4) return describeIpv4(frame, at, end);
  if (type === EtherType.ipv6) return describeIpv6(frame, at, end);
  if (type === EtherType.arp) return describeArp(frame, at, end);
  if (isTagType(type) && at < ETHERNET_HEADER + 4 * MOST_TAGS) {
    if (end - at < 4) return `cut short after ${end} bytes`;
    return `VLAN ${getU16(frame, at) & 0xfff} ${describeType(getU16(frame, at + 2), frame, at + 4, end)}`;
  }
  const ends = `${readMac(frame, 6)} > ${readMac(frame, 0)}`;
  if (type < SMALLEST_ETHER_TYPE) return `${ends} 802.3, ${Math.min(type, end - at)} bytes`;
  return `${ends} type 0x${type.toString(16).padStart(4, "0")}, ${end - at} bytes`;
}

function describeArp(frame: Uint8Array, at: number, end: number): string {
  if (end - at < 28) return "ARP" + CUT;
  if (getU32(frame, at) !== 0x00010800 || getU16(frame, at + 4) !== 0x0604) return "ARP of another kind";
  const operation = getU16(frame, at + 6);
  const from = ipv4Text(frame, at + 14);
  const to = ipv4Text(frame, at + 24);
  if (operation === 1 && from !== to) {
    return `ARP who has ${to}? ${getU32(frame, at + 14) ? `tell ${from}` : "(probe)"}`;
  }
  if (operation !== 1 && operation !== 2) return `ARP operation ${operation}`;
  return `ARP ${from} is at ${readMac(frame, at + 8)}${operation === 1 ? " (announcement)" : ""}`;
}

function describeIpv4(frame: Uint8Array, at: number, end: number): string {
  const there = end - at;
  if (there < 20) return "IPv4" + CUT;
  const first = frame[at]!;
  const header = (first & 15) << 2;
  if (first >>> 4 !== 4 || header < 20) return `IPv4 with version ${first >>> 4} and a header of ${header} bytes`;
  const fragment = (getU16(frame, at + 6) & 0x1fff) << 3;
  if (fragment > 0) return ipv4Ends(Ends.bare, frame, at, 0) + " fragment at " + fragment;
  if (there < header) return ipv4Ends(Ends.bare, frame, at, 0) + CUT;
  // Ethernet pads short frames, so the packet's own length counts, unless it was left to the network card
  const total = getU16(frame, at + 2);
  const last = total === 0 || total > there ? end : at + Math.max(total, header);
  const data = at + header;
  const protocol = frame[at + 9];
  if (protocol === IpProtocol.tcp || protocol === IpProtocol.udp) {
    if (last - data < 4) {
      return ipv4Ends(Ends.bare, frame, at, 0) + (protocol === IpProtocol.tcp ? " TCP" : " UDP") + CUT;
    }
    if (protocol === IpProtocol.tcp) return describeTcp(ipv4Ends(Ends.tcp, frame, at, data), frame, data, last);
    return describeUdp(ipv4Ends(Ends.udp, frame, at, data), frame, data, last);
  }
  const ends = ipv4Ends(Ends.bare, frame, at, 0);
  if (protocol === IpProtocol.icmp) return `${ends} ${describeIcmp(frame, data, last)}`;
  return `${ends} ${protocol === IpProtocol.igmp ? "IGMP" : `protocol ${protocol}`}, ${last - data} bytes`;
}

function describeIpv6(frame: Uint8Array, at: number, end: number): string {
  const there = end - at;
  if (there < 40) return "IPv6" + CUT;
  if (frame[at]! >>> 4 !== 6) return `IPv6 with version ${frame[at]! >>> 4}`;
  const length = getU16(frame, at + 4);
  const last = length === 0 ? end : Math.min(at + 40 + length, end);
  let protocol = frame[at + 6]!;
  let data = at + 40;
  for (let i = 0; i < MOST_EXTENSIONS && isExtension(protocol); i++) {
    if (last - data < 8) return ipv6Ends(Ends.bare, frame, at, 0) + CUT;
    const fragment = protocol === FRAGMENT ? getU16(frame, data + 2) & 0xfff8 : 0;
    if (fragment > 0) return ipv6Ends(Ends.bare, frame, at, 0) + " fragment at " + fragment;
    const next = frame[data]!;
    const size = frame[data + 1]!;
    data += extensionLength(protocol, size);
    protocol = next;
  }
  if (data > last) return ipv6Ends(Ends.bare, frame, at, 0) + CUT;
  if (protocol === IpProtocol.tcp || protocol === IpProtocol.udp) {
    if (last - data < 4) {
      return ipv6Ends(Ends.bare, frame, at, 0) + (protocol === IpProtocol.tcp ? " TCP" : " UDP") + CUT;
    }
    if (protocol === IpProtocol.tcp) return describeTcp(ipv6Ends(Ends.tcp, frame, at, data), frame, data, last);
    return describeUdp(ipv6Ends(Ends.udp, frame, at, data), frame, data, last);
  }
  const ends = ipv6Ends(Ends.bare, frame, at, 0);
  return protocol === IpProtocol.icmpv6
    ? `${ends} ${describeIcmpv6(frame, data, last)}`
    : `${ends} protocol ${protocol}, ${last - data} bytes`;
}

/** What stands between the ends and the rest, for each combination of flags that was seen. */
const flagTexts: string[] = new Array(512).fill("");

function flagText(flags: number): string {
  const known = flagTexts[flags]!;
  if (known !== "") return known;
  const names = Object.entries(TcpFlag).filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name.toUpperCase());
  return flagTexts[flags] = ` [${names.join(",") || "none"}]`;
}

/** Texts are joined by `+`, all at once, where it matters: engines are quickest with that. */
function describeTcp(ends: string, frame: Uint8Array, at: number, end: number): string {
  if (end - at < 20) return ends + CUT;
  const flags = getU16(frame, at + 12) & 0x1ff;
  const header = frame[at + 12]! >>> 4 << 2;
  const bytes = end - at - header;
  if (header < 20 || bytes < 0) return `${ends}${flagText(flags)} with a header of ${header} bytes`;
  const sequence = getU32(frame, at + 4);
  const window = getU16(frame, at + 14);
  if ((flags & TcpFlag.ack) === 0) {
    return ends + flagText(flags) + " seq " + sequence + " win " + window + ", " + bytes + " bytes";
  }
  const acknowledged = getU32(frame, at + 8);
  return ends + flagText(flags) + " seq " + sequence + " ack " + acknowledged + " win " + window + ", " + bytes +
    " bytes";
}

function describeUdp(ends: string, frame: Uint8Array, at: number, end: number): string {
  if (end - at < 8) return ends + CUT;
  const data = at + 8;
  const length = getU16(frame, at + 4);
  // 0 says that it ends where its packet does
  const last = length === 0 ? end : Math.min(at + Math.max(length, 8), end);
  switch (udpApplication(getU16(frame, at), getU16(frame, at + 2))) {
    case undefined:
      return ends + ", " + (last - data) + " bytes";
    case "dns":
      return ends + " DNS " + describeDns(frame, data, last);
    case "mdns":
      return ends + " mDNS " + describeDns(frame, data, last);
    case "dhcp":
      return ends + " DHCP " + describeDhcp(frame, data, last);
    case "dhcpv6":
      return ends + " DHCPv6 " + describeDhcpv6(frame, data, last);
  }
}
