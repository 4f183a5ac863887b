// SPDX-License-Identifier: MIT

/**
 * Files that an audit must not pass: each is one of ours with one thing wrong, and the complaint that has to be made.
 * Most of them have a wrong hash as well, which is why it matters that the complaint is the right one; some are signed
 * anew, and have no other fault.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { library, program, root } from "./audit.ts";
import { readMachO } from "./macho.ts";

interface Broken {
  what: string;
  file: string;
  change: (bytes: Uint8Array) => Uint8Array;
  complaint: RegExp;
}

type Sign = (program: Uint8Array, identifier: string, entitlements: string) => Uint8Array;
const { sign }: { sign: Sign } = await import(join(root, "scripts/sign.mjs"));

const plist = readFileSync(join(root, "shim/darwin/vmnet-host.entitlements"), "utf8");

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Where a text begins in the file; each character is one byte. */
function find(bytes: Uint8Array, text: string, from = 0): number {
  const at = new TextDecoder("latin1").decode(bytes).indexOf(text, from);
  if (at < 0) throw new Error(`${text} is not in the file`);
  return at;
}

/** A change of the first slice that leaves the other one alone. */
function first(change: (slice: Uint8Array, view: DataView) => void): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const { offset, size } = readMachO(bytes)[0]!.place;
    const slice = bytes.subarray(offset, offset + size);
    change(slice, viewOf(slice));
    return bytes;
  };
}

/** Puts other bytes in the place of a text. */
const replace = (text: string, by: string) =>
  first((slice) => slice.set(Uint8Array.from(by, (each) => each.charCodeAt(0)), find(slice, text)));

/** Where a load command of the first slice is. */
function commandAt(view: DataView, kind: number): number {
  let at = 32;
  for (let n = view.getUint32(16, true); n > 0; n--, at += view.getUint32(at + 4, true)) {
    if (view.getUint32(at, true) === kind) return at;
  }
  throw new Error(`no load command ${kind}`);
}

/** Where the code directory of the first slice is. */
function directoryAt(view: DataView): number {
  const signature = view.getUint32(commandAt(view, 0x1d) + 8, true);
  return signature + view.getUint32(signature + 16);
}

/** One number of a load command, or of the code directory. */
const command = (kind: number, offset: number, value: number) =>
  first((_, view) => view.setUint32(commandAt(view, kind) + offset, value, true));
const directory = (offset: number, value: number) =>
  first((_, view) => view.setUint32(directoryAt(view) + offset, value));

/** A file with both slices signed anew, so that every hash is true. */
function signed(identifier: string, entitlements: string): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const slices = readMachO(bytes).map(({ place }) => {
      const slice = bytes.subarray(place.offset, place.offset + place.size);
      return { align: place.align, bytes: sign(Buffer.from(slice), identifier, entitlements) };
    });
    const page = 1 << 14;
    const out = Buffer.alloc(slices.reduce((sum, each) => sum + Math.ceil(each.bytes.length / page) * page, page));
    out.set(bytes.subarray(0, page));
    let at = page;
    slices.forEach((each, index) => {
      out.set(each.bytes, at);
      out.writeUInt32BE(at, 8 + 20 * index + 8);
      out.writeUInt32BE(each.bytes.length, 8 + 20 * index + 12);
      at += Math.ceil(each.bytes.length / page) * page;
    });
    return out;
  };
}

const weakLibrary = 0x80000018;
const reexport = 0x8000001f;
const [segment, library64, installName, dataInCode, platform] = [0x19, 0xc, 0xd, 0x29, 0x32];
const close = "_close\0";

export const broken: Broken[] = [
  {
    what: "a slice that is missing",
    file: library,
    change: (bytes) => {
      const { offset, size } = readMachO(bytes)[1]!.place;
      return bytes.slice(offset, offset + size);
    },
    complaint: /^file: processors is \["arm64"\]/,
  },
  {
    what: "a slice of another processor than the file says",
    file: library,
    change: (bytes) => (viewOf(bytes).setUint32(8 + 20 + 4, 2), bytes), // arm64e
    complaint: /^file: a slice of another processor/,
  },
  {
    what: "a newer macOS",
    file: library,
    change: command(platform, 12, 13 << 16),
    complaint: /^platform: x86_64: platform is "?macos 13\.0/,
  },
  {
    what: "another platform",
    file: program,
    change: command(platform, 8, 2),
    complaint: /^platform: x86_64: platform is "?another 12\.0/,
  },
  {
    what: "an import that is not on the list",
    file: library,
    change: replace(`@${close}`, "@_clone\0"),
    complaint: /^imports: x86_64: import _clone is .* and not absent/,
  },
  {
    what: "an import from another library, in one of the two files",
    file: library,
    change: first((slice) => {
      const at = find(slice, `@${close}`) - 1; // before the name comes the library, in an opcode
      slice[at] = slice[at]! === 0x11 ? 0x12 : 0x11;
    }),
    complaint: /^imports: x86_64: import _close is .* and not .*libSystem/,
  },
  {
    what: "an undefined symbol that dyld is not told of",
    file: library,
    change: first((slice) => {
      const at = find(slice, `\0${close}`); // in the table of symbols
      slice[at + 2] = "d".charCodeAt(0);
    }),
    complaint: /^imports: x86_64: dyld is not told of _dlose/,
  },
  {
    what: "a weak import that has become a strong one",
    file: library,
    change: first((slice) => {
      const name = "A_vmnet_network_create\0"; // bound twice: when the library is loaded, and with the first call
      for (let n = 0; n < 2; n++) slice[find(slice, name)] = "@".charCodeAt(0);
    }),
    complaint: /^weak: x86_64: weakness of _vmnet_network_create is false/,
  },
  {
    what: "an import that is weak in one place and strong in another",
    file: library,
    change: replace("A_vmnet_network_create\0", "@"),
    complaint: /^file: _vmnet_network_create in two ways/,
  },
  {
    what: "a strong import that has become a weak one",
    file: program,
    change: replace("@_vmnet_start_interface\0", "A"),
    complaint: /^weak: x86_64: weakness of _vmnet_start_interface is true/,
  },
  {
    what: "an export that is not in the ABI",
    file: library,
    change: first((slice, view) => {
      const at = view.getUint32(commandAt(view, 0x80000022) + 40, true); // the trie
      slice[find(slice, "rain\0", at)] = "b".charCodeAt(0);
    }),
    complaint: /^exports: x86_64: export _vn_dbain/,
  },
  {
    what: "an export that is missing",
    file: library,
    change: first((slice, view) => {
      const at = view.getUint32(commandAt(view, 0x80000022) + 40, true);
      slice[find(slice, "rain\0", at)] = "b".charCodeAt(0);
    }),
    complaint: /^exports: x86_64: no export _vn_drain/,
  },
  {
    what: "another install name",
    file: library,
    change: first((slice, view) => {
      const at = commandAt(view, installName);
      slice[at + view.getUint32(at + 8, true)] = "/".charCodeAt(0);
    }),
    complaint: /^linkage: x86_64: install name is "?\/rpath/,
  },
  {
    what: "a library of somebody else",
    file: program,
    change: replace("/usr/lib/libSystem.B", "/opt/lib/libSystem.B"),
    complaint: /^linkage: x86_64: libraries is .*\/opt\/lib/,
  },
  {
    what: "a library that is passed on",
    file: library,
    change: command(library64, 0, reexport),
    complaint: /^linkage: x86_64: load command 8000001f/,
  },
  {
    what: "a library that may be absent",
    file: library,
    change: command(library64, 0, weakLibrary),
    complaint: /^linkage: x86_64: load command 80000018/,
  },
  {
    what: "a load command that nobody expects",
    file: program,
    change: command(dataInCode, 0, 0x27), // dyld's environment
    complaint: /^linkage: x86_64: load command 27/,
  },
  {
    what: "an initializer",
    file: library,
    change: command(segment, 72 + 64, 0x9),
    complaint: /^initializers: x86_64: initializers in __TEXT,__text/,
  },
  {
    what: "a thread-local variable",
    file: program,
    change: first((_, view) => {
      const text = commandAt(view, segment) + 72; // after the zero page, which has no sections
      view.setUint32(text + 72 + 64, 0x13, true);
    }),
    complaint: /^initializers: x86_64: thread-local variables in __TEXT,__text/,
  },
  {
    what: "a slice that cannot be mapped",
    file: library,
    change: (bytes) => (viewOf(bytes).setUint32(8 + 20 + 16, 12), bytes),
    complaint: /^place: arm64: alignment 12/,
  },
  {
    what: "a segment that is writable and executable",
    file: library,
    change: command(segment, 56, 7),
    complaint: /^place: x86_64: __TEXT is writable and executable/,
  },
  {
    what: "something behind the signature",
    file: library,
    change: (bytes) => (viewOf(bytes).setUint32(8 + 12, readMachO(bytes)[0]!.place.size + 16), bytes),
    complaint: /^place: x86_64: the end of the last segment/,
  },
  {
    what: "a changed byte",
    file: library,
    change: first((slice) => slice[0x3000]! ^= 1),
    complaint: /^signature: x86_64: pages with a wrong hash is \[3\]/,
  },
  {
    what: "a changed byte on the first page and in the entitlements",
    file: program,
    change: first((slice) => {
      slice[find(slice, "__LINKEDIT") + 60]! ^= 1;
      slice[find(slice, "<key>com.apple.security") + 5]! ^= 1;
    }),
    complaint: /^signature: x86_64: slots with a wrong hash is \[5\]/,
  },
  {
    what: "hashes that are not there",
    file: library,
    change: directory(16, 0x7fff0000),
    complaint: /^signature: x86_64: pages with a wrong hash is \[0,1,2/,
  },
  {
    what: "pages that are not hashed",
    file: program,
    change: directory(28, 1),
    complaint: /^signature: x86_64: number of pages is 1 /,
  },
  {
    what: "the flag of a hardened program",
    file: program,
    change: directory(12, 0x10002),
    complaint: /^signature: x86_64: signature's flags is 65538/,
  },
  {
    what: "an executable segment of another length",
    file: program,
    change: directory(76, 4096),
    complaint: /^signature: x86_64: executable segment is \[0,4096,1\]/,
  },
  {
    what: "a program that is not marked as one",
    file: program,
    change: directory(84, 0),
    complaint: /^signature: x86_64: executable segment is \[0,\d+,0\]/,
  },
  {
    what: "another identifier",
    file: program,
    change: signed("vmnet", plist),
    complaint: /^signature: arm64: identifier is "?vmnet"? and/,
  },
  {
    what: "another entitlement",
    file: program,
    change: signed(program, plist.replace("virtualization", "hypervisor")),
    complaint: /^entitlements: arm64: entitlements in DER/,
  },
  {
    what: "one entitlement more",
    file: program,
    change: signed(program, plist.replace("<dict>", "<dict>\n\t<key>com.apple.vm.networking</key>\n\t<true/>")),
    complaint: /^entitlements: x86_64: keys of the entitlements/,
  },
  {
    what: "a library with entitlements",
    file: library,
    change: signed(library, plist),
    complaint: /^entitlements: x86_64: slots of the signature is \[0,2,5,7,65536\]/,
  },
];
