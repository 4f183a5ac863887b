// SPDX-License-Identifier: MIT

/**
 * Which runtime and which platform this is, and what may be read without
 * asking. Nothing here needs a permission and nothing here ever prompts.
 *
 * Builtin modules of Node.js are not imported but fetched when they are first
 * needed: in Deno `node:process` alone costs 12 ms at startup, `node:net` and
 * `node:url` 28 to 30 ms, `node:buffer` 16 ms; in Bun `node:net` costs 16 ms.
 *
 * @module
 */

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
  readonly build: { readonly os: string; readonly arch: string; readonly standalone?: boolean };
  readonly dlopen?: unknown;
  readonly permissions: {
    querySync(descriptor: { name: "env"; variable: string }): { readonly state: string };
  };
  readonly env: { get(name: string): string | undefined };
}

const { Deno: deno } = globalThis as unknown as { Deno?: DenoNamespace };

/**
 * Fetches a builtin module of Node.js.
 *
 * @param name Its name.
 * @returns The module.
 */
export const builtin: typeof globalThis.process.getBuiltinModule =
  ((name: string) => globalThis.process.getBuiltinModule(name)) as typeof globalThis.process.getBuiltinModule;

function findRuntime(): RuntimeName {
  // Polyfills define globals named `Deno` and `Bun`, but nobody who defines `Deno` has dlopen(), and where `Bun` is
  // defined `process.versions`, which none rewrites, decides. Asking it first would cost Deno 12 ms.
  if (typeof deno?.dlopen === "function" && !("Bun" in globalThis)) return "deno";
  const { versions } = globalThis.process;
  return versions["deno"] !== undefined ? "deno" : versions["bun"] !== undefined ? "bun" : "node";
}

/**
 * The runtime this program runs in, found once.
 */
export const runtimeName: RuntimeName = findRuntime();

/**
 * Whether this is the program's main thread and not a worker.
 *
 * @returns True on the main thread.
 */
export function isMainThread(): boolean {
  // Deno says `isMainThread` in its web workers, too, so there their global scope is asked
  return runtimeName === "deno" ? !("WorkerGlobalScope" in globalThis) : builtin("node:worker_threads").isMainThread;
}

/**
 * Whether this program was made by `deno compile` or `bun build --compile`: its modules are then in a file system that
 * nobody else can see.
 */
export const isCompiled: boolean = deno?.build?.standalone === true || import.meta.url.includes("/$bunfs/");

const knownOs = ["linux", "darwin", "win32", "freebsd"] as const;
const knownArch = ["x64", "arm64"] as const;

function findPlatform(): Platform {
  const { os, arch } = runtimeName === "deno" && deno !== undefined
    ? deno.build
    : { os: globalThis.process.platform, arch: globalThis.process.arch };
  const aliases: Record<string, string> = { windows: "win32", x86_64: "x64", aarch64: "arm64" };
  return {
    os: knownOs.find((known) => known === (aliases[os] ?? os)) ?? "other",
    arch: knownArch.find((known) => known === (aliases[arch] ?? arch)) ?? "other",
  };
}

/**
 * Operating system and processor of this program, without any permission.
 */
export const platform: Platform = findPlatform();

/**
 * Reads an environment variable if that is already permitted.
 *
 * A library that looks at an optional variable must not stop the program with
 * a permission prompt. In Deno the variable counts as unset unless the program
 * was started with the permission to read it.
 *
 * @param name Name of the variable.
 * @returns Its value, or `undefined` when it is not set or may not be read.
 */
export function envIfPermitted(name: string): string | undefined {
  if (runtimeName !== "deno" || deno === undefined) return globalThis.process.env[name];
  const { state } = deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? deno.env.get(name) : undefined;
}
