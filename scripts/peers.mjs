// SPDX-License-Identifier: MIT

// npm run bench:peers: ours beside every other switch and user network that can be had here, in one interleaved run.
//
//   npm run bench:peers                     everything, about 13 minutes
//   npm run bench:peers -- --quick          fewer and shorter rounds, no real guests, under 2 minutes
//   npm run bench:peers -- --only frames    some of frames, nat, guests
//   npm run bench:peers -- --rounds N       rounds of everything
//   npm run bench:peers -- --json FILE      { machine, notes, rows: [{ test, subject, value, unit, ratio_to_best_peer,
//                                           ratio_to_limit, quartiles, rounds }], verdicts }
//   npm run bench:peers -- --markdown FILE --picture FILE.svg
//
// Fetches what is missing as `node scripts/setup.mjs` does: says what, how much and by which command, asks on a
// terminal, and never calls sudo. gvproxy is in newer releases of Debian only: its package is unpacked below the build
// folder, installed nowhere. What stays away has a row that says so. All runs in a private network that ends with it
// (tests/guest/netns.sh); without one only frames between guests are measured.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { spawn } from "node:child_process";
import { outputOf, run, which } from "./run.mjs";
import { root, runtimeEnvironment, runtimePath } from "./runtimes.mjs";
import { agreed, setUp } from "./setup.mjs";

const say = (text) => console.error(text);
const build = process.env.VMNET_BENCH_BUILD ?? join(root, "shim", "build");

/** The release of Debian that has gvproxy; its program runs on the one before too. */
const RELEASE = "trixie";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The program, from the PATH or unpacked, or undefined. */
function gvproxy() {
  const unpacked = join(build, "gvproxy", "usr", "bin", "gvproxy");
  return which("gvproxy") ?? (existsSync(unpacked) ? unpacked : undefined);
}

/** Unpacks Debian's package of gvproxy below the build folder, by an apt with lists of its own. */
async function fetchGvproxy() {
  if (gvproxy() || !which("apt-get") || !which("dpkg-deb") || !existsSync(KEYRING)) return;
  const folder = join(build, "gvproxy");
  const sources = join(folder, "sources");
  const settings = [
    ["Dir::Etc::sourcelist", "/dev/null"],
    ["Dir::Etc::sourceparts", sources],
    ["Dir::State::lists", join(folder, "lists")],
    ["Dir::Cache", join(folder, "cache")],
    ["APT::Sandbox::User", "root"],
  ].flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  say(`gvproxy is missing: a user network beside ours; 14 MB, most of it the list of packages of Debian ${RELEASE}`);
  say(`  apt-get (with lists of its own in ${folder}) download gvproxy; dpkg-deb -x gvproxy_*.deb ${folder}`);
  if (!await agreed(true)) return;
  for (const part of [sources, join(folder, "lists", "partial"), join(folder, "cache", "archives", "partial")]) {
    mkdirSync(part, { recursive: true });
  }
  const mirror = outputOf("apt-get", ["indextargets", "--format", "$(SITE)"]).match(/http\S*\/debian\/?$/m)?.[0];
  if (mirror === undefined) return say("Going on without gvproxy: this machine's apt names no mirror of Debian");
  const source = [`Types: deb`, `URIs: ${mirror}`, `Suites: ${RELEASE}`];
  writeFileSync(
    join(sources, "debian.sources"),
    [...source, "Components: main", `Signed-By: ${KEYRING}`, ""].join("\n"),
  );
  const options = { cwd: folder, timeoutMs: 300_000 };
  for (const command of [["update"], ["download", "gvproxy"]]) {
    const { code, output } = await run("apt-get", [...settings, ...command], options);
    if (code !== 0) return say(`Going on without gvproxy: ${output.trim().split("\n").at(-1)}`);
  }
  const { code, output } = await run("sh", ["-c", "dpkg-deb -x gvproxy_*.deb ."], options);
  if (code !== 0) say(`Going on without gvproxy: ${output.trim()}`);
}

if (process.platform !== "linux") {
  say("Cannot compare with peers: this benchmark needs Linux");
  process.exit(1);
}
await setUp("peers");
await fetchGvproxy();
const made = await run("make", ["-C", join(root, "shim"), `BUILD=${build}`, "bench-peers"], { timeoutMs: 300_000 });
if (made.code !== 0) {
  say(`Cannot build the shim:\n${made.output}`);
  process.exit(1);
}
const runtime = ["bun", "deno"].find(runtimePath);
if (!runtime) {
  say('Cannot compare with peers: neither Bun nor Deno is installed; run "npm ci"');
  process.exit(1);
}

const netns = join(root, "tests", "guest", "netns.sh");
const world = await run(netns, ["true"], { cwd: root, timeoutMs: 60_000 });
if (world.code !== 0) say(`There is no private network, so frames between guests only: ${world.output.trim()}`);
const program = [runtimePath(runtime), ...(runtime === "deno" ? ["run", "-A"] : []), join(root, "bench/peers/main.ts")];
const [command, ...args] = [...(world.code === 0 ? [netns] : []), ...program, ...process.argv.slice(2)];
const child = spawn(command, args, {
  stdio: ["ignore", "inherit", "inherit"],
  env: {
    ...runtimeEnvironment(),
    VMNET_BENCH_TOOLS: join(build, "bench"),
    VMNET_SHIM_PATH: join(build, "libvmnet_shim.so"),
    ...(gvproxy() ? { VMNET_BENCH_GVPROXY: gvproxy() } : {}),
  },
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.removeAllListeners(signal).on(signal, () => child.kill(signal));
}
child.on("exit", (code) => process.exit(code ?? 1));
