// SPDX-License-Identifier: MIT

// npm run build: makes dist/, which is what the package consists of, and what goes with it.
//
//   node scripts/build.mjs
//
//   dist/mod.js, ffi.js, …          a module for each export, with its types; what they share is in shared_*.js
//   dist/vmnetd.js, …               a program for each tool, which sh, Bun and Deno can start
//   dist/natives/<platform>/        the library and the programs beside it
//   dist/standalone/<tool>.js       each tool as a single file, natives included; not part of the npm package
//   dist/jsr/                       what `deno publish` takes: the sources, with the natives in modules
//
// A platform whose compiler is not here is left out, and said so.

import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { buildJsr } from "./build_jsr.mjs";
import { buildModules, buildStandalone } from "./build_modules.mjs";
import { buildNatives } from "./build_natives.mjs";
import { buildTypes } from "./build_types.mjs";
import { since } from "./run.mjs";
import { root } from "./runtimes.mjs";

const start = performance.now();
const dist = join(root, "dist");

try {
  rmSync(dist, { recursive: true, force: true });
  const natives = await buildNatives(dist);
  await buildModules(dist, natives);
  await buildStandalone(dist, natives);
  await buildTypes(dist);
  buildJsr(dist, natives);
  for (const name of ["types.json", "bundler.json"]) rmSync(join(dist, name));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(10);
const sizes = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((item) => item.isFile() && !join(item.parentPath, item.name).startsWith(join(dist, "jsr")))
  .map((item) => join(item.parentPath, item.name))
  .map((path) => [path.slice(root.length + 1), statSync(path).size])
  .sort(([a], [b]) => a < b ? -1 : 1);
for (const [path, size] of sizes) console.log(`${kilobytes(size)}  ${path}`);
console.log(`Built in ${since(start)}`);
