// SPDX-License-Identifier: MIT

/**
 * Options of DHCPv6 (RFC 8415, section 21): their codes, and what their bytes mean.
 *
 * Theory of operation: an option is a code and a length, 16 bits each, and so many bytes. Options may have options;
 * those that are read here do so to a fixed depth, an association's addresses and their status.
 *
 * @module
 */

import type { ByteReader } from "./byte_reader.ts";
import { type ByteWriter, readText, toBytes } from "./byte_writer.ts";
import { Duid, type DuidLike, toDuid } from "./dhcp_duid.ts";
import { readName, writeName } from "./dns_name.ts";
import { type Ipv6Address, type Ipv6Like, toIpv6 } from "./ip_address.ts";
import { type MacAddress, type MacLike, readMac, toMac } from "./mac_address.ts";

/** Kinds of DHCPv6 messages: values of `messageType` (RFC 8415, section 7.3). */
export const Dhcpv6MessageType = {
  /** A client looks for servers. */
  solicit: 1,
  /** A server has addresses for it. */
  advertise: 2,
  /** The client wants them. */
  request: 3,
  /** The client may have moved and asks whether its addresses fit. */
  confirm: 4,
  /** The client wants to keep its addresses, from the server that gave them. */
  renew: 5,
  /** The same, from any server. */
  rebind: 6,
  /** What a server answers to all but a plain solicit. */
  reply: 7,
  /** The client gives addresses back. */
  release: 8,
  /** Addresses are in use by somebody else. */
  decline: 9,
  /** The client should renew at once. */
  reconfigure: 10,
  /** The client has addresses and wants to know all else. */
  informationRequest: 11,
  /** A relay hands a message on to a server. */
  relayForward: 12,
  /** A server hands a message on to a relay. */
  relayReply: 13,
} as const;

/** Codes of options that have a name here (IANA, "Dynamic Host Configuration Protocol for IPv6"). */
export const Dhcpv6OptionCode = {
  /** DUID of the client. */
  clientId: 1,
  /** DUID of the server. */
  serverId: 2,
  /** Addresses that are to stay. */
  iaNa: 3,
  /** Addresses that are to change. */
  iaTa: 4,
  /** One address. */
  iaAddress: 5,
  /** Options that a client asks for. */
  requestedOptions: 6,
  /** How much a server wants to be chosen. */
  preference: 7,
  /** Time since the client began. */
  elapsedTime: 8,
  /** Message that a relay hands on. */
  relayMessage: 9,
  /** How it went. */
  status: 13,
  /** Two messages are enough. */
  rapidCommit: 14,
  /** What the client's user is. */
  userClass: 15,
  /** What the client is. */
  vendorClass: 16,
  /** What a vendor likes to say. */
  vendorOptions: 17,
  /** Interface of a relay. */
  interfaceId: 18,
  /** Servers of DNS (RFC 3646). */
  dnsServers: 23,
  /** Domains to look for names in (RFC 3646). */
  domainSearch: 24,
  /** Prefixes. */
  iaPd: 25,
  /** One prefix. */
  iaPrefix: 26,
  /** Time after which a client asks again for all else. */
  informationRefreshTime: 32,
  /** Name of the client (RFC 4704). */
  fqdn: 39,
  /** Address of a file to boot (RFC 5970). */
  bootFileUrl: 59,
  /** Link-layer address of the client, which a relay saw (RFC 6939). */
  clientLinkLayerAddress: 79,
} as const;

/** How it went: values of a status's `code` (RFC 8415, section 21.13). */
export const Dhcpv6StatusCode = {
  /** Well. */
  success: 0,
  /** Not. */
  unspecifiedFailure: 1,
  /** The server has no addresses left. */
  noAddresses: 2,
  /** The server does not know of the association. */
  noBinding: 3,
  /** Addresses do not fit the link. */
  notOnLink: 4,
  /** The server has to be asked by multicast. */
  useMulticast: 5,
  /** The server has no prefixes left. */
  noPrefixes: 6,
} as const;

/** An option as it is. */
export interface Dhcpv6Option {
  /** Code; see {@linkcode Dhcpv6OptionCode}. */
  readonly code: number;
  /** Value, without code and length. */
  readonly value: Uint8Array;
}

/** How it went: code (16 bits), message (UTF-8). */
export interface Dhcpv6Status {
  /** Code; see {@linkcode Dhcpv6StatusCode}. */
  readonly code: number;
  /** For people. Any text: look at it before a terminal does. */
  readonly message: string;
}

/** Name of a client (RFC 4704): flags (8 bits), labels. */
export interface Dhcpv6Fqdn {
  /** 8 bits: 1, the server should write it into DNS; 2, the server would not do as asked; 4, nobody should. */
  readonly flags: number;
  /** Name. */
  readonly name: string;
  /** Whether the server is to add its domain. */
  readonly isPartial: boolean;
}

/** What a client is: enterprise (32 bits), texts with a length of 16 bits each. */
export interface Dhcpv6VendorClass {
  /** Number of the enterprise (IANA, "Private Enterprise Numbers"). */
  readonly enterprise: number;
  /** What it says. */
  readonly data: readonly Uint8Array[];
}

/** What a vendor likes to say: enterprise (32 bits), options. */
export interface Dhcpv6VendorOptions {
  /** Number of the enterprise (IANA, "Private Enterprise Numbers"). */
  readonly enterprise: number;
  /** Options with codes of its own. */
  readonly options: readonly Dhcpv6Option[];
}

/** Reads options, one after the other. */
export function readOptions(reader: ByteReader): Dhcpv6Option[] {
  return reader.all((list) => ({ code: list.u16(), value: list.view(list.u16()) }));
}

/** Reads and writes what an option means. */
interface Codec<Read, Written = Read> {
  readonly code: number;
  read(reader: ByteReader): Read;
  write(writer: ByteWriter, field: string, value: Written): void;
}

const duid = (code: number): Codec<Duid, DuidLike> => ({
  code,
  read(reader) {
    if (reader.left < 3) throw reader.error(`a DUID has ${reader.left} bytes, not 3 at least`);
    return new Duid(reader.view());
  },
  write: (writer, field, value) => writer.raw(toDuid(value, field).bytes),
});

const bytes = (code: number): Codec<Uint8Array> => ({
  code,
  read: (reader) => reader.view(),
  write: (writer, field, value) => writer.bytes(field, value),
});

/** Reads and writes how it went. */
export const statusCodec: Codec<Dhcpv6Status> = {
  code: Dhcpv6OptionCode.status,
  read: (reader) => ({ code: reader.u16(), message: readText(reader.view()) }),
  write(writer, _field, { code, message }) {
    writer.u16("code", code);
    writer.raw(toBytes("dhcpv6", "message", message));
  },
};

/** Whether labels end in the root, an empty label, as those of a whole name do. */
function endsInRoot(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && bytes[at] !== 0) at += 1 + bytes[at]!;
  return at < end;
}

/** Codecs by the fields of messages. */
interface Dhcpv6Codecs {
  readonly clientId: Codec<Duid, DuidLike>;
  readonly serverId: Codec<Duid, DuidLike>;
  readonly requestedOptions: Codec<readonly number[]>;
  readonly preference: Codec<number>;
  readonly elapsedMs: Codec<number>;
  readonly status: Codec<Dhcpv6Status>;
  readonly interfaceId: Codec<Uint8Array>;
  readonly userClass: Codec<readonly Uint8Array[]>;
  readonly vendorClass: Codec<Dhcpv6VendorClass>;
  readonly dnsServers: Codec<readonly Ipv6Address[], readonly Ipv6Like[]>;
  readonly domainSearch: Codec<readonly string[]>;
  readonly informationRefreshSeconds: Codec<number>;
  readonly fqdn: Codec<Dhcpv6Fqdn>;
  readonly bootFileUrl: Codec<string>;
  readonly clientMac: Codec<MacAddress | undefined, MacLike>;
}

/** What options mean of which a message has one at most; associations and options of vendors are written apart. */
export const codecs: Dhcpv6Codecs = {
  clientId: duid(Dhcpv6OptionCode.clientId),
  serverId: duid(Dhcpv6OptionCode.serverId),
  requestedOptions: {
    code: Dhcpv6OptionCode.requestedOptions,
    read: (reader) => reader.all((list) => list.u16()),
    write: (writer, field, value) => value.forEach((code) => writer.u16(field, code)),
  },
  preference: {
    code: Dhcpv6OptionCode.preference,
    read: (reader) => reader.done(reader.u8()),
    write: (writer, field, value) => writer.u8(field, value),
  },
  elapsedMs: {
    code: Dhcpv6OptionCode.elapsedTime,
    read: (reader) => reader.done(reader.u16() * 10),
    write: (writer, field, value) => writer.u16(`${field} / 10`, value / 10),
  },
  status: statusCodec,
  interfaceId: bytes(Dhcpv6OptionCode.interfaceId),
  userClass: {
    code: Dhcpv6OptionCode.userClass,
    read: (reader) => reader.all((list) => list.view(list.u16())),
    write: (writer, field, value) => value.forEach((data) => writer.counted16(field, () => writer.bytes(field, data))),
  },
  vendorClass: {
    code: Dhcpv6OptionCode.vendorClass,
    read: (reader) => ({ enterprise: reader.u32(), data: reader.all((list) => list.view(list.u16())) }),
    write(writer, field, { enterprise, data }) {
      writer.u32("enterprise", enterprise);
      for (const each of data) writer.counted16(field, () => writer.bytes(field, each));
    },
  },
  dnsServers: {
    code: Dhcpv6OptionCode.dnsServers,
    read: (reader) => reader.all((list) => list.ipv6()),
    write: (writer, field, value) => value.forEach((address) => writer.address(toIpv6(address, field))),
  },
  domainSearch: {
    code: Dhcpv6OptionCode.domainSearch,
    read: (reader) => reader.all((list) => readName(list)),
    write: (writer, field, value) => value.forEach((name) => writeName(writer, field, name)),
  },
  informationRefreshSeconds: {
    code: Dhcpv6OptionCode.informationRefreshTime,
    read: (reader) => reader.done(reader.u32()),
    write: (writer, field, value) => writer.u32(field, value),
  },
  fqdn: {
    code: Dhcpv6OptionCode.fqdn,
    read(reader) {
      const flags = reader.u8();
      const start = reader.at;
      const name = readName(reader, undefined, true);
      return reader.done({ flags, name, isPartial: !endsInRoot(reader.bytes, start, reader.at) });
    },
    write(writer, field, { flags, name, isPartial }) {
      writer.u8("flags", flags);
      writeName(writer, field, name, undefined, isPartial);
    },
  },
  bootFileUrl: {
    code: Dhcpv6OptionCode.bootFileUrl,
    read: (reader) => readText(reader.view()),
    write: (writer, field, value) => writer.raw(toBytes("dhcpv6", field, value)),
  },
  clientMac: {
    code: Dhcpv6OptionCode.clientLinkLayerAddress,
    read(reader) {
      const isEthernet = reader.u16() === 1 && reader.left === 6;
      return isEthernet ? readMac(reader.bytes, reader.take(6)) : undefined;
    },
    write(writer, field, value) {
      writer.u16("hardwareType", 1);
      writer.address(toMac(value, field));
    },
  },
};
