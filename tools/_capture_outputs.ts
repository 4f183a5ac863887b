// SPDX-License-Identifier: MIT

/**
 * Where packets go: lines to read, and files for Wireshark, one or a ring of them.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { join, parse } from "node:path";
import { type CapturedInterface, type CapturedPacket, describe, PcapngWriter } from "vmnet/packet";
import type { Print } from "./_cli.ts";
import { openSink, type Sink, standardOutput } from "./_capture_sink.ts";

const SECOND_NS = 1_000_000_000n;

/** Somewhere for packets. */
export interface Output {
  /** Takes packets; resolves when their bytes may change. */
  write(packets: readonly CapturedPacket[]): Promise<void>;
  /** Ends it in order. */
  close(): Promise<void>;
}

const now = (): bigint => BigInt(Date.now()) * 1_000_000n;

const digits = (value: number, count = 2): string => String(value).padStart(count, "0");

/** A text of a file, without what a terminal would obey. */
const legible = (text: string): string => text.replace(/\p{Cc}+/gu, " ");

/** Time of day on this machine, to the microsecond. */
function timeOfDay(ns: bigint): string {
  const time = new Date(Number(ns / 1_000_000n));
  const day = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => digits(part)).join(":");
  return `${day}.${digits(Number(ns / 1000n % 1_000_000n), 6)}`;
}

/** Time in full, to the nanosecond. */
function isoTime(ns: bigint): string {
  return `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)}.${digits(Number(ns % SECOND_NS), 9)}Z`;
}

const hexadecimal = (bytes: Uint8Array): string[] => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));

/** Bytes as a person reads them: offset, 16 bytes, and those that are ASCII. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const digits = hexadecimal(row).map((pair, i) => i === 8 ? ` ${pair}` : pair).join(" ");
    const ascii = Array.from(row, (byte) => byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".").join("");
    lines.push(`    ${at.toString(16).padStart(4, "0")}  ${digits.padEnd(48)}  ${ascii}\n`);
  }
  return lines.join("");
}

/** How a {@linkcode Printer} prints. */
export interface PrinterOptions {
  readonly json: boolean;
  /** With all bytes. */
  readonly hex: boolean;
}

/** Prints a line for each packet. */
export class Printer implements Output {
  readonly #options: PrinterOptions;
  readonly #output = standardOutput();
  readonly #interfaces = new Set<CapturedInterface>();

  constructor(options: PrinterOptions) {
    this.#options = options;
  }

  async write(packets: readonly CapturedPacket[]): Promise<void> {
    let text = "";
    for (const packet of packets) text += this.#options.json ? this.#object(packet) : this.#line(packet);
    if (text !== "") await this.#output.write(new TextEncoder().encode(text));
  }

  async close(): Promise<void> {}

  #line(packet: CapturedPacket): string {
    const { bytes, timestampNs, originalLength, interface: on, comments } = packet;
    this.#interfaces.add(on);
    const time = timestampNs === undefined ? "-".padEnd(15) : timeOfDay(timestampNs);
    // Of which network it is says only a capture of several
    const name = this.#interfaces.size > 1 || on.index > 0 ? `${legible(on.name ?? String(on.index))}: ` : "";
    const cut = bytes.length < originalLength ? ` [${bytes.length} of ${originalLength} bytes]` : "";
    const remarks = comments.map((comment) => `    # ${legible(comment)}\n`).join("");
    return `${time} ${name}${lineOf(packet)}${cut}\n${remarks}${this.#options.hex ? hexDump(bytes) : ""}`;
  }

  #object(packet: CapturedPacket): string {
    const { bytes, timestampNs, originalLength, interface: on, comments } = packet;
    return JSON.stringify({
      event: "packet",
      ...(timestampNs !== undefined && { time: isoTime(timestampNs) }),
      interface: on.name ?? String(on.index),
      length: originalLength,
      ...(bytes.length < originalLength && { captured: bytes.length }),
      line: lineOf(packet),
      ...(comments.length > 0 && { comments }),
      ...(this.#options.hex && { hex: hexadecimal(bytes).join("") }),
    }) + "\n";
  }
}

/** Only Ethernet can be described. */
function lineOf({ bytes, interface: { linkType } }: CapturedPacket): string {
  return linkType === 1 ? describe(bytes) : `link type ${linkType}, ${bytes.length} bytes`;
}

/** What a {@linkcode FileWriter} writes. */
export interface FileOptions {
  /** The file, `-` for standard output. */
  readonly path: string;
  /** Remark on the file. */
  readonly comment?: string | undefined;
  /** A new file when this one has so many bytes, or covers so many seconds; the oldest goes when there are too many. */
  readonly ring?: Readonly<{ bytes?: number; seconds?: number; files?: number }> | undefined;
}

/** Copies that were dropped, as far as is known. */
export function droppedOf({ statistics }: CapturedInterface): number | undefined {
  if (statistics?.interfaceDropped === undefined) return statistics?.systemDropped;
  return statistics.interfaceDropped + (statistics.systemDropped ?? 0);
}

/** The place of one of several files, named as Wireshark does it. */
export function ringPath(path: string, number: number, time: Date): string {
  const { dir, name, ext } = parse(path);
  const date = `${time.getFullYear()}${digits(time.getMonth() + 1)}${digits(time.getDate())}`;
  const day = `${digits(time.getHours())}${digits(time.getMinutes())}${digits(time.getSeconds())}`;
  return join(dir, `${name}_${digits(number, 5)}_${date}${day}${ext}`);
}

/** What a file has of an interface. */
interface Part {
  /** Its number in the file. */
  readonly number: number;
  /** Packets in the file. */
  packets: number;
  /** Copies that were dropped before the file began. */
  readonly droppedBefore: number;
}

/** Writes pcapng. Each file is one that can be read on its own, and ends with the counts. */
export class FileWriter implements Output {
  readonly #options: FileOptions;
  readonly #interfaces: () => readonly CapturedInterface[];
  readonly #print: Print;
  readonly #paths: string[] = [];
  #number = 0;
  #isClosed = true;
  #sink: Sink | undefined;
  #writer = new PcapngWriter();
  #parts = new Map<CapturedInterface, Part>();
  /** Bytes of the file that are not in the writer any more. */
  #bytes = 0;
  /** When the file covers enough. */
  #until: bigint | undefined;

  private constructor(options: FileOptions, interfaces: () => readonly CapturedInterface[], print: Print) {
    [this.#options, this.#interfaces, this.#print] = [options, interfaces, print];
  }

  /**
   * Begins the first file.
   *
   * @param options What is written, and where.
   * @param interfaces The interfaces of the source, as far as they are known. Those of later files begin with them all.
   * @param print Is told of each file.
   */
  static async open(
    options: FileOptions,
    interfaces: () => readonly CapturedInterface[],
    print: Print,
  ): Promise<FileWriter> {
    const writer = new FileWriter(options, interfaces, print);
    await writer.#begin();
    return writer;
  }

  async write(packets: readonly CapturedPacket[]): Promise<void> {
    const { ring } = this.#options;
    for (const packet of packets) {
      if (this.#isFull(packet)) {
        await this.#finish();
        await this.#begin();
      }
      if (ring?.seconds !== undefined) {
        this.#until ??= (packet.timestampNs ?? now()) + BigInt(ring.seconds) * SECOND_NS;
      }
      const part = this.#part(packet.interface);
      part.packets++;
      const { bytes, timestampNs, originalLength, direction, dropped, comments } = packet;
      const about = { timestampNs, originalLength, direction, dropped, comments };
      this.#writer.write(bytes, { ...about, interface: part.number });
    }
    await this.#flush();
  }

  async close(): Promise<void> {
    if (!this.#isClosed) await this.#finish();
  }

  #isFull({ timestampNs = now() }: CapturedPacket): boolean {
    const { bytes = Infinity } = this.#options.ring ?? {};
    return this.#bytes + this.#writer.length >= bytes || this.#until !== undefined && timestampNs >= this.#until;
  }

  #part(on: CapturedInterface): Part {
    const known = this.#parts.get(on);
    if (known !== undefined) return known;
    const part = { number: this.#writer.addInterface(on), packets: 0, droppedBefore: droppedOf(on) ?? 0 };
    this.#parts.set(on, part);
    return part;
  }

  async #begin(): Promise<void> {
    this.#isClosed = false;
    const { path, comment, ring } = this.#options;
    const place = ring === undefined ? path : ringPath(path, ++this.#number, new Date());
    this.#sink = await this.#attempt(() => openSink(place));
    this.#writer = new PcapngWriter({ application: "capture", comments: comment });
    [this.#parts, this.#bytes, this.#until] = [new Map(), 0, undefined];
    for (const on of this.#interfaces()) this.#part(on);
    await this.#flush();
    if (place === "-") return;
    this.#print("file", { path: place });
    this.#paths.push(place);
    if (this.#paths.length > (ring?.files ?? Infinity)) rmSync(this.#paths.shift()!, { force: true });
  }

  async #flush(): Promise<void> {
    const bytes = this.#writer.take();
    if (bytes.length === 0) return;
    await this.#attempt(() => this.#sink!.write(bytes));
    this.#bytes += bytes.length;
    this.#writer.recycle(bytes);
  }

  /** Names the file in what goes wrong. */
  async #attempt<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (cause) {
      const { message, code } = cause as NodeJS.ErrnoException;
      throw Object.assign(new Error(`Cannot write "${this.#options.path}": ${message}`, { cause }), { code });
    }
  }

  async #finish(): Promise<void> {
    this.#isClosed = true;
    for (const on of this.#interfaces()) this.#part(on); // those without packets, too
    for (const [on, { number, packets, droppedBefore }] of this.#parts) {
      const all = droppedOf(on);
      const interfaceDropped = all === undefined ? undefined : all - droppedBefore;
      this.#writer.writeStatistics(number, { received: packets + (interfaceDropped ?? 0), interfaceDropped });
    }
    try {
      await this.#flush();
    } finally {
      await this.#sink!.close();
    }
  }
}
