// SPDX-License-Identifier: MIT

/**
 * The backend for Bun: `bun:ffi` itself, untouched.
 *
 * It is reached through `process.getBuiltinModule()`, which is synchronous and
 * leaves no `bun:` specifier for bundlers and type checkers to trip over.
 *
 * @module
 */

import { builtin } from "./runtime.ts";
import type { BunFFI } from "./types.ts";

/**
 * Gives the module.
 *
 * @returns The module.
 * @throws {Error} If this version of Bun has none.
 */
export function bunBackend(): BunFFI {
  const module: unknown = builtin("bun:ffi" as "node:process");
  if (module === undefined) throw new Error("Cannot find the builtin module bun:ffi");
  return module as BunFFI;
}
