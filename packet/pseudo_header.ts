// SPDX-License-Identifier: MIT

/**
 * What IP and the layer inside have to know of each other: its protocol number, and the checksum over both.
 *
 * @module
 */

import { internetChecksum, internetSum } from "./checksum.ts";
import type { Layer, LayerName, Place } from "./encode.ts";
import { getU16, setU16 } from "./field.ts";
import { IpProtocol } from "./ip_protocol.ts";

const protocolOf: Partial<Record<LayerName, number>> = IpProtocol;

/** Number of the protocol that a packet carries, by the layer inside. */
export function protocolInside(layer: LayerName, inner: Layer | undefined): number {
  const protocol = inner && protocolOf[inner.layer];
  if (protocol !== undefined) return protocol;
  const inside = inner ? `a layer of ${inner.layer}` : "bytes or nothing";
  throw new TypeError(`Cannot encode ${layer}: protocol has to be given, because it carries ${inside}`);
}

/** Writes the checksum that the layer inside left to IP. */
export function completeInside(place: Place, headerLength: number, protocol: number, addresses: number): void {
  const { into, inner } = place;
  if (inner?.checksumOffset === undefined) return;
  const start = place.start + headerLength;
  const length = coveredLength(into, start, place.end, protocol);
  const checksum = internetChecksum(into, start, start + length, addresses + protocol + length);
  setU16(into, start + inner.checksumOffset, shown(checksum, protocol));
}

/** Bytes that the checksum inside covers: all, or a UDP datagram's own length. */
export function coveredLength(frame: Uint8Array, start: number, end: number, protocol: number): number {
  const length = end - start;
  if (protocol !== IpProtocol.udp || length < 8) return length;
  const own = getU16(frame, start + 4);
  return own < 8 || own > length ? length : own;
}

/** UDP shows a computed 0 as 65535, because 0 says that there is no checksum (RFC 768). */
export function shown(checksum: number, protocol: number): number {
  return checksum === 0 && protocol === IpProtocol.udp ? 0xffff : checksum;
}

/**
 * Sum of the addresses of an IPv4 header. With a source route that has not reached its end, the last address of the
 * route is the receiver's (RFC 1122, section 3.2.1.8).
 */
export function ipv4AddressSum(frame: Uint8Array, start: number, headerLength: number): number {
  let destination = start + 16;
  const end = start + headerLength;
  for (let at = start + 20; at < end && frame[at] !== 0;) {
    if (frame[at] === 1) {
      at++;
      continue;
    }
    const length = at + 1 < end ? frame[at + 1]! : 0;
    if (length < 2 || at + length > end) break;
    const isRoute = (frame[at] === 131 || frame[at] === 137) && length >= 7;
    if (isRoute && frame[at + 2]! < length) destination = at + length - 4;
    at += length;
  }
  const source = internetSum(frame, start + 12, start + 16);
  // A route may start at an odd offset: its address is summed as one that does not.
  return internetSum(frame, destination, destination + 4, source);
}

/**
 * Sum of the addresses of an IPv6 header. With a routing header that has segments left, the final address is the
 * receiver's (RFC 8200, section 8.1).
 *
 * @param final Offset of that address. Default: the one in the header.
 */
export function ipv6AddressSum(frame: Uint8Array, start: number, final: number = start + 24): number {
  return internetSum(frame, final, final + 16, internetSum(frame, start + 8, start + 24));
}
