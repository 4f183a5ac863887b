// SPDX-License-Identifier: MIT

/**
 * Ethernet (IEEE 802.3) with tags of virtual LANs (IEEE 802.1Q).
 *
 * Theory of operation: behind the two addresses come 16 bits that say what follows. Values of tags mean that 16 bits of
 * tag follow, and then again 16 bits that say what follows; a few tags may do so. Less than 1536 is no type but the
 * number of bytes that follow, as 802.3 had it first.
 *
 * @module
 */

import type { Layer, Place } from "./encode.ts";
import { setU16, uint } from "./field.ts";
import { type MacAddress, type MacLike, readMac, toMac } from "./mac_address.ts";
import { PacketError } from "./packet_error.ts";
import { View } from "./view.ts";

/** What Ethernet carries, by the numbers that IANA lists as EtherTypes. */
export const EtherType = {
  /** Internet Protocol, version 4 (RFC 894). */
  ipv4: 0x0800,
  /** Address Resolution Protocol (RFC 826). */
  arp: 0x0806,
  /** A tag of a virtual LAN (IEEE 802.1Q), also the inner of two. */
  vlan: 0x8100,
  /** Internet Protocol, version 6 (RFC 2464, section 3). */
  ipv6: 0x86dd,
  /** A service tag, the outer of two (IEEE 802.1ad, now in 802.1Q). */
  serviceVlan: 0x88a8,
  /** The outer of two tags in equipment that is older than 802.1ad. */
  oldServiceVlan: 0x9100,
} as const;

/** What is below this is the number of bytes that follow, not a type (IEEE 802.3, section 3.2.6). */
export const SMALLEST_ETHER_TYPE = 1536;

const HEADER = 14;
const TAG = 4;

/** Tags of one frame; more are in none that anybody would send. */
export const MOST_TAGS = 8;

/** A tag of a virtual LAN. */
export interface VlanTag {
  /** What announced the tag: `0x8100`, or `0x88a8` for a service tag. */
  readonly tpid: number;
  /** Priority (PCP), from 0 to 7. 0 is the usual one, 1 is below it. */
  readonly priority: number;
  /** Whether the frame may go first when there is no room (DEI). */
  readonly dropEligible: boolean;
  /** Number of the virtual LAN (VID), from 0 to 4095. 0 stands for a priority without a virtual LAN. */
  readonly id: number;
}

/** Whether 16 bits announce a tag. */
export function isTagType(type: number): boolean {
  return type === EtherType.vlan || type === EtherType.serviceVlan || type === EtherType.oldServiceVlan;
}

/**
 * A frame of Ethernet, without the checksum at its end.
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 6 | `destination` |
 * | 6 | 6 | `source` |
 * | 12 | 4 each | `vlans`: 16 bits `tpid`, 3 bits `priority`, 1 bit `dropEligible`, 12 bits `id` |
 * | 12 + 4 n | 2 | `type` |
 *
 * Short frames are padded to 60 bytes on their way, which this layer cannot tell from what it carries; IP can.
 *
 * @example Usage
 * ```ts
 * import { encoded, Ethernet, ethernet, vlan } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const frame = encoded(
 *   ethernet({ destination: "ff:ff:ff:ff:ff:ff", source: "52:54:00:00:00:01" }),
 *   vlan({ id: 7, type: 0x88b5 }),
 *   new Uint8Array(46),
 * );
 * const view = new Ethernet(frame);
 * assertEquals(view.destination.isBroadcast, true);
 * assertEquals(view.vlans[0]?.id, 7);
 * assertEquals(view.type, 0x88b5);
 * ```
 */
export class Ethernet extends View {
  /** Bytes of the header: 14, and 4 more for each tag. */
  readonly headerLength: number;

  /**
   * Looks at a frame.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If it ends within its header, or has more than 8 tags.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    const length = headerLength(frame, start, end);
    super("ethernet", length, frame, start, capacity(frame, start + length, end));
    this.headerLength = length;
  }

  /** Always `"ethernet"`. */
  get layer(): "ethernet" {
    return "ethernet";
  }

  /** Whom the frame is for. */
  get destination(): MacAddress {
    return readMac(this.frame, this.start);
  }

  /** Who sent it. */
  get source(): MacAddress {
    return readMac(this.frame, this.start + 6);
  }

  /** Tags of virtual LANs, the outermost first; most frames have none. */
  get vlans(): readonly VlanTag[] {
    const tags: VlanTag[] = [];
    for (let at = HEADER - 2; at < this.headerLength - 2; at += TAG) {
      const bits = this.u16(at + 2);
      tags.push({ tpid: this.u16(at), priority: bits >>> 13, dropEligible: (bits & 0x1000) !== 0, id: bits & 0xfff });
    }
    return tags;
  }

  /** What the frame carries, behind tags: one of {@linkcode EtherType}, or the number of bytes if below 1536. */
  get type(): number {
    return this.u16(this.headerLength - 2);
  }
}

/** Bytes up to what is carried. It may be more than there are, which is for the caller to see. */
function headerLength(frame: Uint8Array, start: number, end: number): number {
  let length = HEADER;
  while (start + length <= end && isTagType(frame[start + length - 2]! << 8 | frame[start + length - 1]!)) {
    length += TAG;
    if (length > HEADER + MOST_TAGS * TAG) {
      throw new PacketError(`it has more than ${MOST_TAGS} tags`, { layer: "ethernet", offset: length });
    }
  }
  return length;
}

/** The end of what is carried: that of the frame, unless its type is a length. */
function capacity(frame: Uint8Array, payload: number, end: number): number {
  const type = frame[payload - 2]! << 8 | frame[payload - 1]!;
  return type < SMALLEST_ETHER_TYPE && payload <= end ? Math.min(end, payload + type) : end;
}

/** What {@linkcode vlan} takes. */
export interface VlanOptions {
  /** What announces the tag. Default: `0x8100`; the outer of two tags takes `0x88a8`. */
  readonly tpid?: number | undefined;
  /** Priority, from 0 to 7. Default: 0. */
  readonly priority?: number | undefined;
  /** Whether the frame may go first when there is no room. Default: no. */
  readonly dropEligible?: boolean | undefined;
  /** Number of the virtual LAN, from 0 to 4095. */
  readonly id: number;
}

/** What {@linkcode ethernet} takes. */
export interface EthernetOptions {
  /** Whom the frame is for. */
  readonly destination: MacLike;
  /** Who sends it. */
  readonly source: MacLike;
  /** Tags of virtual LANs, the outermost first. Default: none. {@linkcode vlan} adds one, too. */
  readonly vlans?: readonly VlanOptions[] | undefined;
  /** What the frame carries, from 0 to 65535. Default: the type of the layer inside; for bytes there is none. */
  readonly type?: number | undefined;
}

/** A layer that says which type announces it. */
interface VlanLayer extends Layer {
  readonly tpid: number;
}

const types: Partial<Record<Layer["layer"], number>> = {
  arp: EtherType.arp,
  ipv4: EtherType.ipv4,
  ipv6: EtherType.ipv6,
};

function typeOf(layer: string, given: number | undefined, inner: Layer | undefined): number {
  if (given !== undefined) return given;
  const type = inner?.layer === "vlan" ? (inner as VlanLayer).tpid : inner && types[inner.layer];
  if (type !== undefined) return type;
  throw new TypeError(`Cannot encode ${layer}: type is needed, for it carries ${inner?.layer ?? "bytes"}`);
}

/** The 16 bits of a tag. */
function tagBits({ priority, dropEligible = false, id }: VlanOptions): number {
  return uint("vlan", "priority", priority, 0, 7) << 13 | (dropEligible ? 0x1000 : 0) |
    uint("vlan", "id", id, 0, 0xfff);
}

/**
 * The header of a frame, for {@linkcode encode}. A short frame is not padded: interfaces do that.
 *
 * @throws {TypeError} If an address is wrong; on encoding, if there is no type and nothing inside that has one.
 * @throws {RangeError} If a number is out of its range.
 */
export function ethernet(options: EthernetOptions): Layer {
  const destination = toMac(options.destination, "destination");
  const source = toMac(options.source, "source");
  const type = options.type === undefined ? undefined : uint("ethernet", "type", options.type, 0, 0xffff);
  const tags = (options.vlans ?? []).map((tag) => ({
    tpid: uint("vlan", "tpid", tag.tpid, EtherType.vlan, 0xffff),
    bits: tagBits(tag),
  }));
  return {
    layer: "ethernet",
    headerLength: HEADER + TAG * tags.length,
    write({ into, start, inner }: Place): void {
      destination.copyTo(into, start);
      source.copyTo(into, start + 6);
      let at = start + HEADER - 2;
      for (const { tpid, bits } of tags) {
        setU16(into, at, tpid);
        setU16(into, at + 2, bits);
        at += TAG;
      }
      setU16(into, at, typeOf("ethernet", type, inner));
    },
  };
}

/**
 * A tag of a virtual LAN between {@linkcode ethernet} and what it carries, for {@linkcode encode}.
 *
 * @param options The tag, and the `type` of what it carries, from 0 to 65535. Default: the type of the layer inside.
 * @throws {TypeError} On encoding, if there is no type and nothing inside that has one.
 * @throws {RangeError} If a number is out of its range.
 */
export function vlan(options: VlanOptions & { readonly type?: number | undefined }): Layer {
  const bits = tagBits(options);
  const type = options.type === undefined ? undefined : uint("vlan", "type", options.type, 0, 0xffff);
  const layer: VlanLayer = {
    layer: "vlan",
    tpid: uint("vlan", "tpid", options.tpid, EtherType.vlan, 0xffff),
    headerLength: TAG,
    write({ into, start, inner }: Place): void {
      setU16(into, start, bits);
      setU16(into, start + 2, typeOf("vlan", type, inner));
    },
  };
  return layer;
}
