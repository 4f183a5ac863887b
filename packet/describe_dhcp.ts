// SPDX-License-Identifier: MIT

/**
 * What DHCP messages of both versions say, in a few words.
 *
 * @module
 */

import { ipv4Text } from "./describe_ends.ts";
import { COOKIE, END, HARDWARE_ADDRESS, HEADER, Operation, OPTIONS, PAD } from "./dhcp_layout.ts";
import { DhcpMessageType, DhcpOptionCode } from "./dhcp_options.ts";
import { Dhcpv6MessageType } from "./dhcpv6_options.ts";
import { printable } from "./describe_text.ts";
import { getU16, getU32 } from "./field.ts";
import { readMac } from "./mac_address.ts";

/** Names of messages by their numbers: `informationRequest` is an `information-request`. */
const namesOf = (types: Record<string, number>): Map<number, string> =>
  new Map(Object.entries(types).map(([name, type]) => [type, name.replaceAll(/\B[A-Z]/g, "-$&").toLowerCase()]));

const types = namesOf(DhcpMessageType);
const types6 = namesOf(Dhcpv6MessageType);

/** Options looked at, padding included. */
const MAX_OPTIONS = 512;

/** Describes a DHCPv4 message (RFC 2131, options of RFC 2132). */
export function describeDhcp(frame: Uint8Array, start: number, end: number): string {
  if (end - start < OPTIONS) return "(cut short)";
  const client = readMac(frame, start + HARDWARE_ADDRESS.at);
  const kind = frame[start] === Operation.request ? "request" : "reply";
  if (getU32(frame, start + HEADER) !== COOKIE) return `${kind} from ${client} without options (BOOTP)`;
  let [type, asked, host, time, mtu] = [0, 0, 0, 0, 0];
  let rest = "";
  let at = start + OPTIONS;
  // Offsets first and text afterwards: an option may come a thousand times
  for (let i = 0; i < MAX_OPTIONS && at < end; i++) {
    const code = frame[at]!;
    if (code === END) break;
    if (code === PAD) {
      at++;
      continue;
    }
    const data = at + 2;
    const length = at + 1 < end ? frame[at + 1]! : end;
    at = data + length;
    if (at > end) {
      rest = " (cut short)";
      break;
    }
    if (code === DhcpOptionCode.messageType && length > 0) type = data;
    else if (code === DhcpOptionCode.requestedAddress && length === 4) asked = data;
    else if (code === DhcpOptionCode.hostName && length > 0) host = data;
    else if (code === DhcpOptionCode.leaseTime && length === 4) time = data;
    else if (code === DhcpOptionCode.mtu && length === 2) mtu = data;
  }
  let line = `${type === 0 ? kind : types.get(frame[type]!) ?? `type ${frame[type]}`} ${client}`;
  let separator = " ";
  const add = (text: string) => {
    line += separator + text;
    separator = ", ";
  };
  if (getU32(frame, start + 16) !== 0) add(ipv4Text(frame, start + 16));
  if (asked > 0) add(`asks for ${ipv4Text(frame, asked)}`);
  if (host > 0) add(`as ${printable(frame, host, frame[host - 1]!)}`);
  if (time > 0) add(`for ${getU32(frame, time)} s`);
  if (mtu > 0) add(`MTU ${getU16(frame, mtu)}`);
  return line + rest;
}

/** Describes a DHCPv6 message (RFC 8415, section 7.3). */
export function describeDhcpv6(frame: Uint8Array, start: number, end: number): string {
  if (end - start < 4) return "(cut short)";
  return `${types6.get(frame[start]!) ?? `type ${frame[start]}`}, ${end - start} bytes`;
}
