// SPDX-License-Identifier: MIT

// Signs a program of macOS ad hoc, with entitlements, on any machine: what `codesign --sign - --entitlements` does on a
// Mac. The linker can sign, but not with entitlements.
//
//   node scripts/sign.mjs <program> <identifier> <entitlements.plist>
//
// Theory of operation. A signature is the last thing in the file: a blob of blobs (numbers big-endian, the rest of a
// Mach-O file is little-endian). Its code directory holds the SHA-256 of each page of 4 KiB before the signature, the
// load commands included, and of the other blobs by the number of their slot, counted backwards from the pages. "Ad
// hoc" is a flag and means that nobody vouches for the hashes. The program is one slice for one processor, with a
// signature of the linker's, which gives way. Entitlements are there twice, as XML and as DER, which newer systems read
// alone; keys with the value true are all that is needed here. The same input gives the same bytes.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

const MACHO_64 = 0xfeedfacf;
const SEGMENT_64 = 0x19;
const CODE_SIGNATURE = 0x1d;
const EXECUTE = 2;
const ARM64 = 0x0100000c;
const HEADER_BYTES = 32;

const magic = {
  signature: 0xfade0cc0,
  codeDirectory: 0xfade0c02,
  requirements: 0xfade0c01,
  entitlements: 0xfade7171,
  derEntitlements: 0xfade7172,
  wrapper: 0xfade0b01, // around a certificate's signature; empty
};
const slot = { codeDirectory: 0, requirements: 2, entitlements: 5, derEntitlements: 7, wrapper: 0x10000 };

const pageBits = 12;
const hashBytes = 32;
const SHA_256 = 2;
const AD_HOC = 0x2;
const MAIN_BINARY = 0x1; // of the code directory's executable segment
const VERSION = 0x20400; // the first with an executable segment
const directoryBytes = 88; // of that version's fixed part

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

function words(...values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

const blob = (kind, content) => Buffer.concat([words(kind, 8 + content.length), content]);

/** One element of DER: tag, length, content. */
function der(tag, content) {
  const length = content.length < 0x80
    ? [content.length]
    : content.length < 0x100
    ? [0x81, content.length]
    : [0x82, content.length >> 8, content.length & 0xff];
  return Buffer.from([tag, ...length, ...content]);
}

/** The keys of a property list that holds nothing but keys with the value true. */
export function keysOf(plist) {
  const text = plist.replace(/<\?[^]*?\?>|<![^>]*>/g, "");
  const pair = /\s*<key>([^<&]+)<\/key>\s*<true\s*\/>/g;
  const keys = [...text.matchAll(pair)].map((match) => match[1]);
  const rest = text.replace(pair, "").replace(/\s/g, "");
  if (keys.length === 0 || !/^<plistversion="1.0"><dict><\/dict><\/plist>$/.test(rest)) {
    throw new Error("the entitlements hold more than keys with the value true");
  }
  return keys;
}

/** Entitlements in DER: version 1 and the pairs in the order of their keys. */
export function derOf(keys) {
  const pairs = [...keys].sort().map((key) => der(0x30, [...der(0x0c, Buffer.from(key)), ...der(0x01, [0xff])]));
  return der(0x70, [...der(0x02, [1]), ...der(0xb0, Buffer.concat(pairs))]);
}

/** What the load commands say: where the signature is named, and the segments. */
function loadCommands(file) {
  if (file.readUInt32LE(0) !== MACHO_64) throw new Error("not one slice of 64 bits");
  let [signature, linkEdit, text] = [];
  for (let n = file.readUInt32LE(16), at = HEADER_BYTES; n > 0; n--, at += file.readUInt32LE(at + 4)) {
    const command = file.readUInt32LE(at);
    if (command === CODE_SIGNATURE) signature = at;
    if (command !== SEGMENT_64) continue;
    const name = file.toString("latin1", at + 8, at + 24).replace(/\0.*$/, "");
    if (name === "__LINKEDIT") linkEdit = at;
    if (name === "__TEXT") text = at;
  }
  if (!signature || !linkEdit || !text) throw new Error("no signature to replace: link with -adhoc_codesign");
  return { signature, linkEdit, text };
}

/** A signed copy of a program of one slice. */
export function sign(program, identifier, plist) {
  const { signature, linkEdit, text } = loadCommands(program);
  const end = program.readUInt32LE(signature + 8);
  const others = [
    [slot.requirements, blob(magic.requirements, words(0))],
    [slot.entitlements, blob(magic.entitlements, Buffer.from(plist))],
    [slot.derEntitlements, blob(magic.derEntitlements, derOf(keysOf(plist)))],
  ];
  const name = Buffer.from(`${identifier}\0`);
  const pages = Math.ceil(end / (1 << pageBits));
  const hashes = directoryBytes + name.length + slot.derEntitlements * hashBytes;
  const length = hashes + pages * hashBytes;
  const blobs = [[slot.codeDirectory, { length }], ...others, [slot.wrapper, blob(magic.wrapper, Buffer.alloc(0))]];
  const index = 12 + 8 * blobs.length;
  const bytes = blobs.reduce((sum, [, { length }]) => sum + length, index);
  const room = Math.ceil(bytes / 16) * 16; // what follows a signature is aligned, as codesign does it

  // The load commands first, for they are hashed too.
  const signed = Buffer.concat([program.subarray(0, end), Buffer.alloc(room)]);
  signed.writeUInt32LE(room, signature + 12);
  const linkEditBytes = end + room - Number(signed.readBigUInt64LE(linkEdit + 40));
  signed.writeBigUInt64LE(BigInt(linkEditBytes), linkEdit + 48);
  const memoryPage = signed.readUInt32LE(4) === ARM64 ? 0x4000 : 0x1000;
  signed.writeBigUInt64LE(BigInt(Math.ceil(linkEditBytes / memoryPage) * memoryPage), linkEdit + 32);

  const special = Buffer.alloc(slot.derEntitlements * hashBytes);
  for (const [number, content] of others) sha256(content).copy(special, (slot.derEntitlements - number) * hashBytes);
  const hashed = [];
  for (let page = 0; page < pages; page++) {
    hashed.push(sha256(signed.subarray(page << pageBits, Math.min((page + 1) << pageBits, end))));
  }
  const isProgram = signed.readUInt32LE(12) === EXECUTE;
  const directory = Buffer.concat([
    words(magic.codeDirectory, length, VERSION, AD_HOC, hashes, directoryBytes, slot.derEntitlements, pages, end),
    Buffer.from([hashBytes, SHA_256, 0, pageBits]),
    words(0, 0, 0, 0), // spare, no scatter vector, no team, spare
    words(0, 0), // the 64-bit end of what is hashed, for files beyond 4 GiB
    words(0, 0, 0, Number(signed.readBigUInt64LE(text + 48)), 0, isProgram ? MAIN_BINARY : 0), // base, end, flags
    name,
    special,
    ...hashed,
  ]);
  const contents = [directory, ...blobs.slice(1).map(([, content]) => content)];
  let at = index;
  const entries = blobs.map(([number], n) => {
    const entry = words(number, at);
    at += contents[n].length;
    return entry;
  });
  Buffer.concat([words(magic.signature, bytes, blobs.length), ...entries, ...contents]).copy(signed, end);
  return signed;
}

if (process.argv[1] === import.meta.filename) {
  const [path, identifier, entitlements] = process.argv.slice(2);
  if (entitlements === undefined) {
    console.error("usage: node scripts/sign.mjs <program> <identifier> <entitlements.plist>");
    process.exit(2);
  }
  writeFileSync(path, sign(readFileSync(path), identifier, readFileSync(entitlements, "utf8")));
}
