// SPDX-License-Identifier: MIT

/**
 * Puts a copy of the library, which lies in a module or in a program of one file, where it can be loaded.
 *
 * Theory of operation: a library is loaded from a file, and whoever can write that file runs code in this process. So it
 * goes to a folder that belongs to this user and that nobody else may enter, below the user's cache; its name is the
 * hash of what is in it, so versions do not meet. What is there already is compared with the copy byte by byte. Files are
 * written under another name and moved, because other processes may do the same at this moment.
 *
 * @module
 */

import { builtin, envIfPermitted, platform } from "../ffi/runtime.ts";
import type { NativeCopy } from "./natives.ts";

/** The files of a copy, after a look at whether they are what was packed. */
async function unpack(copy: NativeCopy): Promise<[name: string, content: Uint8Array][]> {
  const all = await copy.content();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== copy.sha256) throw new Error(`its SHA-256 is ${found} and should be ${copy.sha256}`);
  let end = 0;
  return copy.files.map(([name, length]) => [name, all.subarray(end, end += length)]);
}

/** The folder of this user's caches. */
function cacheFolder(): string {
  const named = envIfPermitted("XDG_CACHE_HOME");
  if (named?.startsWith("/")) return named;
  const home = envIfPermitted("HOME");
  if (!home?.startsWith("/")) throw new Error("neither XDG_CACHE_HOME nor HOME can be read");
  return `${home}/${platform.os === "darwin" ? "Library/Caches" : ".cache"}`;
}

/** The folder for all copies, which is what has to be permitted; `undefined` when the user's caches are not known. */
export function copiesFolder(): string | undefined {
  try {
    return `${cacheFolder()}/vmnet-natives`;
  } catch {
    return undefined;
  }
}

/** Makes a folder that is only this user's, or checks that it is. */
function makePrivate(path: string): void {
  const { mkdirSync, lstatSync } = builtin("node:fs");
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT") {
      mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      mkdirSync(path, { mode: 0o700 });
    } else if (code !== "EEXIST") throw error;
  }
  const found = lstatSync(path);
  if (!found.isDirectory()) throw new Error(`"${path}" is not a folder`);
  const mode = found.mode & 0o777;
  if ((mode & 0o077) !== 0) throw new Error(`"${path}" is open to others, its mode is ${mode.toString(8)}, not 700`);
}

/** Writes a file under another name and moves it, and answers to whom it belongs. */
function replace(path: string, content: Uint8Array): number {
  const { lstatSync, renameSync, rmSync, writeFileSync } = builtin("node:fs");
  const fresh = `${path}.${crypto.randomUUID()}`;
  try {
    writeFileSync(fresh, content, { mode: 0o700, flag: "wx" });
    const { uid } = lstatSync(fresh);
    renameSync(fresh, path);
    return uid;
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

/** Whether a file is there already, with this content, and nobody else may change it. */
function isThere(path: string, content: Uint8Array, owner: number): boolean {
  const { lstatSync, readFileSync } = builtin("node:fs");
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found?.isFile() || found.size !== content.length) return false;
  if (found.uid !== owner || (found.mode & 0o777) !== 0o700) return false;
  const there = readFileSync(path);
  return content.every((byte, at) => byte === there[at]);
}

/**
 * Puts a copy's files into the user's folder, unless they are there already.
 *
 * @param copy The copy.
 * @returns Path of the library.
 * @throws {Error} If that is not possible, or not permitted, or the folder is not this user's alone.
 */
export async function extractCopy(copy: NativeCopy): Promise<string> {
  const files = await unpack(copy);
  const all = `${cacheFolder()}/vmnet-natives`;
  const folder = `${all}/${copy.sha256.slice(0, 32)}`;
  makePrivate(all);
  makePrivate(folder);
  // Who this user is takes a permission of its own; to whom a new file belongs does not
  const owner = replace(`${folder}/.owner`, new Uint8Array(0));
  for (const path of [all, folder]) {
    if (builtin("node:fs").lstatSync(path).uid !== owner) throw new Error(`"${path}" belongs to another user`);
  }
  for (const [name, content] of files) {
    const path = `${folder}/${name}`;
    if (!isThere(path, content, owner)) replace(path, content);
  }
  return `${folder}/${files[0]![0]}`;
}
