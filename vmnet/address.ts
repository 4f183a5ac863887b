// SPDX-License-Identifier: MIT

/**
 * Addresses as this library's surface writes them: MAC lower-case with colons, IPv4 dotted, IPv6 as in RFC 5952,
 * subnets as `address/length`. Parsers answer `undefined` for anything else.
 *
 * @module
 */

import { formatIpv6 } from "../packet/format.ts";

export { formatIpv6, formatMac } from "../packet/format.ts";

/** Parses six octets in hexadecimal, separated by colons or hyphens; a leading zero may be missing, as macOS does. */
export function parseMac(text: string): Uint8Array | undefined {
  const parts = text.split(text.includes("-") ? "-" : ":");
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-f]{1,2}$/i.test(part))) return undefined;
  return Uint8Array.from(parts, (part) => parseInt(part, 16));
}

/** Parses an IPv4 address to an unsigned number. Octets with a leading zero are refused: some read them as octal. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) {
    return undefined;
  }
  return parts.reduce((address, part) => address * 256 + Number(part), 0);
}

/** Formats an IPv4 address. */
export function formatIpv4(address: number): string {
  return [address >>> 24, address >>> 16 & 255, address >>> 8 & 255, address & 255].join(".");
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
  return address >>> 24 === 10 || address >>> 20 === 0xac1 || address >>> 16 === 0xc0a8;
}

/** Parses an IPv6 address, without zone, to its 16 octets. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail = []] = halves.map((half) => half === "" ? [] : half.split(":"));
  if (head === undefined) return undefined;
  const groups = [...head, ...tail];
  // The last 32 bits may be written as an IPv4 address
  const ipv4 = parseIpv4(groups.at(-1) ?? "");
  const digits = ipv4 === undefined
    ? groups
    : [...groups.slice(0, -1), (ipv4 >>> 16).toString(16), (ipv4 & 0xffff).toString(16)];
  const missing = 8 - digits.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  if (!digits.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  if (ipv4 !== undefined && halves.length === 2 && tail.length === 0) return undefined;
  const full = [...digits.slice(0, head.length), ...new Array<string>(missing).fill("0"), ...digits.slice(head.length)];
  const values = full.map((group) => parseInt(group, 16));
  return Uint8Array.from(values.flatMap((value) => [value >>> 8, value & 255]));
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
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return formatIpv4(ipv4);
  const ipv6 = parseIpv6(text);
  return ipv6 && formatIpv6(ipv6);
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
