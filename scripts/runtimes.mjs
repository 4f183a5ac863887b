// SPDX-License-Identifier: MIT

// Where the two runtimes are: the pinned ones in node_modules, else those on the PATH.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isProgram, outputOf, which } from "./run.mjs";

/** The root of the repository. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

const arch = process.arch === "arm64" ? "aarch64" : process.arch;
const libc = process.platform === "linux" ? "-glibc" : "";

// The npm packages `deno` and `bun` get their program from a package per platform, in an install script. npm may be
// told to run no install scripts, so the platform's package comes first: it needs none.
const places = {
  deno: [`@deno/${process.platform}-${process.arch}${libc}/deno`, "deno/deno"],
  bun: [`@oven/bun-${process.platform}-${arch}/bin/bun`, "bun/bin/bun.exe"],
};

/** The program of a runtime, or undefined. */
export function runtimePath(name) {
  const pinned = places[name].map((place) => join(root, "node_modules", place));
  // Without its install script bun.exe is a text of a few hundred bytes that explains itself.
  return pinned.find((path) => isProgram(path) && statSync(path).size > 1e6) ?? which(name);
}

/** What `npm ci` would mend: development packages that are absent or of another version than the lock file says. */
export function stalePackages() {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.keys(devDependencies).filter((name) => {
    const manifest = join(root, "node_modules", name, "package.json");
    if (!existsSync(manifest)) return true;
    return JSON.parse(readFileSync(manifest, "utf8")).version !== packages[`node_modules/${name}`]?.version;
  });
}

/** Environment for a runtime's process: quiet, colourless, with both runtimes to be found by scripts and tests. */
export function runtimeEnvironment() {
  return {
    ...process.env,
    PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH ?? ""}`,
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    VMNET_TEST_DENO: runtimePath("deno") ?? "",
    VMNET_TEST_BUN: runtimePath("bun") ?? "",
  };
}

/** "deno 2.9.6", for the heading of a run. */
export function versionOf(name) {
  const path = runtimePath(name);
  const version = path && outputOf(path, ["--version"]).match(/\d+\.\d+\.\d+\S*/)?.[0];
  return version ? `${name} ${version}` : `no ${name}`;
}
