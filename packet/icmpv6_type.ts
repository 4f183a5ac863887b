// SPDX-License-Identifier: MIT

/**
 * Types of ICMPv6 messages, and what each has.
 *
 * @module
 */

/** Types of ICMPv6 messages (RFC 4443, RFC 2710, RFC 4861). */
export const Icmpv6Type = {
  /** A packet could not be delivered; the code says why. */
  unreachable: 1,
  /** A packet is longer than the next network takes. */
  packetTooBig: 2,
  /** A packet passed too many routers, or its fragments took too long. */
  timeExceeded: 3,
  /** A header is wrong. */
  parameterProblem: 4,
  /** A ping. */
  echoRequest: 128,
  /** Answer to a ping. */
  echoReply: 129,
  /** Who asks for listeners. */
  listenerQuery: 130,
  /** Who listens. */
  listenerReport: 131,
  /** Who listens no more. */
  listenerDone: 132,
  /** Who asks for routers. */
  routerSolicitation: 133,
  /** A router. */
  routerAdvertisement: 134,
  /** Who asks for a neighbour's hardware address. */
  neighbourSolicitation: 135,
  /** A neighbour's hardware address. */
  neighbourAdvertisement: 136,
  /** There is a better router for a destination. */
  redirect: 137,
  /** Who listens, second version (RFC 9777). */
  listenerReport2: 143,
} as const;

const T = Icmpv6Type;

/** Bytes that every message has: type, code and checksum. */
export const ICMPV6_HEADER = 4;

/** Whether a type is a ping or its answer. */
export const isEcho = (type: number): boolean => type === T.echoRequest || type === T.echoReply;
/** Whether a type is of the first version of listener discovery. */
export const isListener = (type: number): boolean => type >= T.listenerQuery && type <= T.listenerDone;
/** Whether a type is about a packet, which it carries. */
export const isError = (type: number): boolean => type >= T.unreachable && type <= T.parameterProblem;
/** Whether a type is of neighbour or router discovery, with options. */
export const isDiscovery = (type: number): boolean => type >= T.routerSolicitation && type <= T.redirect;
/** Whether a type has a target. */
export const hasTarget = (type: number): boolean => type >= T.neighbourSolicitation && type <= T.redirect;

/** Bytes of a message before its options or what it carries. */
export function fixedLength(type: number): number {
  switch (type) {
    case T.routerAdvertisement:
      return 16;
    case T.listenerQuery:
    case T.listenerReport:
    case T.listenerDone:
    case T.neighbourSolicitation:
    case T.neighbourAdvertisement:
      return 24;
    case T.redirect:
      return 40;
    default:
      return isError(type) || isEcho(type) || isDiscovery(type) ? 8 : ICMPV6_HEADER;
  }
}

/** Offset of the byte of flags, 0 if there is none. */
export function flagsAt(type: number): number {
  return type === T.routerAdvertisement ? 5 : type === T.neighbourAdvertisement ? 4 : 0;
}

/** Which fields a type has besides type, code and checksum; the others are refused. */
export function fieldsOf(type: number): readonly string[] {
  if (isEcho(type)) return ["identifier", "sequence"];
  if (isListener(type)) return ["maximumResponseDelay", "group"];
  switch (type) {
    case T.packetTooBig:
      return ["mtu"];
    case T.parameterProblem:
      return ["pointer"];
    case T.routerSolicitation:
      return ["options"];
    case T.routerAdvertisement:
      return [
        ...["hopLimit", "routerLifetime", "reachableTime", "retransmitTimer"],
        ...["flags", "managed", "otherConfiguration", "options"],
      ];
    case T.neighbourSolicitation:
      return ["target", "options"];
    case T.neighbourAdvertisement:
      return ["target", "flags", "router", "solicited", "override", "options"];
    case T.redirect:
      return ["target", "destination", "options"];
    default:
      return [];
  }
}
