// SPDX-License-Identifier: MIT

/**
 * The rules of the rooms, and that no fact is declared twice with two values. ARCHITECTURE.md gives the reasons.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import * as abi from "../vmnet/symbols.ts";
import { Status } from "../vmnet/status.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

function output(command: string, args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`);
  return stdout;
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const readJson = (path: string) => JSON.parse(read(path));

/** What is in git or would be added to it. The clone may belong to another user than the one who runs the tests. */
const files = output("git", ["-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"])
  .split("\n").filter((path) => path !== "" && existsSync(join(root, path)));

const typeScript = files.filter((path) => path.endsWith(".ts"));
const c = files.filter((path) => /\.[ch]$/.test(path));

/** The first part of a path: the room that a file lives in, or the name of a file at the top. */
const roomOf = (path: string): string => path.split("/")[0]!;

/** Matches string literals, so that they are passed over, and comments. */
const stringOrComment = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[^]|[^`\\])*`)|\/\*[^]*?\*\/|\/\/[^\n]*/g;

const withoutComments = (source: string): string => source.replace(stringOrComment, (_, text) => text ?? " ");
const codeOnly = (source: string): string => source.replace(stringOrComment, (_, text) => text ? '""' : " ");

/** Specifiers of static imports and re-exports, which begin a line, and of dynamic imports. */
function imports(path: string): string[] {
  const patterns =
    /^\s*(?:import|export)\b[\w\s{},*$]*\bfrom\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
  return [...withoutComments(read(path)).matchAll(patterns)].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

function lines(paths: string[]): number {
  return paths.reduce((sum, path) => sum + read(path).split("\n").length - 1, 0);
}

/** An empty list with the offenders named when it is not. */
function assertNone(offenders: string[]): void {
  assertEquals(offenders, []);
}

/** Rooms that each room may import from. A room that is not listed here may import whatever it likes. */
const arrows: Record<string, string[]> = {
  "mod.ts": ["vmnet"],
  ffi: [],
  vmnet: ["ffi", "packet"],
  packet: [],
};

const publicNames = Object.keys(readJson("deno.json").imports).filter((name) => name.startsWith("vmnet"));

/** Why a file may not import a specifier, or undefined. */
function offence(path: string, specifier: string): string | undefined {
  const room = roomOf(path);
  if (room === "tools" || room === "examples") {
    const isPart = room === "tools" && /^\.\/_\w+\.ts$/.test(specifier); // of a tool, or of several
    if (specifier.startsWith("node:") || publicNames.includes(specifier) || isPart) return undefined;
    return `${path} imports ${specifier}: only public exports and ./_*.ts`;
  }
  const allowed = arrows[room];
  if (allowed === undefined) return undefined;
  if (specifier.startsWith("node:")) return room === "packet" ? `${path} imports ${specifier}` : undefined;
  if (!specifier.startsWith(".")) return `${path} imports ${specifier}: the library has no dependency`;
  const target = roomOf(relative(root, join(root, dirname(path), specifier)));
  if (target === room || allowed.includes(target)) return undefined;
  return `${path} imports ${specifier}: ${room} may not import ${target}`;
}

test("rooms import only along their arrows", () => {
  assertNone(typeScript.flatMap((path) => imports(path).flatMap((specifier) => offence(path, specifier) ?? [])));
});

test("only ffi/ mentions a runtime's global", () => {
  const library = typeScript.filter((path) =>
    ["mod.ts", "vmnet", "packet", "tools", "examples"].includes(roomOf(path))
  );
  assertNone(library.filter((path) => /\b(Deno|Bun)\b/.test(codeOnly(read(path)))));
});

test("ffi/ knows nothing of vmnet", () => {
  const ffi = typeScript.filter((path) => roomOf(path) === "ffi");
  assertNone(ffi.filter((path) => /vmnet|\bvn_/i.test(withoutComments(read(path)))));
});

test("mod.ts only re-exports", () => {
  const statements = withoutComments(read("mod.ts")).split(";").map((statement) => statement.trim()).filter(Boolean);
  assertNone(statements.filter((statement) => !/^export\s+(type\s+)?(\*|\{[^}]*\})\s+from\s+"[^"]+"$/.test(statement)));
});

test("names say what is inside", () => {
  assertNone(files.filter((path) => /(^|\/)(src|lib|utils?|common|misc|helpers?)(\.|\/|$)/.test(path)));
});

test("git holds sources only", () => {
  const generated = /(^|\/)(node_modules|dist|build)\/|\.(o|a|so|dylib|d|pcapng|log)$|bun\.lockb?$|deno\.lock$/;
  assertNone(files.filter((path) => generated.test(path)));
  assertNone(files.filter((path) => readFileSync(join(root, path)).includes(0)));
});

test("every source file of the package names its licence", () => {
  const shipped = ["mod.ts", "ffi", "vmnet", "packet", "tools", "shim"];
  const sources = [...typeScript, ...c].filter((path) => shipped.includes(roomOf(path)));
  assertNone(sources.filter((path) => !/^(#!.*\n)?\/\/ SPDX-License-Identifier: MIT\n/.test(read(path))));
});

/** Files that may be longer than 400 lines, each with its reason. */
const longFiles: Record<string, string> = {};

test("no file is longer than 400 lines", () => {
  const long = [...typeScript, ...c, ...files.filter((path) => path.endsWith(".mjs"))].filter((path) =>
    lines([path]) > 400
  );
  assertEquals(long.sort(), Object.keys(longFiles).sort());
});

test("every C file opens with what it does and how", () => {
  const sources = c.filter((path) => path.endsWith(".c") && roomOf(path) === "shim");
  // A line for what is plain, "Theory of operation" for what is not.
  const opening = /^\/\/ SPDX[^\n]*\n\/\*[^]{40,}?\*\//;
  assertNone(sources.filter((path) => !opening.test(read(path))));
});

/** Lines of C in rooms of the shim. */
const linesOfC = (...rooms: string[]) =>
  lines(c.filter((path) => rooms.some((room) => path.startsWith(`shim/${room}`))));

test("the C stays smaller than the TypeScript", () => {
  // What a script has in its process: the core and one backend. The gateway is a program of its own, which no TypeScript
  // stands opposite.
  const library = typeScript.filter((path) => ["vmnet", "ffi", "packet"].includes(roomOf(path)));
  assertLess(linesOfC("core/", "embedded/", "vmnet_shim.h"), lines(library));
});

test("the backend of macOS is smaller than the embedded one", () => {
  // Its declarations stand in for a system's headers
  assertLess(linesOfC("darwin/") - linesOfC("darwin/sdk/"), linesOfC("embedded/"));
});

test("what of the public needs a Mac says that it is not verified on hardware", () => {
  const offenders = typeScript.filter((path) => roomOf(path) === "vmnet").flatMap((path) => {
    // A declaration at the left margin with its documentation and that of its members
    const declarations = read(path).split(/^(?=\/\*\*)/m);
    return declarations.filter((text) => {
      const said = [...text.matchAll(/\/\*\*[^]*?\*\//g)].map(([comment]) => comment.replaceAll(/\s*\n\s*\*\s*/g, " "));
      const needs = said.some((comment) => /\b(needs|on|since|before) (a Mac|macOS)\b|macOS \d\d/i.test(comment));
      return needs && !said.some((comment) => /not verified on hardware/i.test(comment));
    }).map((text) => `${path}: ${/^(?:export|const|function|let|class).*/m.exec(text)?.[0] ?? text.slice(0, 60)}`);
  });
  assertNone(offenders);
});

/** Name of the bundled module of an export: `mod` is `.`, `ffi` is `./ffi`. */
const bundleOf = (name: string): string => name === "." ? "mod" : name.replace("./", "");

test("the manifests agree on version, exports and names", () => {
  const [npm, jsr] = [readJson("package.json"), readJson("deno.json")];
  assertEquals(npm.version, jsr.version);
  assertEquals(npm.license, jsr.license);
  // deno.json names sources, package.json what is built of them; types come first, or nobody looks at them
  const built = Object.keys(jsr.exports).map((name) => {
    const path = `./dist/${bundleOf(name)}`;
    return [name, Object.entries({ types: `${path}.d.ts`, default: `${path}.js` })];
  });
  assertEquals(Object.entries(npm.exports).map(([name, target]) => [name, Object.entries(target as object)]), built);
  // tsconfig.json holds comments; no string in it looks like one but the globs, and those stay intact.
  const paths = JSON.parse(withoutComments(read("tsconfig.json"))).compilerOptions.paths as Record<string, string[]>;
  assertEquals(Object.fromEntries(Object.entries(paths).map(([name, [path]]) => [name, path])), jsr.imports);
  for (const [name, path] of Object.entries(jsr.exports)) {
    assertEquals(jsr.imports[name.replace(/^\./, "vmnet")], path);
    assert(existsSync(join(root, path as string)), `exports name ${path}, which does not exist`);
  }
});

test("each tool is a command of the package", () => {
  const tools = files.filter((path) => /^tools\/[a-z]\w*\.ts$/.test(path)).map((path) => path.slice(6, -3));
  const commands = tools.map((tool) => [tool === "vmnetd" ? tool : `vmnet-${tool}`, `./dist/${tool}.js`]);
  assertEquals(readJson("package.json").bin, Object.fromEntries(commands));
});

test("what is published are the rooms of the library", () => {
  const rooms = readJson("deno.json").publish.include as string[];
  assertEquals(rooms.filter((path) => roomOf(path) in arrows).sort(), Object.keys(arrows).sort());
  assertNone(rooms.filter((path) => !existsSync(join(root, path))));
});

test("development packages are pinned, and the lock file names no registry", () => {
  for (const version of Object.values(readJson("package.json").devDependencies)) {
    assertMatch(version as string, /^(npm:typescript@|~)?\d+\.\d+\.\d+$/);
  }
  assertEquals(readJson("package-lock.json").version, readJson("package.json").version);
  assertEquals(read("package-lock.json").includes('"resolved"'), false);
});

const header = withoutComments(read("shim/vmnet_shim.h"));

const tableTypes = { int32_t: "i32", uint32_t: "u32" } as const;

/** `[name, result, parameters]` of every prototype in the header, in the symbol table's words. */
function prototypes(): Record<string, unknown> {
  return Object.fromEntries(
    [...header.matchAll(/VN_EXPORT\s+(\w+)\s+(\w+)\(([^)]*)\)/g)].map(([, result, name, parameters]) => {
      const args = parameters!.split(",").map((text) => text.trim()).filter((text) => text !== "void").map((text) =>
        text.includes("*") ? "buffer" : tableTypes[text.split(/\s+/)[0] as keyof typeof tableTypes]
      );
      return [name!, { args, returns: tableTypes[result as keyof typeof tableTypes] }];
    }),
  );
}

test("the symbol table says what the header says", () => {
  assertEquals(abi.symbols as Record<string, unknown>, prototypes());
});

/** The library over each backend, as far as it was built; `npm test` builds them all where it can. */
const libraries = [
  "libvmnet_shim.so",
  "doubles/libvmnet_shim.so",
  "doubles-old/libvmnet_shim.so",
  "macho/libvmnet_shim.so",
];

for (const library of libraries) {
  const path = `shim/build/${library}`;
  const isBuilt = library === libraries[0] || existsSync(join(root, path));
  const skip = process.platform !== "linux" ? "nm -D is of Linux" : !isBuilt && "not built: needs clang, lld and llvm";
  test(`${library} exports what the header declares, and nothing else`, { skip }, () => {
    const table = output("nm", ["-D", "--defined-only", path]);
    const exported = [...table.matchAll(/ [A-Z] (\w+)(?:@\S+)?$/gm)].map((match) => match[1]!);
    // What tests say to the doubles
    const ours = exported.filter((name) => library === libraries[0] || !name.startsWith("double_"));
    assertEquals(ours.sort(), Object.keys(prototypes()).sort());
  });
}

/** A C enum of the header as an object with the keys of its TypeScript twin: `VN_OP_NETWORK_JOIN` is `networkJoin`. */
function enumeration(name: string, prefix: RegExp): Record<string, number> {
  const body = header.match(new RegExp(`enum ${name} \\{([^}]*)\\}`))?.[1];
  assert(body, `enum ${name} is not in the header`);
  return Object.fromEntries(
    [...body.matchAll(/(\w+)\s*=\s*(\d+)/g)].map(([, key, value]) => {
      const words = key!.replace(prefix, "").toLowerCase();
      return [words.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), Number(value)];
    }),
  );
}

const define = (name: string): number => Number(header.match(new RegExp(`#define ${name} (\\w+)`))?.[1]);

test("Status is the header's vn_status", () => {
  const { gone, ...rest } = enumeration("vn_status", /^(VN|VMNET)_/);
  // The public name says what is gone.
  assertEquals({ ...rest, networkGone: gone } as Record<string, number | undefined>, { ...Status });
});

test("operations, signals and limits are those of the header", () => {
  assertEquals<Record<string, number>>({ ...abi.Op }, enumeration("vn_op", /^VN_OP_/));
  assertEquals<Record<string, number>>({ ...abi.Ready }, enumeration("vn_ready", /^VN_READY_/));
  assertEquals<Record<string, number>>({ ...abi.Get }, enumeration("vn_get_what", /^VN_GET_/));
  assertEquals<Record<string, number>>({ ...abi.Meta }, enumeration("vn_meta", /^VN_META_/));
  assertEquals<number>(abi.ABI_VERSION, define("VN_ABI_VERSION"));
  assertEquals<number>(abi.MORE, define("VN_MORE"));
  assertEquals<number>(abi.DESCRIPTOR_WORDS, define("VN_DESCRIPTOR_WORDS"));
});
