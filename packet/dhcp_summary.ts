// SPDX-License-Identifier: MIT

/**
 * What a DHCPv4 message says, in a few words.
 *
 * @module
 */

import type { FrameView } from "./view.ts";

const types = ["", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"];

const MAGIC = 0x63825363;
const OPTIONS = 240;

/** Describes a DHCPv4 message. */
export function describeDhcp(message: FrameView): string {
  const kind = message.u8(0) === 1 ? "request" : "reply";
  const client = message.mac(28);
  if (message.u32(236) !== MAGIC) return `${kind} from ${client} without options (BOOTP)`;
  const options = readOptions(message);
  const type = options.get(53);
  const name = type !== undefined && type.length > 0 ? types[type.u8(0)] || `type ${type.u8(0)}` : kind;
  const details: string[] = [];
  if (message.u32(16) !== 0) details.push(message.ipv4(16));
  const asked = options.get(50);
  if (asked?.length === 4) details.push(`asks for ${asked.ipv4(0)}`);
  const host = options.get(12);
  if (host !== undefined && host.length > 0) details.push(`as ${host.ascii(0, host.length)}`);
  const seconds = options.get(51);
  if (seconds?.length === 4) details.push(`for ${seconds.u32(0)} s`);
  const mtu = options.get(26);
  if (mtu?.length === 2) details.push(`MTU ${mtu.u16(0)}`);
  return `${name} ${client}${details.length > 0 ? ` ${details.join(", ")}` : ""}`;
}

function readOptions(message: FrameView): Map<number, FrameView> {
  const options = new Map<number, FrameView>();
  for (let at = OPTIONS; at < message.length;) {
    const code = message.u8(at++);
    if (code === 0) continue;
    if (code === 255) break;
    const length = message.u8(at);
    options.set(code, message.part(at + 1, length));
    at += 1 + length;
  }
  return options;
}
