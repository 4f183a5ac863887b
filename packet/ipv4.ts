// SPDX-License-Identifier: MIT

/**
 * IPv4, the internet protocol (RFC 791).
 *
 * ```text
 *  0               1               2               3
 *  version, length service         total length (16 bits)
 *  identification (16 bits)        flags (3 bits), fragment offset (13 bits)
 *  time to live    protocol        header checksum (16 bits)
 *  source address (32 bits)
 *  destination address (32 bits)
 *  options, up to 40 bytes
 * ```
 *
 * @module
 */

import { internetChecksum } from "./checksum.ts";
import type { Layer } from "./encode.ts";
import { setU16, uint, withBits } from "./field.ts";
import { type Ipv4Address, type Ipv4Like, readIpv4, toIpv4 } from "./ip_address.ts";
import { encodeIpv4Options, type Ipv4Option, readIpv4Options } from "./ipv4_options.ts";
import { PacketError } from "./packet_error.ts";
import { completeInside, ipv4AddressSum, protocolInside } from "./pseudo_header.ts";
import { View } from "./view.ts";

const HEADER = 20;
const NONE = new Uint8Array(0);
const DONT_FRAGMENT = 2;
const MORE_FRAGMENTS = 1;

/** What {@linkcode ipv4} takes; the names are those of {@linkcode Ipv4}. */
export interface Ipv4Options {
  /** Address of the sender. */
  readonly source: Ipv4Like;
  /** Address of the receiver. */
  readonly destination: Ipv4Like;
  /** Number of the protocol inside, 0 to 255. Default: that of the next layer. */
  readonly protocol?: number | undefined;
  /** Routers that it may pass, 0 to 255. Default: 64. */
  readonly ttl?: number | undefined;
  /** Differentiated services code point, 0 to 63. Default: 0. */
  readonly dscp?: number | undefined;
  /** Congestion notification, 0 to 3. Default: 0. */
  readonly ecn?: number | undefined;
  /** What the fragments of a packet have in common, 0 to 65535. Default: 0. */
  readonly identification?: number | undefined;
  /** The three flags as a number, 0 to 7. Default: 0. */
  readonly flags?: number | undefined;
  /** Sets or clears the flag that forbids to fragment it. Default: as in `flags`. */
  readonly dontFragment?: boolean | undefined;
  /** Sets or clears the flag of all fragments but the last. Default: as in `flags`. */
  readonly moreFragments?: boolean | undefined;
  /** Place of a fragment in its packet, in bytes: a multiple of 8, 0 to 65528. Default: 0. */
  readonly fragmentOffset?: number | undefined;
  /** Options, or their bytes; up to 40 bytes. They are filled up with zeros to a multiple of 4. Default: none. */
  readonly options?: readonly Ipv4Option[] | Uint8Array | undefined;
  /** Bytes of header and payload, 0 to 65535. Default: what they are. */
  readonly totalLength?: number | undefined;
  /** Checksum of the header, 0 to 65535. Default: the right one. */
  readonly checksum?: number | undefined;
}

/**
 * An IPv4 packet in a frame.
 *
 * @example Usage
 * ```ts
 * import { encoded, Ipv4, ipv4 } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(ipv4({ source: "192.0.2.1", destination: "192.0.2.2", protocol: 253 }), Uint8Array.of(1, 2));
 * const packet = new Ipv4(bytes);
 * assertEquals(`${packet.source} > ${packet.destination}, ttl ${packet.ttl}`, "192.0.2.1 > 192.0.2.2, ttl 64");
 * assertEquals(packet.payload, Uint8Array.of(1, 2));
 * ```
 */
export class Ipv4 extends View {
  /**
   * Looks at a packet.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte or later; the packet ends before if it says so. Default: all.
   * @throws {PacketError} If it is not version 4, or shorter than its header.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("ipv4", HEADER, frame, start, endOf(frame, start, end));
  }

  /** Always `"ipv4"`. */
  get layer(): "ipv4" {
    return "ipv4";
  }

  /** Bytes of the header with its options, 20 to 60: the lower half of byte 0, in units of 4 bytes. */
  get headerLength(): number {
    return (this.u8(0) & 15) << 2;
  }

  /** Always 4: the upper half of byte 0. */
  get version(): number {
    return this.u8(0) >>> 4;
  }

  /** Differentiated services code point, 0 to 63: the upper 6 bits of byte 1 (RFC 2474, section 3). */
  get dscp(): number {
    return this.u8(1) >>> 2;
  }

  /** Congestion notification, 0 to 3: the lower 2 bits of byte 1 (RFC 3168, section 5). */
  get ecn(): number {
    return this.u8(1) & 3;
  }

  /** Bytes of header and payload as the header says: bytes 2 and 3. 0 in a frame that a network card is to cut up. */
  get totalLength(): number {
    return this.u16(2);
  }

  /** Whether there are fewer bytes than the packet says. */
  get isTruncated(): boolean {
    return this.u16(2) > this.end - this.start;
  }

  /** What the fragments of a packet have in common: bytes 4 and 5 (RFC 6864). */
  get identification(): number {
    return this.u16(4);
  }

  /** The three flags as a number: the upper 3 bits of byte 6. The highest is reserved. */
  get flags(): number {
    return this.u8(6) >>> 5;
  }

  /** Whether it must not be fragmented. */
  get dontFragment(): boolean {
    return (this.u8(6) & 0x40) !== 0;
  }

  /** Whether it is a fragment and not the last. */
  get moreFragments(): boolean {
    return (this.u8(6) & 0x20) !== 0;
  }

  /** Place of a fragment in its packet, in bytes: the lower 13 bits of bytes 6 and 7, in units of 8 bytes. */
  get fragmentOffset(): number {
    return (this.u16(6) & 0x1fff) << 3;
  }

  /** Whether it is a fragment of a packet: its payload starts with a header only if `fragmentOffset` is 0. */
  get isFragment(): boolean {
    return (this.u16(6) & 0x3fff) !== 0;
  }

  /** Routers that it may still pass: byte 8. */
  get ttl(): number {
    return this.u8(8);
  }

  /** Number of the protocol that it carries, for instance 6 for TCP: byte 9. */
  get protocol(): number {
    return this.u8(9);
  }

  /** Checksum of the header: bytes 10 and 11. */
  get checksum(): number {
    return this.u16(10);
  }

  /** Address of the sender: bytes 12 to 15. */
  get source(): Ipv4Address {
    return readIpv4(this.frame, this.start + 12);
  }

  /** Address of the receiver: bytes 16 to 19. */
  get destination(): Ipv4Address {
    return readIpv4(this.frame, this.start + 16);
  }

  /**
   * The options from byte 20 on, without the end of the list and what follows it.
   *
   * @throws {PacketError} If one has a length that cannot be.
   */
  get options(): Ipv4Option[] {
    const { frame, start } = this;
    return readIpv4Options(frame, start, start + HEADER, start + this.headerLength);
  }

  /** The bytes of the options, with padding: a view, not a copy. */
  get optionBytes(): Uint8Array {
    return this.part(HEADER, this.headerLength);
  }
}

/** Where a packet ends by its own length: Ethernet fills short frames up. Refuses what is no header of IPv4. */
function endOf(frame: Uint8Array, start: number, end: number): number {
  if (end - start < HEADER || start < 0 || end > frame.length) return end; // which View refuses
  const first = frame[start]!;
  if (first >>> 4 !== 4) throw broken(`its version is ${first >>> 4}, 4 is wanted`, 0);
  const header = (first & 15) << 2;
  if (header < HEADER) throw broken(`its header has ${header} bytes, at least 20 are wanted`, 0);
  if (start + header > end) throw broken(`its header has ${header} bytes, and there are ${end - start}`, 0);
  const total = frame[start + 2]! << 8 | frame[start + 3]!;
  if (total === 0 || start + total >= end) return end;
  if (total < header) throw broken(`its length is ${total}, less than its header's ${header}`, 2);
  return start + total;
}

function broken(detail: string, offset: number): PacketError {
  return new PacketError(detail, { layer: "ipv4", offset });
}

/**
 * An IPv4 header to write with {@linkcode encode}. It writes the checksum of TCP, UDP or ICMPv6 behind it too, unless
 * it is a fragment, which has only a part of what that covers.
 *
 * @throws {TypeError} If a field has a wrong type.
 * @throws {RangeError} If a field does not fit.
 *
 * @example Usage
 * ```ts
 * import { encoded, ipv4, udp, Udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = encoded(
 *   ipv4({ source: "192.0.2.1", destination: "192.0.2.2", dontFragment: true }),
 *   udp({ sourcePort: 7, destinationPort: 7 }),
 * );
 * assertEquals(packet.length, 28);
 * assertEquals(new Udp(packet, 20).checksum, 0x7bcc);
 * ```
 */
export function ipv4(options: Ipv4Options): Layer {
  const number = (field: keyof Ipv4Options & string, otherwise: number, most: number) =>
    uint("ipv4", field, options[field] as number | undefined, otherwise, most);
  const source = toIpv4(options.source, "source");
  const destination = toIpv4(options.destination, "destination");
  const optionBytes = options.options === undefined ? NONE : encodeIpv4Options(options.options);
  const headerLength = HEADER + optionBytes.length;
  const service = number("dscp", 0, 63) << 2 | number("ecn", 0, 3);
  const identification = number("identification", 0, 0xffff);
  const flags = withBits(
    number("flags", 0, 7),
    [options.dontFragment, DONT_FRAGMENT],
    [options.moreFragments, MORE_FRAGMENTS],
  );
  const fragmentOffset = number("fragmentOffset", 0, 65528);
  if (fragmentOffset % 8 !== 0) {
    throw new RangeError(`Cannot encode ipv4: fragmentOffset takes a multiple of 8, found ${fragmentOffset}`);
  }
  const ttl = number("ttl", 64, 255);
  const protocol = number("protocol", -1, 255);
  const totalLength = number("totalLength", -1, 0xffff);
  const checksum = number("checksum", -1, 0xffff);
  const isFragment = (flags & MORE_FRAGMENTS) !== 0 || fragmentOffset > 0;
  return {
    layer: "ipv4",
    headerLength,
    write(place) {
      const { into, start, end } = place;
      const carried = protocol < 0 ? protocolInside("ipv4", place.inner) : protocol;
      into[start] = 0x40 | headerLength >>> 2;
      into[start + 1] = service;
      setU16(into, start + 2, uint("ipv4", "totalLength", totalLength < 0 ? end - start : totalLength, 0, 0xffff));
      setU16(into, start + 4, identification);
      setU16(into, start + 6, flags << 13 | fragmentOffset >>> 3);
      into[start + 8] = ttl;
      into[start + 9] = carried;
      setU16(into, start + 10, 0);
      source.copyTo(into, start + 12);
      destination.copyTo(into, start + 16);
      into.set(optionBytes, start + HEADER);
      setU16(into, start + 10, checksum < 0 ? internetChecksum(into, start, start + headerLength) : checksum);
      if (!isFragment) completeInside(place, headerLength, carried, ipv4AddressSum(into, start, headerLength));
    },
  };
}
