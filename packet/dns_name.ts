// SPDX-License-Identifier: MIT

/**
 * Domain names: labels in a message, text outside of it.
 *
 * Theory of operation: a name is a list of labels, each after its length, that ends in a label of no bytes or in a
 * pointer to where it goes on (RFC 1035, sections 3.1 and 4.1.4). A pointer has to point before the labels that it
 * follows, so every jump goes back and reading comes to an end. What a pointer leads to is kept for the next one,
 * label by label, and labels that overlap, as only pointers into labels make them, are refused: a message costs no more
 * than its bytes, however many names share them. As text, labels are joined by
 * points; a point or backslash within a label stands behind a backslash, and what is not visible ASCII as three
 * decimal digits behind one (section 5.1).
 *
 * @module
 */

import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { decimalByte } from "./digits.ts";
import type { LayerName } from "./encode.ts";

/** Bytes of a name at most, with the lengths of its labels. */
const MAX_NAME = 255;
const MAX_LABEL = 63;

/** Pointers on the way to the end of one name. One that has a label before each needs no more. */
const MAX_POINTERS = 127;

/** Offset of what a pointer can reach. */
const MAX_POINTER = 0x3fff;

const escapes: readonly string[] = decimalByte.map((decimal, byte) => {
  const character = String.fromCharCode(byte);
  if (character === "." || character === "\\") return `\\${character}`;
  return byte > 32 && byte < 127 ? character : `\\${decimal.padStart(3, "0")}`;
});

/** The end of a name, from one of its labels on. */
interface Suffix {
  /** As text; empty for the root. */
  readonly text: string;
  /** Bytes that it would take without pointers. */
  readonly length: number;
}

const root: Suffix = { text: "", length: 1 };

/** What records of one message have in common: names that pointers led to, and how much was listed. */
export class NameCache {
  /** By the offset of their first label. */
  readonly suffixes: Map<number, Suffix> = new Map();
  /** Bytes of all their labels, each counted once. */
  labelBytes = 0;
  /** Types of records that were listed as those of a name. */
  typeCount = 0;
}

/**
 * Reads a name.
 *
 * @param reader At the first label; afterwards behind the name. Pointers count from its base.
 * @param cache Names of the same message that are known. Absent where no pointer is allowed.
 * @param mayEnd Whether the name may end with the bytes, as one that its reader completes does.
 * @returns The name as text; `"."` for the root.
 */
export function readName(reader: ByteReader, cache?: NameCache, mayEnd = false): string {
  const { bytes, base } = reader;
  const first = reader.at;
  let text = "";
  let length = 1;
  while (!mayEnd || reader.left > 0) {
    const size = reader.u8();
    if (size === 0) break;
    if (size > MAX_LABEL) {
      if (cache === undefined || size < 0xc0) throw wrongLabel(reader, size);
      const target = base + ((size & 0x3f) << 8 | reader.u8());
      const rest = suffixAt(reader, target, first, cache);
      length += rest.length - 1;
      text = join(text, rest.text);
      break;
    }
    const at = reader.take(size);
    length += 1 + size;
    if (length > MAX_NAME) throw tooLong(reader);
    text = join(text, labelText(bytes, at, size));
  }
  if (length > MAX_NAME) throw tooLong(reader);
  return text || ".";
}

/** Reads what a pointer leads to: from an offset on, which has to lie before the labels that the pointer follows. */
function suffixAt(reader: ByteReader, target: number, before: number, cache: NameCache): Suffix {
  const { bytes } = reader;
  const places: number[] = [];
  let rest: Suffix | undefined;
  let at = target;
  let length = 1;
  let first = at;
  if (target >= before) throw wrongPointer(reader, target);
  for (let pointers = 0; (rest = cache.suffixes.get(at)) === undefined;) {
    const size = at < reader.end ? bytes[at]! : 0xff;
    if (size === 0) {
      rest = root;
      break;
    }
    if (size >= 0xc0 && at + 1 < reader.end) {
      const next = reader.base + ((size & 0x3f) << 8 | bytes[at + 1]!);
      if (next >= first || ++pointers > MAX_POINTERS) throw wrongPointer(reader, next);
      places.push(at);
      at = first = next;
      continue;
    }
    if (size > MAX_LABEL || at + 1 + size > reader.end) throw wrongLabel(reader, size, at);
    length += 1 + size;
    if (length > MAX_NAME) throw tooLong(reader);
    places.push(at);
    at += 1 + size;
  }
  for (let i = places.length - 1; i >= 0; i--) {
    const place = places[i]!;
    const size = bytes[place]!;
    if (size <= MAX_LABEL) {
      cache.labelBytes += size;
      if (cache.labelBytes > reader.end - reader.base) throw reader.error("labels of names overlap", place);
      rest = { text: join(labelText(bytes, place + 1, size), rest.text), length: rest.length + 1 + size };
      if (rest.length > MAX_NAME) throw tooLong(reader);
    }
    cache.suffixes.set(place, rest);
  }
  return rest;
}

function join(head: string, tail: string): string {
  return head === "" ? tail : tail === "" ? head : `${head}.${tail}`;
}

function labelText(bytes: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let i = at; i < at + length; i++) text += escapes[bytes[i]!];
  return text;
}

function wrongLabel(reader: ByteReader, size: number, at: number = reader.at - 1): Error {
  return reader.error(`a label that starts with ${size} does not fit into a name here`, at);
}

function wrongPointer(reader: ByteReader, target: number): Error {
  return reader.error(`a name points to ${target - reader.base}, which is not before it, or points too often`);
}

function tooLong(reader: ByteReader): Error {
  return reader.error(`a name has more than ${MAX_NAME} bytes`);
}

const encoder = new TextEncoder();

/**
 * The labels of a name, without the last, empty one.
 *
 * @param layer Name of the layer, for errors.
 * @param field Name of the field, for errors.
 * @param name As text. A point at the end may be there or not. What is not ASCII is taken as UTF-8.
 */
export function nameLabels(layer: LayerName, field: string, name: string): Uint8Array[] {
  if (typeof name !== "string") {
    throw new TypeError(`Cannot encode ${layer}: ${field} takes a domain name, found ${typeof name}`);
  }
  const labels: Uint8Array[] = [];
  if (name === "" || name === ".") return labels;
  const bytes = encoder.encode(name);
  let label: number[] = [];
  let total = 1;
  const finish = () => {
    if (label.length === 0) throw refusal(layer, field, name, "labels of at least one byte");
    if (label.length > MAX_LABEL) throw refusal(layer, field, name, `labels of at most ${MAX_LABEL} bytes`);
    total += 1 + label.length;
    if (total > MAX_NAME) {
      throw refusal(layer, field, name, `at most ${MAX_NAME} bytes with a length before each label`);
    }
    labels.push(Uint8Array.from(label));
    label = [];
  };
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === 46) {
      finish();
    } else if (byte !== 92) {
      label.push(byte);
    } else {
      const [digits] = /^\d{1,3}/.exec(String.fromCharCode(...bytes.subarray(i + 1, i + 4))) ?? [];
      const value = digits === undefined ? bytes[i + 1] : digits.length === 3 ? Number(digits) : undefined;
      if (value === undefined || value > 255) {
        throw refusal(layer, field, name, "a character or three decimal digits up to 255 behind a backslash");
      }
      label.push(value);
      i += digits?.length ?? 1;
    }
  }
  if (label.length > 0) finish();
  return labels;
}

function refusal(layer: LayerName, field: string, name: string, wanted: string): RangeError {
  return new RangeError(`Cannot encode ${layer}: ${field} takes a domain name with ${wanted}, found "${name}"`);
}

/**
 * Writes a name.
 *
 * @param known Offsets of names that were written before, to which it may point; it adds its own. Absent: no pointers.
 * @param isPartial Whether to leave out the root at its end.
 */
export function writeName(
  writer: ByteWriter,
  field: string,
  name: string,
  known?: Map<string, number>,
  isPartial = false,
): void {
  const labels = nameLabels(writer.layer, field, name);
  const texts = labels.map((label) => labelText(label, 0, label.length));
  for (const [i, label] of labels.entries()) {
    // The text is canonical here, in which the same bytes have the same text; case is kept, as a resolver's check of
    // it needs
    const suffix = texts.slice(i).join(".");
    const target = known?.get(suffix);
    if (target !== undefined) return writer.u16(field, 0xc000 | target);
    if (writer.length <= MAX_POINTER) known?.set(suffix, writer.length);
    writer.u8(field, label.length);
    writer.raw(label);
  }
  if (!isPartial) writer.u8(field, 0);
}
