// SPDX-License-Identifier: MIT

// What `npm test` runs, in order. A phase's steps may run side by side, as many as it has lanes; phases never do.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { guestObstacle, locateGuest } from "./guest.mjs";
import { run, which } from "./run.mjs";
import { root, runtimePath } from "./runtimes.mjs";

const minute = 60_000;
const netns = "tests/guest/netns.sh";

/** Test files below a folder, except in the folders named. */
function testFiles(folder, except = []) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((item) => {
    const path = `${folder}/${item.name}`;
    if (item.isDirectory()) return except.includes(path) ? [] : testFiles(path, except);
    return item.name.endsWith("_test.ts") ? [path] : [];
  }).sort();
}

/** Why a program cannot be run, or undefined. */
function lacks(...programs) {
  const absent = programs.filter((name) => !which(name));
  return absent.length > 0 ? `${absent.join(" and ")} not installed` : undefined;
}

/** Why there can be no guests in a private network here, or undefined. Asked once. */
async function guestsImpossible() {
  if (process.platform !== "linux") return "guests in a private network need Linux";
  const absent = lacks("qemu-system-x86_64");
  if (absent) return absent;
  if (!locateGuest().ready) return guestObstacle() ?? 'no guest image, run "node scripts/guest.mjs"';
  const { code, output } = await run(join(root, netns), ["true"], { cwd: root, timeoutMs: minute });
  return code === 0 ? undefined : output.trim() || `${netns} ended with status ${code}`;
}

/** A step that is one test: it passes when its command succeeds. */
function command(name, program, args, options = {}) {
  return { name, runner: "command", command: program, args, timeoutMs: 10 * minute, ...options };
}

/** One step for each file and runtime. */
function testSteps(files, { timeoutMs, lacks: reason, inNetns = false }) {
  return files.flatMap((file) =>
    ["deno", "bun"].map((runtime) => {
      const path = runtimePath(runtime);
      // Types were checked before. Bun's limit for one test is 5 s by default; the watchdog of the file is ours.
      const args = runtime === "deno"
        ? ["test", "--allow-all", "--no-check", file]
        : ["test", "--timeout", String(timeoutMs), `./${file}`];
      return {
        name: `${runtime} ${file}`,
        runner: runtime,
        command: inNetns ? join(root, netns) : path,
        args: inNetns ? [path, ...args] : args,
        timeoutMs,
        lacks: reason ?? (path ? undefined : `${runtime} not installed`),
      };
    })
  );
}

/** Type check, lint and format: what `npm run check` runs. */
function checks() {
  const deno = runtimePath("deno");
  const rooms = ["mod.ts", "ffi", "vmnet", "packet"].filter((room) => existsSync(join(root, room)));
  const options = { lacks: deno ? undefined : "deno not installed" };
  return [
    command("check types, deno", deno, ["check"], options),
    command("check types, tsc", process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."], {
      lacks: existsSync(join(root, "node_modules/typescript")) ? undefined : "typescript not installed",
    }),
    command("check lint", deno, ["lint"], options),
    // The library never prints; scripts, tools and tests may.
    command("check lint, library", deno, ["lint", "--rules-include=no-console", ...rooms], options),
    command("check format", deno, ["fmt", "--check"], options),
  ];
}

function builds() {
  const options = { lacks: lacks("make"), fatal: true };
  const steps = [command("build shim", "make", ["-j2", "-C", "shim"], options)];
  if (existsSync(join(root, "tests/ffi/Makefile"))) {
    steps.push(command("build fixture", "make", ["-C", "tests/ffi"], options));
  }
  return steps;
}

/** The phases of `npm test`, or of `npm run test:long`. */
export async function phases({ long }) {
  const noGuests = await guestsImpossible();
  const inGuests = testFiles("tests/guest");
  const soaks = testFiles("tests/long");
  return [
    { name: "checks", lanes: 2, steps: checks() },
    { name: "build", lanes: 1, steps: builds() },
    {
      name: "C tests",
      lanes: 1,
      steps: [{
        name: "c shim",
        runner: "plain",
        command: "make",
        args: ["-C", "shim", "test", ...(long ? ["LONG=1"] : [])],
        timeoutMs: (long ? 180 : 15) * minute,
        lacks: lacks("make"),
      }],
    },
    {
      name: "tests",
      lanes: 2,
      steps: testSteps([...testFiles("testing"), ...testFiles("tests", ["tests/guest", "tests/long"])], {
        timeoutMs: 3 * minute,
      }),
    },
    // Two lanes: one guest keeps one processor busy while it boots, and mostly waits afterwards.
    {
      name: "guests",
      lanes: 2,
      steps: testSteps(inGuests, { timeoutMs: 6 * minute, lacks: noGuests, inNetns: true }),
    },
    // Soaks watch memory, descriptors and time, so each has the machine for itself.
    {
      name: "soaks",
      lanes: 1,
      steps: testSteps(soaks, { timeoutMs: (long ? 120 : 6) * minute, inNetns: noGuests === undefined }),
    },
  ];
}
