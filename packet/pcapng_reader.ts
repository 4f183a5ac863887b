// SPDX-License-Identifier: MIT

/**
 * Reading captures: pcapng, and classic pcap.
 *
 * Theory of operation: the reader is given bytes as they come, cut anywhere, and asked for packets. What lies whole in
 * one piece is read where it lies; a block that is cut goes into a buffer of its own, which grows with what has come,
 * not with what the block says of itself. Each step knows how many bytes it needs: a header first, then what it says.
 *
 * @module
 */

import {
  PCAP_HEADER,
  PCAP_RECORD,
  PcapMagic,
  pcapRecordLength,
  readPcapHeader,
  readPcapRecord,
} from "./pcap_records.ts";
import {
  damaged,
  type Found,
  type ReadInterface,
  readInterface,
  readPacket,
  readSection,
  readStatistics,
} from "./pcapng_blocks.ts";
import {
  Block,
  BLOCK_MOST,
  BYTE_ORDER,
  type CapturedInterface,
  type CapturedPacket,
  type CapturedSection,
} from "./pcapng_format.ts";

/** Bytes of the shortest block, and of a section's header without options. */
const SHORTEST = 12;
const SHORTEST_SECTION = 28;
const SHORTEST_INTERFACE = 20;

const nothing = new Uint8Array(0);

/** Interfaces that a section has at the most. */
const INTERFACES_MOST = 65536;

/** What can be captured from: a file, its pieces, or what yields them. */
export type CaptureSource =
  | Uint8Array
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>;

/**
 * Reads a capture that comes in pieces: pcapng, with several sections and both byte orders, or classic pcap.
 *
 * It asks for nothing and waits for nothing; {@linkcode readCapture} is more convenient. Besides what was pushed and
 * not yet read, it keeps one block, of 16 MiB at most, and the interfaces of the section, 65,536 at most, with 16 MiB
 * of description and of statistics.
 *
 * @example Usage
 * ```ts
 * import { CaptureReader, PcapngWriter } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const writer = new PcapngWriter();
 * writer.write(new Uint8Array(60));
 * const file = writer.take();
 *
 * const reader = new CaptureReader();
 * let packets = 0;
 * for (const byte of file) {
 *   reader.push(Uint8Array.of(byte));
 *   for (const packet of reader) packets += packet.bytes.length === 60 ? 1 : 0;
 * }
 * reader.end();
 * assertEquals(packets, 1);
 * ```
 */
export class CaptureReader implements Iterable<CapturedPacket> {
  /** Pieces that wait, the one at `#piece` being read from `#at` on. */
  readonly #pieces: Uint8Array[] = [];
  #piece = 0;
  #bytes: Uint8Array = nothing;
  #view = viewOf(this.#bytes);
  #at = 0;
  /** The beginning of what is cut, empty if nothing is. */
  #kept: Uint8Array = nothing;
  #keptLength = 0;

  /** Offset in the file of what is read now, and the bytes of it that the next step needs. */
  #offset = 0;
  #need = 4;
  #step: (found: Found) => CapturedPacket | undefined = (found) => this.#begin(found);
  #failure: unknown;

  #little = true;
  #section: CapturedSection | undefined;
  #interfaces: ReadInterface[] = [];
  #described = 0;

  /** The section that is read, `undefined` before its header. */
  get section(): CapturedSection | undefined {
    return this.#section;
  }

  /** The interfaces of the section, as far as they have come. */
  get interfaces(): readonly CapturedInterface[] {
    return this.#interfaces;
  }

  /**
   * Gives it bytes. They are not copied, and packets are views of them: they must stay as they are.
   *
   * @param bytes The bytes that follow those before.
   */
  push(bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw new TypeError("Cannot read capture: bytes must be a Uint8Array");
    if (bytes.length > 0) this.#pieces.push(bytes);
  }

  /**
   * Reads a packet.
   *
   * @returns The next packet, or `undefined` if more bytes are needed for one.
   * @throws {PacketError} If the file is damaged: all that comes before the damage has been read, and whoever asks
   * again gets the same error.
   */
  read(): CapturedPacket | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      for (;;) {
        const found = this.#find();
        if (found === undefined) return undefined;
        const packet = this.#step(found);
        if (packet !== undefined) return packet;
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  /** Yields packets until more bytes are needed; see {@linkcode CaptureReader.read}. */
  *[Symbol.iterator](): IterableIterator<CapturedPacket> {
    for (let packet = this.read(); packet !== undefined; packet = this.read()) yield packet;
  }

  /**
   * Says that no more bytes come, after the last packet was read.
   *
   * @throws {PacketError} If the file is damaged, ends within a block, or is empty.
   */
  end(): void {
    if (this.#failure !== undefined) throw this.#failure;
    const rest = this.#keptLength + this.#bytes.length - this.#at;
    if (rest === 0 && this.#section !== undefined) return;
    const layer = this.#section?.format ?? "pcapng";
    throw damaged(`the file ends after ${rest} bytes of a part that needs ${this.#need} or more`, this.#offset, layer);
  }

  /** The bytes that the next step needs, or `undefined` if they have not come. */
  #find(): Found | undefined {
    for (;;) {
      const there = this.#bytes.length - this.#at;
      const need = this.#need;
      if (this.#keptLength === 0 && there >= need) {
        return this.#found(this.#bytes, this.#view, this.#at);
      }
      const more = Math.min(need - this.#keptLength, there);
      if (more > 0) this.#keep(more);
      if (this.#keptLength >= need) return this.#found(this.#kept, viewOf(this.#kept), 0);
      if (this.#piece === this.#pieces.length) return undefined;
      this.#bytes = this.#pieces[this.#piece]!;
      this.#view = viewOf(this.#bytes);
      this.#at = 0;
      this.#pieces[this.#piece++] = nothing;
      // Once half of them were read: to shift each would take a time that grows with those that wait
      if (2 * this.#piece >= this.#pieces.length) {
        this.#pieces.splice(0, this.#piece);
        this.#piece = 0;
      }
    }
  }

  #found(bytes: Uint8Array, view: DataView, at: number): Found {
    return { bytes, view, at, length: this.#need, little: this.#little, offset: this.#offset };
  }

  /** Copies bytes behind those that are kept. */
  #keep(count: number): void {
    const length = this.#keptLength + count;
    if (length > this.#kept.length) {
      const larger = new Uint8Array(Math.max(64, Math.min(2 * length, this.#need)));
      larger.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = larger;
    }
    this.#kept.set(this.#bytes.subarray(this.#at, this.#at + count), this.#keptLength);
    this.#keptLength = length;
    this.#at += count;
  }

  /** Goes on behind what was found. Packets may be views of what was kept, so that is left to them. */
  #pass(need: number, step: (found: Found) => CapturedPacket | undefined): void {
    if (this.#keptLength > 0) {
      this.#kept = nothing;
      this.#keptLength = 0;
    } else {
      this.#at += this.#need;
    }
    this.#offset += this.#need;
    this.#want(need, step);
  }

  #want(need: number, step: (found: Found) => CapturedPacket | undefined): undefined {
    this.#need = need;
    this.#step = step;
  }

  #begin({ view, at }: Found): undefined {
    const magic = view.getUint32(at, true);
    if (magic === Block.section) return this.#want(SHORTEST, this.#blockHeader);
    for (const little of [true, false]) {
      const value = view.getUint32(at, little);
      if (value !== PcapMagic.microseconds && value !== PcapMagic.nanoseconds) continue;
      this.#little = little;
      return this.#want(PCAP_HEADER, this.#pcapHeader);
    }
    const shown = view.getUint32(at, false).toString(16).padStart(8, "0");
    throw damaged(`0x${shown} begins neither pcapng nor pcap`, 0);
  }

  #blockHeader = ({ view, at, offset }: Found): undefined => {
    const isSection = view.getUint32(at, true) === Block.section;
    if (isSection) {
      this.#little = view.getUint32(at + 8, true) === BYTE_ORDER;
      if (!this.#little && view.getUint32(at + 8, false) !== BYTE_ORDER) {
        throw damaged("a section of no known byte order", offset + 8);
      }
    }
    const length = view.getUint32(at + 4, this.#little);
    if (length % 4 !== 0 || length < (isSection ? SHORTEST_SECTION : SHORTEST) || length > BLOCK_MOST) {
      throw damaged(`a block of ${length} bytes, which must be a multiple of 4 up to ${BLOCK_MOST}`, offset + 4);
    }
    this.#want(length, this.#block);
  };

  #block = (found: Found): CapturedPacket | undefined => {
    const { view, at, length, little, offset } = found;
    const again = view.getUint32(at + length - 4, little);
    if (again !== length) {
      throw damaged(`a block of ${length} bytes that says ${again} at its end`, offset + length - 4);
    }
    const type = view.getUint32(at, little);
    let packet: CapturedPacket | undefined;
    switch (type) {
      case Block.section:
        if (view.getUint16(at + 12, little) !== 1) throw damaged("a section of an unknown version", offset + 12);
        this.#section = readSection(found);
        this.#interfaces = [];
        this.#described = 0;
        break;
      case Block.interface:
        this.#interface(found);
        break;
      case Block.packet:
      case Block.simplePacket:
      case Block.oldPacket:
        packet = readPacket(found, type, this.#interfaces);
        break;
      case Block.statistics:
        this.#statistics(found);
    }
    this.#pass(SHORTEST, this.#blockHeader);
    return packet;
  };

  #interface(found: Found): void {
    if (found.length < SHORTEST_INTERFACE) throw damaged("an interface's block is too short", found.offset);
    if (this.#interfaces.length === INTERFACES_MOST) throw damaged("a section with too many interfaces", found.offset);
    this.#describe(found, found.length);
    this.#interfaces.push(readInterface(found, this.#section!, this.#interfaces.length));
  }

  #statistics(found: Found): void {
    const it = readStatistics(found, this.#interfaces);
    this.#describe(found, found.length - it.statisticsLength); // they take the place of those before
    it.statisticsLength = found.length;
  }

  /** Counts bytes that are kept of interfaces. */
  #describe(found: Found, length: number): void {
    this.#described += length;
    if (this.#described > BLOCK_MOST) throw damaged("a section with too much about its interfaces", found.offset);
  }

  #pcapHeader = (found: Found): undefined => {
    const it = readPcapHeader(found);
    this.#section = it.section;
    this.#interfaces = [it];
    this.#pass(PCAP_RECORD, this.#pcapRecordHeader);
  };

  #pcapRecordHeader = (found: Found): undefined => this.#want(pcapRecordLength(found), this.#pcapRecord);

  #pcapRecord = (found: Found): CapturedPacket => {
    const packet = readPcapRecord(found, this.#interfaces[0]!);
    this.#pass(PCAP_RECORD, this.#pcapRecordHeader);
    return packet;
  };
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

/**
 * Reads a capture: pcapng or classic pcap, which the first bytes tell.
 *
 * @param source A whole file, or what yields one: a `ReadableStream` such as the body of a response, a file stream, a
 * list of pieces. Pieces are not copied, so a source must not overwrite what it has yielded.
 * @returns The packets. After the last, {@linkcode CapturedInterface.statistics} has what interfaces counted.
 * @throws {PacketError} If the file is damaged or cut: after all packets before the damage. Its `offset` is the place
 * in the file.
 *
 * @example Usage
 * ```ts
 * import { encoded, ethernet, PcapngWriter, readCapture } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const writer = new PcapngWriter();
 * for (let i = 0; i < 3; i++) writer.write(new Uint8Array(60), { timestampNs: BigInt(i) });
 * const response = new Response(writer.take());
 *
 * const times = [];
 * for await (const packet of readCapture(response.body!)) times.push(packet.timestampNs);
 * assertEquals(times, [0n, 1n, 2n]);
 * ```
 */
export async function* readCapture(source: CaptureSource): AsyncGenerator<CapturedPacket, void> {
  const reader = new CaptureReader();
  for await (const bytes of piecesOf(source)) {
    reader.push(bytes);
    yield* reader;
  }
  reader.end();
}

function piecesOf(source: CaptureSource): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (source instanceof Uint8Array) return [source];
  if (Symbol.iterator in source || Symbol.asyncIterator in source) return source;
  return chunksOf(source);
}

/** The chunks of a stream, where streams cannot be iterated over. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = stream.getReader();
  let isAtEnd = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      isAtEnd = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!isAtEnd) await reader.cancel();
    reader.releaseLock();
  }
}
