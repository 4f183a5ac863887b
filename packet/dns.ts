// SPDX-License-Identifier: MIT

/**
 * DNS (RFC 1035), also multicast DNS (RFC 6762): messages as they are in a datagram.
 *
 * Theory of operation: reading a message looks at its header only. Sections are read when they are asked for, in their
 * order, because only reading one tells where the next begins. The header's counts are believed as far as there are
 * bytes for so many: a question takes 5 at least, a record 11.
 *
 * @module
 */

import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { hasCodec, type KnownNames, readData, readEdns, writeData, writeEdns } from "./dns_data.ts";
import { NameCache, readName, writeName } from "./dns_name.ts";
import type { DnsEdns, DnsQuestion, DnsQuestionOptions, DnsRecord, DnsRecordOptions } from "./dns_records.ts";
import { className, classNumber, typeName, typeNumber } from "./dns_types.ts";
import type { Layer } from "./encode.ts";
import { uint, withBits } from "./field.ts";
import { PacketError } from "./packet_error.ts";
import { View } from "./view.ts";

const HEADER = 12;
const MIN_QUESTION = 5;
const MIN_RECORD = 11;

const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const AUTHENTIC_DATA = 0x0020;
const CHECKING_DISABLED = 0x0010;

const OPT = 41;
const NONE = 254;
const ANY = 255;

/** Highest bit of a class in multicast DNS. */
const TOP = 0x8000;

/** Number of the section that a view's records begin with: answers, authorities, additionals. */
type Section = 0 | 1 | 2;

/**
 * A DNS message. Header (RFC 1035, section 4.1.1; numbers in network order):
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 2 | `id` |
 * | 2 | 2 | `flags` |
 * | 4 | 2 | number of questions |
 * | 6 | 2 | number of answers |
 * | 8 | 2 | number of authorities |
 * | 10 | 2 | number of additional records |
 *
 * @example Usage
 * ```ts
 * import { Dns, dns, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const message = new Dns(encoded(dns({
 *   isResponse: true,
 *   questions: [{ name: "example.org" }],
 *   answers: [{ name: "example.org", type: "A", ttl: 60, data: "192.0.2.1" }],
 * })));
 * for (const record of message.answers) {
 *   if (record.type === "A") assertEquals(record.data.value, 0xc0000201);
 * }
 * ```
 */
export class Dns extends View {
  /** Always `"dns"`. */
  readonly layer = "dns";
  #next = HEADER;
  #names: NameCache | undefined;
  #questions: readonly DnsQuestion[] | undefined;
  readonly #records: (readonly DnsRecord[])[] = [];
  /** Why the next section could not be read: it is not tried again for each that is asked for. */
  #failure: PacketError | undefined;

  /**
   * Looks at a message.
   *
   * @param frame Bytes that it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If there are fewer than 12 bytes.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("dns", HEADER, frame, start, end);
  }

  /** Bytes of the message: it carries nothing else. */
  get headerLength(): number {
    return this.length;
  }

  /** What answer and question have in common: 16 bits at offset 0. Multicast DNS has 0. */
  get id(): number {
    return this.u16(0);
  }

  /** All flags, `opcode` and `responseCode`: 16 bits at offset 2. */
  get flags(): number {
    return this.u16(2);
  }

  /** Whether it answers: bit 15 of the flags. */
  get isResponse(): boolean {
    return (this.flags & RESPONSE) !== 0;
  }

  /** What is asked: bits 14 to 11 of the flags; see {@linkcode DnsOpcode}. */
  get opcode(): number {
    return this.flags >>> 11 & 15;
  }

  /** Whether the answer comes from an authority: bit 10 of the flags. */
  get isAuthoritative(): boolean {
    return (this.flags & AUTHORITATIVE) !== 0;
  }

  /** Whether there was more than a datagram holds: bit 9 of the flags. */
  get isTruncated(): boolean {
    return (this.flags & TRUNCATED) !== 0;
  }

  /** Whether the server should ask others: bit 8 of the flags. */
  get isRecursionDesired(): boolean {
    return (this.flags & RECURSION_DESIRED) !== 0;
  }

  /** Whether the server would ask others: bit 7 of the flags. */
  get isRecursionAvailable(): boolean {
    return (this.flags & RECURSION_AVAILABLE) !== 0;
  }

  /** Whether the server has verified signatures (RFC 4035): bit 5 of the flags. */
  get isAuthenticData(): boolean {
    return (this.flags & AUTHENTIC_DATA) !== 0;
  }

  /** Whether the server need not verify signatures (RFC 4035): bit 4 of the flags. */
  get isCheckingDisabled(): boolean {
    return (this.flags & CHECKING_DISABLED) !== 0;
  }

  /** How it went: the lowest 4 bits of the flags; see {@linkcode DnsResponseCode}. EDNS may have 8 bits more. */
  get responseCode(): number {
    return this.flags & 15;
  }

  /**
   * What is asked for.
   *
   * @throws {PacketError} If they are cut short, or a name is wrong.
   */
  get questions(): readonly DnsQuestion[] {
    this.#questions ??= this.#section(4, MIN_QUESTION, readQuestion);
    return this.#questions;
  }

  /**
   * Records that answer.
   *
   * @throws {PacketError} If they or what is before them are cut short, or if a name or a record's data are wrong.
   */
  get answers(): readonly DnsRecord[] {
    return this.#recordsOf(0);
  }

  /** Records of who has authority; in an update, what changes. Throws as {@linkcode Dns.answers} does. */
  get authorities(): readonly DnsRecord[] {
    return this.#recordsOf(1);
  }

  /** Records that may be of use. Throws as {@linkcode Dns.answers} does. */
  get additionals(): readonly DnsRecord[] {
    return this.#recordsOf(2);
  }

  /** What the sender can do beyond RFC 1035, if it says so; see {@linkcode Dns.additionals}, where it stands. */
  get edns(): DnsEdns | undefined {
    for (const record of this.additionals) {
      if (record.type === "OPT") return record.data;
    }
    return undefined;
  }

  #recordsOf(section: Section): readonly DnsRecord[] {
    if (this.#questions === undefined) void this.questions;
    for (let i = this.#records.length; i <= section; i++) {
      this.#records.push(this.#section(6 + 2 * i, MIN_RECORD, readRecord));
    }
    return this.#records[section]!;
  }

  #section<T>(countAt: number, minimum: number, read: (reader: ByteReader, names: NameCache) => T): readonly T[] {
    if (this.#failure !== undefined) throw this.#failure;
    const count = this.u16(countAt);
    const reader = new ByteReader(this.layer, this.frame, this.start, this.start + this.#next, this.end);
    const names = this.#names ??= new NameCache();
    const found: T[] = [];
    try {
      if (count * minimum > reader.left) {
        throw reader.error(`${reader.left} bytes cannot be ${count} questions or records`);
      }
      for (let i = 0; i < count; i++) found.push(read(reader, names));
    } catch (error) {
      if (error instanceof PacketError) this.#failure = error;
      throw error;
    }
    this.#next = reader.at - this.start;
    return found;
  }
}

/** Reads a question: name, type (16 bits), class (16 bits). */
function readQuestion(reader: ByteReader, names: NameCache): DnsQuestion {
  const name = readName(reader, names);
  const type = typeName(reader.u16());
  const number = reader.u16();
  return { name, type, class: className(number & ~TOP), isUnicastWanted: (number & TOP) !== 0 };
}

/** Reads a record: name, type (16 bits), class (16 bits), time to live (32 bits), length (16 bits), data. */
function readRecord(reader: ByteReader, names: NameCache): DnsRecord {
  const name = readName(reader, names);
  const number = reader.u16();
  const bits = reader.u16();
  const ttl = reader.u32();
  const data = reader.part(reader.u16());
  if (number === OPT) {
    const edns = readEdns(bits, ttl, data);
    return { name, type: "OPT", class: className(bits), ttl, isCacheFlush: false, data: edns };
  }
  const plain = bits & ~TOP;
  const named = typeName(number);
  const isNothing = data.left === 0 && (plain === ANY || plain === NONE) && hasCodec(named);
  const type = isNothing ? `TYPE${number}` as const : named;
  const head = { name, type, class: className(plain), ttl, isCacheFlush: (bits & TOP) !== 0 };
  return { ...head, data: readData(type, data, names) } as DnsRecord;
}

/** What {@linkcode dns} takes: fields of {@linkcode Dns}. */
export interface DnsOptions {
  /** What answer and question have in common: 0 to 65535. Default: 0. */
  readonly id?: number | undefined;
  /** All 16 bits of the flags, before what follows is set in them. Default: 0. */
  readonly flags?: number | undefined;
  /** Whether it answers. Default: as in `flags`, like all that follow. */
  readonly isResponse?: boolean | undefined;
  /** What is asked: 0 to 15; see {@linkcode DnsOpcode}. */
  readonly opcode?: number | undefined;
  /** Whether the answer comes from an authority. */
  readonly isAuthoritative?: boolean | undefined;
  /** Whether there was more than a datagram holds. */
  readonly isTruncated?: boolean | undefined;
  /** Whether the server should ask others. */
  readonly isRecursionDesired?: boolean | undefined;
  /** Whether the server would ask others. */
  readonly isRecursionAvailable?: boolean | undefined;
  /** Whether the server has verified signatures. */
  readonly isAuthenticData?: boolean | undefined;
  /** Whether the server need not verify signatures. */
  readonly isCheckingDisabled?: boolean | undefined;
  /** How it went: 0 to 15; see {@linkcode DnsResponseCode}. */
  readonly responseCode?: number | undefined;
  /** What is asked for. Default: nothing. */
  readonly questions?: readonly DnsQuestionOptions[] | undefined;
  /** Records that answer. Default: none. */
  readonly answers?: readonly DnsRecordOptions[] | undefined;
  /** Records of who has authority. Default: none. */
  readonly authorities?: readonly DnsRecordOptions[] | undefined;
  /** Records that may be of use. Default: none. */
  readonly additionals?: readonly DnsRecordOptions[] | undefined;
  /** Whether a name points to an earlier one that ends alike. Default: `true`. */
  readonly compress?: boolean | undefined;
}

/**
 * A DNS message to be written.
 *
 * @param options What it says; all of it may be left out.
 * @returns The layer, to be carried by UDP.
 * @throws {TypeError} If something is of the wrong type, or a mnemonic is none.
 * @throws {RangeError} If a number or a name does not fit.
 *
 * @example A question
 * ```ts
 * import { Dns, dns, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(dns({ id: 7, isRecursionDesired: true, questions: [{ name: "example.org", type: "AAAA" }] }));
 * assertEquals(bytes.length, 29);
 * assertEquals(new Dns(bytes).questions[0]!.name, "example.org");
 * ```
 */
export function dns(options: DnsOptions = {}): Layer {
  const { questions = [], answers = [], authorities = [], additionals = [], compress = true } = options;
  const writer = new ByteWriter("dns");
  const known: KnownNames = compress ? new Map() : undefined;
  writer.u16("id", options.id ?? 0);
  writer.u16("flags", flagsOf(options));
  writer.u16("number of questions", questions.length);
  for (const [section, records] of Object.entries({ answers, authorities, additionals })) {
    writer.u16(`number of ${section}`, records.length);
  }
  for (const question of questions) {
    writeName(writer, "name", question.name, known);
    writer.u16("type", typeNumber("type", question.type ?? "A"));
    writer.u16("class", classNumber("class", question.class ?? "IN") | (question.isUnicastWanted ? TOP : 0));
  }
  for (const record of [...answers, ...authorities, ...additionals]) writeRecord(writer, record, known);
  return writer.finishLayer();
}

function flagsOf(options: DnsOptions): number {
  const flags = uint("dns", "flags", options.flags, 0, 0xffff);
  const opcode = uint("dns", "opcode", options.opcode, flags >>> 11 & 15, 15);
  const responseCode = uint("dns", "responseCode", options.responseCode, flags & 15, 15);
  return withBits(
    flags & ~0x780f | opcode << 11 | responseCode,
    [options.isResponse, RESPONSE],
    [options.isAuthoritative, AUTHORITATIVE],
    [options.isTruncated, TRUNCATED],
    [options.isRecursionDesired, RECURSION_DESIRED],
    [options.isRecursionAvailable, RECURSION_AVAILABLE],
    [options.isAuthenticData, AUTHENTIC_DATA],
    [options.isCheckingDisabled, CHECKING_DISABLED],
  );
}

function writeRecord(writer: ByteWriter, record: DnsRecordOptions, known: KnownNames): void {
  writeName(writer, "name", record.name, known);
  writer.u16("type", typeNumber("type", record.type));
  if (record.type === "OPT") return writeEdns(writer, record.data);
  writer.u16("class", classNumber("class", record.class ?? "IN") | (record.isCacheFlush ? TOP : 0));
  writer.u32("ttl", record.ttl ?? 0);
  writer.counted16("data", () => writeData(writer, record.type, record.data, known));
}
