// SPDX-License-Identifier: MIT

/**
 * What a DNS message says, in a few words.
 *
 * @module
 */

import type { FrameView } from "./view.ts";

const HEADER = 12;

/** Pointers followed in one name, and labels read: a name of 255 bytes has no more. */
const MAX_LABELS = 128;

/** Records looked at; a line has no room for more. */
const MAX_RECORDS = 4;

const types = new Map([
  [1, "A"],
  [2, "NS"],
  [5, "CNAME"],
  [6, "SOA"],
  [12, "PTR"],
  [15, "MX"],
  [16, "TXT"],
  [28, "AAAA"],
  [33, "SRV"],
  [41, "OPT"],
  [65, "HTTPS"],
  [255, "ANY"],
]);

const errors = ["", "format error", "server failure", "no such name", "not implemented", "refused"];

/** Describes a DNS message. */
export function describeDns(message: FrameView): string {
  const flags = message.u16(2);
  const isAnswer = (flags & 0x8000) !== 0;
  const questions = message.u16(4);
  const answers = message.u16(6);
  let at = HEADER;
  let question = "";
  for (let i = 0; i < Math.min(questions, MAX_RECORDS); i++) {
    const name = readName(message, at);
    if (i === 0) question = `${typeName(message.u16(name.end))} ${name.text}`;
    at = name.end + 4;
  }
  if (!isAnswer) return `question ${question}`.trimEnd();
  const code = flags & 15;
  if (code !== 0) return `answer ${question}: ${errors[code] ?? `error ${code}`}`;
  const records = readAnswers(message, at, answers);
  return `answer ${question}: ${records.join(", ") || "none"}`;
}

function readAnswers(message: FrameView, start: number, count: number): string[] {
  const records: string[] = [];
  let at = start;
  for (let i = 0; i < Math.min(count, MAX_RECORDS); i++) {
    const { end } = readName(message, at);
    const type = message.u16(end);
    const length = message.u16(end + 8);
    const data = message.part(end + 10, length);
    if (type === 1 && length === 4) records.push(data.ipv4(0));
    else if (type === 28 && length === 16) records.push(data.ipv6(0));
    else if (type === 5 || type === 12) records.push(`${typeName(type)} ${readName(message, end + 10).text}`);
    else records.push(typeName(type));
    at = end + 10 + length;
  }
  if (count > MAX_RECORDS) records.push(`${count - MAX_RECORDS} more`);
  return records;
}

function typeName(type: number): string {
  return types.get(type) ?? `type ${type}`;
}

/** Reads a name, which may end in a pointer to an earlier one. */
function readName(message: FrameView, start: number): { text: string; end: number } {
  const labels: string[] = [];
  let at = start;
  let end: number | undefined;
  for (let i = 0; i < MAX_LABELS; i++) {
    const length = message.u8(at);
    if (length >= 0xc0) {
      end ??= at + 2;
      at = (length & 0x3f) << 8 | message.u8(at + 1);
    } else if (length === 0) {
      return { text: labels.join(".") || ".", end: end ?? at + 1 };
    } else {
      labels.push(message.ascii(at + 1, length & 0x3f));
      at += 1 + (length & 0x3f);
    }
  }
  return { text: "an endless name", end: end ?? at };
}
