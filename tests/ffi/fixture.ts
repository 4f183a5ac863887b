// SPDX-License-Identifier: MIT

import { execFileSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { dlopen, type FFIFunction, suffix } from "vmnet/ffi";
import { runtimeName } from "../../ffi/runtime.ts";

/** Directory of these tests. */
export const directory: string = fileURLToPath(new URL(".", import.meta.url));

/** Whether the suite runs against `bun:ffi` itself. */
export const isBun: boolean = runtimeName === "bun";

// A program without the permission to run make has to find the library built
try {
  execFileSync("make", ["-s", "-C", directory], { stdio: ["ignore", "ignore", "pipe"] });
} catch (error) {
  if (!(error instanceof Error) || error.name !== "NotCapable") throw error;
}

/** Path of the fixture library. */
export const fixturePath: string = `${directory}build/libfixture.${suffix}`;

/** Declares one function of the fixture. */
export function fixture(name: string, declaration: FFIFunction): (...args: unknown[]) => unknown {
  return dlopen(fixturePath, { [name]: declaration }).symbols[name]! as (...args: unknown[]) => unknown;
}

/**
 * Memory whose address stays, with some content. Bun moves the content of small
 * arrays that were made by their length when their `buffer` is asked for.
 */
export function memory(content: readonly number[] | number): Uint8Array<ArrayBuffer> {
  if (typeof content === "number") return new Uint8Array(new ArrayBuffer(content));
  const bytes = memory(content.length);
  bytes.set(content);
  return bytes;
}

/** Text as C has it. */
export function cText(text: string): Uint8Array<ArrayBuffer> {
  return memory([...new TextEncoder().encode(`${text}\0`)]);
}

/** What a call gives: a value, or the error thrown. */
export function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

/**
 * Runs a program of this directory in the same runtime, in Deno with no other
 * permission than to open the fixture.
 */
export function runProgram(name: string, ...args: string[]): string {
  return runWith([`--allow-ffi=${directory}build`], name, ...args);
}

/** The same with other flags for Deno. */
export function runWith(flags: readonly string[], name: string, ...args: string[]): string {
  // Without any permission flag, Deno takes the call for one of Node.js and permits everything
  const deno = ["run", "--quiet", "--no-prompt", "--no-check", "--allow-sys=hostname", ...flags];
  const all = [...isBun ? [] : deno, directory + name, ...args];
  return execFileSync(process.execPath, all, { timeout: 60_000, encoding: "utf8" }).trim();
}

/** Runs a call often enough for the optimising compilers, and gives the last result. */
export function hot(call: () => unknown): unknown {
  let last;
  for (let i = 0; i < 3000; i++) last = call();
  return last;
}
