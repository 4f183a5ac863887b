// SPDX-License-Identifier: MIT

/**
 * Scripts over the doubles of Apple's frameworks, which are told in the environment of a process what to do:
 * `VMNET_DOUBLE`, see shim/doubles/double.h.
 *
 * @module
 */

import process from "node:process";
import { assertEquals } from "@std/assert";
import { libraryPath } from "../backend.ts";
import { type Ending, Program, root, runtimes, Scripts } from "./programs.ts";

const prelude = `
import process from "node:process";
import { Interface, interrupted, Network, PacketBatch, probe, sharedInterfaces } from "vmnet";
import { unsafeNetworkFromPointer } from "vmnet/unsafe";
import { numbered, numberOf, numbersOf, delay, Pair } from "../vmnet/frames.ts";
import { PlayedGuest } from "../../scripts/played_guest.ts";
const say = (value) => console.log(JSON.stringify(value));
const attempt = async (call) => {
  const start = performance.now();
  try {
    const value = await call();
    return { value, ms: performance.now() - start };
  } catch (error) {
    const { name, code, status, remedy, needs, message } = error;
    return { name, code, status, remedy, needs, message, ms: performance.now() - start };
  }
};
const host = (options = {}) => Interface.start({ mode: "host", ...options });
`.replace('"vmnet/unsafe"', `"${root}/vmnet/unsafe.ts"`)
  .replace('"../vmnet/frames.ts"', `"${root}/tests/vmnet/frames.ts"`)
  .replace('"../../scripts/played_guest.ts"', `"${root}/scripts/played_guest.ts"`);

/**
 * The library for a script. Compiled with the doubles, it has the symbols of macOS 26 or was built without; the loader
 * leaves out what the macOS in question has not.
 */
function libraryFor(double: string): string {
  const isOld = Number(/macos=(\d+)/.exec(double)?.[1] ?? 26) < 26;
  return isOld ? libraryPath.replace("/doubles/", "/doubles-old/") : libraryPath;
}

/** Starts a script with doubles that do as they are told. */
export function begin(scripts: Scripts, double: string, source: string): Program {
  const flags = ["--allow-all", "--config", `${root}/deno.json`];
  const file = scripts.write("script.ts", prelude + source);
  return new Program(runtimes[0]!, file, [], flags, {
    VMNET_DOUBLE: [process.env["VMNET_DOUBLE"], double].filter(Boolean).join(","),
    VMNET_SHIM_PATH: libraryFor(double),
  });
}

/** Runs a script to its end, which must be in order. */
export async function run(
  double: string,
  source: string,
  timeoutMs = 20_000,
): Promise<{ said: Said[]; ending: Ending }> {
  using scripts = new Scripts();
  const ending = await begin(scripts, double, source).end(timeoutMs);
  const { code, signal, output, errors } = ending;
  assertEquals([code, signal, errors], [0, null, ""], `${double}\n${output}\n${errors}`);
  return { said: output.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line)), ending };
}

/** What a script printed, line by line. */
// deno-lint-ignore no-explicit-any
export type Said = any;
