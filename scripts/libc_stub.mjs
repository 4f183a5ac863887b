// SPDX-License-Identifier: MIT

// Makes stand-ins for libc.so.6, libpthread.so.0 and libdl.so.2 as they were in glibc 2.28, to link with:
//
//   node scripts/libc_stub.mjs REAL_LIBC FOLDER
//
// Whoever links with the glibc of the machine at hand needs that glibc or a newer one to run. A newer glibc still has every
// function under its old version, so the list of REAL_LIBC tells what an old one had: of each name the newest version
// that is not too new. A name that has none is left out, and the linker then says so. The folder gets assembly and a
// map of versions for each library; shim/natives.mk makes them into libraries.

import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const newest = [2, 28];

/** Compares versions: more than 0 when `a` is newer. */
function compare(a, b) {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) - (b[i] ?? 0);
  }
  return 0;
}

// Until 2.34 most of the threads' functions were in a library of their own. These were in libc.so.6, too.
const threadsInLibc = new RegExp(
  "^pthread_(attr_(destroy|init|[gs]et(detachstate|inheritsched|sched(param|policy)|scope))|condattr_(destroy|init)|" +
    "cond_(broadcast|destroy|init|signal|wait|timedwait)|equal|exit|[gs]etschedparam|mutex_(destroy|init|lock|unlock)|" +
    "self|setcancel(state|type))$",
);

/** The library that had a name in glibc 2.28. */
function libraryOf(name) {
  if (/^dl(a?open|sym|vsym|close|addr1?|error|info|mopen)$/.test(name)) return "libdl.so.2";
  return /^(pthread|sem)_/.test(name) && !threadsInLibc.test(name) ? "libpthread.so.0" : "libc.so.6";
}

/** `[name, version, kind, size]` of everything that a library defines under a version for the public. */
function definitions(library) {
  const { status, stdout, stderr, error } = spawnSync("readelf", ["--dyn-syms", "-W", library], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`Cannot read ${library}: ${error?.message ?? stderr}`);
  const row = /^\s*\d+: [0-9a-f]+ +(\S+) +(FUNC|IFUNC|OBJECT) +\S+ +\S+ +\d+ +([^@\s]+)@@?GLIBC_([\d.]+)/gm;
  return [...stdout.matchAll(row)].map(([, size, kind, name, version]) => ({
    name,
    version,
    kind,
    size: Number(size),
  }));
}

/** Of each name the newest version that is old enough. */
function oldEnough(all) {
  const chosen = new Map();
  for (const one of all) {
    const version = one.version.split(".").map(Number);
    if (compare(version, newest) > 0) continue;
    const other = chosen.get(one.name);
    if (other === undefined || compare(version, other.version.split(".").map(Number)) > 0) chosen.set(one.name, one);
  }
  return [...chosen.values()];
}

/** Lists of things by what a function answers; Object.groupBy() is newer than Node 20. */
function grouped(all, keyOf) {
  const groups = new Map();
  for (const one of all) groups.set(keyOf(one), [...groups.get(keyOf(one)) ?? [], one]);
  return groups;
}

const [libc, folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("Usage: node scripts/libc_stub.mjs REAL_LIBC FOLDER");
  process.exit(2);
}
const libraries = grouped(oldEnough(definitions(libc)), ({ name }) => libraryOf(name));
mkdirSync(folder, { recursive: true });
for (const [library, symbols] of libraries) {
  // A function needs a name, a variable room as well, for a program may get a copy of it
  const lines = symbols.map(({ name, kind, size }) =>
    kind === "OBJECT"
      ? `.data\n.globl ${name}\n.type ${name}, %object\n.size ${name}, ${size}\n${name}: .zero ${size}`
      : `.text\n.globl ${name}\n.type ${name}, %function\n${name}: .byte 0`
  );
  const versions = grouped(symbols, ({ version }) => version);
  const nodes = [...versions].map(([version, of]) =>
    `GLIBC_${version} { global: ${of.map(({ name }) => `${name};`).join(" ")} };`
  );
  writeFileSync(join(folder, `${library}.s`), `${lines.join("\n")}\n.section .note.GNU-stack,"",%progbits\n`);
  writeFileSync(join(folder, `${library}.map`), `${nodes.join("\n")}\n`);
}
