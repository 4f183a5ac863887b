// SPDX-License-Identifier: MIT

/**
 * Which backend the tests run over. `npm test` runs most files three times: over the embedded network, over the macOS
 * sources with doubles of Apple's frameworks, and over the Mac library itself through a loader (see scripts/steps.mjs).
 *
 * @module
 */

import process from "node:process";
import { dirname } from "node:path";
import { type Probe, probe } from "vmnet";
import { root } from "./vmnet/programs.ts";

let probed: Promise<Probe> | undefined;

/** The library that the tests use; programs that they start inherit it. */
export const libraryPath: string = process.env["VMNET_SHIM_PATH"] ||
  `${root}/shim/build/libvmnet_shim.${process.platform === "darwin" ? "dylib" : "so"}`;

/** Name of the backend. */
export async function backendName(): Promise<"embedded" | "vmnet"> {
  const { backend } = await (probed ??= probe());
  return backend ?? "embedded";
}

/** Whether the backend is vmnet. */
export async function isVmnet(): Promise<boolean> {
  return await backendName() === "vmnet";
}

/** Whether the library is made for Macs: on one, or in the loader that runs it on Linux. */
export async function isMacLibrary(): Promise<boolean> {
  return (await (probed ??= probe())).macos?.libraryPath.endsWith(".dylib") ?? process.platform === "darwin";
}

/** The skip option of a test about what only the library of Linux has. */
export async function linuxOnly(reason: string): Promise<string | false> {
  return (process.platform !== "linux" || await isMacLibrary()) && `only on Linux: ${reason}`;
}

/** The skip option of a test about what the embedded backend alone has. */
export async function embeddedOnly(reason: string): Promise<string | false> {
  return await isVmnet() && `only the embedded backend: ${reason}`;
}

/** The skip option of a test about what vmnet alone has. */
export async function vmnetOnly(reason = "vmnet's own"): Promise<string | false> {
  return !await isVmnet() && `only vmnet: ${reason}`;
}

/** The skip option of a test that tells the doubles of macOS what to do: a Mac takes no scripts. */
export async function doublesOnly(): Promise<string | false> {
  return (!await isVmnet() || process.platform === "darwin") && "only over the doubles of macOS";
}

/** What Deno has to permit for the library that the tests use, and nothing else. */
export const ffiFlags: readonly string[] = [
  "--no-prompt",
  `--allow-ffi=${dirname(libraryPath)}`,
  ...(process.env["VMNET_SHIM_PATH"] ? ["--allow-env=VMNET_SHIM_PATH"] : []),
];
