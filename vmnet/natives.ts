// SPDX-License-Identifier: MIT

/**
 * Where the native library is: in a clone, where `make -C shim` puts it. `npm run build` puts a module with the same
 * names and other places in the place of this one: see `scripts/build_natives.mjs`.
 *
 * @module
 */

import { platform } from "../ffi/runtime.ts";

/** The library and the programs beside it, in another form than files that can be loaded. */
export interface NativeCopy {
  /** Names and lengths in bytes of the files, the library first. */
  readonly files: readonly (readonly [name: string, length: number])[];
  /** SHA-256 of the files one after the other, in hexadecimal. */
  readonly sha256: string;
  /** Gives the files one after the other. */
  content(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Folders that may hold the library, seen from this module, in this order; each ends in a slash. */
export const folders: readonly string[] = platform.os === "darwin"
  // One file holds both of a Mac's processors. The system's own build goes before the one made elsewhere
  ? ["../shim/build/", "../shim/build/darwin/"]
  : ["../shim/build/"];

/** Loads the copy for this system, `undefined` when there is none. */
export const loadCopy: (() => Promise<NativeCopy>) | undefined = undefined as (() => Promise<NativeCopy>) | undefined;

/** What gets the library when it is missing. */
export const remedy = "Build it: `make -C shim`";
