// SPDX-License-Identifier: MIT

/**
 * Options of neighbour and router discovery (RFC 4861, section 4.6): each a type, a length in units of 8 bytes that
 * counts all of it, and data.
 *
 * @module
 */

import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { readName, writeName } from "./dns_name.ts";
import { type Ipv6Address, type Ipv6Like, toIpv6 } from "./ip_address.ts";
import { type MacAddress, type MacLike, readMac, toMac } from "./mac_address.ts";

const SOURCE_ADDRESS = 1;
const TARGET_ADDRESS = 2;
const PREFIX = 3;
const REDIRECTED = 4;
const MTU = 5;
const DNS_SERVERS = 25;
const DNS_SEARCH = 31;
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

/** Hardware address of the sender or of the target (RFC 4861, section 4.6.1). */
export interface Icmpv6LinkLayerAddressOption<Mac = MacAddress> {
  /** Whose. */
  readonly name: "sourceLinkLayerAddress" | "targetLinkLayerAddress";
  /** The address. */
  readonly address: Mac;
}

/** A network that the router serves (RFC 4861, section 4.6.2). */
export interface Icmpv6PrefixOption<Ip = Ipv6Address> {
  /** Which option. */
  readonly name: "prefixInformation";
  /** Bits of the prefix that count, 0 to 128. */
  readonly prefixLength: number;
  /** Whether hosts of the prefix are reached without a router. */
  readonly onLink: boolean;
  /** Whether hosts may make themselves an address of it (RFC 4862). */
  readonly autonomous: boolean;
  /** Seconds for which it is on the link; 2^32 - 1 is for ever. */
  readonly validLifetime: number;
  /** Seconds for which its addresses are preferred; 2^32 - 1 is for ever. */
  readonly preferredLifetime: number;
  /** The prefix. */
  readonly prefix: Ip;
}

/** The packet that a redirect is about (RFC 4861, section 4.6.3). */
export interface Icmpv6RedirectedOption {
  /** Which option. */
  readonly name: "redirectedHeader";
  /** Its first bytes, a multiple of 8; filled up with zeros. */
  readonly packet: Uint8Array;
}

/** Longest packet that the link takes (RFC 4861, section 4.6.4). */
export interface Icmpv6MtuOption {
  /** Which option. */
  readonly name: "mtu";
  /** Bytes, 0 to 2^32 - 1. */
  readonly mtu: number;
}

/** Servers of names (RFC 8106, section 5.1). */
export interface Icmpv6DnsServersOption<Ip = Ipv6Address> {
  /** Which option. */
  readonly name: "dnsServers";
  /** Seconds for which they may be asked; 2^32 - 1 is for ever. */
  readonly lifetime: number;
  /** Their addresses. */
  readonly servers: readonly Ip[];
}

/** Domains that are tried behind names (RFC 8106, section 5.2). */
export interface Icmpv6DnsSearchOption {
  /** Which option. */
  readonly name: "dnsSearch";
  /** Seconds for which they may be tried; 2^32 - 1 is for ever. */
  readonly lifetime: number;
  /** The domains. */
  readonly domains: readonly string[];
}

/** Any other option, or one of these whose length is wrong for it. */
export interface Icmpv6UnknownOption {
  /** Which option: one that is not known here. */
  readonly name: "unknown";
  /** Type, 0 to 255. */
  readonly type: number;
  /** What follows type and length: 8 n + 6 bytes; filled up with zeros. */
  readonly data: Uint8Array;
}

/** An option of neighbour or router discovery. */
export type Icmpv6Option<Mac = MacAddress, Ip = Ipv6Address> =
  | Icmpv6LinkLayerAddressOption<Mac>
  | Icmpv6PrefixOption<Ip>
  | Icmpv6RedirectedOption
  | Icmpv6MtuOption
  | Icmpv6DnsServersOption<Ip>
  | Icmpv6DnsSearchOption
  | Icmpv6UnknownOption;

/** The options between two offsets of a message at `start`. Data are views, not copies. */
export function readIcmpv6Options(frame: Uint8Array, start: number, from: number, to: number): Icmpv6Option[] {
  return new ByteReader("icmpv6", frame, start, from, to).all((reader) => {
    const type = reader.u8();
    const units = reader.u8();
    if (units === 0) throw reader.error(`option ${type} has a length of 0, at least 1 is wanted`, reader.at - 1);
    return readOption(type, units, reader.part(8 * units - 2));
  });
}

function readOption(type: number, units: number, data: ByteReader): Icmpv6Option {
  if (type === SOURCE_ADDRESS && units === 1) return { name: "sourceLinkLayerAddress", address: mac(data) };
  if (type === TARGET_ADDRESS && units === 1) return { name: "targetLinkLayerAddress", address: mac(data) };
  if (type === PREFIX && units === 4) return readPrefix(data);
  if (type === REDIRECTED) {
    data.take(6);
    return { name: "redirectedHeader", packet: data.view() };
  }
  if (type === MTU && units === 1) {
    data.take(2);
    return { name: "mtu", mtu: data.u32() };
  }
  if (type === DNS_SERVERS && units >= 3 && units % 2 === 1) {
    data.take(2);
    return { name: "dnsServers", lifetime: data.u32(), servers: data.all(() => data.ipv6()) };
  }
  if (type === DNS_SEARCH && units >= 2) return readSearch(data);
  return { name: "unknown", type, data: data.view() };
}

function mac(data: ByteReader): MacAddress {
  return readMac(data.bytes, data.take(6));
}

function readPrefix(data: ByteReader): Icmpv6PrefixOption {
  const prefixLength = data.u8();
  const flags = data.u8();
  const [validLifetime, preferredLifetime] = [data.u32(), data.u32()];
  data.take(4);
  return {
    name: "prefixInformation",
    prefixLength,
    onLink: (flags & ON_LINK) !== 0,
    autonomous: (flags & AUTONOMOUS) !== 0,
    validLifetime,
    preferredLifetime,
    prefix: data.ipv6(),
  };
}

function readSearch(data: ByteReader): Icmpv6DnsSearchOption {
  data.take(2);
  const lifetime = data.u32();
  const domains: string[] = [];
  while (data.left > 0 && data.bytes[data.at] !== 0) domains.push(readName(data)); // zeros fill the rest up
  return { name: "dnsSearch", lifetime, domains };
}

/** The bytes of options. */
export function encodeIcmpv6Options(options: readonly Icmpv6Option<MacLike, Ipv6Like>[] | Uint8Array): Uint8Array {
  const writer = new ByteWriter("icmpv6");
  if (options instanceof Uint8Array) writer.raw(options);
  else for (const option of options) writeOption(writer, option);
  return writer.finish();
}

function writeOption(writer: ByteWriter, option: Icmpv6Option<MacLike, Ipv6Like>): void {
  switch (option.name) {
    case "sourceLinkLayerAddress":
      return write(writer, SOURCE_ADDRESS, (data) => data.address(toMac(option.address, "address")));
    case "targetLinkLayerAddress":
      return write(writer, TARGET_ADDRESS, (data) => data.address(toMac(option.address, "address")));
    case "prefixInformation":
      return write(writer, PREFIX, (data) => {
        data.u8("prefixLength", option.prefixLength);
        data.u8("flags", (option.onLink ? ON_LINK : 0) | (option.autonomous ? AUTONOMOUS : 0));
        data.u32("validLifetime", option.validLifetime);
        data.u32("preferredLifetime", option.preferredLifetime);
        data.skip(4);
        data.address(toIpv6(option.prefix, "prefix"));
      });
    case "redirectedHeader":
      return write(writer, REDIRECTED, (data) => {
        data.skip(6);
        data.bytes("packet", option.packet);
      });
    case "mtu":
      return write(writer, MTU, (data) => {
        data.skip(2);
        data.u32("mtu", option.mtu);
      });
    case "dnsServers":
      return write(writer, DNS_SERVERS, (data) => {
        data.skip(2);
        data.u32("lifetime", option.lifetime);
        for (const server of option.servers) data.address(toIpv6(server, "server"));
      });
    case "dnsSearch":
      return write(writer, DNS_SEARCH, (data) => {
        data.skip(2);
        data.u32("lifetime", option.lifetime);
        for (const domain of option.domains) writeName(data, "domain", domain);
      });
    case "unknown":
      return write(writer, option.type, (data) => data.bytes("data of an option", option.data));
    default:
      throw new TypeError(`Cannot encode icmpv6: there is no option named ${(option as { name: unknown }).name}`);
  }
}

/** Writes an option: its type, its length, its data, and zeros up to a multiple of 8. */
function write(writer: ByteWriter, type: number, data: (writer: ByteWriter) => void): void {
  const option = new ByteWriter("icmpv6");
  option.u8("type of an option", type);
  option.skip(1);
  data(option);
  option.skip(-option.length & 7);
  const units = option.length / 8;
  if (units > 255) throw new RangeError(`Cannot encode icmpv6: an option takes up to 2040 bytes, found ${8 * units}`);
  const bytes = option.finish();
  bytes[1] = units;
  writer.raw(bytes);
}
