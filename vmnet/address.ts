// SPDX-License-Identifier: MIT

/**
 * Addresses as this library's surface writes them: MAC lower-case with colons, IPv4 dotted, IPv6 as in RFC 5952,
 * subnets as `address/length`. Parsers answer `undefined` for anything else.
 *
 * @module
 */

import { formatIpv4, Ipv4Address } from "../packet/ipv4_address.ts";
import { Ipv6Address } from "../packet/ipv6_address.ts";
import { tryParseIp } from "../packet/ip_address.ts";
import { MacAddress } from "../packet/mac_address.ts";

export { formatIpv4 };

/** Parses six octets in hexadecimal, separated by colons or hyphens; a leading zero may be missing, as macOS does. */
export function parseMac(text: string): Uint8Array | undefined {
  return MacAddress.tryParse(text)?.bytes;
}

/** Formats six octets. */
export function formatMac(bytes: Uint8Array): string {
  return new MacAddress(bytes).toString();
}

/** Parses an IPv4 address to an unsigned number. Octets with a leading zero are refused: some read them as octal. */
export function parseIpv4(text: string): number | undefined {
  return Ipv4Address.tryParse(text)?.value;
}

/** The netmask of a prefix length from 0 to 32. */
export function ipv4Mask(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

/** Length of the prefix that a netmask stands for, `undefined` if its ones are not contiguous. */
export function ipv4MaskLength(mask: number): number | undefined {
  const length = Math.clz32(~mask);
  return ipv4Mask(length) === mask >>> 0 ? length : undefined;
}

/** An IPv4 subnet: its first address and the length of its prefix. */
export interface Ipv4Subnet {
  /** First address. */
  readonly base: number;
  /** Last address, the broadcast address. */
  readonly last: number;
  /** Length of the prefix, from 0 to 32. */
  readonly length: number;
}

/** Parses `a.b.c.d/n`. The address may be any of the subnet, as vmnet itself wants the gateway's. */
export function parseIpv4Subnet(text: string): Ipv4Subnet | undefined {
  const [head = "", tail = "", ...rest] = text.split("/");
  const address = parseIpv4(head);
  if (address === undefined || rest.length > 0 || !/^\d{1,2}$/.test(tail) || Number(tail) > 32) return undefined;
  const mask = ipv4Mask(Number(tail));
  return { base: (address & mask) >>> 0, last: (address | ~mask) >>> 0, length: Number(tail) };
}

/** Whether an address lies within a subnet. */
export function isWithin(subnet: Ipv4Subnet, address: number): boolean {
  return address >= subnet.base && address <= subnet.last;
}

/** Whether an IPv4 address is private after RFC 1918, the only ones that vmnet takes. */
export function isPrivateIpv4(address: number): boolean {
  return new Ipv4Address(address).isPrivate;
}

/** Parses an IPv6 address, without zone, to its 16 octets. */
export function parseIpv6(text: string): Uint8Array | undefined {
  return Ipv6Address.tryParse(text)?.bytes;
}

/** Formats 16 octets as RFC 5952 says. */
export function formatIpv6(bytes: Uint8Array): string {
  return new Ipv6Address(bytes).toString();
}

/** Parses `p::/n` and answers its canonical form. Bits after the prefix are cleared. */
export function canonicalIpv6Prefix(text: string): string | undefined {
  const [head = "", tail = "", ...rest] = text.split("/");
  const address = parseIpv6(head);
  if (address === undefined || rest.length > 0 || !/^\d{1,3}$/.test(tail) || Number(tail) > 128) return undefined;
  const length = Number(tail);
  const cleared = address.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))));
  return `${formatIpv6(cleared)}/${length}`;
}

/** Canonical form of an IPv4 or IPv6 address. */
export function canonicalIp(text: string): string | undefined {
  return tryParseIp(text)?.toString();
}

/** Parses a UUID with or without hyphens to its 16 octets. */
export function parseUuid(text: string): Uint8Array | undefined {
  const match = /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i.exec(text);
  if (match === null) return undefined;
  const digits = match.slice(1).join("");
  return Uint8Array.from({ length: 16 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** Formats 16 octets as a UUID in lower case. */
export function formatUuid(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
