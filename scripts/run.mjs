// SPDX-License-Identifier: MIT

// What the scripts need of processes: find a program, run one to its end, and never hang.

import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as os } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";

/** The path of a program, or undefined. Looks where root's programs are too, which a user's PATH leaves out. */
export function which(name) {
  const places = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return places.filter(Boolean).map((place) => join(place, name)).find(isProgram);
}

export function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Output of a short command in plain English, or "" when it fails or does not exist. */
export function outputOf(command, args, options = {}) {
  const env = { ...process.env, LC_ALL: "C" };
  const { status, stdout } = spawnSync(command, args, {
    encoding: "utf8",
    env,
    stdio: ["ignore", "pipe", "ignore"],
    ...options,
  });
  return status === 0 ? stdout : "";
}

/** Process groups that still run, so that an interrupted script takes its children along. */
const running = new Set();

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}

function stopAll(signal) {
  for (const pid of running) signalGroup(pid, "SIGKILL");
  process.exit(128 + os.signals[signal]);
}

let watching = false;
/** Not before something runs: whoever imports this file only to look around keeps its own signals. */
function watchSignals() {
  if (watching) return;
  watching = true;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stopAll(signal));
}

/**
 * Runs a command in a process group of its own and resolves to `{ code, output, timedOut, missing }`. A command that
 * takes longer than `timeoutMs` gets SIGTERM and five seconds later SIGKILL, and so does everything it started. What is
 * left of the group when the command ends is killed too: it would hold ports, descriptors and our pipe.
 */
export function run(command, args, { timeoutMs, ...options } = {}) {
  watchSignals();
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, ...options });
    if (child.pid !== undefined) running.add(child.pid);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text) => output += text);
    let timedOut = false;
    const timers = [];
    const after = (ms, action) => timers.push(setTimeout(action, ms));
    if (timeoutMs) {
      after(timeoutMs, () => {
        timedOut = true;
        signalGroup(child.pid, "SIGTERM");
        after(5000, () => signalGroup(child.pid, "SIGKILL"));
      });
    }
    const end = (code, missing) => {
      timers.forEach(clearTimeout);
      running.delete(child.pid);
      resolve({ code, output, timedOut, missing });
    };
    child.on("error", (error) => end(127, error.code === "ENOENT"));
    child.on("exit", (code, signal) => {
      signalGroup(child.pid, "SIGKILL");
      const status = code ?? 128 + os.signals[signal];
      // "close" comes when nobody holds the pipe any more. A process that left the group could delay it for ever.
      child.on("close", () => end(status, false));
      after(1000, () => end(status, false));
    });
  });
}

/** Seconds since `start`, as people read them. */
export function since(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
