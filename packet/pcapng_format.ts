// SPDX-License-Identifier: MIT

/**
 * What a capture file is made of, for those who write and those who read one.
 *
 * Theory of operation: a pcapng file (draft-ietf-opsawg-pcapng) is a row of blocks. A block is its type, its length,
 * its contents, padded to 4 bytes, and its length once more. A section begins with a header, which tells its byte
 * order; then come the interfaces, numbered from 0 as they appear, packets, and counters of interfaces. Most blocks end
 * with options: number, length, value, padded to 4 bytes.
 *
 * @module
 */

import type { MacAddress, MacLike } from "./mac_address.ts";

/** Types of blocks. */
export const Block = {
  interface: 1,
  oldPacket: 2,
  simplePacket: 3,
  statistics: 5,
  packet: 6,
  section: 0x0a0d0d0a, // reads the same in both byte orders
} as const;

/** Tells the byte order, in a section's header. */
export const BYTE_ORDER = 0x1a2b3c4d;

/** Numbers of options. Those from 2 on depend on the block. */
export const Option = {
  end: 0,
  comment: 1,
  sectionHardware: 2,
  sectionOperatingSystem: 3,
  sectionApplication: 4,
  interfaceName: 2,
  interfaceDescription: 3,
  interfaceMacAddress: 6,
  interfaceSpeed: 8,
  interfaceResolution: 9,
  interfaceFilter: 11,
  interfaceOperatingSystem: 12,
  interfaceTimeOffset: 14,
  interfaceHardware: 15,
  packetFlags: 2,
  packetDropped: 4,
  statisticsStart: 2,
  statisticsEnd: 3,
  statisticsReceived: 4,
  statisticsInterfaceDropped: 5,
  statisticsAccepted: 6,
  statisticsSystemDropped: 7,
  statisticsDelivered: 8,
} as const;

/** Which way a packet went, in bits 0 and 1 of its flags. */
export const directions = [undefined, "inbound", "outbound", undefined] as const;

/** The longest block that is written or read, in bytes. Wireshark reads packets of most links up to 256 KiB. */
export const BLOCK_MOST: number = 16 << 20;

/** The link type of Ethernet. */
export const LINK_ETHERNET = 1;

/** A length with its padding. */
export const padded = (length: number): number => (length + 3) & ~3;

/** Which way a packet went, as its interface sees it. */
export type CaptureDirection = "inbound" | "outbound";

/** An interface that packets are captured on, as {@linkcode PcapngWriter.addInterface} takes it. */
export interface CaptureInterfaceOptions {
  /** Its name, for instance `"lab"`. */
  readonly name?: string | undefined;
  /** A line about it. */
  readonly description?: string | undefined;
  /** Kind of its frames, from 0 to 65535: a number of the registry of link types; 1, Ethernet, by default. */
  readonly linkType?: number | undefined;
  /** Longest copy of a packet in bytes; 0, no limit, by default. */
  readonly snapLength?: number | undefined;
  /** The filter that its packets match, in the words of libpcap. */
  readonly filter?: string | undefined;
  /** Its MAC address. */
  readonly macAddress?: MacLike | undefined;
  /** Its speed in bits per second. */
  readonly speed?: number | undefined;
  /** The operating system of the machine that it is in. */
  readonly operatingSystem?: string | undefined;
  /** What it is made of. */
  readonly hardware?: string | undefined;
  /** Remarks. */
  readonly comments?: string | readonly string[] | undefined;
}

/** What is written about a packet besides its bytes. A {@linkcode CapturedPacket} is one. */
export interface CapturePacketOptions {
  /**
   * Number of its interface; 0 by default. An interface of a file that was read stands for itself: it is added when its
   * first packet comes.
   */
  readonly interface?: number | CapturedInterface | undefined;
  /** When it was captured, in nanoseconds since 1970, from 0 to 2^64 - 1; now by default. */
  readonly timestampNs?: bigint | undefined;
  /** Its length in bytes before it was cut; that of its bytes by default. */
  readonly originalLength?: number | undefined;
  /** Which way it went; not said by default. */
  readonly direction?: CaptureDirection | undefined;
  /** Packets that were lost since the one before it on its interface; not said by default. */
  readonly dropped?: number | undefined;
  /** Remarks, which Wireshark shows with the packet. */
  readonly comments?: string | readonly string[] | undefined;
}

/** What an interface counted. Numbers are from the beginning of the capture on, as far as they are known. */
export interface CaptureStatistics {
  /** When they were taken, in nanoseconds since 1970; now by default. */
  readonly timestampNs?: bigint | undefined;
  /** When the capture began, in nanoseconds since 1970. */
  readonly startNs?: bigint | undefined;
  /** When the capture ended, in nanoseconds since 1970. */
  readonly endNs?: bigint | undefined;
  /** Packets that the interface received. */
  readonly received?: number | undefined;
  /** Packets that the interface dropped as it lacked room. */
  readonly interfaceDropped?: number | undefined;
  /** Packets that the filter accepted. */
  readonly accepted?: number | undefined;
  /** Accepted packets that the system dropped as it lacked room. */
  readonly systemDropped?: number | undefined;
  /** Packets that were delivered to the program that captures. */
  readonly delivered?: number | undefined;
  /** Remarks. */
  readonly comments?: string | readonly string[] | undefined;
}

/** A part of a capture file with a byte order and interfaces of its own. Most files have one. */
export interface CapturedSection {
  /** What the file is. */
  readonly format: "pcapng" | "pcap";
  /** The program that wrote it. */
  readonly application: string | undefined;
  /** The operating system that it was written on. */
  readonly operatingSystem: string | undefined;
  /** The machine that it was written on. */
  readonly hardware: string | undefined;
  /** Remarks. */
  readonly comments: readonly string[];
}

/** An interface of a file. */
export interface CapturedInterface extends CaptureInterfaceOptions {
  /** The section that it is in. */
  readonly section: CapturedSection;
  /** Its number in the section, from 0 on. */
  readonly index: number;
  /** Kind of its frames, a number of the registry of link types; 1 is Ethernet. */
  readonly linkType: number;
  /** Longest copy of a packet in bytes, 0 for no limit. */
  readonly snapLength: number;
  /** Its MAC address. */
  readonly macAddress: MacAddress | undefined;
  /** Remarks. */
  readonly comments: readonly string[];
  /** What it counted: the last that was read so far. Files have it at their end, if at all. */
  readonly statistics: CaptureStatistics | undefined;
}

/** A packet of a file. {@linkcode PcapngWriter.write} takes it as its options. */
export interface CapturedPacket extends CapturePacketOptions {
  /** The packet, as far as it is in the file: a view of what was read, not a copy. */
  readonly bytes: Uint8Array;
  /** The interface that it was captured on. */
  readonly interface: CapturedInterface;
  /** When, in nanoseconds since 1970; `undefined` in a simple packet block, which has no time. */
  readonly timestampNs: bigint | undefined;
  /** Its length in bytes before it was cut. */
  readonly originalLength: number;
  /** Remarks. */
  readonly comments: readonly string[];
}
