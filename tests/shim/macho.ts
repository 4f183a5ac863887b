// SPDX-License-Identifier: MIT

/**
 * Reads what a Mach-O file says about itself: its slices, and of each what it imports, exports and links, how it
 * starts, and whether its signature is true. Only what an audit asks for. Apple's `<mach-o/loader.h>`, `<mach-o/fat.h>` and
 * `<kern/cs_blobs.h>` name the numbers.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** A symbol that dyld has to find. */
export interface Import {
  name: string;
  /** Path of the library that has it. */
  from: string;
  /** May be absent. */
  weak: boolean;
}

/** What the signature says and whether it is so. */
export interface Signature {
  identifier: string;
  flags: number;
  /** Pages whose hash is wrong. */
  wrongPages: number[];
  pages: number;
  /** Special slots whose hash is wrong, or that have a hash and no blob, or a blob and no hash. */
  wrongSlots: number[];
  /** Where the hashed part ends, which has to be where the signature begins. */
  end: number;
  offset: number;
  size: number;
  pageBytes: number;
  /** The executable segment: where it is, how long, and flags. */
  executable: [start: number, length: number, flags: number];
  /** Blobs by slot number, without their header of eight bytes. */
  blobs: Map<number, Uint8Array>;
}

export interface Slice {
  cpu: string;
  /** Where it lies in the file, and the power of two that the file says it is a multiple of. */
  place: { offset: number; size: number; align: number };
  fileType: number;
  flags: number;
  installName: string | undefined;
  libraries: string[];
  runPaths: string[];
  /** Platform and oldest version, as in "macos 12.0". */
  builtFor: string | undefined;
  segments: { name: string; offset: number; fileSize: number; protection: number }[];
  /** "segment,section" with the section's type. */
  sections: { name: string; type: number }[];
  commands: number[];
  imports: Import[];
  /** Undefined symbols of the symbol table, which dyld does not read. */
  undefinedSymbols: string[];
  exports: string[];
  signature: Signature | undefined;
}

const command = {
  symbolTable: 0x2,
  loadLibrary: 0xc,
  installName: 0xd,
  segment: 0x19,
  codeSignature: 0x1d,
  buildVersion: 0x32,
  dyldInfo: 0x80000022,
  exportsTrie: 0x80000033,
  chainedFixups: 0x80000034,
  weakLibrary: 0x80000018,
  runPath: 0x8000001c,
  reexport: 0x8000001f,
};

/** Numbers and texts out of bytes. */
class Reader {
  readonly #view: DataView;
  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u8 = (at: number): number => this.#view.getUint8(at);
  u16 = (at: number): number => this.#view.getUint16(at, true);
  u32 = (at: number): number => this.#view.getUint32(at, true);
  u64 = (at: number): number => Number(this.#view.getBigUint64(at, true));
  be32 = (at: number): number => this.#view.getUint32(at);
  be64 = (at: number): number => Number(this.#view.getBigUint64(at));
  text(at: number, most = Infinity): string {
    let end = at;
    while (end - at < most && this.bytes[end] !== 0) end++;
    return new TextDecoder().decode(this.bytes.subarray(at, end));
  }
  part = (at: number, length: number): Uint8Array => this.bytes.subarray(at, at + length);
}

/** A number of seven bits a byte, and where it ends. */
function leb128(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0;; shift += 7) {
    const byte = bytes[at++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

/** Names in a trie of exports. */
function exportsOf(trie: Uint8Array): string[] {
  const names: string[] = [];
  const reader = new Reader(trie);
  const walk = (at: number, prefix: string): void => {
    const [length, next] = leb128(trie, at);
    if (length > 0) names.push(prefix);
    let edge = next + length + 1;
    for (let count = trie[next + length]!; count > 0; count--) {
      const label = reader.text(edge);
      const [node, after] = leb128(trie, edge + label.length + 1);
      walk(node, prefix + label);
      edge = after;
    }
  };
  if (trie.length > 0) walk(0, "");
  return names.sort();
}

/** Imports that the opcodes of LC_DYLD_INFO bind, each with the number of its library. */
function boundBy(opcodes: Uint8Array): [name: string, library: number, weak: boolean][] {
  const found: [string, number, boolean][] = [];
  const reader = new Reader(opcodes);
  let [library, name, weak] = [0, "", false];
  for (let at = 0; at < opcodes.length;) {
    const byte = opcodes[at++]!;
    const low = byte & 0x0f;
    switch (byte & 0xf0) {
      case 0x10: // library in the opcode
        library = low;
        break;
      case 0x20: // library after it
        [library, at] = leb128(opcodes, at);
        break;
      case 0x30: // the program itself, or any library: not ours
        library = -low;
        break;
      case 0x40:
        name = reader.text(at);
        at += name.length + 1;
        weak = (low & 1) !== 0;
        break;
      case 0x60: // addend
      case 0x70: // segment and offset
      case 0x80: // skip
        at = leb128(opcodes, at)[1];
        break;
      case 0x90: // bind
      case 0xb0:
        found.push([name, library, weak]);
        break;
      case 0xa0:
        found.push([name, library, weak]);
        at = leb128(opcodes, at)[1];
        break;
      case 0xc0:
        found.push([name, library, weak]);
        at = leb128(opcodes, leb128(opcodes, at)[1])[1];
    }
  }
  return found;
}

/** Imports of LC_DYLD_CHAINED_FIXUPS in its first format. */
function chained(bytes: Uint8Array): [name: string, library: number, weak: boolean][] {
  const reader = new Reader(bytes);
  const [imports, symbols, count, format] = [8, 12, 16, 20].map(reader.u32) as [number, number, number, number];
  if (format !== 1) throw new Error(`imports of format ${format}`);
  return Array.from({ length: count }, (_, index) => {
    const word = reader.u32(imports + 4 * index);
    return [reader.text(symbols + (word >>> 9)), word & 0xff, (word & 0x100) !== 0];
  });
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** Of the same length too: what lies beyond the end of a signature is not there, and equals nothing. */
const equal = (left: Uint8Array, right: Uint8Array) =>
  left.length === right.length && left.every((byte, index) => byte === right[index]);

function signatureOf(slice: Uint8Array, offset: number, size: number): Signature {
  const reader = new Reader(slice.subarray(offset, offset + size));
  if (reader.be32(0) !== 0xfade0cc0) throw new Error("not a signature");
  const whole = new Map<number, Uint8Array>();
  for (let index = 0; index < reader.be32(8); index++) {
    const at = reader.be32(16 + 8 * index);
    whole.set(reader.be32(12 + 8 * index), reader.part(at, reader.be32(at + 4)));
  }
  const directory = new Reader(whole.get(0)!);
  const [, , version, flags, hashes, identifier, special, pages, end] = Array.from(
    { length: 9 },
    (_, index) => directory.be32(4 * index),
  ) as [number, number, number, number, number, number, number, number, number];
  const [hashBytes, hashType, , pageBits] = directory.part(36, 4) as unknown as number[];
  if (hashType !== 2 || hashBytes !== 32) throw new Error("not SHA-256");
  const hash = (slot: number) => directory.part(hashes + slot * 32, 32);
  const page = 2 ** pageBits!;
  const wrongPages = Array.from({ length: pages }, (_, index) => index).filter((index) =>
    !equal(hash(index), sha256(slice.subarray(index * page, Math.min((index + 1) * page, end))))
  );
  const wrongSlots = Array.from({ length: special }, (_, index) => index + 1).filter((slot) => {
    const blob = whole.get(slot);
    return !equal(hash(-slot), blob === undefined ? new Uint8Array(32) : sha256(blob));
  });
  for (const slot of whole.keys()) if (slot > special && slot < 0x1000) wrongSlots.push(slot);
  return {
    identifier: directory.text(identifier),
    flags,
    wrongPages,
    pages,
    wrongSlots,
    end,
    offset,
    size,
    pageBytes: page,
    executable: version >= 0x20400 ? [directory.be64(64), directory.be64(72), directory.be64(80)] : [0, 0, 0],
    blobs: new Map([...whole].map(([slot, blob]) => [slot, blob.subarray(8)])),
  };
}

const version = (word: number): string => `${word >>> 16}.${(word >>> 8) & 0xff}`;

/** By CPU type, and subtype without the flags in its highest byte: those that every such processor runs. */
const processors: Record<string, string> = { "1000007.3": "x86_64", "100000c.0": "arm64" };

const processor = (type: number, subtype: number): string =>
  processors[`${type.toString(16)}.${subtype & 0xffffff}`] ?? `another: ${type.toString(16)}.${subtype & 0xffffff}`;

function readSlice(bytes: Uint8Array, place = { offset: 0, size: bytes.length, align: 0 }): Slice {
  const reader = new Reader(bytes);
  if (reader.u32(0) !== 0xfeedfacf) throw new Error("not a Mach-O file of 64 bits");
  const slice: Slice = {
    cpu: processor(reader.u32(4), reader.u32(8)),
    place,
    fileType: reader.u32(12),
    flags: reader.u32(24),
    installName: undefined,
    libraries: [],
    runPaths: [],
    builtFor: undefined,
    segments: [],
    sections: [],
    commands: [],
    imports: [],
    undefinedSymbols: [],
    exports: [],
    signature: undefined,
  };
  const bound: [string, number, boolean][] = [];
  const inside = (at: number) => reader.part(reader.u32(at), reader.u32(at + 4));
  for (let count = reader.u32(16), at = 32; count > 0; count--, at += reader.u32(at + 4)) {
    const kind = reader.u32(at);
    slice.commands.push(kind);
    switch (kind) {
      case command.installName:
        slice.installName = reader.text(at + reader.u32(at + 8));
        break;
      case command.loadLibrary:
      case command.weakLibrary:
      case command.reexport:
        slice.libraries.push(reader.text(at + reader.u32(at + 8)));
        break;
      case command.runPath:
        slice.runPaths.push(reader.text(at + reader.u32(at + 8)));
        break;
      case command.buildVersion:
        slice.builtFor = `${reader.u32(at + 8) === 1 ? "macos" : "another"} ${version(reader.u32(at + 12))}`;
        break;
      case command.segment:
        slice.segments.push({
          name: reader.text(at + 8, 16),
          offset: reader.u64(at + 40),
          fileSize: reader.u64(at + 48),
          protection: reader.u32(at + 56) | reader.u32(at + 60), // the most it may have, and what it starts with
        });
        for (let n = reader.u32(at + 64), section = at + 72; n > 0; n--, section += 80) {
          const name = `${reader.text(section + 16, 16)},${reader.text(section, 16)}`;
          slice.sections.push({ name, type: reader.u32(section + 64) & 0xff });
        }
        break;
      case command.symbolTable: {
        const [symbols, amount, strings] = [reader.u32(at + 8), reader.u32(at + 12), reader.u32(at + 16)];
        for (let symbol = symbols; symbol < symbols + 16 * amount; symbol += 16) {
          const isUndefined = (reader.u8(symbol + 4) & 0xee) === 0; // no debugging, no section
          if (isUndefined) slice.undefinedSymbols.push(reader.text(strings + reader.u32(symbol)));
        }
        break;
      }
      case command.dyldInfo:
        bound.push(...boundBy(inside(at + 16)), ...boundBy(inside(at + 24)), ...boundBy(inside(at + 32)));
        slice.exports.push(...exportsOf(inside(at + 40)));
        break;
      case command.chainedFixups:
        bound.push(...chained(inside(at + 8)));
        break;
      case command.exportsTrie:
        slice.exports.push(...exportsOf(inside(at + 8)));
        break;
      case command.codeSignature:
        slice.signature = signatureOf(bytes, reader.u32(at + 8), reader.u32(at + 12));
    }
  }
  const byName = new Map<string, Import>();
  for (const [name, library, weak] of bound) {
    const from = slice.libraries[library - 1] ?? `library ${library}`;
    const before = byName.get(name);
    if (before !== undefined && (before.from !== from || before.weak !== weak)) throw new Error(`${name} in two ways`);
    byName.set(name, { name, from, weak });
  }
  slice.imports.push(...[...byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1)));
  slice.undefinedSymbols.sort();
  return slice;
}

/** The slices of a Mach-O file, one if it is not universal. */
export function readMachO(bytes: Uint8Array): Slice[] {
  const reader = new Reader(bytes);
  if (reader.be32(0) !== 0xcafebabe) return [readSlice(bytes)];
  return Array.from({ length: reader.be32(4) }, (_, index) => {
    const [type, subtype, offset, size, align] = [0, 4, 8, 12, 16].map((at) => reader.be32(8 + 20 * index + at)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const slice = readSlice(reader.part(offset, size), { offset, size, align });
    if (slice.cpu !== processor(type, subtype)) throw new Error("a slice of another processor than the file says");
    return slice;
  });
}
