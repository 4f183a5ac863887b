// SPDX-License-Identifier: MIT

// Makes the tables of docs/macos.md and docs/from-go-and-ocaml.md, which say what of vmnet's API, and of two older
// bindings of it, is where in this library.
//
//   node scripts/api_tables.mjs           writes them into the documents
//   node scripts/api_tables.mjs --check   says whether the documents are up to date
//
// The rows are in scripts/api_vmnet.json and scripts/api_bindings.json. A row that is missing, empty, one too many, names
// something that this library does not export or a test that does not exist, is an error.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root } from "./runtimes.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");
const withoutComments = (text) => text.replace(/\/\*[^]*?\*\//g, " ").replace(/\/\/[^\n]*/g, " ");

/** Every name of vmnet's that our own declarations have, with its kind. */
export function declared(header = read("shim/darwin/sdk/vmnet/vmnet.h"), statuses = read("shim/vmnet_shim.h")) {
  const text = withoutComments(header);
  const names = new Map();
  const add = (kind, pattern, source = text) => {
    for (const [, name] of source.matchAll(pattern)) if (!names.has(name)) names.set(name, kind);
  };
  add("key", /\bextern const char \*(vmnet_\w+_key)\b/g);
  add("block type", /\btypedef void \(\^(\w+)\)\(/g);
  add("type", /\btypedef struct \w+ \*(\w+);/g);
  add("enum", /\bVN_ENUM_TYPE\(uint32_t, (\w+)\)/g);
  add("enum member", /\bVN_CONSTANT\((VMNET_\w+),/g);
  add("enum member", /\b(VMNET_\w+)\s*=/g, withoutComments(statuses));
  add("struct", /\bVN_STRUCT\((\w+),/g);
  add("function", /\b(vmnet_\w+)\(/g);
  return names;
}

/** Where this library's public names are declared: name to source text. Names of an export beside "." have its prefix. */
export function exported() {
  const found = new Map();
  const { exports } = JSON.parse(read("deno.json")); // the sources; those of package.json are built
  for (const [subpath, path] of Object.entries(exports)) {
    const prefix = subpath === "." ? "" : `vmnet${subpath.slice(1)}: `;
    const text = read(path);
    for (const [, list, from] of text.matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)"/gm)) {
      const names = list.split(",").map((name) => name.trim().replace(/^type /, "")).filter(Boolean);
      const source = read(join(path, "..", from));
      for (const name of names) found.set(prefix + name, bodyOf(name, source));
    }
    for (
      const [, name] of text.matchAll(/^export (?:async |abstract )?(?:class|function|interface|const|type) (\w+)/gm)
    ) {
      found.set(prefix + name, bodyOf(name, text));
    }
  }
  return found;
}

/** The source of one top-level declaration with its documentation: as far as a line that closes it at the left margin. */
function bodyOf(name, source) {
  const start = source.search(
    new RegExp(`^export (?:async |abstract )?(?:class|function\\*?|interface|const|type) ${name}\\b`, "m"),
  );
  if (start < 0) return "";
  const documentation = /\/\*\*(?:(?!\*\/)[^])*\*\/\n$/.exec(source.slice(0, start))?.[0] ?? "";
  const [first, ...rest] = source.slice(start).split("\n");
  if (/[;}]$/.test(first)) return documentation + first;
  // A type that goes on in the next line has no bracket of its own
  const isUnion = /^export type .*=$/.test(first);
  const end = rest.findIndex((line) => isUnion ? line.endsWith(";") : /^[}\])]/.test(line));
  return documentation + [first, ...rest.slice(0, end + 1)].join("\n");
}

/** Whether the documentation of a name, or that of what it is a member of, says that no Mac has confirmed it. */
export function saysUnverified(name, names) {
  const [, prefix = "", outer, member] = /^(\S+: )?(\w+)(?:\.(\w+))?$/.exec(name) ?? [];
  const body = names.get(prefix + outer) ?? "";
  const declared = `(?:static |async |readonly |get )*${member}\\??[:(<]`;
  const own = new RegExp(`(/\\*\\*(?:(?!\\*/)[^])*\\*/)\\s*${declared}`).exec(body)?.[1];
  return [/^\/\*\*[^]*?\*\//.exec(body)?.[0], own].some((said) =>
    said?.replaceAll(/\s*\n\s*\*\s*/g, " ").includes("not verified on hardware")
  );
}

/** Why a name is none of this library's, or undefined: `Interface.start`, `Status.failure`, `sharedInterfaces`. */
export function wrongName(name, names) {
  const match = /^(.+?)(?:\.(\w+))?$/.exec(name.replace(/^(\S+: )?/, ""));
  const prefix = /^\S+: /.exec(name)?.[0] ?? "";
  const body = names.get(prefix + match?.[1]);
  if (body === undefined) return `"${name}" is not exported`;
  const member = match[2];
  if (member === undefined) return undefined;
  const declares = new RegExp(`^  (?:static |async |readonly |override |get )*${member}\\??[:(<]`, "m");
  return declares.test(body) ? undefined : `"${name}" is not a member`;
}

/** Why a test is none, or undefined: `tests/vmnet/interface_test.ts: part of its name`. */
export function wrongTest(reference, readFile = read) {
  const match = /^(\S+): (.+)$/.exec(reference);
  if (match === null) return `"${reference}" is not "file: name of the test"`;
  const [, path, name] = match;
  if (!existsSync(join(root, path))) return `${path} does not exist`;
  const text = readFile(path);
  if (path.endsWith(".c")) return text.includes(`RUN(${name})`) ? undefined : `${path} does not run ${name}`;
  const titles = [...text.matchAll(/\b(?:test|it|describe)\(\s*(["`])((?:\\.|(?!\1)[^\\])*)\1/g)].map((found) =>
    found[2]
  );
  return titles.includes(name) ? undefined : `${path} has no test "${name}"`;
}

/** Throws with everything that is wrong. */
function complain(what, faults) {
  if (faults.length > 0) throw new Error(`${what}:\n  ${faults.join("\n  ")}`);
}

const code = (text) => `\`${text}\``;
const row = (cells) => `| ${cells.join(" | ")} |`;

function shown(names) {
  return names.map((name) => {
    const [, from, rest] = /^(\S+): (.+)$/.exec(name) ?? [undefined, undefined, name];
    return from ? `${code(rest)} of ${code(from)}` : code(rest);
  }).join(", ");
}

function shownTest(reference) {
  const [, path, name] = /^(\S+): (.+)$/.exec(reference);
  return `${path}: ${path.endsWith(".c") ? code(name) : name.replaceAll("|", "\\|")}`;
}

/**
 * The table of vmnet's API.
 *
 * @param rows `[{ name, macos, ts: [names], test, note? }]`.
 */
export function vmnetTable(rows, names = declared(), ours = exported()) {
  const faults = [];
  const given = new Set();
  for (const { name, macos, ts, test } of rows) {
    if (given.has(name)) faults.push(`${name} is there twice`);
    given.add(name);
    if (!names.has(name)) faults.push(`${name} is not declared in shim/darwin/sdk/vmnet/vmnet.h`);
    if (!/^\d+\.\d+$/.test(macos ?? "")) faults.push(`${name} has no version of macOS`);
    if (!(ts?.length > 0)) faults.push(`${name} has no name here`);
    for (const mine of ts ?? []) {
      const why = wrongName(mine, ours);
      if (why) faults.push(`${name}: ${why}`);
      else if (!saysUnverified(mine, ours)) faults.push(`${name}: "${mine}" does not say "not verified on hardware"`);
    }
    const why = test ? wrongTest(test) : "it has no test";
    if (why) faults.push(`${name}: ${why}`);
  }
  for (const name of names.keys()) if (!given.has(name)) faults.push(`${name} has no row`);
  complain("Cannot make the table of vmnet's API", faults);
  const kinds = ["function", "key", "enum", "enum member", "struct", "type", "block type"];
  const version = ({ macos }) => macos.split(".").reduce((sum, part) => sum * 100 + Number(part), 0);
  const sorted = [...rows].sort((a, b) =>
    kinds.indexOf(names.get(a.name)) - kinds.indexOf(names.get(b.name)) || version(a) - version(b)
  );
  return [
    row(["vmnet", "kind", "macOS", "here", "covered by", "state"]),
    row(Array(6).fill("---")),
    ...sorted.map(({ name, macos, ts, test, note }) =>
      row([
        code(name),
        names.get(name),
        macos,
        shown(ts) + (note ? `: ${note}` : ""),
        shownTest(test),
        "not verified on hardware",
      ])
    ),
  ].join("\n");
}

/**
 * The table of the other bindings.
 *
 * @param groups `[{ title, names: [every name of theirs], rows: { name: { ts: [names], note? } | { why } } }]`.
 */
export function bindingTables(groups, ours = exported()) {
  const faults = [];
  const tables = groups.map(({ title, names, rows }) => {
    for (const name of Object.keys(rows)) {
      if (!names.includes(name)) faults.push(`${title}: ${name} is none of its names`);
    }
    const lines = names.map((name) => {
      const { ts = [], note, why } = rows[name] ?? {};
      if (ts.length === 0 && !why) faults.push(`${title}: ${name} has neither a name here nor a reason`);
      for (const mine of ts) {
        const wrong = wrongName(mine, ours);
        if (wrong) faults.push(`${title}: ${name}: ${wrong}`);
      }
      return row([code(name), ts.length > 0 ? shown(ts) : "not needed", note ?? why ?? ""]);
    });
    return [`### ${title}`, "", row(["there", "here", "what to know"]), row(Array(3).fill("---")), ...lines].join("\n");
  });
  complain("Cannot make the tables of the other bindings", faults);
  return tables.join("\n\n");
}

const begin = "<!-- made by scripts/api_tables.mjs -->";
const end = "<!-- end -->";

/** Puts a table between the marks of a document. */
export function inserted(document, table) {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot insert a table: the document lacks "${begin}" or "${end}"`);
  return `${document.slice(0, from)}${begin}\n\n${table}\n\n${document.slice(to)}`;
}

/** The documents as they are and as they should be. */
export function documents() {
  const make = (path, table) => ({ path, is: read(path), should: inserted(read(path), table) });
  return [
    make("docs/macos.md", vmnetTable(JSON.parse(read("scripts/api_vmnet.json")))),
    make("docs/from-go-and-ocaml.md", bindingTables(JSON.parse(read("scripts/api_bindings.json")))),
  ];
}

if (process.argv[1] === import.meta.filename) {
  const check = process.argv.includes("--check");
  try {
    const stale = documents().filter(({ is, should }) => is !== should);
    for (const { path, should } of stale) {
      if (check) console.error(`${path} is not what "node scripts/api_tables.mjs" makes`);
      else writeFileSync(join(root, path), should);
    }
    if (check && stale.length > 0) process.exitCode = 1;
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
