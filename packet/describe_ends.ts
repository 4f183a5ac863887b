// SPDX-License-Identifier: MIT

/**
 * Who talks to whom, as text.
 *
 * Theory of operation: most packets belong to a few conversations, and to write their addresses takes longer than all the
 * rest of a line. So texts are kept in tables with a place for each hash of addresses and ports, where the
 * next conversation of the same hash displaces the one before. The tables never grow; packets that all differ cost what
 * they would cost without tables, and a comparison.
 *
 * @module
 */

import { getU16 } from "./field.ts";
import { formatIpv4 } from "./ipv4_address.ts";
import { formatIpv6 } from "./ipv6_address.ts";

/** What stands before the addresses, and whether ports stand behind them. 0 marks an empty place of a table. */
export const Ends = {
  /** Addresses only. */
  bare: 1,
  /** With the ports of TCP. */
  tcp: 2,
  /** With the ports of UDP. */
  udp: 3,
} as const;

/** One of {@linkcode Ends}. */
export type Ends = (typeof Ends)[keyof typeof Ends];

const labels = ["", "", "TCP ", "UDP "] as const;

/** Places of a table, a power of two. */
const PLACES = 512;

/** Numbers that a place of IPv4 is known by: two addresses, ports, which {@linkcode Ends}. */
const KEY4 = 4;
/** Numbers that a place of IPv6 is known by: two addresses of four, ports, which {@linkcode Ends}. */
const KEY6 = 10;

const keys4 = new Int32Array(PLACES * KEY4);
const texts4: string[] = new Array(PLACES).fill("");
const keys6 = new Int32Array(PLACES * KEY6);
const texts6: string[] = new Array(PLACES).fill("");

/**
 * The ends of an IPv4 packet.
 *
 * @param at Offset of its header, all 20 bytes of which are there.
 * @param transport Offset of the ports, if there are any; all 4 bytes of them are there.
 * @returns For instance `"IPv4 TCP 10.0.0.1:1024 > 10.0.0.2:80"`.
 */
export function ipv4Ends(ends: Ends, frame: Uint8Array, at: number, transport: number): string {
  const from = word(frame, at + 12);
  const to = word(frame, at + 16);
  const ports = ends === Ends.bare ? 0 : word(frame, transport);
  const place = placeOf(Math.imul(from, 31) + to ^ ports);
  const key = place * KEY4;
  if (keys4[key] === from && keys4[key + 1] === to && keys4[key + 2] === ports && keys4[key + 3] === ends) {
    return texts4[place]!;
  }
  keys4[key] = from;
  keys4[key + 1] = to;
  keys4[key + 2] = ports;
  keys4[key + 3] = ends;
  const [source, destination] = [formatIpv4(from >>> 0), formatIpv4(to >>> 0)];
  return texts4[place] = ends === Ends.bare
    ? flat(`IPv4 ${source} > ${destination}`)
    : flat(`IPv4 ${labels[ends]}${source}:${ports >>> 16} > ${destination}:${ports & 0xffff}`);
}

/**
 * The ends of an IPv6 packet.
 *
 * @param at Offset of its header, all 40 bytes of which are there.
 * @param transport Offset of the ports, if there are any; all 4 bytes of them are there.
 * @returns For instance `"IPv6 TCP [fe80::1]:1024 > [fe80::2]:80"`.
 */
export function ipv6Ends(ends: Ends, frame: Uint8Array, at: number, transport: number): string {
  const ports = ends === Ends.bare ? 0 : word(frame, transport);
  let hash: number = ports;
  for (let i = 8; i < 40; i += 4) hash = Math.imul(hash, 31) + word(frame, at + i) | 0;
  const place = placeOf(hash);
  const key = place * KEY6;
  let isKnown = keys6[key + 8] === ports && keys6[key + 9] === ends;
  for (let i = 0; isKnown && i < 8; i++) isKnown = keys6[key + i] === word(frame, at + 8 + 4 * i);
  if (isKnown) return texts6[place]!;
  for (let i = 0; i < 8; i++) keys6[key + i] = word(frame, at + 8 + 4 * i);
  keys6[key + 8] = ports;
  keys6[key + 9] = ends;
  const [source, destination] = [ipv6Text(frame, at + 8), ipv6Text(frame, at + 24)];
  return texts6[place] = ends === Ends.bare
    ? flat(`IPv6 ${source} > ${destination}`)
    : flat(`IPv6 ${labels[ends]}[${source}]:${ports >>> 16} > [${destination}]:${ports & 0xffff}`);
}

/** Text of the IPv4 address at an offset. */
export function ipv4Text(frame: Uint8Array, at: number): string {
  return formatIpv4(word(frame, at) >>> 0);
}

/** Text of the IPv6 address at an offset. */
export function ipv6Text(frame: Uint8Array, at: number): string {
  return formatIpv6(word(frame, at), word(frame, at + 4), word(frame, at + 8), word(frame, at + 12));
}

/** 32 bits with sign, which engines keep without a box. */
function word(frame: Uint8Array, at: number): number {
  return getU16(frame, at) << 16 | getU16(frame, at + 2);
}

/** Spreads a number over the places: its high bits, once it was multiplied by an odd number without pattern. */
function placeOf(hash: number): number {
  return Math.imul(hash, 0x9e3779b1) >>> 23;
}

/** Engines put a text together when somebody first looks at it. Kept ones had better be whole. */
function flat(text: string): string {
  text.charCodeAt(0);
  return text;
}
