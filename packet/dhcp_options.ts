// SPDX-License-Identifier: MIT

/**
 * Options of DHCPv4 (RFC 2132): their codes, and what their bytes mean.
 *
 * Theory of operation: an option is a code, a length and so many bytes, but for the padding and the end. One that
 * stands in a message more than once goes on where it stopped (RFC 3396), so the options of a message are one value
 * each.
 *
 * @module
 */

import type { ByteReader } from "./byte_reader.ts";
import { type ByteWriter, readText, toBytes } from "./byte_writer.ts";
import { END, PAD } from "./dhcp_layout.ts";
import { NameCache, readName, writeName } from "./dns_name.ts";
import type { LayerName } from "./encode.ts";
import { uint } from "./field.ts";
import { Ipv4Address, type Ipv4Like, toIpv4 } from "./ip_address.ts";

/** Kinds of DHCPv4 messages: values of `messageType` (RFC 2131, section 3; RFC 3203). */
export const DhcpMessageType = {
  /** A client looks for servers. */
  discover: 1,
  /** A server has an address for it. */
  offer: 2,
  /** The client wants that address, or to keep the one it has. */
  request: 3,
  /** The address is in use by somebody else. */
  decline: 4,
  /** The address is the client's. */
  ack: 5,
  /** It is not. */
  nak: 6,
  /** The client gives the address back. */
  release: 7,
  /** The client has an address and wants to know all else. */
  inform: 8,
  /** The client should renew at once. */
  forceRenew: 9,
} as const;

/** Codes of options that have a name here (IANA, "BOOTP Vendor Extensions and DHCP Options"). */
export const DhcpOptionCode = {
  /** Subnet mask. */
  subnetMask: 1,
  /** Routers. */
  routers: 3,
  /** Servers of DNS. */
  dnsServers: 6,
  /** Name of the client. */
  hostName: 12,
  /** Domain of the client. */
  domainName: 15,
  /** Largest packet of the interface. */
  mtu: 26,
  /** Broadcast address. */
  broadcastAddress: 28,
  /** Servers of NTP. */
  ntpServers: 42,
  /** What a vendor likes to say to its clients. */
  vendorInformation: 43,
  /** Address that a client asks for. */
  requestedAddress: 50,
  /** Time of a lease. */
  leaseTime: 51,
  /** Whether options go on in `serverName` and `bootFile`. */
  overload: 52,
  /** Kind of the message. */
  messageType: 53,
  /** Server that a message comes from or is for. */
  serverIdentifier: 54,
  /** Options that a client asks for. */
  parameterList: 55,
  /** Why it went wrong. */
  message: 56,
  /** Largest message that the client takes. */
  maximumMessageSize: 57,
  /** Time after which a client renews. */
  renewalTime: 58,
  /** Time after which a client asks any server. */
  rebindingTime: 59,
  /** What the client is. */
  vendorClass: 60,
  /** Who the client is. */
  clientId: 61,
  /** Name of a TFTP server. */
  tftpServerName: 66,
  /** Name of a file to boot. */
  bootFile: 67,
  /** What a relay says of the client (RFC 3046). */
  relayInformation: 82,
  /** Domains to look for names in (RFC 3397). */
  domainSearch: 119,
  /** Routes (RFC 3442). */
  classlessRoutes: 121,
} as const;

/** A route (RFC 3442). */
export interface DhcpRoute<Address = Ipv4Address> {
  /** First address of the subnet that it leads to. */
  readonly destination: Address;
  /** Bits of the subnet's prefix: 0 to 32. */
  readonly prefixLength: number;
  /** Router; `0.0.0.0` if the subnet is on the link itself. */
  readonly router: Address;
}

/** What options mean that {@linkcode Dhcp} reads. */
export interface DhcpValues {
  /** Kind of the message: 53, 8 bits; see {@linkcode DhcpMessageType}. */
  readonly messageType: number;
  /** Server that a message comes from or is for: 54. */
  readonly serverIdentifier: Ipv4Address;
  /** Who the client is: 61. Its first byte is a type of hardware, 0 for none, or 255 for a DUID (RFC 4361). */
  readonly clientId: Uint8Array;
  /** Address that the client asks for: 50. */
  readonly requestedAddress: Ipv4Address;
  /** Seconds of the lease: 51, 32 bits; 0xffffffff for ever. */
  readonly leaseSeconds: number;
  /** Seconds after which the client renews, T1: 58, 32 bits. */
  readonly renewalSeconds: number;
  /** Seconds after which the client asks any server, T2: 59, 32 bits. */
  readonly rebindingSeconds: number;
  /** Subnet mask: 1. */
  readonly subnetMask: Ipv4Address;
  /** Broadcast address: 28. */
  readonly broadcastAddress: Ipv4Address;
  /** Routers, the best first: 3. */
  readonly routers: readonly Ipv4Address[];
  /** Servers of DNS, the best first: 6. */
  readonly dnsServers: readonly Ipv4Address[];
  /** Servers of NTP, the best first: 42. */
  readonly ntpServers: readonly Ipv4Address[];
  /** Domain of the client: 15. */
  readonly domainName: string;
  /** Domains to look for names in: 119. */
  readonly domainSearch: readonly string[];
  /** Name of the client: 12. Any text: look at it before a terminal does. */
  readonly hostName: string;
  /** Bytes of the largest IP packet of the interface: 26, 16 bits. */
  readonly mtu: number;
  /** Routes: 121. Who knows them ignores `routers`. */
  readonly classlessRoutes: readonly DhcpRoute[];
  /** What the client is, for instance `"dhcpcd-9.4.1"`: 60. */
  readonly vendorClass: string;
  /** Codes of the options that the client asks for: 55. */
  readonly parameterList: readonly number[];
  /** Bytes of the largest message that the client takes: 57, 16 bits. */
  readonly maximumMessageSize: number;
  /** Why it went wrong: 56. */
  readonly message: string;
}

/**
 * What {@linkcode dhcp} takes for options: {@linkcode DhcpValues}, addresses also as text. Each is left out unless
 * given.
 */
export interface DhcpValueOptions extends
  Partial<
    {
      readonly [
        K in Exclude<
          keyof DhcpValues,
          | "serverIdentifier"
          | "requestedAddress"
          | "subnetMask"
          | "broadcastAddress"
          | "classlessRoutes"
          | "routers"
          | "dnsServers"
          | "ntpServers"
        >
      ]: DhcpValues[K] | undefined;
    }
  > {
  /** Server that the message comes from or is for. */
  readonly serverIdentifier?: Ipv4Like | undefined;
  /** Address that the client asks for. */
  readonly requestedAddress?: Ipv4Like | undefined;
  /** Subnet mask. */
  readonly subnetMask?: Ipv4Like | undefined;
  /** Broadcast address. */
  readonly broadcastAddress?: Ipv4Like | undefined;
  /** Routes. Who knows them ignores `routers`, so the default route belongs here too. */
  readonly classlessRoutes?: readonly DhcpRoute<Ipv4Like>[] | undefined;
  /** Routers, the best first. */
  readonly routers?: readonly Ipv4Like[] | undefined;
  /** Servers of DNS, the best first. */
  readonly dnsServers?: readonly Ipv4Like[] | undefined;
  /** Servers of NTP, the best first. */
  readonly ntpServers?: readonly Ipv4Like[] | undefined;
}

/** Reads and writes what an option means. */
interface Codec<Read, Written> {
  readonly code: number;
  read(reader: ByteReader): Read;
  write(writer: ByteWriter, field: string, value: Written): void;
}

const u8 = (code: number): Codec<number, number> => ({
  code,
  read: (reader) => reader.done(reader.u8()),
  write: (writer, field, value) => writer.u8(field, value),
});

const u16 = (code: number): Codec<number, number> => ({
  code,
  read: (reader) => reader.done(reader.u16()),
  write: (writer, field, value) => writer.u16(field, value),
});

const u32 = (code: number): Codec<number, number> => ({
  code,
  read: (reader) => reader.done(reader.u32()),
  write: (writer, field, value) => writer.u32(field, value),
});

const address = (code: number): Codec<Ipv4Address, Ipv4Like> => ({
  code,
  read: (reader) => reader.done(reader.ipv4()),
  write: (writer, field, value) => writer.address(toIpv4(value, field)),
});

const addresses = (code: number): Codec<readonly Ipv4Address[], readonly Ipv4Like[]> => ({
  code,
  read: (reader) => reader.all((list) => list.ipv4()),
  write: (writer, field, value) => value.forEach((each) => writer.address(toIpv4(each, field))),
});

/** Some end a text with a zero, which RFC 2132 (section 2) asks others to put up with. */
function withoutZeros(bytes: Uint8Array): Uint8Array {
  let { length } = bytes;
  while (length > 0 && bytes[length - 1] === 0) length--;
  return bytes.subarray(0, length);
}

const text = (code: number): Codec<string, string> => ({
  code,
  read: (reader) => readText(withoutZeros(reader.view())),
  write: (writer, field, value) => writer.raw(toBytes("dhcp", field, value)),
});

type Input<K extends keyof DhcpValues> = NonNullable<DhcpValueOptions[K]>;

/** What the options of a message mean, in the order in which they are written. */
export const codecs: { readonly [K in keyof DhcpValues]: Codec<DhcpValues[K], Input<K>> } = {
  messageType: u8(DhcpOptionCode.messageType),
  serverIdentifier: address(DhcpOptionCode.serverIdentifier),
  clientId: {
    code: DhcpOptionCode.clientId,
    read: (reader) => reader.view(),
    write: (writer, field, value) => writer.bytes(field, value),
  },
  requestedAddress: address(DhcpOptionCode.requestedAddress),
  leaseSeconds: u32(DhcpOptionCode.leaseTime),
  renewalSeconds: u32(DhcpOptionCode.renewalTime),
  rebindingSeconds: u32(DhcpOptionCode.rebindingTime),
  subnetMask: address(DhcpOptionCode.subnetMask),
  broadcastAddress: address(DhcpOptionCode.broadcastAddress),
  // RFC 3442 wants routes before the routers that they replace
  classlessRoutes: {
    code: DhcpOptionCode.classlessRoutes,
    read: (reader) => reader.all(readRoute),
    write: (writer, _field, value) => value.forEach((route) => writeRoute(writer, route)),
  },
  routers: addresses(DhcpOptionCode.routers),
  dnsServers: addresses(DhcpOptionCode.dnsServers),
  ntpServers: addresses(DhcpOptionCode.ntpServers),
  domainName: text(DhcpOptionCode.domainName),
  domainSearch: {
    code: DhcpOptionCode.domainSearch,
    read(reader) {
      const names = new NameCache();
      return reader.all((list) => readName(list, names));
    },
    write: (writer, field, value) => value.forEach((name) => writeName(writer, field, name)),
  },
  hostName: text(DhcpOptionCode.hostName),
  mtu: u16(DhcpOptionCode.mtu),
  vendorClass: text(DhcpOptionCode.vendorClass),
  parameterList: {
    code: DhcpOptionCode.parameterList,
    read: (reader) => [...reader.view()],
    write: (writer, field, value) => value.forEach((code) => writer.u8(field, code)),
  },
  maximumMessageSize: u16(DhcpOptionCode.maximumMessageSize),
  message: text(DhcpOptionCode.message),
};

/** Reads a route: length of the prefix in bits (8 bits), as many bytes of it as that needs, router. */
function readRoute(reader: ByteReader): DhcpRoute {
  const prefixLength = reader.u8();
  if (prefixLength > 32) throw reader.error(`a route's prefix has ${prefixLength} bits, more than 32`);
  let destination = 0;
  for (let bits = 0; bits < prefixLength; bits += 8) destination |= reader.u8() << 24 - bits;
  return { destination: new Ipv4Address(destination >>> 0), prefixLength, router: reader.ipv4() };
}

function writeRoute(writer: ByteWriter, { destination, prefixLength, router }: DhcpRoute<Ipv4Like>): void {
  const bits = uint("dhcp", "prefixLength", prefixLength, 32, 32);
  writer.u8("prefixLength", bits);
  writer.raw(toIpv4(destination, "destination").bytes.subarray(0, Math.ceil(bits / 8)));
  writer.address(toIpv4(router, "router"));
}

/** Values of one message's options, or parts of them, by their codes. */
export type DhcpParts = Map<number, Uint8Array[]>;

/** Collects the options of one area of a message. */
export function collectOptions(reader: ByteReader, parts: DhcpParts): void {
  while (reader.left > 0) {
    const code = reader.u8();
    if (code === END) return;
    if (code === PAD) continue;
    const value = reader.view(reader.u8());
    const known = parts.get(code);
    if (known === undefined) parts.set(code, [value]);
    else known.push(value);
  }
}

/** Puts the parts of a value together. */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Writes an option, in as many parts as its length needs. */
export function writeOption(writer: ByteWriter, code: number, value: Uint8Array): void {
  for (let at = 0; at === 0 || at < value.length; at += 255) {
    const part = value.subarray(at, at + 255);
    writer.u8("code", code);
    writer.u8("length", part.length);
    writer.raw(part);
  }
}

/** Checks the code of an option that is given as bytes, and that nothing else says the same. */
export function checkCode(layer: LayerName, code: number, given: ReadonlyMap<number, string>): number {
  const checked = uint(layer, "code of an option", code, 0, layer === "dhcp" ? 0xff : 0xffff);
  const field = given.get(checked);
  if (field !== undefined) {
    throw new TypeError(`Cannot encode ${layer}: option ${code} is in options, and ${field} is given`);
  }
  return checked;
}
