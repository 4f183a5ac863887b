// SPDX-License-Identifier: MIT

/**
 * ICMP, the control messages of IPv4 (RFC 792).
 *
 * ```text
 *  0               1               2               3
 *  type            code            checksum (16 bits)
 *  what the type says (32 bits)
 *  timestamps, or the packet that the message is about, or data
 * ```
 *
 * @module
 */

import { internetChecksum } from "./checksum.ts";
import type { Layer } from "./encode.ts";
import { setU16, setU32, uint } from "./field.ts";
import { type Ipv4Address, type Ipv4Like, readIpv4, toIpv4 } from "./ip_address.ts";
import { Ipv4 } from "./ipv4.ts";
import { View } from "./view.ts";

const HEADER = 8;
const WITH_TIMESTAMPS = 20;
const FRAGMENTATION_NEEDED = 4;

/** Types of ICMP messages (RFC 792, and RFC 1256 for the routers'). */
export const IcmpType = {
  /** Answer to a ping. */
  echoReply: 0,
  /** A packet could not be delivered; the code says why. */
  unreachable: 3,
  /** There is a better router for a destination. */
  redirect: 5,
  /** A ping. */
  echoRequest: 8,
  /** Routers that there are. */
  routerAdvertisement: 9,
  /** Who asks for routers. */
  routerSolicitation: 10,
  /** A packet passed too many routers, or its fragments took too long. */
  timeExceeded: 11,
  /** A header is wrong. */
  parameterProblem: 12,
  /** Who asks for the time. */
  timestampRequest: 13,
  /** The time. */
  timestampReply: 14,
} as const;

const {
  echoReply,
  unreachable,
  redirect,
  echoRequest,
  timeExceeded,
  parameterProblem,
  timestampRequest,
  timestampReply,
} = IcmpType;

/** What {@linkcode icmp} takes; the names are those of {@linkcode Icmp}. */
export interface IcmpOptions {
  /** Type of the message, 0 to 255; see {@linkcode IcmpType}. */
  readonly type: number;
  /** Code within the type, 0 to 255. Default: 0. */
  readonly code?: number | undefined;
  /** Checksum, 0 to 65535. Default: the right one. */
  readonly checksum?: number | undefined;
  /** The second 32 bits, for types that have no field of their own there. Default: 0. */
  readonly rest?: number | undefined;
  /** Who sends echo and timestamp messages, 0 to 65535. Default: as in `rest`. */
  readonly identifier?: number | undefined;
  /** Number of an echo or timestamp message, 0 to 65535. Default: as in `rest`. */
  readonly sequence?: number | undefined;
  /** The better router, in a redirect. Default: as in `rest`. */
  readonly gateway?: Ipv4Like | undefined;
  /** Longest packet that the next network takes, in an unreachable with code 4, 0 to 65535. Default: as in `rest`. */
  readonly mtu?: number | undefined;
  /** Offset of the byte that is wrong, in a parameter problem, 0 to 255. Default: as in `rest`. */
  readonly pointer?: number | undefined;
  /** When a timestamp request was sent, 0 to 2^32 - 1. Default: 0. */
  readonly originateTimestamp?: number | undefined;
  /** When it arrived. Default: 0. */
  readonly receiveTimestamp?: number | undefined;
  /** When the reply was sent. Default: 0. */
  readonly transmitTimestamp?: number | undefined;
}

/**
 * An ICMP message in a frame. Fields that its type does not have are undefined.
 *
 * @example Usage
 * ```ts
 * import { Icmp, IcmpType } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const ping = new Icmp(Uint8Array.of(8, 0, 0xf7, 0xf7, 0, 7, 0, 1));
 * assertEquals(ping.type, IcmpType.echoRequest);
 * assertEquals([ping.identifier, ping.sequence], [7, 1]);
 * assertEquals(ping.gateway, undefined);
 * ```
 */
export class Icmp extends View {
  /**
   * Looks at a message.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If it is shorter than 8 bytes, or 20 in a timestamp message.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    const isTimed = end - start > 0 && hasTimestamps(frame[start]!);
    super("icmp", isTimed ? WITH_TIMESTAMPS : HEADER, frame, start, end);
  }

  /** Always `"icmp"`. */
  get layer(): "icmp" {
    return "icmp";
  }

  /** 20 for timestamp messages, 8 for all others. */
  get headerLength(): number {
    return hasTimestamps(this.type) ? WITH_TIMESTAMPS : HEADER;
  }

  /** Type of the message: byte 0. {@linkcode IcmpType} has their names. */
  get type(): number {
    return this.u8(0);
  }

  /** Code within the type: byte 1. */
  get code(): number {
    return this.u8(1);
  }

  /** Checksum of the message: bytes 2 and 3. */
  get checksum(): number {
    return this.u16(2);
  }

  /** Bytes 4 to 7 as one number, whatever they mean. */
  get rest(): number {
    return this.u32(4);
  }

  /** Who sends echo and timestamp messages: bytes 4 and 5. */
  get identifier(): number | undefined {
    return hasIdentifier(this.type) ? this.u16(4) : undefined;
  }

  /** Number of an echo or timestamp message: bytes 6 and 7. */
  get sequence(): number | undefined {
    return hasIdentifier(this.type) ? this.u16(6) : undefined;
  }

  /** The better router, in a redirect: bytes 4 to 7. */
  get gateway(): Ipv4Address | undefined {
    return this.type === redirect ? readIpv4(this.frame, this.start + 4) : undefined;
  }

  /** Longest packet that the next network takes, in an unreachable with code 4: bytes 6 and 7 (RFC 1191, section 4). */
  get mtu(): number | undefined {
    return hasMtu(this.type, this.code) ? this.u16(6) : undefined;
  }

  /** Offset of the byte that is wrong, in a parameter problem: byte 4. */
  get pointer(): number | undefined {
    return this.type === parameterProblem ? this.u8(4) : undefined;
  }

  /** When a timestamp request was sent, in milliseconds since midnight UT: bytes 8 to 11. */
  get originateTimestamp(): number | undefined {
    return hasTimestamps(this.type) ? this.u32(8) : undefined;
  }

  /** When it arrived, in milliseconds since midnight UT: bytes 12 to 15. */
  get receiveTimestamp(): number | undefined {
    return hasTimestamps(this.type) ? this.u32(12) : undefined;
  }

  /** When the reply was sent, in milliseconds since midnight UT: bytes 16 to 19. */
  get transmitTimestamp(): number | undefined {
    return hasTimestamps(this.type) ? this.u32(16) : undefined;
  }

  /**
   * The packet that an error or redirect is about, as far as it was sent back: from byte 8 on.
   *
   * @throws {PacketError} If that is no IPv4 packet.
   */
  get original(): Ipv4 | undefined {
    if (!isAboutPacket(this.type)) return undefined;
    const from = this.start + HEADER;
    // RFC 4884 puts its length, in units of 4 bytes, before an extension; 0 says that there is none
    const words = this.type === redirect ? 0 : this.u8(5);
    return new Ipv4(this.frame, from, words === 0 ? this.end : Math.min(this.end, from + 4 * words));
  }
}

const hasTimestamps = (type: number): boolean => type === timestampRequest || type === timestampReply;
const hasIdentifier = (type: number): boolean => type === echoRequest || type === echoReply || hasTimestamps(type);
const hasMtu = (type: number, code: number): boolean => type === unreachable && code === FRAGMENTATION_NEEDED;
const isAboutPacket = (type: number): boolean =>
  type === unreachable || type === redirect || type === timeExceeded || type === parameterProblem;

/** Which fields a type has; the others are refused. */
function fieldsOf(type: number, code: number): readonly (keyof IcmpOptions)[] {
  if (hasTimestamps(type)) {
    return ["identifier", "sequence", "originateTimestamp", "receiveTimestamp", "transmitTimestamp"];
  }
  if (hasIdentifier(type)) return ["identifier", "sequence"];
  if (hasMtu(type, code)) return ["mtu"];
  if (type === redirect) return ["gateway"];
  return type === parameterProblem ? ["pointer"] : [];
}

const special = [
  ...["identifier", "sequence", "gateway", "mtu", "pointer"] as const,
  ...["originateTimestamp", "receiveTimestamp", "transmitTimestamp"] as const,
];

/**
 * An ICMP header to write with {@linkcode encode}. Data, or the packet that the message is about, go behind it.
 *
 * @throws {TypeError} If a field has a wrong type, or the message has no such field.
 * @throws {RangeError} If a field does not fit.
 *
 * @example A ping
 * ```ts
 * import { encoded, icmp, IcmpType, internetChecksum } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const ping = encoded(icmp({ type: IcmpType.echoRequest, identifier: 7, sequence: 1 }), new Uint8Array(56));
 * assertEquals(ping.length, 64);
 * assertEquals(internetChecksum(ping), 0);
 * ```
 */
export function icmp(options: IcmpOptions): Layer {
  const number = (field: keyof IcmpOptions & string, otherwise: number | undefined, most: number) =>
    uint("icmp", field, options[field] as number | undefined, otherwise, most);
  const type = number("type", undefined, 255);
  const code = number("code", 0, 255);
  const fields = fieldsOf(type, code);
  for (const field of special) {
    if (options[field] === undefined || fields.includes(field)) continue;
    throw new TypeError(`Cannot encode icmp: a message of type ${type} and code ${code} has no ${field}`);
  }
  const headerLength = hasTimestamps(type) ? WITH_TIMESTAMPS : HEADER;
  const header = new Uint8Array(headerLength);
  header[0] = type;
  header[1] = code;
  setU32(header, 4, number("rest", 0, 0xffffffff));
  if (options.identifier !== undefined) setU16(header, 4, number("identifier", 0, 0xffff));
  if (options.sequence !== undefined) setU16(header, 6, number("sequence", 0, 0xffff));
  if (options.gateway !== undefined) toIpv4(options.gateway, "gateway").copyTo(header, 4);
  if (options.mtu !== undefined) setU16(header, 6, number("mtu", 0, 0xffff));
  if (options.pointer !== undefined) header[4] = number("pointer", 0, 255);
  if (hasTimestamps(type)) {
    setU32(header, 8, number("originateTimestamp", 0, 0xffffffff));
    setU32(header, 12, number("receiveTimestamp", 0, 0xffffffff));
    setU32(header, 16, number("transmitTimestamp", 0, 0xffffffff));
  }
  const checksum = number("checksum", -1, 0xffff);
  return {
    layer: "icmp",
    headerLength,
    write({ into, start, end }) {
      into.set(header, start);
      setU16(into, start + 2, checksum < 0 ? internetChecksum(into, start, end) : checksum);
    },
  };
}
