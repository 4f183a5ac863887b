/**
 * What it costs to describe frames, and to read an Ethernet frame down to TCP with this library and with the npm
 * packages that do the same. Each function goes once over its frames and answers a sum, so that nothing can be left out.
 *
 * The peers are installed by `npm run bench` below shim/build, without their native parts, which capture packets and
 * which no decoder needs. cap makes text of addresses at once and passes over TCP's options; pcap makes text when it is
 * asked.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createRequire } from "node:module";
import {
  arp,
  describe,
  dhcp,
  dns,
  encoded,
  ethernet,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  type Layer,
  Packet,
  tcp,
  type TcpOption,
  udp,
} from "../packet/mod.ts";

const [guest, gateway] = ["52:54:00:12:34:56", "52:55:c0:a8:40:01"] as const;
const [guestIp, gatewayIp] = ["192.168.64.2", "192.168.64.1"] as const;
const [guestIp6, gatewayIp6] = ["fd00:6:7:8:5054:ff:fe12:3456", "fe80::1"] as const;

const link = ethernet({ destination: gateway, source: guest });
const inner = (source: string, destination: string, index: number) =>
  ipv4({ source, destination, identification: 1000 + index, dontFragment: true });
const timestamps = (index: number): TcpOption[] => [
  { name: "nop" },
  { name: "nop" },
  { name: "timestamps", value: 4_163_513_777 + index, echo: 1_663_187_378 + 2 * index },
];

function segment(index: number, length: number): Uint8Array {
  return encoded(
    link,
    inner(guestIp, `198.51.100.${index & 255}`, index),
    tcp({
      sourcePort: 40000 + index,
      destinationPort: index % 3 === 0 ? 443 : 80,
      sequence: 3_000_000_000 + 1448 * index,
      acknowledgment: 7 * index,
      ack: true,
      psh: length > 0,
      window: 64000 + index,
      options: timestamps(index),
    }),
    new Uint8Array(length).fill(index),
  );
}

/** 64 TCP segments of different connections, with timestamps: half of them full, half of them acknowledgments. */
export const segments: readonly Uint8Array[] = Array.from({ length: 64 }, (_, i) => segment(i, i % 2 === 0 ? 1448 : 0));

const query = dns({ id: 4711, isRecursionDesired: true, questions: [{ name: "www.example.org", type: "A" }] });
const answer = dns({
  id: 4711,
  isResponse: true,
  isRecursionDesired: true,
  isRecursionAvailable: true,
  questions: [{ name: "www.example.org", type: "A" }],
  answers: [
    { name: "www.example.org", type: "CNAME", ttl: 300, data: "host.example.org" },
    { name: "host.example.org", type: "A", ttl: 300, data: "198.51.100.7" },
  ],
});

/** What a guest's link carries besides full segments. */
const others: readonly Uint8Array[] = [
  [link, arp({ senderMac: guest, senderIp: guestIp, targetIp: gatewayIp })],
  [link, arp({ operation: 2, senderMac: gateway, senderIp: gatewayIp, targetMac: guest, targetIp: guestIp })],
  [link, inner(guestIp, gatewayIp, 1), udp({ sourcePort: 50001, destinationPort: 53 }), query],
  [link, inner(gatewayIp, guestIp, 2), udp({ sourcePort: 53, destinationPort: 50001 }), answer],
  [
    link,
    inner(guestIp, gatewayIp, 3),
    tcp({
      sourcePort: 40001,
      destinationPort: 443,
      syn: true,
      sequence: 123456789,
      window: 64240,
      options: [
        { name: "mss", value: 1460 },
        { name: "sackPermitted" },
        { name: "timestamps", value: 1, echo: 0 },
        { name: "nop" },
        { name: "windowScale", shift: 7 },
      ],
    }),
  ],
  [link, inner(guestIp, gatewayIp, 4), icmp({ type: 8, identifier: 7, sequence: 1 }), new Uint8Array(56)],
  [
    link,
    ipv6({ source: guestIp6, destination: "2001:db8::7", hopLimit: 64 }),
    tcp({ sourcePort: 40002, destinationPort: 443, ack: true, sequence: 1, acknowledgment: 2, options: timestamps(0) }),
    new Uint8Array(1200),
  ],
  [
    link,
    ipv6({ source: guestIp6, destination: gatewayIp6, hopLimit: 255 }),
    icmpv6({ type: 135, target: gatewayIp6, options: [{ name: "sourceLinkLayerAddress", address: guest }] }),
  ],
  [
    ethernet({ destination: gateway, source: guest, vlans: [{ id: 7 }] }),
    inner(guestIp, gatewayIp, 5),
    udp({ sourcePort: 5004, destinationPort: 5004 }),
    new Uint8Array(160),
  ],
  [
    link,
    inner("0.0.0.0", "255.255.255.255", 6),
    udp({ sourcePort: 68, destinationPort: 67 }),
    dhcp({ operation: 1, transactionId: 0x01020304, clientMac: guest, messageType: 1, hostName: "guest" }),
  ],
].map((layers: (Layer | Uint8Array)[]) => encoded(...layers));

/** 64 frames as a guest's link carries them: five of six are of TCP, the rest is what there is besides. */
export const mixed: readonly Uint8Array[] = Array.from({ length: 64 }, (_, i) => {
  return i % 6 === 5 ? others[(i - 5) / 6]! : segments[i]!;
});

/** `describe()` of 64 mixed frames. */
export function describeMixed(): number {
  let sum = 0;
  for (const frame of mixed) sum += describe(frame).length;
  return sum;
}

/** Uses a text: engines only note what is to be joined until somebody looks at a character. */
const use = (text: string): number => text.length + text.charCodeAt(text.length - 1);

/** Ours: every field of the three headers that a program asks for, addresses as text. */
export function ours(): number {
  let sum = 0;
  for (const frame of segments) {
    const { ethernet, ipv4, tcp } = new Packet(frame);
    if (ipv4 === undefined || tcp === undefined) throw new Error("Cannot decode");
    sum += use(ethernet.source.toString()) + use(ethernet.destination.toString()) + ethernet.type;
    sum += use(ipv4.source.toString()) + use(ipv4.destination.toString()) + ipv4.protocol + ipv4.ttl;
    sum += tcp.sourcePort + tcp.destinationPort + tcp.sequence + tcp.acknowledgment + tcp.flags + tcp.window;
    for (const option of tcp.options) if (option.name === "timestamps") sum += option.value + option.echo;
  }
  return sum;
}

/** Ours without text: addresses as numbers. */
export function oursInNumbers(): number {
  let sum = 0;
  for (const frame of segments) {
    const { ethernet, ipv4, tcp } = new Packet(frame);
    if (ipv4 === undefined || tcp === undefined) throw new Error("Cannot decode");
    sum += ethernet.source.value + ethernet.destination.value + ethernet.type;
    sum += ipv4.source.value + ipv4.destination.value + ipv4.protocol + ipv4.ttl;
    sum += tcp.sourcePort + tcp.destinationPort + tcp.sequence + tcp.acknowledgment + tcp.flags + tcp.window;
    for (const option of tcp.options) if (option.name === "timestamps") sum += option.value + option.echo;
  }
  return sum;
}

const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function macText(view: DataView, at: number): string {
  let text = hexOf[view.getUint8(at)]!;
  for (let i = 1; i < 6; i++) text += `:${hexOf[view.getUint8(at + i)]}`;
  return text;
}

function ipv4Text(view: DataView, at: number): string {
  return `${view.getUint8(at)}.${view.getUint8(at + 1)}.${view.getUint8(at + 2)}.${view.getUint8(at + 3)}`;
}

/** The ceiling: the same fields read by hand, where they are known to be, without a check. */
function byHand(withText: boolean): number {
  let sum = 0;
  for (const frame of segments) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    sum += view.getUint16(12) + view.getUint8(23) + view.getUint8(22);
    if (withText) {
      sum += use(macText(view, 6)) + use(macText(view, 0)) + use(ipv4Text(view, 26)) + use(ipv4Text(view, 30));
    } else {
      sum += view.getUint16(6) * 2 ** 32 + view.getUint32(8) + view.getUint16(0) * 2 ** 32 + view.getUint32(2);
      sum += view.getUint32(26) + view.getUint32(30);
    }
    const at = 14 + (view.getUint8(14) & 15) * 4;
    sum += view.getUint16(at) + view.getUint16(at + 2) + view.getUint32(at + 4) + view.getUint32(at + 8);
    sum += (view.getUint16(at + 12) & 0x1ff) + view.getUint16(at + 14);
    const end = at + (view.getUint8(at + 12) >>> 4) * 4;
    for (let i = at + 20; i < end;) {
      const kind = view.getUint8(i);
      if (kind === 8) sum += view.getUint32(i + 2) + view.getUint32(i + 6);
      i += kind < 2 ? 1 : view.getUint8(i + 1);
    }
  }
  return sum;
}

/** Fields read by hand with a `DataView`, addresses as text. */
export const ceiling = (): number => byHand(true);
/** Fields read by hand with a `DataView`, addresses as numbers. */
export const ceilingInNumbers = (): number => byHand(false);

const require = createRequire(new URL("../shim/build/packet_peers/index.js", import.meta.url));

/** A module of a peer, or undefined if it is not installed. */
function load<T>(path: string): T | undefined {
  try {
    return require(path) as T;
  } catch {
    return undefined;
  }
}

const buffers = segments.map((frame) => Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));

interface CapHeader<Info> {
  readonly info: Info;
  readonly offset: number;
}

interface CapDecoders {
  Ethernet(bytes: Buffer): CapHeader<{ dstmac: string; srcmac: string; type: number }>;
  IPV4(bytes: Buffer, at: number): CapHeader<{ srcaddr: string; dstaddr: string; protocol: number; ttl: number }>;
  TCP(bytes: Buffer, at: number): CapHeader<
    { srcport: number; dstport: number; seqno: number; ackno: number; flags: number; window: number }
  >;
}

function readWithCap({ Ethernet, IPV4, TCP }: CapDecoders): number {
  let sum = 0;
  for (const bytes of buffers) {
    const { info: link, offset } = Ethernet(bytes);
    const { info: net, offset: next } = IPV4(bytes, offset);
    const { info: segment } = TCP(bytes, next);
    sum += use(link.srcmac) + use(link.dstmac) + link.type;
    sum += use(net.srcaddr) + use(net.dstaddr) + net.protocol + net.ttl;
    sum += segment.srcport + segment.dstport + segment.seqno + segment.ackno + segment.flags + segment.window;
  }
  return sum;
}

interface PcapAddress {
  readonly addr: readonly number[];
}

interface PcapFrame {
  readonly shost: PcapAddress;
  readonly dhost: PcapAddress;
  readonly ethertype: number;
  readonly payload: {
    readonly saddr: PcapAddress;
    readonly daddr: PcapAddress;
    readonly protocol: number;
    readonly ttl: number;
    readonly payload: {
      readonly sport: number;
      readonly dport: number;
      readonly seqno: number;
      readonly ackno: number;
      readonly flags: { readonly ack: boolean; readonly psh: boolean };
      readonly windowSize: number;
      readonly options: { readonly timestamp: number; readonly echo: number };
    };
  };
}

type PcapPacket = new () => { decode(bytes: Buffer, offset: number): PcapFrame };

/** pcap gives octets; ours and the reads by hand give numbers. */
function asNumber({ addr }: PcapAddress): number {
  let value = 0;
  for (let i = 0; i < addr.length; i++) value = value * 256 + addr[i]!;
  return value;
}

function readWithPcap(EthernetPacket: PcapPacket, withText: boolean): number {
  let sum = 0;
  for (const bytes of buffers) {
    const { shost, dhost, ethertype, payload: net } = new EthernetPacket().decode(bytes, 0);
    const { payload: segment } = net;
    sum += ethertype + net.protocol + net.ttl;
    if (withText) {
      sum += use(shost.toString()) + use(dhost.toString());
      sum += use(net.saddr.toString()) + use(net.daddr.toString());
    } else {
      sum += asNumber(shost) + asNumber(dhost) + asNumber(net.saddr) + asNumber(net.daddr);
    }
    sum += segment.sport + segment.dport + segment.seqno + segment.ackno + Number(segment.flags.ack);
    sum += Number(segment.flags.psh) + segment.windowSize + segment.options.timestamp + segment.options.echo;
  }
  return sum;
}

const cap = load<CapDecoders>("cap/lib/Decoders.js");
const pcap = load<PcapPacket>("pcap/decode/ethernet_packet.js");

/** The peers that are installed, with addresses as text. */
export const peers: Readonly<Record<string, () => number>> = {
  ...(cap ? { "cap 0.2.1": () => readWithCap(cap) } : {}),
  ...(pcap ? { "pcap 3.1.0": () => readWithPcap(pcap, true) } : {}),
};

/** The peers that are installed and can do without text. */
export const peersInNumbers: Readonly<Record<string, () => number>> = pcap
  ? { "pcap 3.1.0": () => readWithPcap(pcap, false) }
  : {};
