// SPDX-License-Identifier: MIT

/**
 * The choice of the backend, made once.
 *
 * @module
 */

import { bunBackend } from "./bun.ts";
import { denoBackend } from "./deno.ts";
import { runtimeName } from "./runtime.ts";
import type { BunFFI } from "./types.ts";
import { unsupportedBackend } from "./unsupported.ts";

function choose(): BunFFI {
  if (runtimeName === "deno") return denoBackend;
  if (runtimeName !== "bun") return unsupportedBackend(new Error(`Unknown runtime ${runtimeName}`));
  try {
    return bunBackend();
  } catch (error) {
    return unsupportedBackend(error);
  }
}

/** The backend of this runtime. */
export const backend: BunFFI = choose();
