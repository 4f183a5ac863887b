// SPDX-License-Identifier: MIT

/**
 * Writing packets, layer in layer.
 *
 * Theory of operation: layers are listed from the outermost to the innermost, as they lie in the frame. All lengths are
 * known before anything is written; then the innermost is written first, so that each layer finds what it carries
 * finished behind it. It names that in its own type, protocol or length unless it was told one. A checksum that covers
 * addresses of the layer below, as TCP's, UDP's and ICMPv6's do, is left to that layer, which comes later.
 *
 * @module
 */

/** Names of the layers that can be written. */
export type LayerName =
  | "ethernet"
  | "vlan"
  | "arp"
  | "ipv4"
  | "ipv6"
  | "icmp"
  | "icmpv6"
  | "udp"
  | "tcp"
  | "dhcp"
  | "dhcpv6"
  | "dns";

/** Where a layer is to be written. */
export interface Place {
  /** The whole buffer. */
  readonly into: Uint8Array;
  /** Offset of the layer's first byte. */
  readonly start: number;
  /** Offset after the last byte of what it carries, which has been written. */
  readonly end: number;
  /** The layer inside, absent if what it carries are bytes or nothing. */
  readonly inner: Layer | undefined;
}

/** A layer that can be written; functions as {@linkcode ethernet} and {@linkcode ipv4} make it. */
export interface Layer {
  /** Which one. */
  readonly layer: LayerName;
  /** Bytes of its header, with options and without what it carries. */
  readonly headerLength: number;
  /** Offset in the header of a checksum that covers addresses of IP. IP writes it. Absent if there is none to write. */
  readonly checksumOffset?: number;
  /** Writes the header. */
  write(place: Place): void;
}

/** Bytes that these layers take. */
export function encodedLength(layers: readonly (Layer | Uint8Array)[]): number {
  let length = 0;
  for (const part of layers) length += part instanceof Uint8Array ? part.length : part.headerLength;
  return length;
}

/**
 * Writes a packet into a buffer.
 *
 * @param into Where to; the bytes behind the packet stay as they are.
 * @param layers The layers from the outermost to the innermost. Bytes stand for what no codec is needed for.
 * @param offset Where in the buffer.
 * @returns The number of bytes that were written.
 * @throws {RangeError} If the buffer is too small.
 *
 * @example Usage
 * ```ts
 * import { encode, ethernet, ipv4, udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const frame = new Uint8Array(1514);
 * const length = encode(frame, [
 *   ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" }),
 *   ipv4({ source: "192.168.64.2", destination: "192.168.64.1" }),
 *   udp({ sourcePort: 1024, destinationPort: 7 }),
 *   new TextEncoder().encode("hello"),
 * ]);
 * assertEquals(length, 14 + 20 + 8 + 5);
 * ```
 */
export function encode(into: Uint8Array, layers: readonly (Layer | Uint8Array)[], offset = 0): number {
  const length = encodedLength(layers);
  if (offset < 0 || offset + length > into.length) {
    throw new RangeError(`Cannot encode packet: it needs ${length} bytes at ${offset}, the buffer has ${into.length}`);
  }
  const end = offset + length;
  let start = end;
  let inner: Layer | undefined;
  for (let i = layers.length - 1; i >= 0; i--) {
    const part = layers[i]!;
    if (part instanceof Uint8Array) {
      start -= part.length;
      into.set(part, start);
      inner = undefined;
    } else {
      start -= part.headerLength;
      part.write({ into, start, end, inner });
      inner = part;
    }
  }
  return length;
}

/** Writes a packet into bytes of its own; see {@linkcode encode}. */
export function encoded(...layers: readonly (Layer | Uint8Array)[]): Uint8Array {
  const bytes = new Uint8Array(encodedLength(layers));
  encode(bytes, layers);
  return bytes;
}
