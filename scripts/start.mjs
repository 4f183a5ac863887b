// SPDX-License-Identifier: MIT

// npm start: sets up what is missing, builds, and runs the demo in one of the runtimes.
//
//   npm start -- [--json] [--runtime deno|bun] [--no-vm] [options of scripts/demo.ts]
//
// The demo boots the guest of `node scripts/guest.mjs`, whose directory it finds in VMNET_GUEST. Without QEMU or without
// an image it gets --no-vm and plays the guest itself. Everything said here goes to standard error, so that the output
// with --json ends with the demo's line.

import { spawn } from "node:child_process";
import { constants as os } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { locateGuest } from "./guest.mjs";
import { run, which } from "./run.mjs";
import { root, runtimeEnvironment, runtimePath } from "./runtimes.mjs";
import { setUp } from "./setup.mjs";

const say = (text) => console.error(text);

function fail(text, status = 1) {
  say(text);
  process.exit(status);
}

/** Takes `--name value` or `--name=value` out of the arguments. */
function takeOption(args, name) {
  const at = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
  if (at < 0) return undefined;
  return args[at].includes("=") ? args.splice(at, 1)[0].slice(name.length + 1) : args.splice(at, 2)[1] ?? "";
}

/** The runtime that was asked for, else the first that is there. */
function chooseRuntime(wanted) {
  if (wanted !== undefined && !["deno", "bun"].includes(wanted)) {
    fail(`Cannot start: --runtime takes "deno" or "bun", not "${wanted}"`, 2);
  }
  const name = wanted ?? ["deno", "bun"].find(runtimePath);
  const path = name && runtimePath(name);
  if (!path) fail(`Cannot start: ${wanted ?? "neither deno nor bun"} is installed; run "npm ci"`);
  return { name, path };
}

const args = process.argv.slice(2);
const wanted = takeOption(args, "--runtime");
const wantsGuest = !args.includes("--no-vm");
await setUp("start", { guest: wantsGuest });
const runtime = chooseRuntime(wanted);

const build = await run("make", ["-C", "shim"], { cwd: root, timeoutMs: 300_000 });
if (build.missing) fail('Cannot build the shim: make is not installed; see "node scripts/setup.mjs start"');
if (build.code !== 0) fail(`Cannot build the shim:\n${build.output}`);

const guest = locateGuest();
const lack = !which("qemu-system-x86_64") ? "QEMU" : !guest.ready ? "guest image" : undefined;
if (wantsGuest && lack) {
  say(`No guest can be booted here, there is no ${lack}: the demo plays the guest itself`);
  args.push("--no-vm");
}

// The library itself needs --allow-ffi only; the rest is the demo's, which runs QEMU and serves HTTP.
const permissions = ["--no-prompt", `--allow-ffi=${join(root, "shim", "build")}`].concat(
  ["run", "read", "write", "env", "net", "sys"].map((name) => `--allow-${name}`),
);
const prefix = runtime.name === "deno" ? ["run", "--quiet", ...permissions] : ["run"];
const demo = spawn(runtime.path, [...prefix, join(root, "scripts", "demo.ts"), ...args], {
  cwd: root,
  env: { ...runtimeEnvironment(), VMNET_GUEST: guest.directory },
  stdio: "inherit",
});
// The demo shares our process group, so Ctrl-C reaches it by itself: only wait for it to end in order.
process.removeAllListeners("SIGINT").on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.removeAllListeners(signal).on(signal, () => demo.kill(signal));
demo.on("error", (error) => fail(`Cannot start ${runtime.name}: ${error.message}`));
demo.on("exit", (code, signal) => {
  process.exitCode = code ?? 128 + os.signals[signal];
});
