// SPDX-License-Identifier: MIT

/**
 * One readable line for a frame, as tcpdump would print it.
 *
 * @module
 */

import { describeDhcp } from "./dhcp_summary.ts";
import { describeDns } from "./dns_summary.ts";
import { describeIcmp, describeIcmpv6 } from "./icmp_summary.ts";
import { FrameView, ShortFrame } from "./view.ts";

const ETHERNET_HEADER = 14;

/** Tags that may follow one another before the type of the frame. */
const MAX_TAGS = 2;

/** Extension headers that are looked through before the protocol of an IPv6 packet. */
const MAX_EXTENSIONS = 8;

/**
 * Describes a frame in one line. Whatever the bytes are, it answers a line of printable ASCII and never throws.
 *
 * @param frame An Ethernet frame, without virtio header.
 * @returns For instance `"ARP who has 192.168.50.1? tell 192.168.50.2"`.
 *
 * @example Usage
 * ```ts ignore
 * import { describe } from "./packet/describe.ts";
 *
 * for await (const packet of nic) console.log(describe(packet));
 * ```
 */
export function describe(frame: Uint8Array): string {
  const view = new FrameView(frame);
  try {
    return describeEthernet(view);
  } catch (error) {
    if (!(error instanceof ShortFrame)) throw error;
    return `cut short after ${frame.length} bytes`;
  }
}

/** Continues with the rest of what was said when the frame ends within what is next. */
function attempt(start: string, rest: () => string): string {
  try {
    return `${start} ${rest()}`;
  } catch (error) {
    if (!(error instanceof ShortFrame)) throw error;
    return `${start} (cut short)`;
  }
}

function describeEthernet(view: FrameView): string {
  const [to, from] = [view.mac(0), view.mac(6)];
  let at = 12;
  let tags = "";
  for (let i = 0; i < MAX_TAGS && (view.u16(at) === 0x8100 || view.u16(at) === 0x88a8); i++, at += 4) {
    tags += `VLAN ${view.u16(at + 2) & 0xfff} `;
  }
  const type = view.u16(at);
  const payload = view.part(at + 2);
  const start = `${tags}${from} > ${to}`;
  if (type === 0x0806) return attempt(`${tags}ARP`, () => describeArp(payload));
  if (type === 0x0800) return attempt(`${tags}IPv4`, () => describeIpv4(payload));
  if (type === 0x86dd) return attempt(`${tags}IPv6`, () => describeIpv6(payload));
  if (type < 1536) return `${start} 802.3, ${view.length - ETHERNET_HEADER} bytes`;
  return `${start} type 0x${type.toString(16).padStart(4, "0")}, ${view.length - ETHERNET_HEADER} bytes`;
}

function describeArp(arp: FrameView): string {
  if (arp.u16(0) !== 1 || arp.u16(2) !== 0x0800 || arp.u8(4) !== 6 || arp.u8(5) !== 4) return "of another kind";
  const operation = arp.u16(6);
  const [mac, from, to] = [arp.mac(8), arp.ipv4(14), arp.ipv4(24)];
  if (operation === 1) return from === to ? `${from} is at ${mac} (announcement)` : `who has ${to}? tell ${from}`;
  if (operation === 2) return `${from} is at ${mac}`;
  return `operation ${operation}`;
}

function describeIpv4(ip: FrameView): string {
  const version = ip.u8(0) >>> 4;
  const header = (ip.u8(0) & 15) * 4;
  if (version !== 4 || header < 20) return `with version ${version} and a header of ${header} bytes`;
  const [from, to, protocol] = [ip.ipv4(12), ip.ipv4(16), ip.u8(9)];
  const fragment = ip.u16(6) & 0x1fff;
  if (fragment > 0) return `${from} > ${to} fragment at ${fragment * 8}`;
  // Ethernet pads short frames, so the packet's own length counts
  const total = Math.min(Math.max(ip.u16(2), header), ip.length);
  return describeTransport(from, to, protocol, ip.part(header, total - header), false);
}

function describeIpv6(ip: FrameView): string {
  if (ip.u8(0) >>> 4 !== 6) return `with version ${ip.u8(0) >>> 4}`;
  const [from, to] = [ip.ipv6(8), ip.ipv6(24)];
  let protocol = ip.u8(6);
  const end = Math.min(40 + ip.u16(4), ip.length);
  let at = 40;
  // Hop-by-hop, routing and destination options; a fragment header has the same first byte
  for (let i = 0; i < MAX_EXTENSIONS && [0, 43, 44, 60].includes(protocol); i++) {
    const isFragment = protocol === 44;
    if (isFragment && (ip.u16(at + 2) & 0xfff8) > 0) return `${from} > ${to} fragment at ${ip.u16(at + 2) & 0xfff8}`;
    protocol = ip.u8(at);
    at += isFragment ? 8 : 8 * (ip.u8(at + 1) + 1);
  }
  return describeTransport(from, to, protocol, ip.part(at, end - at), true);
}

function describeTransport(from: string, to: string, protocol: number, data: FrameView, isIpv6: boolean): string {
  const bytes = `${data.length} bytes`;
  if (protocol === 6) return attempt("TCP", () => describeTcp(from, to, data));
  if (protocol === 17) return attempt("UDP", () => describeUdp(from, to, data));
  if (protocol === 1 && !isIpv6) return `${from} > ${to} ${attempt("ICMP", () => describeIcmp(data))}`;
  if (protocol === 58 && isIpv6) return `${from} > ${to} ${attempt("ICMPv6", () => describeIcmpv6(data))}`;
  if (protocol === 2 && !isIpv6) return `${from} > ${to} IGMP, ${bytes}`;
  return `${from} > ${to} protocol ${protocol}, ${bytes}`;
}

/** Address and port, the address of IPv6 in brackets. */
function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

const tcpFlags = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

function describeTcp(from: string, to: string, tcp: FrameView): string {
  const ends = `${endpoint(from, tcp.u16(0))} > ${endpoint(to, tcp.u16(2))}`;
  const [sequence, acknowledged, window] = [tcp.u32(4), tcp.u32(8), tcp.u16(14)];
  const bits = tcp.u8(13);
  const flags = tcpFlags.filter((_, i) => (bits >>> i & 1) === 1).join(",") || "none";
  const header = (tcp.u8(12) >>> 4) * 4;
  if (header < 20 || header > tcp.length) return `${ends} [${flags}] with a header of ${header} bytes`;
  const ack = (bits & 16) === 0 ? "" : ` ack ${acknowledged}`;
  return `${ends} [${flags}] seq ${sequence}${ack} win ${window}, ${tcp.length - header} bytes`;
}

function describeUdp(from: string, to: string, udp: FrameView): string {
  const [source, target] = [udp.u16(0), udp.u16(2)];
  const ends = `${endpoint(from, source)} > ${endpoint(to, target)}`;
  const data = udp.part(8, Math.min(Math.max(udp.u16(4) - 8, 0), udp.length - 8));
  const ports = [source, target];
  if (ports.includes(67) && ports.includes(68)) return attempt(`${ends} DHCP`, () => describeDhcp(data));
  if (ports.includes(53)) return attempt(`${ends} DNS`, () => describeDns(data));
  if (ports.includes(5353)) return attempt(`${ends} mDNS`, () => describeDns(data));
  return `${ends}, ${data.length} bytes`;
}
