// SPDX-License-Identifier: MIT

/**
 * IPv6, the internet protocol (RFC 8200).
 *
 * ```text
 *  0               1               2               3
 *  version (4 bits), traffic class (8), flow label (20)
 *  payload length (16 bits)        next header     hop limit
 *  source address (128 bits)
 *  destination address (128 bits)
 *  extension headers
 * ```
 *
 * @module
 */

import type { Layer, Place } from "./encode.ts";
import { setU16, setU32, uint } from "./field.ts";
import { IpProtocol } from "./ip_protocol.ts";
import { type Ipv6Address, type Ipv6Like, readIpv6, toIpv6 } from "./ip_address.ts";
import { isDiscovery } from "./icmpv6_type.ts";
import {
  encodeExtension,
  extensionNumber,
  finalAddress,
  type Ipv6Chain,
  type Ipv6Extension,
  isExtension,
  readExtensions,
  ROUTING,
  walkExtensions,
} from "./ipv6_extensions.ts";
import { PacketError } from "./packet_error.ts";
import { completeInside, ipv6AddressSum, protocolInside } from "./pseudo_header.ts";
import { View } from "./view.ts";

const HEADER = 40;

/** What {@linkcode ipv6} takes; the names are those of {@linkcode Ipv6}. */
export interface Ipv6Options {
  /** Address of the sender. */
  readonly source: Ipv6Like;
  /** Address of the receiver. */
  readonly destination: Ipv6Like;
  /** Number of the protocol inside, 0 to 255. Default: that of the next layer, or 59 if there is nothing inside. */
  readonly protocol?: number | undefined;
  /** Number of the first extension, or of the protocol if there is none, 0 to 255. Default: what it is. */
  readonly nextHeader?: number | undefined;
  /** Extension headers. Default: none. */
  readonly extensions?: readonly Ipv6Extension[] | undefined;
  /** Routers that it may pass, 0 to 255. Default: 64; 255 for discovery, which is not heard with less (RFC 4861). */
  readonly hopLimit?: number | undefined;
  /** Differentiated services code point, 0 to 63. Default: 0. */
  readonly dscp?: number | undefined;
  /** Congestion notification, 0 to 3. Default: 0. */
  readonly ecn?: number | undefined;
  /** What the packets of a flow have in common, 0 to 2^20 - 1. Default: 0. */
  readonly flowLabel?: number | undefined;
  /** Bytes of extensions and payload, 0 to 65535. Default: what they are. */
  readonly payloadLength?: number | undefined;
}

/**
 * An IPv6 packet in a frame.
 *
 * @example Usage
 * ```ts
 * import { encoded, Ipv6, ipv6, udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(
 *   ipv6({
 *     source: "2001:db8::1",
 *     destination: "2001:db8::2",
 *     extensions: [{ name: "fragment", fragmentOffset: 0, moreFragments: false, identification: 7 }],
 *   }),
 *   udp({ sourcePort: 7, destinationPort: 7 }),
 * );
 * const packet = new Ipv6(bytes);
 * assertEquals([packet.nextHeader, packet.protocol, packet.headerLength], [44, 17, 48]);
 * ```
 */
export class Ipv6 extends View {
  #chain: Ipv6Chain | undefined = undefined;
  #failure: PacketError | undefined;

  /**
   * Looks at a packet.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte or later; the packet ends before if it says so. Default: all.
   * @throws {PacketError} If it is not version 6, or shorter than 40 bytes.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("ipv6", HEADER, frame, start, endOf(frame, start, end));
  }

  /** Always `"ipv6"`. */
  get layer(): "ipv6" {
    return "ipv6";
  }

  /**
   * Bytes of the header with its extensions.
   *
   * @throws {PacketError} If an extension is longer than the packet, or there are more than 16.
   */
  get headerLength(): number {
    return isExtension(this.u8(6)) ? this.#extended().headerLength : HEADER;
  }

  /** Always 6: the upper half of byte 0. */
  get version(): number {
    return this.u8(0) >>> 4;
  }

  /** Differentiated services code point, 0 to 63: 6 bits from the middle of byte 0 on (RFC 2474, section 3). */
  get dscp(): number {
    return this.u16(0) >>> 6 & 63;
  }

  /** Congestion notification, 0 to 3: the next 2 bits (RFC 3168, section 5). */
  get ecn(): number {
    return this.u8(1) >>> 4 & 3;
  }

  /** What the packets of a flow have in common, 0 to 2^20 - 1: the lower 20 bits of bytes 1 to 3 (RFC 6437). */
  get flowLabel(): number {
    return this.u32(0) & 0xfffff;
  }

  /**
   * Bytes of extensions and payload as the header says: bytes 4 and 5. 0 says that it goes on to the end of its frame,
   * in one that a network card is to cut up and in a jumbogram (RFC 2675), unless nothing follows the header.
   */
  get payloadLength(): number {
    return this.u16(4);
  }

  /** Whether there are fewer bytes than the packet says. */
  get isTruncated(): boolean {
    return HEADER + this.u16(4) > this.end - this.start;
  }

  /** Number of the first extension, or of the protocol if there is none: byte 6. */
  get nextHeader(): number {
    return this.u8(6);
  }

  /** Routers that it may still pass: byte 7. */
  get hopLimit(): number {
    return this.u8(7);
  }

  /** Address of the sender: bytes 8 to 23. */
  get source(): Ipv6Address {
    return readIpv6(this.frame, this.start + 8);
  }

  /** Address of the receiver, or of the next node of a route: bytes 24 to 39. */
  get destination(): Ipv6Address {
    return readIpv6(this.frame, this.start + 24);
  }

  /**
   * Number of the protocol behind the extensions, for instance 6 for TCP.
   *
   * @throws {PacketError} If an extension is longer than the packet, or there are more than 16.
   */
  get protocol(): number {
    const next = this.u8(6);
    return isExtension(next) ? this.#extended().protocol : next;
  }

  /**
   * The extension headers from byte 40 on.
   *
   * @throws {PacketError} If one is longer than the packet, an option longer than its header, or there are over 16.
   */
  get extensions(): Ipv6Extension[] {
    return readExtensions(this.frame, this.start, this.end);
  }

  /**
   * Whether it is a fragment of a packet: its payload starts with a header only if `fragmentOffset` is 0.
   *
   * @throws {PacketError} If the extensions are broken.
   */
  get isFragment(): boolean {
    return (this.#fragmentBits() & 0xfff9) !== 0;
  }

  /**
   * Place of a fragment in its packet, in bytes; 0 without a fragment header.
   *
   * @throws {PacketError} If the extensions are broken.
   */
  get fragmentOffset(): number {
    return this.#fragmentBits() & 0xfff8;
  }

  /**
   * Whether it is a fragment and not the last.
   *
   * @throws {PacketError} If the extensions are broken.
   */
  get moreFragments(): boolean {
    return (this.#fragmentBits() & 1) === 1;
  }

  /**
   * What the fragments of a packet have in common; undefined without a fragment header.
   *
   * @throws {PacketError} If the extensions are broken.
   */
  get identification(): number | undefined {
    const { fragment } = this.#extended();
    return fragment === 0 ? undefined : this.u32(fragment - this.start + 4);
  }

  #fragmentBits(): number {
    if (!isExtension(this.u8(6))) return 0;
    const { fragment } = this.#extended();
    return fragment === 0 ? 0 : this.u16(fragment - this.start + 2);
  }

  /** What the extensions lead to, or the error that ends them: each field behind them asks for it. */
  #extended(): Ipv6Chain {
    if (this.#chain !== undefined) return this.#chain;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#chain = walkExtensions(this.frame, this.start, this.end);
    } catch (error) {
      if (error instanceof PacketError) this.#failure = error;
      throw error;
    }
  }
}

/** Where a packet ends by its own length: Ethernet fills short frames up. Refuses what is no header of IPv6. */
function endOf(frame: Uint8Array, start: number, end: number): number {
  if (end - start < HEADER || start < 0 || end > frame.length) return end; // which View refuses
  const version = frame[start]! >>> 4;
  if (version !== 6) throw new PacketError(`its version is ${version}, 6 is wanted`, { layer: "ipv6", offset: 0 });
  const length = frame[start + 4]! << 8 | frame[start + 5]!;
  if (length === 0 && frame[start + 6] !== IpProtocol.none) return end;
  return Math.min(end, start + HEADER + length);
}

/**
 * An IPv6 header with its extensions to write with {@linkcode encode}. It writes the checksum of TCP, UDP or ICMPv6
 * behind it too, unless it is a fragment, which has only a part of what that covers.
 *
 * @throws {TypeError} If a field has a wrong type.
 * @throws {RangeError} If a field does not fit.
 *
 * @example Usage
 * ```ts
 * import { encoded, ipv6, tcp, Tcp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = encoded(
 *   ipv6({ source: "2001:db8::1", destination: "2001:db8::2", hopLimit: 255 }),
 *   tcp({ sourcePort: 1024, destinationPort: 80, syn: true }),
 * );
 * assertEquals(new Tcp(packet, 40).checksum, 0x501e);
 * ```
 */
export function ipv6(options: Ipv6Options): Layer {
  const source = toIpv6(options.source, "source");
  const destination = toIpv6(options.destination, "destination");
  const service = uint("ipv6", "dscp", options.dscp, 0, 63) << 2 | uint("ipv6", "ecn", options.ecn, 0, 3);
  const flowLabel = uint("ipv6", "flowLabel", options.flowLabel, 0, 0xfffff);
  const hopLimit = uint("ipv6", "hopLimit", options.hopLimit, -1, 255);
  const nextHeader = uint("ipv6", "nextHeader", options.nextHeader, -1, 255);
  const payloadLength = uint("ipv6", "payloadLength", options.payloadLength, -1, 0xffff);
  const numbers = (options.extensions ?? []).map(extensionNumber);
  const extensions = (options.extensions ?? []).map(encodeExtension);
  const protocol = uint("ipv6", "protocol", options.protocol, numbers.length === 0 ? nextHeader : -1, 255);
  const isFragment = (options.extensions ?? []).some((extension) =>
    extension.name === "fragment" && (extension.moreFragments || extension.fragmentOffset > 0)
  );
  const headerLength = extensions.reduce((sum, { length }) => sum + length, HEADER);
  return {
    layer: "ipv6",
    headerLength,
    write(place) {
      const { into, start, end, inner } = place;
      const isEmpty = end - start === headerLength;
      const carried = protocol >= 0 ? protocol : isEmpty ? IpProtocol.none : protocolInside("ipv6", inner);
      const length = payloadLength < 0 ? end - start - HEADER : payloadLength;
      setU32(into, start, 0x60000000 | service << 20 | flowLabel);
      setU16(into, start + 4, uint("ipv6", "payloadLength", length, 0, 0xffff));
      into[start + 6] = numbers[0] ?? carried;
      into[start + 7] = hopLimit < 0 ? defaultHopLimit(place, headerLength) : hopLimit;
      source.copyTo(into, start + 8);
      destination.copyTo(into, start + 24);
      let at = start + HEADER;
      let final: number | undefined = start + 24;
      extensions.forEach((bytes, i) => {
        into.set(bytes, at);
        into[at] = numbers[i + 1] ?? carried;
        if (numbers[i] === ROUTING) final = finalAddress(into, at, bytes.length, final);
        at += bytes.length;
      });
      if (nextHeader >= 0) into[start + 6] = nextHeader;
      if (!isFragment) completeInside(place, headerLength, carried, ipv6AddressSum(into, start, final));
    },
  };
}

function defaultHopLimit({ into, start, inner }: Place, headerLength: number): number {
  return inner?.layer === "icmpv6" && isDiscovery(into[start + headerLength]!) ? 255 : 64;
}
