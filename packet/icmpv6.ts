// SPDX-License-Identifier: MIT

/**
 * ICMPv6: the control messages of IPv6 (RFC 4443), discovery of neighbours and routers (RFC 4861), and of listeners to
 * groups (RFC 2710).
 *
 * ```text
 *  0               1               2               3
 *  type            code            checksum (16 bits)
 *  what the type says
 * ```
 *
 * @module
 */

import type { Layer } from "./encode.ts";
import { setU16, setU32, uint, withBits } from "./field.ts";
import { encodeIcmpv6Options, type Icmpv6Option, readIcmpv6Options } from "./icmpv6_options.ts";
import {
  fieldsOf,
  fixedLength,
  flagsAt,
  hasTarget,
  ICMPV6_HEADER,
  Icmpv6Type,
  isDiscovery,
  isEcho,
  isError,
  isListener,
} from "./icmpv6_type.ts";
import { type Ipv6Address, type Ipv6Like, readIpv6, toIpv6 } from "./ip_address.ts";
import { Ipv6 } from "./ipv6.ts";
import type { MacLike } from "./mac_address.ts";
import { View } from "./view.ts";

const T = Icmpv6Type;

/** What {@linkcode icmpv6} takes; the names are those of {@linkcode Icmpv6}. */
export interface Icmpv6Options {
  /** Type of the message, 0 to 255; see {@linkcode Icmpv6Type}. */
  readonly type: number;
  /** Code within the type, 0 to 255. Default: 0. */
  readonly code?: number | undefined;
  /** Checksum, 0 to 65535. Default: IP computes it. */
  readonly checksum?: number | undefined;
  /** Who sends echo messages, 0 to 65535. Default: 0. */
  readonly identifier?: number | undefined;
  /** Number of an echo message, 0 to 65535. Default: 0. */
  readonly sequence?: number | undefined;
  /** Longest packet that the next network takes, in packet too big, 0 to 2^32 - 1. Default: 0. */
  readonly mtu?: number | undefined;
  /** Offset of the byte that is wrong, in a parameter problem, 0 to 2^32 - 1. Default: 0. */
  readonly pointer?: number | undefined;
  /** Milliseconds in which listeners answer, 0 to 65535. Default: 0. */
  readonly maximumResponseDelay?: number | undefined;
  /** The group of listeners. Default: `::`. */
  readonly group?: Ipv6Like | undefined;
  /** The neighbour, or in a redirect the better router. Default: `::`. */
  readonly target?: Ipv6Like | undefined;
  /** In a redirect, the destination that the router is better for. Default: `::`. */
  readonly destination?: Ipv6Like | undefined;
  /** Hop limit that a router recommends, 0 to 255. Default: 0, none. */
  readonly hopLimit?: number | undefined;
  /** Seconds for which a router serves as default, 0 to 65535. Default: 0, it does not. */
  readonly routerLifetime?: number | undefined;
  /** Milliseconds for which a neighbour counts as reachable, 0 to 2^32 - 1. Default: 0, not said. */
  readonly reachableTime?: number | undefined;
  /** Milliseconds between solicitations, 0 to 2^32 - 1. Default: 0, not said. */
  readonly retransmitTimer?: number | undefined;
  /** All flags of an advertisement as one byte, 0 to 255. Default: 0. */
  readonly flags?: number | undefined;
  /** Whether addresses are had by DHCPv6. Default: as in `flags`. */
  readonly managed?: boolean | undefined;
  /** Whether other things are had by DHCPv6. Default: as in `flags`. */
  readonly otherConfiguration?: boolean | undefined;
  /** Whether the neighbour is a router. Default: as in `flags`. */
  readonly router?: boolean | undefined;
  /** Whether the neighbour was asked. Default: as in `flags`. */
  readonly solicited?: boolean | undefined;
  /** Whether it replaces what was known. Default: as in `flags`. */
  readonly override?: boolean | undefined;
  /** Options of discovery, or their bytes. Default: none. */
  readonly options?: readonly Icmpv6Option<MacLike, Ipv6Like>[] | Uint8Array | undefined;
}

/**
 * An ICMPv6 message in a frame. Fields that its type does not have are undefined.
 *
 * @example Usage
 * ```ts
 * import { encoded, Icmpv6, icmpv6, Icmpv6Type } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(icmpv6({
 *   type: Icmpv6Type.neighbourSolicitation,
 *   target: "fe80::1",
 *   options: [{ name: "sourceLinkLayerAddress", address: "52:54:00:00:00:01" }],
 * }));
 * const question = new Icmpv6(bytes);
 * assertEquals(`${question.target}`, "fe80::1");
 * const [option] = question.options;
 * assertEquals(option?.name === "sourceLinkLayerAddress" && `${option.address}`, "52:54:00:00:00:01");
 * ```
 */
export class Icmpv6 extends View {
  /**
   * Looks at a message.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If it is shorter than its type says: 4 to 40 bytes.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("icmpv6", end - start > 0 && start >= 0 ? fixedLength(frame[start]!) : ICMPV6_HEADER, frame, start, end);
  }

  /** Always `"icmpv6"`. */
  get layer(): "icmpv6" {
    return "icmpv6";
  }

  /** Bytes before what the message carries. In discovery its options are all that there is. */
  get headerLength(): number {
    return isDiscovery(this.type) ? this.length : fixedLength(this.type);
  }

  /** Type of the message: byte 0. {@linkcode Icmpv6Type} has their names. */
  get type(): number {
    return this.u8(0);
  }

  /** Code within the type: byte 1. */
  get code(): number {
    return this.u8(1);
  }

  /** Checksum with the pseudo header: bytes 2 and 3. */
  get checksum(): number {
    return this.u16(2);
  }

  /** Who sends echo messages: bytes 4 and 5. */
  get identifier(): number | undefined {
    return isEcho(this.type) ? this.u16(4) : undefined;
  }

  /** Number of an echo message: bytes 6 and 7. */
  get sequence(): number | undefined {
    return isEcho(this.type) ? this.u16(6) : undefined;
  }

  /** Longest packet that the next network takes, in packet too big: bytes 4 to 7. */
  get mtu(): number | undefined {
    return this.type === T.packetTooBig ? this.u32(4) : undefined;
  }

  /** Offset of the byte that is wrong, in a parameter problem: bytes 4 to 7. */
  get pointer(): number | undefined {
    return this.type === T.parameterProblem ? this.u32(4) : undefined;
  }

  /** Milliseconds in which listeners answer: bytes 4 and 5 (RFC 2710, section 3.4). */
  get maximumResponseDelay(): number | undefined {
    return isListener(this.type) ? this.u16(4) : undefined;
  }

  /** The group of listeners: bytes 8 to 23 (RFC 2710, section 3). */
  get group(): Ipv6Address | undefined {
    return isListener(this.type) ? readIpv6(this.frame, this.start + 8) : undefined;
  }

  /** The neighbour, or in a redirect the better router: bytes 8 to 23. */
  get target(): Ipv6Address | undefined {
    return hasTarget(this.type) ? readIpv6(this.frame, this.start + 8) : undefined;
  }

  /** In a redirect, the destination that the router is better for: bytes 24 to 39. */
  get destination(): Ipv6Address | undefined {
    return this.type === T.redirect ? readIpv6(this.frame, this.start + 24) : undefined;
  }

  /** Hop limit that a router recommends, 0 if none: byte 4. */
  get hopLimit(): number | undefined {
    return this.type === T.routerAdvertisement ? this.u8(4) : undefined;
  }

  /** Seconds for which a router serves as default, 0 if it does not: bytes 6 and 7. */
  get routerLifetime(): number | undefined {
    return this.type === T.routerAdvertisement ? this.u16(6) : undefined;
  }

  /** Milliseconds for which a neighbour counts as reachable, 0 if not said: bytes 8 to 11. */
  get reachableTime(): number | undefined {
    return this.type === T.routerAdvertisement ? this.u32(8) : undefined;
  }

  /** Milliseconds between solicitations, 0 if not said: bytes 12 to 15. */
  get retransmitTimer(): number | undefined {
    return this.type === T.routerAdvertisement ? this.u32(12) : undefined;
  }

  /** All flags of an advertisement: byte 5 of a router's, byte 4 of a neighbour's. */
  get flags(): number | undefined {
    const at = flagsAt(this.type);
    return at === 0 ? undefined : this.u8(at);
  }

  /** Whether addresses are had by DHCPv6, in a router advertisement. */
  get managed(): boolean | undefined {
    return this.type === T.routerAdvertisement ? (this.u8(5) & 0x80) !== 0 : undefined;
  }

  /** Whether other things are had by DHCPv6, in a router advertisement. */
  get otherConfiguration(): boolean | undefined {
    return this.type === T.routerAdvertisement ? (this.u8(5) & 0x40) !== 0 : undefined;
  }

  /** Whether the neighbour is a router, in a neighbour advertisement. */
  get router(): boolean | undefined {
    return this.type === T.neighbourAdvertisement ? (this.u8(4) & 0x80) !== 0 : undefined;
  }

  /** Whether the neighbour was asked, in a neighbour advertisement. */
  get solicited(): boolean | undefined {
    return this.type === T.neighbourAdvertisement ? (this.u8(4) & 0x40) !== 0 : undefined;
  }

  /** Whether it replaces what was known, in a neighbour advertisement. */
  get override(): boolean | undefined {
    return this.type === T.neighbourAdvertisement ? (this.u8(4) & 0x20) !== 0 : undefined;
  }

  /**
   * The options of discovery; none in other messages.
   *
   * @throws {PacketError} If one has a length that cannot be.
   */
  get options(): Icmpv6Option[] {
    if (!isDiscovery(this.type)) return [];
    return readIcmpv6Options(this.frame, this.start, this.start + fixedLength(this.type), this.end);
  }

  /** The bytes of the options of discovery, with what is reserved, which `options` leaves out: a view, not a copy. */
  get optionBytes(): Uint8Array {
    const { type, length } = this;
    return this.part(isDiscovery(type) ? fixedLength(type) : length, length);
  }

  /**
   * The packet that an error is about, as far as it was sent back: from byte 8 on.
   *
   * @throws {PacketError} If that is no IPv6 packet.
   */
  get original(): Ipv6 | undefined {
    if (!isError(this.type)) return undefined;
    const from = this.start + 8;
    // RFC 4884 puts its length, in units of 8 bytes, before an extension; 0 says that there is none
    const units = this.type === T.unreachable || this.type === T.timeExceeded ? this.u8(4) : 0;
    return new Ipv6(this.frame, from, units === 0 ? this.end : Math.min(this.end, from + 8 * units));
  }
}

const special = [
  ...["identifier", "sequence", "mtu", "pointer", "maximumResponseDelay", "group", "target", "destination"] as const,
  ...["hopLimit", "routerLifetime", "reachableTime", "retransmitTimer", "flags", "managed"] as const,
  ...["otherConfiguration", "router", "solicited", "override", "options"] as const,
];

/**
 * An ICMPv6 header to write with {@linkcode encode}. IP, in front of it, writes its checksum. Data, or the packet that
 * the message is about, go behind it.
 *
 * @throws {TypeError} If a field has a wrong type, or the message has no such field.
 * @throws {RangeError} If a field does not fit.
 *
 * @example A ping
 * ```ts
 * import { encoded, icmpv6, Icmpv6Type, ipv6 } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const ping = encoded(
 *   ipv6({ source: "fe80::1", destination: "ff02::1" }),
 *   icmpv6({ type: Icmpv6Type.echoRequest, identifier: 7, sequence: 1 }),
 * );
 * assertEquals(ping.length, 48);
 * ```
 */
export function icmpv6(options: Icmpv6Options): Layer {
  const number = (field: keyof Icmpv6Options & string, most: number) =>
    uint("icmpv6", field, options[field] as number | undefined, 0, most);
  const type = uint("icmpv6", "type", options.type, undefined, 255);
  const fields = fieldsOf(type);
  for (const field of special) {
    const value = options[field];
    const isNone = value === undefined || (field === "options" && (value as Icmpv6Option[]).length === 0);
    if (isNone || fields.includes(field)) continue;
    throw new TypeError(`Cannot encode icmpv6: a message of type ${type} has no ${field}`);
  }
  const discovery = options.options === undefined ? new Uint8Array(0) : encodeIcmpv6Options(options.options);
  const fixed = fixedLength(type);
  const header = new Uint8Array(fixed + discovery.length);
  const address = (field: "group" | "target" | "destination", at: number) => {
    const value = options[field];
    if (value !== undefined) toIpv6(value, field).copyTo(header, at);
  };
  header[0] = type;
  header[1] = number("code", 255);
  setU16(header, 2, number("checksum", 0xffff));
  if (isEcho(type)) {
    setU16(header, 4, number("identifier", 0xffff));
    setU16(header, 6, number("sequence", 0xffff));
  }
  if (isListener(type)) setU16(header, 4, number("maximumResponseDelay", 0xffff));
  if (type === T.packetTooBig) setU32(header, 4, number("mtu", 0xffffffff));
  if (type === T.parameterProblem) setU32(header, 4, number("pointer", 0xffffffff));
  if (type === T.routerAdvertisement) {
    header[4] = number("hopLimit", 255);
    setU16(header, 6, number("routerLifetime", 0xffff));
    setU32(header, 8, number("reachableTime", 0xffffffff));
    setU32(header, 12, number("retransmitTimer", 0xffffffff));
  }
  const { managed, otherConfiguration, router, solicited, override } = options;
  const at = flagsAt(type);
  if (at > 0) {
    const upper: readonly (boolean | undefined)[] = at === 5
      ? [managed, otherConfiguration]
      : [router, solicited, override];
    header[at] = withBits(number("flags", 255), ...upper.map((on, i) => [on, 0x80 >>> i] as const));
  }
  address("group", 8);
  address("target", 8);
  address("destination", 24);
  header.set(discovery, fixed);
  return {
    layer: "icmpv6",
    headerLength: header.length,
    ...(options.checksum === undefined ? { checksumOffset: 2 } : {}),
    write: ({ into, start }) => into.set(header, start),
  };
}
