// SPDX-License-Identifier: MIT

/**
 * Which runtime and which platform this is, and what may be read without
 * asking. Nothing here needs a permission and nothing here ever prompts.
 *
 * @module
 */

import process from "node:process";

/** The runtimes that are told apart. */
export type RuntimeName = "deno" | "bun" | "node";

/** Operating system and processor, in the names Node.js uses. */
export interface Platform {
  /** Operating system, `"other"` when it is none that this library knows. */
  readonly os: "linux" | "darwin" | "win32" | "freebsd" | "other";
  /** Processor architecture, `"other"` when it is none that this library knows. */
  readonly arch: "x64" | "arm64" | "other";
}

/** The part of the `Deno` namespace that this file uses. */
interface DenoNamespace {
  readonly permissions: {
    querySync(
      descriptor: { name: "env"; variable: string },
    ): { readonly state: string };
  };
  readonly env: { get(name: string): string | undefined };
}

/**
 * The runtime this program runs in, found once.
 *
 * `process.versions` is asked and not a global, because polyfills define
 * globals named `Deno` and `Bun`, but none rewrites the versions.
 *
 * @example Usage
 * ```ts
 * import { runtimeName } from "./runtime.ts";
 *
 * console.log(`Running in ${runtimeName}`);
 * ```
 */
export const runtimeName: RuntimeName = process.versions["deno"] !== undefined
  ? "deno"
  : process.versions["bun"] !== undefined
  ? "bun"
  : "node";

const knownOs = ["linux", "darwin", "win32", "freebsd"] as const;
const knownArch = ["x64", "arm64"] as const;

/**
 * Operating system and processor of this program, without any permission.
 *
 * @example Usage
 * ```ts
 * import { platform } from "./runtime.ts";
 *
 * console.log(`${platform.os}-${platform.arch}`);
 * ```
 */
export const platform: Platform = {
  os: knownOs.find((os) => os === process.platform) ?? "other",
  arch: knownArch.find((arch) => arch === process.arch) ?? "other",
};

/**
 * Reads an environment variable if that is already permitted.
 *
 * A library that looks at an optional variable must not stop the program with
 * a permission prompt. In Deno the variable counts as unset unless the program
 * was started with the permission to read it.
 *
 * @param name Name of the variable.
 * @returns Its value, or `undefined` when it is not set or may not be read.
 *
 * @example Usage
 * ```ts
 * import { envIfPermitted } from "./runtime.ts";
 *
 * const home = envIfPermitted("HOME");
 * console.log(home ?? "unknown");
 * ```
 */
export function envIfPermitted(name: string): string | undefined {
  if (runtimeName !== "deno") return process.env[name];
  const { Deno: deno } = globalThis as unknown as { Deno: DenoNamespace };
  const { state } = deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? deno.env.get(name) : undefined;
}
