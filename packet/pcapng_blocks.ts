// SPDX-License-Identifier: MIT

/**
 * Reading the contents of pcapng's blocks.
 *
 * Theory of operation: {@linkcode CaptureReader} has found where a block begins and ends, and that its length fits;
 * here is what lies in it. Options end with the block at the latest; one that says it is longer is damage. Options that
 * are not known, or have not the length that theirs has, are passed over.
 *
 * @module
 */

import { MacAddress } from "./mac_address.ts";
import { PacketError } from "./packet_error.ts";
import {
  Block,
  type CapturedInterface,
  type CapturedPacket,
  type CapturedSection,
  type CaptureStatistics,
  directions,
  Option,
  padded,
} from "./pcapng_format.ts";
import { joinTime } from "./pcapng_options.ts";

const NS_PER_S = 1_000_000_000n;

/** Microseconds: the unit of an interface that names none. */
const MICROSECONDS = 6;

/** A block, or a header of classic pcap, in the bytes that it was found in. */
export interface Found {
  /** The bytes. */
  readonly bytes: Uint8Array;
  /** The same bytes, for numbers. */
  readonly view: DataView;
  /** Offset of its first byte. */
  readonly at: number;
  /** Its length in bytes. */
  readonly length: number;
  /** Whether its numbers have their lowest byte first. */
  readonly little: boolean;
  /** Offset of its first byte in the file, for errors. */
  readonly offset: number;
}

type MutableStatistics = { -readonly [Key in keyof CaptureStatistics]: CaptureStatistics[Key] };

/** An interface, with what is needed to read its packets. */
export interface ReadInterface extends CapturedInterface {
  /** Units of its times in a second: a power of 10 or of 2. */
  readonly unitsPerSecond: bigint;
  /** Nanoseconds that are to be added to its times. */
  readonly offsetNs: bigint;
  statistics: CaptureStatistics | undefined;
  /** Bytes of the block that its statistics are from, 0 if there was none. */
  statisticsLength: number;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const none: readonly string[] = [];

/** Makes an error of a place in the file. */
export function damaged(detail: string, offset: number, layer = "pcapng"): PacketError {
  return new PacketError(`${detail}, at byte ${offset} of the file`, { layer, offset });
}

/** Calls a function for each option from one offset to another. */
function eachOption(
  { view, little, at, offset }: Found,
  from: number,
  to: number,
  take: (code: number, start: number, length: number) => void,
): void {
  while (from + 4 <= to) {
    const code = view.getUint16(from, little);
    const length = view.getUint16(from + 2, little);
    if (code === Option.end) return;
    const start = from + 4;
    if (length > to - start) {
      throw damaged(`option ${code} needs ${length} bytes, and its block has ${to - start} more`, offset + from - at);
    }
    take(code, start, length);
    from = start + padded(length);
  }
}

const textIn = ({ bytes }: Found, start: number, length: number): string =>
  decoder.decode(bytes.subarray(start, start + length));

/** A count of 64 bits; beyond 2^53 - 1 it is not exact. */
const countIn = ({ view, little }: Found, start: number): number => Number(view.getBigUint64(start, little));

/** A time, whose upper half goes first in any byte order, in its interface's units. */
const unitsIn = ({ view, little }: Found, start: number): bigint =>
  joinTime(view.getUint32(start, little), view.getUint32(start + 4, little));

/** A section's header. */
export function readSection(block: Found): CapturedSection {
  const texts: Record<number, string> = {};
  const comments: string[] = [];
  eachOption(block, block.at + 24, block.at + block.length - 4, (code, start, length) => {
    if (code === Option.comment) comments.push(textIn(block, start, length));
    else if (code <= Option.sectionApplication) texts[code] = textIn(block, start, length);
  });
  return {
    format: "pcapng",
    application: texts[Option.sectionApplication],
    operatingSystem: texts[Option.sectionOperatingSystem],
    hardware: texts[Option.sectionHardware],
    comments,
  };
}

/** The description of an interface. */
export function readInterface(block: Found, section: CapturedSection, index: number): ReadInterface {
  const { bytes, view, little, at } = block;
  const texts: Record<number, string> = {};
  const comments: string[] = [];
  let macAddress: MacAddress | undefined;
  let speed: number | undefined;
  let filter: string | undefined;
  let resolution = MICROSECONDS;
  let offsetS = 0n;
  eachOption(block, at + 16, at + block.length - 4, (code, start, length) => {
    switch (code) {
      case Option.comment:
        comments.push(textIn(block, start, length));
        break;
      case Option.interfaceName:
      case Option.interfaceDescription:
      case Option.interfaceOperatingSystem:
      case Option.interfaceHardware:
        texts[code] = textIn(block, start, length);
        break;
      case Option.interfaceMacAddress:
        if (length === 6) macAddress = new MacAddress(bytes.subarray(start, start + length));
        break;
      case Option.interfaceSpeed:
        if (length === 8) speed = countIn(block, start);
        break;
      case Option.interfaceResolution:
        if (length === 1) resolution = bytes[start]!;
        break;
      case Option.interfaceFilter:
        if (length > 0 && bytes[start] === 0) filter = textIn(block, start + 1, length - 1); // 1 would be machine code
        break;
      case Option.interfaceTimeOffset:
        if (length === 8) offsetS = view.getBigInt64(start, little);
    }
  });
  return {
    section,
    index,
    name: texts[Option.interfaceName],
    description: texts[Option.interfaceDescription],
    linkType: view.getUint16(at + 8, little),
    snapLength: view.getUint32(at + 12, little),
    filter,
    macAddress,
    speed,
    operatingSystem: texts[Option.interfaceOperatingSystem],
    hardware: texts[Option.interfaceHardware],
    comments,
    statistics: undefined,
    statisticsLength: 0,
    unitsPerSecond: (resolution & 0x80 ? 2n : 10n) ** BigInt(resolution & 0x7f),
    offsetNs: offsetS * NS_PER_S,
  };
}

/** A time in an interface's units as nanoseconds since 1970, rounded down. */
export function nanoseconds(units: bigint, { unitsPerSecond, offsetNs }: ReadInterface): bigint {
  const ns = unitsPerSecond === NS_PER_S ? units : units * NS_PER_S / unitsPerSecond;
  return offsetNs === 0n ? ns : ns + offsetNs;
}

/** A packet: an enhanced packet block, an obsolete one, or a simple one. */
export function readPacket(block: Found, type: number, interfaces: readonly ReadInterface[]): CapturedPacket {
  const { view, little, at } = block;
  const isSimple = type === Block.simplePacket;
  const isOld = type === Block.oldPacket;
  const head = isSimple ? 12 : 28;
  const room = block.length - head - 4;
  if (room < 0) throw damaged(`a packet's block of ${block.length} bytes is too short`, block.offset);
  const index = isSimple ? 0 : isOld ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
  const it = interfaces[index];
  if (it === undefined) {
    throw damaged(`a packet of interface ${index}, and there are ${interfaces.length}`, block.offset);
  }
  const originalLength = view.getUint32(at + head - 4, little);
  // How much a simple one keeps is written nowhere
  const kept = isSimple ? Math.min(originalLength, it.snapLength || originalLength) : view.getUint32(at + 20, little);
  if (kept > room) throw damaged(`a packet of ${kept} bytes in a block with room for ${room}`, block.offset);
  let direction: CapturedPacket["direction"];
  let dropped: number | undefined;
  let comments = none;
  const options = at + head + padded(kept);
  const end = at + block.length - 4;
  if (isOld) {
    const drops = view.getUint16(at + 10, little);
    if (drops !== 0 && drops !== 0xffff) dropped = drops; // all ones: not known
  }
  if (options < end && !isSimple) {
    const remarks: string[] = [];
    eachOption(block, options, end, (code, start, length) => {
      if (code === Option.comment) remarks.push(textIn(block, start, length));
      else if (code === Option.packetFlags && length === 4) direction = directions[view.getUint32(start, little) & 3];
      else if (code === Option.packetDropped && length === 8 && !isOld) dropped = countIn(block, start);
    });
    if (remarks.length > 0) comments = remarks;
  }
  return {
    bytes: block.bytes.subarray(at + head, at + head + kept),
    interface: it,
    timestampNs: isSimple ? undefined : nanoseconds(unitsIn(block, at + 12), it),
    originalLength,
    direction,
    dropped,
    comments,
  };
}

/** Counters of an interface, which are put where its packets find them. Answers the interface. */
export function readStatistics(block: Found, interfaces: readonly ReadInterface[]): ReadInterface {
  const { view, little, at } = block;
  if (block.length < 24) throw damaged(`statistics of ${block.length} bytes are too short`, block.offset);
  const index = view.getUint32(at + 8, little);
  const it = interfaces[index];
  if (it === undefined) {
    throw damaged(`statistics of interface ${index}, and there are ${interfaces.length}`, block.offset);
  }
  const comments: string[] = [];
  const statistics: MutableStatistics = { timestampNs: nanoseconds(unitsIn(block, at + 12), it), comments };
  eachOption(block, at + 20, at + block.length - 4, (code, start, length) => {
    if (code === Option.comment) comments.push(textIn(block, start, length));
    if (length !== 8) return;
    if (code === Option.statisticsStart) statistics.startNs = nanoseconds(unitsIn(block, start), it);
    if (code === Option.statisticsEnd) statistics.endNs = nanoseconds(unitsIn(block, start), it);
    if (code === Option.statisticsReceived) statistics.received = countIn(block, start);
    if (code === Option.statisticsInterfaceDropped) statistics.interfaceDropped = countIn(block, start);
    if (code === Option.statisticsAccepted) statistics.accepted = countIn(block, start);
    if (code === Option.statisticsSystemDropped) statistics.systemDropped = countIn(block, start);
    if (code === Option.statisticsDelivered) statistics.delivered = countIn(block, start);
  });
  it.statistics = statistics;
  return it;
}
