// SPDX-License-Identifier: MIT

/**
 * What a DNS message says, in a few words.
 *
 * @module
 */

import { ipv4Text, ipv6Text } from "./describe_ends.ts";
import { printable } from "./describe_text.ts";
import { typeName } from "./dns_types.ts";
import { getU16 } from "./field.ts";

const HEADER = 12;

/** Bytes of a question behind its name, and of a record. */
const [QUESTION, RECORD] = [4, 10];

/** Labels and pointers of one name: one of 255 bytes has no more labels. */
const MAX_STEPS = 128;

/** Records looked at; a line has no room for more. */
const MAX_RECORDS = 4;

/** Characters of a name that are shown. */
const MAX_NAME = 80;

const CUT = "(cut short)";

const errors = ["", "format error", "server failure", "no such name", "not implemented", "refused"];

/** Describes a DNS message (RFC 1035, section 4). */
export function describeDns(frame: Uint8Array, start: number, end: number): string {
  if (end - start < HEADER) return CUT;
  const flags = getU16(frame, start + 2);
  const [questions, answers] = [getU16(frame, start + 4), getU16(frame, start + 6)];
  let at = start + HEADER;
  let line = (flags & 0x8000) === 0 ? "question" : "answer";
  for (let i = 0; i < questions && i < MAX_RECORDS; i++) {
    const name = at;
    at = skipName(frame, at, end);
    if (at < 0 || at + QUESTION > end) return `${line} ${CUT}`;
    if (i === 0) line += ` ${typeName(getU16(frame, at))} ${nameAt(frame, start, end, name)}`;
    at += QUESTION;
  }
  if ((flags & 0x8000) === 0) return line;
  const code = flags & 15;
  if (code !== 0) return `${line}: ${errors[code] ?? `error ${code}`}`;
  return answers === 0 ? `${line}: none` : `${line}: ${describeAnswers(frame, start, end, at, answers)}`;
}

function describeAnswers(frame: Uint8Array, start: number, end: number, first: number, count: number): string {
  let at = first;
  let line = "";
  for (let i = 0; i < count && i < MAX_RECORDS; i++) {
    const record = skipName(frame, at, end);
    if (i > 0) line += ", ";
    if (record < 0 || record + RECORD > end) return line + CUT;
    const data = record + RECORD;
    at = data + getU16(frame, record + 8);
    if (at > end) return line + CUT;
    line += describeRecord(getU16(frame, record), frame, start, end, data, at - data);
  }
  return count > MAX_RECORDS ? `${line}, ${count - MAX_RECORDS} more` : line;
}

function describeRecord(type: number, frame: Uint8Array, start: number, end: number, at: number, length: number) {
  if (type === 1 && length === 4) return ipv4Text(frame, at);
  if (type === 28 && length === 16) return ipv6Text(frame, at);
  if (type === 5 || type === 12) return `${typeName(type)} ${nameAt(frame, start, end, at)}`;
  return typeName(type);
}

/** Offset behind a name, -1 if the message ends within it or it has too many labels. */
function skipName(frame: Uint8Array, start: number, end: number): number {
  let at = start;
  for (let i = 0; i < MAX_STEPS && at < end; i++) {
    const length = frame[at]!;
    if (length >= 0xc0) return at + 2 <= end ? at + 2 : -1;
    if (length === 0) return at + 1;
    at += 1 + length;
  }
  return -1;
}

const characters = new Uint8Array(MAX_NAME);

/** Text of a name, which may end in a pointer to an earlier one. */
function nameAt(frame: Uint8Array, message: number, end: number, start: number): string {
  let at = start;
  let length = 0;
  for (let i = 0; i < MAX_STEPS && at < end; i++) {
    const label = frame[at]!;
    if (label === 0) return length === 0 ? "." : printable(characters, 0, length);
    if (label >= 0xc0) {
      at = message + (getU16(frame, at) & 0x3fff);
    } else {
      if (label > 63) return "of a broken name";
      if (at + label >= end || length + label >= MAX_NAME) return `${printable(characters, 0, length)}...`;
      if (length > 0) characters[length++] = 46;
      for (let k = 1; k <= label; k++) characters[length++] = frame[at + k]!;
      at += 1 + label;
    }
  }
  return "of a broken name";
}
