// SPDX-License-Identifier: MIT

/**
 * The Address Resolution Protocol, of IPv4 over Ethernet (RFC 826).
 *
 * @module
 */

import type { Layer, Place } from "./encode.ts";
import { setU16, setU32, uint } from "./field.ts";
import { type Ipv4Address, type Ipv4Like, readIpv4, toIpv4 } from "./ipv4_address.ts";
import { MacAddress, type MacLike, readMac, toMac } from "./mac_address.ts";
import { PacketError } from "./packet_error.ts";
import { View } from "./view.ts";

/** What an ARP packet is for. */
export const ArpOperation = {
  /** Who has the target's address? */
  request: 1,
  /** The sender has its address. */
  reply: 2,
} as const;

const LENGTH = 28;

/** Ethernet and IPv4: their numbers, and the lengths of their addresses. */
const KIND = [0x00010800, 0x0604] as const;

/**
 * An ARP packet of IPv4 over Ethernet.
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 6 | Ethernet and IPv4: 1, 0x0800, 6, 4 |
 * | 6 | 2 | `operation` |
 * | 8 | 6 | `senderMac` |
 * | 14 | 4 | `senderIp` |
 * | 18 | 6 | `targetMac` |
 * | 24 | 4 | `targetIp` |
 *
 * @example Usage
 * ```ts
 * import { Arp, arp, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(arp({ senderMac: "52:54:00:00:00:01", senderIp: "10.0.0.2", targetIp: "10.0.0.1" }));
 * const view = new Arp(bytes);
 * assertEquals(`who has ${view.targetIp}? tell ${view.senderIp}`, "who has 10.0.0.1? tell 10.0.0.2");
 * ```
 */
export class Arp extends View {
  /**
   * Looks at a packet; what is behind it is padding.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte or later. Default: all.
   * @throws {PacketError} If it is too short, or not of IPv4 over Ethernet.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("arp", LENGTH, frame, start, Math.min(end, start + LENGTH));
    if (this.u32(0) !== KIND[0] || this.u16(4) !== KIND[1]) {
      throw new PacketError("it is not of IPv4 over Ethernet", { layer: "arp", offset: 0 });
    }
  }

  /** Always `"arp"`. */
  get layer(): "arp" {
    return "arp";
  }

  /** Always 28: it carries nothing. */
  get headerLength(): number {
    return LENGTH;
  }

  /** What it is for, one of {@linkcode ArpOperation} as a rule. */
  get operation(): number {
    return this.u16(6);
  }

  /** Adapter of the sender. */
  get senderMac(): MacAddress {
    return readMac(this.frame, this.start + 8);
  }

  /** Address of the sender, `0.0.0.0` in a probe. */
  get senderIp(): Ipv4Address {
    return readIpv4(this.frame, this.start + 14);
  }

  /** Adapter of the target, without meaning in a request. */
  get targetMac(): MacAddress {
    return readMac(this.frame, this.start + 18);
  }

  /** Address of the target. */
  get targetIp(): Ipv4Address {
    return readIpv4(this.frame, this.start + 24);
  }

  /** Whether somebody asks if an address is free before taking it (RFC 5227, section 1.1). */
  get isProbe(): boolean {
    return this.operation === ArpOperation.request && this.u32(14) === 0;
  }

  /** Whether somebody tells everybody which address is his, unasked (RFC 5227, section 1.1). */
  get isAnnouncement(): boolean {
    return this.operation === ArpOperation.request && this.u32(14) === this.u32(24);
  }
}

/** What {@linkcode arp} takes. */
export interface ArpOptions {
  /** What it is for, from 0 to 65535. Default: `1`, a request. */
  readonly operation?: number | undefined;
  /** Adapter of the sender. */
  readonly senderMac: MacLike;
  /** Address of the sender. */
  readonly senderIp: Ipv4Like;
  /** Adapter of the target. Default: `00:00:00:00:00:00`, as in requests. */
  readonly targetMac?: MacLike | undefined;
  /** Address of the target. */
  readonly targetIp: Ipv4Like;
}

/**
 * An ARP packet, for {@linkcode encode}.
 *
 * @throws {TypeError} If an address is wrong.
 * @throws {RangeError} If the operation is out of its range.
 */
export function arp(options: ArpOptions): Layer {
  const operation = uint("arp", "operation", options.operation, ArpOperation.request, 0xffff);
  const senderMac = toMac(options.senderMac, "senderMac");
  const senderIp = toIpv4(options.senderIp, "senderIp");
  const targetMac = options.targetMac === undefined ? new MacAddress(0) : toMac(options.targetMac, "targetMac");
  const targetIp = toIpv4(options.targetIp, "targetIp");
  return {
    layer: "arp",
    headerLength: LENGTH,
    write({ into, start }: Place): void {
      setU32(into, start, KIND[0]);
      setU16(into, start + 4, KIND[1]);
      setU16(into, start + 6, operation);
      senderMac.copyTo(into, start + 8);
      senderIp.copyTo(into, start + 14);
      targetMac.copyTo(into, start + 18);
      targetIp.copyTo(into, start + 24);
    },
  };
}
