// SPDX-License-Identifier: MIT

/**
 * What our views read of a frame, under the names of Wireshark's fields.
 *
 * @module
 */

import {
  type Arp,
  type Ethernet,
  type Icmp,
  type Ipv4,
  Ipv4Address,
  type Ipv6,
  type Ipv6Extension,
  type Packet,
  type Tcp,
  type TcpOption,
  type Udp,
} from "vmnet/packet";
import { dhcp, dhcpv6, dns, icmpv6 } from "./message_fields.ts";

/** A value of a field, or all values in the order of the frame. Bytes are written in hexadecimal. */
export type FieldValue = number | bigint | boolean | string | Uint8Array | { toString(): string };

/** Fields by name, each with all its values. */
export type Fields = Record<string, FieldValue[]>;

/** How fields of a view are read. */
export type Reads<View> = Record<string, (view: View) => FieldValue | readonly FieldValue[] | undefined>;

const ethernet: Reads<Ethernet> = {
  "eth.dst": (view) => view.destination,
  "eth.src": (view) => view.source,
  "eth.type": (view) => view.vlans[0]?.tpid ?? view.type,
  "vlan.id": (view) => view.vlans.filter(({ tpid }) => tpid === 0x8100).map(({ id }) => id),
  "vlan.priority": (view) => view.vlans.filter(({ tpid }) => tpid === 0x8100).map(({ priority }) => priority),
  "vlan.dei": (view) => view.vlans.filter(({ tpid }) => tpid === 0x8100).map(({ dropEligible }) => dropEligible),
  "ieee8021ad.id": (view) => view.vlans.filter(({ tpid }) => tpid === 0x88a8).map(({ id }) => id),
};

const arp: Reads<Arp> = {
  "arp.opcode": (view) => view.operation,
  "arp.src.hw_mac": (view) => view.senderMac,
  "arp.src.proto_ipv4": (view) => view.senderIp,
  "arp.dst.hw_mac": (view) => view.targetMac,
  "arp.dst.proto_ipv4": (view) => view.targetIp,
};

/** Where a packet goes in the end: with a source route that is not at its end, to the last address of it. */
function destination(view: Ipv4): Ipv4Address {
  const route = view.options.find(({ type, data }) => (type === 131 || type === 137) && data[0]! < data.length + 2);
  return route === undefined ? view.destination : new Ipv4Address(route.data.subarray(-4));
}

/** Options that tshark knows, and the end of their list if there is one. */
function optionTypes(view: Ipv4): number[] {
  const length = view.options.reduce((sum, { type, data }) => sum + (type === 1 ? 1 : 2 + data.length), 0);
  const known = view.options.map(({ type }) => type).filter((type) => [1, 7, 68, 131, 137, 148].includes(type));
  return length < view.optionBytes.length ? [...known, 0] : known;
}

const ipv4: Reads<Ipv4> = {
  "ip.version": (view) => view.version,
  "ip.hdr_len": (view) => view.headerLength,
  "ip.dsfield.dscp": (view) => view.dscp,
  "ip.dsfield.ecn": (view) => view.ecn,
  "ip.len": (view) => view.totalLength,
  "ip.id": (view) => view.identification,
  "ip.flags": (view) => view.flags,
  "ip.flags.df": (view) => view.dontFragment,
  "ip.flags.mf": (view) => view.moreFragments,
  "ip.frag_offset": (view) => view.fragmentOffset / 8,
  "ip.ttl": (view) => view.ttl,
  "ip.proto": (view) => view.protocol,
  "ip.checksum": (view) => view.checksum,
  "ip.src": (view) => view.source,
  "ip.dst": destination,
  "ip.opt.type": optionTypes,
};

/** Extensions of one kind. */
function extensions<Name extends Ipv6Extension["name"]>(
  view: Ipv6,
  name: Name,
): Extract<Ipv6Extension, { name: Name }>[] {
  return view.extensions.filter((one): one is Extract<Ipv6Extension, { name: Name }> => one.name === name);
}

const ipv6: Reads<Ipv6> = {
  "ip.version": (view) => view.version,
  "ipv6.version": (view) => view.version,
  "ipv6.tclass.dscp": (view) => view.dscp,
  "ipv6.tclass.ecn": (view) => view.ecn,
  "ipv6.flow": (view) => view.flowLabel,
  "ipv6.plen": (view) => view.payloadLength,
  "ipv6.nxt": (view) => view.nextHeader,
  "ipv6.hlim": (view) => view.hopLimit,
  "ipv6.src": (view) => view.source,
  "ipv6.dst": (view) => view.destination,
  "ipv6.opt.type": (view) =>
    view.extensions.flatMap((one) => "options" in one ? one.options.map(({ type }) => type) : []),
  "ipv6.routing.type": (view) => extensions(view, "routing").map(({ routingType }) => routingType),
  "ipv6.routing.segleft": (view) => extensions(view, "routing").map(({ segmentsLeft }) => segmentsLeft),
  "ipv6.fraghdr.ident": (view) => view.identification,
  "ipv6.fraghdr.more": (view) => view.identification === undefined ? undefined : view.moreFragments,
  "ah.spi": (view) => extensions(view, "authentication").map(({ spi }) => spi),
  "ah.sequence": (view) => extensions(view, "authentication").map(({ sequence }) => sequence),
  "ah.icv": (view) => extensions(view, "authentication").map(({ icv }) => icv),
};

const icmp: Reads<Icmp> = {
  "icmp.type": (view) => view.type,
  "icmp.code": (view) => view.code,
  "icmp.checksum": (view) => view.checksum,
  "icmp.ident": (view) => view.identifier,
  "icmp.seq": (view) => view.sequence,
  "icmp.mtu": (view) => view.mtu,
  "icmp.redir_gw": (view) => view.gateway,
  "icmp.pointer": (view) => view.pointer,
  "icmp.originate_timestamp": (view) => view.originateTimestamp,
  "icmp.receive_timestamp": (view) => view.receiveTimestamp,
  "icmp.transmit_timestamp": (view) => view.transmitTimestamp,
};

const udp: Reads<Udp> = {
  "udp.srcport": (view) => view.sourcePort,
  "udp.dstport": (view) => view.destinationPort,
  "udp.length": (view) => view.totalLength,
  "udp.checksum": (view) => view.checksum,
  "udp.payload": (view) => view.payload.length > 0 ? view.payload : undefined,
};

function tcpOptions<Name extends TcpOption["name"]>(view: Tcp, name: Name): Extract<TcpOption, { name: Name }>[] {
  return view.options.filter((option): option is Extract<TcpOption, { name: Name }> => option.name === name);
}

const tcp: Reads<Tcp> = {
  "tcp.srcport": (view) => view.sourcePort,
  "tcp.dstport": (view) => view.destinationPort,
  "tcp.seq_raw": (view) => view.sequence,
  "tcp.ack_raw": (view) => view.acknowledgment,
  "tcp.hdr_len": (view) => view.headerLength,
  "tcp.flags": (view) => view.flags,
  "tcp.flags.fin": (view) => view.fin,
  "tcp.flags.syn": (view) => view.syn,
  "tcp.flags.reset": (view) => view.rst,
  "tcp.flags.push": (view) => view.psh,
  "tcp.flags.ack": (view) => view.ack,
  "tcp.flags.urg": (view) => view.urg,
  "tcp.flags.ece": (view) => view.ece,
  "tcp.flags.cwr": (view) => view.cwr,
  "tcp.flags.ae": (view) => view.ae,
  "tcp.window_size_value": (view) => view.window,
  "tcp.checksum": (view) => view.checksum,
  "tcp.urgent_pointer": (view) => view.urgentPointer,
  "tcp.options.mss_val": (view) => tcpOptions(view, "mss").map(({ value }) => value),
  "tcp.options.wscale.shift": (view) => tcpOptions(view, "windowScale").map(({ shift }) => shift),
  "tcp.options.timestamp.tsval": (view) => tcpOptions(view, "timestamps").map(({ value }) => value),
  "tcp.options.timestamp.tsecr": (view) => tcpOptions(view, "timestamps").map(({ echo }) => echo),
  "tcp.options.sack_le": (view) => tcpOptions(view, "sack").flatMap(({ blocks }) => blocks.map(({ left }) => left)),
  "tcp.options.sack_re": (view) => tcpOptions(view, "sack").flatMap(({ blocks }) => blocks.map(({ right }) => right)),
  "tcp.len": (view) => view.payload.length,
  // What a reset carries is told by another name
  "tcp.payload": (view) => view.payload.length > 0 && !view.rst ? view.payload : undefined,
};

// deno-lint-ignore no-explicit-any -- each table reads the view that stands beside it
const tables: [keyof Packet, Reads<any>][] = [
  ["ethernet", ethernet],
  ["arp", arp],
  ["ipv4", ipv4],
  ["ipv6", ipv6],
  ["icmp", icmp],
  ["icmpv6", icmpv6],
  ["udp", udp],
  ["tcp", tcp],
  ["dhcp", dhcp],
  ["dhcpv6", dhcpv6],
  ["dns", dns],
];

/** Names of all fields that are compared. */
export const fieldNames: readonly string[] = [...new Set(tables.flatMap(([, table]) => Object.keys(table)))];

/** What our views read of a packet. A field without a value is an empty list. */
export function fieldsOf(packet: Packet): Fields {
  const fields: Fields = {};
  for (const [layer, table] of tables) {
    const view = packet[layer];
    for (const [name, read] of Object.entries(table)) {
      const value = view === undefined ? [] : read(view) ?? [];
      (fields[name] ??= []).push(...(Array.isArray(value) ? value : [value]));
    }
  }
  return fields;
}
