// SPDX-License-Identifier: MIT

// Installs what `npm start` and `npm test` need, after saying what, how much, and by which command.
//
//   node scripts/setup.mjs [start|test|peers]
//
// On a terminal it asks. As root without one it goes ahead. An ordinary user gets the command to give to root, and what
// needs no root (npm packages, the guest image) is fetched. VMNET_SETUP=no fetches nothing. It never calls sudo.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { guestObstacle, isStatic, locateGuest, makeGuest } from "./guest.mjs";
import { outputOf, run, since, which } from "./run.mjs";
import { root, runtimePath, stalePackages } from "./runtimes.mjs";

const program = (...names) => () => names.some(which);

/** A tool of LLVM, under Debian's name for it or that of a version. */
const ofLlvm = (name) => program(name, ...[14, 15, 16, 17, 18, 19].map((version) => `${name}-${version}`));

function library(soname) {
  return () => {
    const ldconfig = which("ldconfig");
    return ldconfig !== undefined && outputOf(ldconfig, ["-p"]).includes(`${soname} `);
  };
}

const header = (name) => () => existsSync(join("/usr/include", name));

/** Debian packages, what tells that they are there already, and what they are for. */
const packages = {
  start: [
    { name: "clang", there: program("clang", "gcc", "cc"), for: "compiles the shim" },
    { name: "make", there: program("make"), for: "builds the shim" },
    { name: "libslirp0", there: library("libslirp.so.0"), for: "NAT of shared mode" },
    { name: "libslirp-dev", there: header("slirp/libslirp.h"), for: "builds it into the gateway" },
    { name: "qemu-system-x86", there: program("qemu-system-x86_64"), for: "runs the guest" },
    {
      name: "busybox-static",
      there: hasStaticBusybox,
      for: "the guest",
    },
  ],
  test: [
    { name: "clang", there: program("clang"), for: "sanitizers and fuzzing" },
    { name: "lld", there: ofLlvm("ld64.lld"), for: "links for macOS, and for Linux of any age" },
    { name: "llvm", there: ofLlvm("llvm-lipo"), for: "makes one file for both of a Mac's processors" },
    { name: "binutils", there: program("readelf"), for: "reads what libraries need" },
    { name: "qemu-user", there: program("qemu-aarch64"), for: "runs what was built for arm64" },
    {
      name: "libc6-dev-arm64-cross",
      there: () => existsSync("/usr/aarch64-linux-gnu/lib/crt1.o"),
      for: "what that half runs on",
    },
    { name: "libclang-rt-dev", there: hasSanitizers, for: "sanitizers and fuzzing" },
    { name: "iproute2", there: program("ip"), for: "the private network of the tests" },
    { name: "libsqlite3-0", there: library("libsqlite3.so.0"), for: "a foreign library for the tests of ffi/" },
    { name: "tshark", there: program("tshark"), for: "a second opinion on packets" },
    { name: "libpcap0.8", there: library("libpcap.so.0.8"), for: "filters" },
    { name: "iperf3", there: program("iperf3"), for: "throughput" },
    { name: "socat", there: program("socat"), for: "UDP in the guest" },
    { name: "libgcc-12-dev-arm64-cross", there: hasCrossLibgcc, for: "what that half runs on" },
  ],
  // For `npm run bench:peers`, which goes without those that are missing
  peers: [
    { name: "vde2", there: program("vde_switch"), for: "a switch beside ours" },
    { name: "slirp4netns", there: program("slirp4netns"), for: "a user network beside ours" },
    { name: "passt", there: program("passt"), for: "a user network beside ours" },
    { name: "iproute2", there: program("ip"), for: "network namespaces" },
    { name: "iperf3", there: program("iperf3"), for: "throughput" },
  ],
};

function hasStaticBusybox() {
  const busybox = which("busybox");
  return busybox !== undefined && isStatic(busybox);
}

function hasSanitizers() {
  // clang answers with the bare name when there is no such file. Other processors have other names for it.
  return process.arch !== "x64" || outputOf("clang", ["-print-file-name=libclang_rt.fuzzer-x86_64.a"]).startsWith("/");
}

function hasCrossLibgcc() {
  const folder = "/usr/lib/gcc-cross/aarch64-linux-gnu";
  return existsSync(folder) && readdirSync(folder).some((version) => existsSync(join(folder, version, "libgcc.a")));
}

/** npm packages: 78 of them, most of it deno and bun. Measured with `du` on Linux. */
const npmMegabytes = 340;
/** The kernel's package, as apt-get downloads it; 21 MB remain. */
const guestMegabytes = 27;

const say = (text) => console.error(text);

/**
 * What a group lacks: Debian packages with their reasons, and whether npm's packages and the guest image are missing.
 * The groups "test" and "peers" include "start". Without `guest` QEMU and the image are left out.
 */
export function missing(group, { guest = true } = {}) {
  const wanted = group === "start" ? packages.start : [...packages.start, ...packages[group]];
  const absent = new Map();
  for (const item of wanted) {
    const forGuest = ["qemu-system-x86", "busybox-static"].includes(item.name);
    if ((guest || !forGuest) && !item.there()) absent.set(item.name, item.for);
  }
  const image = locateGuest();
  return {
    debian: absent,
    npm: stalePackages(),
    image: guest && !(image.ready && (group === "start" || image.extraReady)),
  };
}

function withReasons(debian) {
  return [...debian].map(([name, reason]) => `  ${name.padEnd(26)} ${reason}`).join("\n");
}

/** Prints what is missing, how much that is, and the command that fetches it. */
function explain(lack, isRoot) {
  const { debian } = lack;
  if (debian.size > 0 && !which("apt-get")) {
    say(`Needed, by whatever names this system has for Debian's packages:\n${withReasons(debian)}`);
    if (process.platform === "darwin") {
      say("On macOS: `xcode-select --install` brings the compiler and make, `brew install qemu libslirp` the rest");
    }
  } else if (debian.size > 0) {
    const command = `apt-get install --no-install-recommends ${[...debian.keys()].join(" ")}`;
    const size = outputOf("apt-get", ["install", "-y", "--no-install-recommends", "--print-uris", ...debian.keys()])
      .match(/Need to get .*\n.*disk space will be used/)?.[0].replace("\n", " ");
    say(`Debian packages that are missing:\n${withReasons(debian)}`);
    say(size ?? "Their size is not known before `apt-get update`");
    say(isRoot ? `  ${command}` : `To install them, run as root:\n  ${command}`);
  }
  if (lack.npm.length > 0) {
    say(`npm packages that are missing: ${lack.npm.join(", ")}; ${npmMegabytes} MB on disk\n  npm ci`);
  }
  if (lack.image && (!guestObstacle() || debian.has("busybox-static"))) {
    say(`The guest image is missing; ${guestMegabytes} MB, the kernel of Debian\n  node scripts/guest.mjs`);
  }
}

/** Whether to go ahead: asks on a terminal. */
export async function agreed(isRoot) {
  if (process.env.VMNET_SETUP === "no") {
    say("VMNET_SETUP=no: nothing is fetched");
    return false;
  }
  if (!process.stdin.isTTY || !process.stderr.isTTY) return true;
  const readline = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await readline.question(isRoot ? "Go ahead? [Y/n] " : "Fetch what needs no root? [Y/n] ");
  readline.close();
  return !/^n/i.test(answer.trim());
}

/** Runs one command of the set-up and prints its output if it fails. */
async function fetch(command, args, env = {}) {
  const start = performance.now();
  const minutes = 30;
  const { code, output } = await run(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    timeoutMs: minutes * 60_000,
  });
  say(`${code === 0 ? "done" : "FAILED"}: ${[command, ...args].join(" ")} (${since(start)})`);
  if (code !== 0) say(output);
  return code === 0;
}

const withoutQuestions = { DEBIAN_FRONTEND: "noninteractive" };

/** Whether apt's lists know the packages. They are absent on a fresh machine. */
const known = (names) => names.every((name) => /Candidate: [^(]/.test(outputOf("apt-cache", ["policy", name])));

async function fetchDebian(names) {
  // Another package manager may be at work.
  const install = ["-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", ...names];
  if (await fetch("apt-get", install, withoutQuestions)) return;
  // Old lists name packages that the archive has replaced since.
  if (await fetch("apt-get", ["update"], withoutQuestions)) await fetch("apt-get", install, withoutQuestions);
}

/**
 * Sets a group up as far as this user and VMNET_SETUP allow, and returns what is {@linkcode missing} afterwards. Quick
 * when nothing is missing. A fetch that fails is reported and not fatal: whatever needs the thing will say so.
 */
export async function setUp(group, options = {}) {
  const lack = missing(group, options);
  if (lack.debian.size === 0 && lack.npm.length === 0 && (!lack.image || guestObstacle())) return lack;
  const isRoot = process.getuid?.() === 0;
  const canInstall = isRoot && lack.debian.size > 0 && which("apt-get") !== undefined;
  if (canInstall && process.env.VMNET_SETUP !== "no" && !known([...lack.debian.keys()])) {
    say("The package lists are missing; without them not even the sizes are known");
    await fetch("apt-get", ["update"], withoutQuestions);
  }
  explain(lack, isRoot);
  if (await agreed(isRoot)) {
    if (canInstall) await fetchDebian([...lack.debian.keys()]);
    // "npm ci" refuses a lock file that misses another platform's packages; "install" does without them.
    if (lack.npm.length > 0) await fetch("npm", ["ci"]) || await fetch("npm", ["install", "--no-save"]);
    if (options.guest !== false && !guestObstacle() && which("qemu-system-x86_64")) {
      try {
        makeGuest();
      } catch (error) {
        say(error.message);
      }
    }
  }
  const rest = missing(group, options);
  const names = [...rest.debian.keys(), ...["deno", "bun"].filter((name) => !runtimePath(name))];
  if (names.length > 0) say(`Going on without ${names.join(", ")}`);
  return rest;
}

if (process.argv[1] === import.meta.filename) {
  const group = process.argv[2] ?? "test";
  if (!(group in packages)) {
    console.error(`Cannot set up "${group}": it takes "start", "test" or "peers"`);
    process.exit(2);
  }
  await setUp(group);
}
