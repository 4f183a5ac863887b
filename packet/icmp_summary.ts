// SPDX-License-Identifier: MIT

/**
 * What an ICMP or ICMPv6 message says, in a few words.
 *
 * @module
 */

import type { FrameView } from "./view.ts";

const unreachable = ["network", "host", "protocol", "port", "fragmentation needed", "source route"];
const unreachable6 = ["no route", "prohibited", "beyond scope", "address", "port"];

/** Describes an ICMP message. */
export function describeIcmp(message: FrameView): string {
  const [type, code] = [message.u8(0), message.u8(1)];
  switch (type) {
    case 0:
      return echo("reply", message);
    case 3:
      return `unreachable: ${unreachable[code] ?? `code ${code}`}`;
    case 5:
      return `redirect to ${message.ipv4(4)}`;
    case 8:
      return echo("request", message);
    case 11:
      return "time exceeded";
    default:
      return `type ${type} code ${code}`;
  }
}

/** Describes an ICMPv6 message. */
export function describeIcmpv6(message: FrameView): string {
  const [type, code] = [message.u8(0), message.u8(1)];
  switch (type) {
    case 1:
      return `unreachable: ${unreachable6[code] ?? `code ${code}`}`;
    case 2:
      return `packet too big, MTU ${message.u32(4)}`;
    case 3:
      return "time exceeded";
    case 128:
      return echo("request", message);
    case 129:
      return echo("reply", message);
    case 130:
    case 131:
    case 132:
    case 143:
      return "multicast listener";
    case 133:
      return "router solicitation";
    case 134:
      return `router advertisement, lifetime ${message.u16(6)} s`;
    case 135:
      return `neighbour solicitation, who has ${message.ipv6(8)}?`;
    case 136:
      return `neighbour advertisement, ${message.ipv6(8)} is here`;
    default:
      return `type ${type} code ${code}`;
  }
}

function echo(what: string, message: FrameView): string {
  return `echo ${what} id ${message.u16(4)} seq ${message.u16(6)}, ${message.length - 8} bytes`;
}
