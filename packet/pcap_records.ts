// SPDX-License-Identifier: MIT

/**
 * Reading classic pcap, the capture format of tcpdump (draft-ietf-opsawg-pcap).
 *
 * Theory of operation: a header of 24 bytes, whose first four tell the byte order and the unit of times; then packets,
 * each behind a header of 16 bytes. The whole file is one interface.
 *
 * @module
 */

import { damaged, type Found, type ReadInterface } from "./pcapng_blocks.ts";
import { BLOCK_MOST, type CapturedPacket } from "./pcapng_format.ts";

/** The first four bytes of a file, as a number, with times in microseconds or nanoseconds. */
export const PcapMagic = { microseconds: 0xa1b2c3d4, nanoseconds: 0xa1b23c4d } as const;

/** Bytes of the file's header. */
export const PCAP_HEADER = 24;

/** Bytes of a packet's header. */
export const PCAP_RECORD = 16;

/** The major version of all files since 1998. */
const VERSION = 2;

const NS_PER_S = 1_000_000_000n;

/** The file's header, as the interface that it describes. */
export function readPcapHeader(header: Found): ReadInterface {
  const { view, little, at } = header;
  const version = view.getUint16(at + 4, little);
  if (version !== VERSION) throw damaged(`version ${version}, and only ${VERSION} is known`, 4, "pcap");
  return {
    section: { format: "pcap", application: undefined, operatingSystem: undefined, hardware: undefined, comments: [] },
    index: 0,
    linkType: view.getUint32(at + 20, little) & 0xffff, // the upper half is about frame check sequences
    snapLength: view.getUint32(at + 16, little),
    macAddress: undefined,
    comments: [],
    statistics: undefined,
    statisticsLength: 0,
    unitsPerSecond: view.getUint32(at, little) === PcapMagic.nanoseconds ? NS_PER_S : 1_000_000n,
    offsetNs: 0n,
  };
}

/** The bytes of a packet with its header. */
export function pcapRecordLength({ view, little, at, offset }: Found): number {
  const length = view.getUint32(at + 8, little);
  if (length > BLOCK_MOST) {
    throw damaged(`a packet of ${length} bytes, and ${BLOCK_MOST} are the most`, offset, "pcap");
  }
  return PCAP_RECORD + length;
}

/** A packet with its header. */
export function readPcapRecord({ bytes, view, little, at, length }: Found, from: ReadInterface): CapturedPacket {
  const part = BigInt(view.getUint32(at + 4, little)) * (NS_PER_S / from.unitsPerSecond);
  return {
    bytes: bytes.subarray(at + PCAP_RECORD, at + length),
    interface: from,
    timestampNs: BigInt(view.getUint32(at, little)) * NS_PER_S + part,
    originalLength: view.getUint32(at + 12, little),
    direction: undefined,
    dropped: undefined,
    comments: from.comments,
  };
}
