// SPDX-License-Identifier: MIT

/**
 * What has to be true of every file that a Mac is given, as rules that say what is wrong with one. They are kept apart
 * from the test of the files so that files which were changed on purpose can be held against them, too.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { symbols } from "../../vmnet/symbols.ts";
import { readMachO, type Slice } from "./macho.ts";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));
const sdk = join(root, "shim/darwin/sdk");
const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

export const library = "libvmnet_shim.dylib";
export const program = "vmnet-host";

/** Symbols of a stub for one processor, with the library that has them. */
function stub(path: string, cpu: string): Map<string, string> {
  const text = readFileSync(join(sdk, path), "utf8");
  const from = installNameOf(path);
  const found = new Map<string, string>();
  for (const group of text.split(/^ {2}- targets:/m).slice(1)) {
    if (!group.slice(0, group.indexOf("\n")).includes(`${cpu}-macos`)) continue;
    for (const [, name] of group.matchAll(/^ {6}- '?([^'\n]+)'?$/gm)) found.set(name!, from);
  }
  return found;
}

const installNameOf = (path: string): string =>
  /install-name:\s*'([^']+)'/.exec(readFileSync(join(sdk, path), "utf8"))![1]!;

const stubs = readdirSync(sdk).filter((name) => name.endsWith(".tbd")).sort();

/** What may be imported, and from where. */
export const allowed = (cpu: string): Map<string, string> => new Map(stubs.flatMap((path) => [...stub(path, cpu)]));

/** What the linker binds lazily with, or names without need when it does not. */
export const binder = "dyld_stub_binder";

/** What the header marks as newer than macOS 12. */
export const weakNames: string[] = textOf("shim/darwin/sdk/vmnet/vmnet.h").replace(/\/\*[^]*?\*\/|^#.*$/gm, "")
  .split(";")
  .filter((declaration) => /\bVN_WEAK\b/.test(declaration))
  .map((declaration) => `_${/\b(vmnet_\w+)(?:\(|\s+VN_WEAK)/.exec(declaration)![1]}`);

const abi = Object.keys(symbols).map((name) => `_${name}`);

const sectionTypes: Record<number, string> = {
  0x9: "initializers",
  0xa: "terminators",
  0x11: "thread-local data",
  0x12: "thread-local zeros",
  0x13: "thread-local variables",
  0x14: "pointers to thread-local variables",
  0x15: "thread-local initializers",
  0x16: "initializers by offset",
};

/** Load commands that tell dyld nothing but what is looked at here. Others, such as a re-exported library, might. */
const ordinaryCommands = new Map([
  [0x2, "symbols"],
  [0xb, "symbols for dyld"],
  [0xc, "library"],
  [0xd, "install name"],
  [0xe, "dyld"],
  [0x19, "segment"],
  [0x1b, "UUID"],
  [0x1d, "signature"],
  [0x26, "starts of functions"],
  [0x29, "data in code"],
  [0x2a, "version of the source"],
  [0x32, "platform"],
  [0x80000022, "dyld-info"],
  [0x80000028, "main"],
  [0x80000033, "exports"],
  [0x80000034, "chained fixups"],
]);

/** DER of one entitlement that is true: version 1, and a pair of UTF-8 and "true". Worked out by hand. */
function derOfOne(name: string): number[] {
  const key = new TextEncoder().encode(name);
  const pair = [0x30, key.length + 5, 0x0c, key.length, ...key, 0x01, 0x01, 0xff];
  return [0x70, pair.length + 5, 0x02, 0x01, 0x01, 0xb0, pair.length, ...pair];
}

const entitlement = "com.apple.security.virtualization";
const entitlements = "shim/darwin/vmnet-host.entitlements";
const slot = { directory: 0, requirements: 2, entitlements: 5, derEntitlements: 7, wrapper: 0x10000 };

/** A list of complaints: `need(true, ...)` adds none. */
class Complaints extends Array<string> {
  need(isSo: boolean, ...words: unknown[]): void {
    if (!isSo) this.push(words.map((word) => typeof word === "string" ? word : JSON.stringify(word)).join(" "));
  }
  same(have: unknown, want: unknown, ...words: unknown[]): void {
    this.need(
      JSON.stringify(have) === JSON.stringify(want),
      ...words,
      "is",
      have ?? "absent",
      "and not",
      want ?? "absent",
    );
  }
}

type Rule = (slice: Slice, name: string, complaints: Complaints) => void;

const rules: Record<string, Rule> = {
  platform(slice, name, complaints) {
    complaints.same(slice.builtFor, "macos 12.0", "platform");
    complaints.same(slice.fileType, name === library ? 6 : 2, "file type");
  },

  imports({ cpu, imports, undefinedSymbols }, _name, complaints) {
    const list = allowed(cpu);
    for (const { name, from } of imports) complaints.same(from, list.get(name), "import", name);
    const told = new Set([binder, ...imports.map(({ name }) => name)]);
    for (const name of undefinedSymbols) complaints.need(told.has(name), "dyld is not told of", name);
  },

  weak({ imports }, _name, complaints) {
    for (const { name, weak } of imports) complaints.same(weak, weakNames.includes(name), "weakness of", name);
  },

  exports({ exports }, name, complaints) {
    const more = name === program ? ["__mh_execute_header", "_main"] : [];
    for (const each of exports) complaints.need([...abi, ...more].includes(each), "export", each);
    if (name === library) { for (const each of abi) complaints.need(exports.includes(each), "no export", each); }
  },

  linkage({ installName, libraries, runPaths, commands }, name, complaints) {
    complaints.same(installName, name === library ? `@rpath/${library}` : undefined, "install name");
    complaints.same([...libraries].sort(), stubs.map(installNameOf).sort(), "libraries");
    complaints.same(runPaths, [], "run paths");
    for (const each of commands) complaints.need(ordinaryCommands.has(each), "load command", each.toString(16));
  },

  initializers({ sections, flags }, _name, complaints) {
    for (const { name, type } of sections) complaints.need(!(type in sectionTypes), sectionTypes[type], "in", name);
    complaints.need((flags & 0x800000) === 0, "the header says thread-local variables");
  },

  place({ cpu, place, segments, signature }, _name, complaints) {
    const [read, write, execute] = [1, 2, 4];
    // What Macs map, they map by pages: of 16 KiB on arm64.
    complaints.need(place.align >= (cpu === "arm64" ? 14 : 12), "alignment", place.align);
    complaints.need(place.offset % 2 ** place.align === 0, "offset", place.offset);
    for (const { name, protection } of segments) {
      complaints.need((protection & ~(read | write | execute)) === 0, "protection of", name, protection);
      complaints.need((protection & (write | execute)) !== (write | execute), name, "is writable and executable");
    }
    const linkEdit = segments.at(-1);
    complaints.same(linkEdit?.name, "__LINKEDIT", "the last segment");
    const end = (linkEdit?.offset ?? 0) + (linkEdit?.fileSize ?? 0);
    complaints.same(end, place.size, "the end of the last segment");
    complaints.same((signature?.offset ?? 0) + (signature?.size ?? 0), end, "the end of the signature");
  },

  signature({ signature, segments }, name, complaints) {
    const adHoc = 0x2;
    const linkerSigned = 0x20000;
    if (signature === undefined) return complaints.need(false, "no signature");
    complaints.same(signature.flags, name === library ? adHoc | linkerSigned : adHoc, "signature's flags");
    complaints.same(signature.identifier, name, "identifier");
    complaints.same(signature.end, signature.offset, "the end of what is hashed");
    complaints.same(signature.pageBytes, 4096, "page");
    complaints.same(signature.pages, Math.ceil(signature.end / 4096), "number of pages");
    complaints.same(signature.wrongPages, [], "pages with a wrong hash");
    complaints.same(signature.wrongSlots, [], "slots with a wrong hash");
    const text = segments.find((segment) => segment.name === "__TEXT");
    const mainBinary = name === program ? 1 : 0;
    complaints.same(signature.executable, [text?.offset, text?.fileSize, mainBinary], "executable segment");
  },

  entitlements({ signature }, name, complaints) {
    const blobs = signature?.blobs ?? new Map<number, Uint8Array>();
    const slots = name === library ? [slot.directory] : Object.values(slot);
    complaints.same([...blobs.keys()], slots, "slots of the signature");
    if (name === library) return;
    const xml = new TextDecoder().decode(blobs.get(slot.entitlements));
    complaints.same(xml, textOf(entitlements), "entitlements");
    const keys = xml.match(/<key>[^<]*<\/key>\s*<[^>]*>/g);
    complaints.same(keys, [`<key>${entitlement}</key>\n\t<true/>`], "keys of the entitlements");
    complaints.same([...blobs.get(slot.derEntitlements) ?? []], derOfOne(entitlement), "entitlements in DER");
    complaints.same([...blobs.get(slot.requirements) ?? []], [0, 0, 0, 0], "requirements");
    complaints.same(blobs.get(slot.wrapper)?.length, 0, "a certificate's signature");
  },
};

export type RuleName = "file" | keyof typeof rules;

/** Names of all rules. */
export const ruleNames: RuleName[] = ["file", ...Object.keys(rules)];

/** What is wrong with a file, by the rule that says so: "rule: processor: what". Nothing is as it should be. */
export function complaintsAbout(name: string, bytes: Uint8Array): string[] {
  let slices: Slice[];
  try {
    slices = readMachO(bytes);
  } catch (error) {
    return [`file: ${(error as Error).message}`];
  }
  const found = new Complaints();
  found.same(slices.map(({ cpu }) => cpu), ["x86_64", "arm64"], "file: processors");
  for (const [rule, check] of Object.entries(rules)) {
    for (const slice of slices) {
      const complaints = new Complaints();
      check(slice, name, complaints);
      found.push(...complaints.map((text) => `${rule}: ${slice.cpu}: ${text}`));
    }
  }
  return [...found];
}
