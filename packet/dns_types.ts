// SPDX-License-Identifier: MIT

/**
 * Numbers of DNS and their names, as IANA lists them under "Domain Name System (DNS) Parameters".
 *
 * @module
 */

import { uint } from "./field.ts";

/**
 * Types of records by their mnemonics; `IXFR`, `AXFR` and `ANY` are only asked for.
 *
 * @example Usage
 * ```ts
 * import { dnsTypes } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(dnsTypes.AAAA, 28);
 * ```
 */
export const dnsTypes = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  NULL: 10,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  SIG: 24,
  KEY: 25,
  AAAA: 28,
  LOC: 29,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  DNAME: 39,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  EUI48: 108,
  EUI64: 109,
  URI: 256,
  CAA: 257,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** A type of a record: its mnemonic, or `TYPE` with its number if it has none here (RFC 3597, section 5). */
export type DnsType = keyof typeof dnsTypes | `TYPE${number}`;

/** A class of a record: its mnemonic, or `CLASS` with its number (RFC 3597, section 5). Nearly always `"IN"`. */
export type DnsClass = "IN" | "CH" | "HS" | "NONE" | "ANY" | `CLASS${number}`;

/** What a message asks for: values of `opcode`. */
export const DnsOpcode = {
  /** A standard query (RFC 1035). */
  query: 0,
  /** An inverse query, which nobody sends any more (RFC 3425). */
  inverseQuery: 1,
  /** What state a server is in (RFC 1035). */
  status: 2,
  /** A zone has changed (RFC 1996). */
  notify: 4,
  /** A change of a zone (RFC 2136). */
  update: 5,
  /** Operations on a session (RFC 8490). */
  stateful: 6,
} as const;

/** How it went: values of `responseCode`. */
export const DnsResponseCode = {
  /** Well. */
  noError: 0,
  /** The server did not understand the question. */
  formatError: 1,
  /** The server has trouble of its own. */
  serverFailure: 2,
  /** There is no such name: NXDOMAIN. */
  noSuchName: 3,
  /** The server does not do that. */
  notImplemented: 4,
  /** The server does not want to. */
  refused: 5,
  /** A name exists that should not (RFC 2136). */
  nameExists: 6,
  /** Records exist that should not (RFC 2136). */
  recordsExist: 7,
  /** Records should exist and do not (RFC 2136). */
  noSuchRecords: 8,
  /** The server has no authority for the zone, or the sender none to do that (RFC 2136, RFC 8945). */
  notAuthorized: 9,
  /** The name is not in the zone (RFC 2136). */
  notInZone: 10,
} as const;

const classNumbers: Readonly<Record<string, number>> = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 };
const typeNumbers: Readonly<Record<string, number>> = dnsTypes;

const inverse = (names: Readonly<Record<string, number>>) =>
  new Map(Object.entries(names).map(([name, number]) => [number, name]));
const classNames = inverse(classNumbers);

const knownTypes = inverse(typeNumbers);

/** Names of types by the upper byte of their numbers, as they were met: one record can name thousands. */
const typeNames: (readonly DnsType[])[] = [];

/** The names of the 256 types whose numbers have an upper byte. */
export function typeNamesOf(upper: number): readonly DnsType[] {
  return typeNames[upper] ??= Array.from({ length: 256 }, (_, lower) => {
    const type = upper << 8 | lower;
    return (knownTypes.get(type) ?? `TYPE${type}`) as DnsType;
  });
}

/** The name of a type. */
export function typeName(type: number): DnsType {
  return typeNamesOf(type >>> 8)[type & 0xff]!;
}

/** The number of a type. */
export function typeNumber(field: string, type: DnsType): number {
  return numberOf(field, typeNumbers, "TYPE", type, 0xffff);
}

/** The name of a class. */
export function className(number: number): DnsClass {
  return (classNames.get(number) ?? `CLASS${number}`) as DnsClass;
}

/** The number of a class. */
export function classNumber(field: string, name: DnsClass): number {
  return numberOf(field, classNumbers, "CLASS", name, 0x7fff);
}

function numberOf(
  field: string,
  numbers: Readonly<Record<string, number>>,
  prefix: string,
  name: string,
  most: number,
): number {
  if (typeof name === "string") {
    if (Object.hasOwn(numbers, name)) return numbers[name]!;
    const digits = name.slice(prefix.length);
    if (name.startsWith(prefix) && /^\d{1,5}$/.test(digits)) return uint("dns", field, Number(digits), 0, most);
  }
  throw new TypeError(
    `Cannot encode dns: ${field} takes a mnemonic such as "${
      Object.keys(numbers)[0]
    }" or ${prefix} with a number, found "${name}"`,
  );
}
