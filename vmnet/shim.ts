// SPDX-License-Identifier: MIT

/**
 * Finds and opens the shim, once and only when something needs it.
 *
 * @module
 */

import { type ConvertFns, dlopen } from "../ffi/mod.ts";
import { envIfPermitted, isCompiled, platform } from "../ffi/runtime.ts";
import { VmnetError } from "./errors.ts";
import { copiesFolder, extractCopy } from "./extract.ts";
import { folders, loadCopy, remedy } from "./natives.ts";
import { Status } from "./status.ts";
import { ABI_VERSION, symbols } from "./symbols.ts";

/** The functions of the shim. Numbers are not checked here; a negative result is a status with its sign turned. */
export type Shim = ConvertFns<typeof symbols>;

/*
 * On a Mac a library that came by way of a quarantined program is in quarantine itself, and dlopen() then hangs behind
 * a dialog of Gatekeeper. Looking before needs the permission to read, which the library does not ask for; so it is
 * `tools/doctor.ts` that looks, and docs/macos.md has the command that ends it. Not verified on hardware.
 */

/** One place where the library might have been, and why it was not. */
interface Failure {
  readonly place: string;
  readonly path?: string;
  readonly error: unknown;
}

let shim: Shim | undefined;
let opening: Promise<Shim> | undefined;

/**
 * The shim, opened at the first call.
 *
 * @returns The functions of the shim.
 * @throws {VmnetError} With code `missing` if it cannot be opened, naming what was tried.
 */
export async function openShim(): Promise<Shim> {
  if (shim !== undefined) return shim;
  try {
    return shim = await (opening ??= open());
  } finally {
    opening = undefined; // another time it may be there
  }
}

async function open(): Promise<Shim> {
  const failures: Failure[] = [];
  for (const path of candidates()) {
    try {
      return checked(dlopen(path, symbols).symbols, path);
    } catch (error) {
      // A library that was found and is the wrong one must not be passed over in silence
      if (error instanceof VmnetError) throw error;
      failures.push({ place: `"${path}"`, path, error });
    }
  }
  // Of a library that is there and cannot be loaded a copy would not be better
  const mayBeAbsent = failures.every((failure) => isAbsent(failure) || isDenied(failure.error));
  if (loadCopy !== undefined && explicitPath() === undefined && mayBeAbsent) {
    let place = "the copy inside this program";
    try {
      const path = await extractCopy(await loadCopy());
      place = `"${path}", a copy that was inside this program`;
      return checked(dlopen(path, symbols).symbols, path);
    } catch (error) {
      if (error instanceof VmnetError) throw error;
      failures.push({ place, error });
    }
  }
  throw missing(failures);
}

/** The error that names what was tried. */
function missing(failures: readonly Failure[]): VmnetError {
  const list = failures.map((failure) => `${failure.place} (${reasonOf(failure)})`).join(", ") ||
    `nothing, as there is no library for ${platform.os}-${platform.arch} and this module was not loaded from a file`;
  const advice = permissions(failures) ?? remedy;
  return new VmnetError(`Cannot open the shim: tried ${list}. ${advice}`, {
    status: Status.missing,
    operation: "open shim",
    remedy: advice,
    cause: failures[0]?.error,
  });
}

/** What the loader says, without whose words these are. */
const wordsOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/^(Cannot|Failed to) open library "[^"]*": /, "");

/** Whether a file is not there; one that another one needs may also be missing. */
function isAbsent({ path, error }: Failure): boolean {
  const words = wordsOf(error);
  return path !== undefined && words.includes(path) && /no such file/i.test(words) && !words.includes("needed by");
}

/** Why a library could not be opened, in a few words. */
function reasonOf(failure: Failure): string {
  if (isDenied(failure.error)) return "not permitted";
  return isAbsent(failure) ? "no such file" : wordsOf(failure.error);
}

const isDenied = (error: unknown): boolean => /--allow-|NotCapable/.test(String(error));

/** The permissions to run with, when one of those was missing. */
function permissions(failures: readonly Failure[]): string | undefined {
  const last = failures.at(-1);
  // The same for all files, and then it says nothing about whether they exist
  if (last?.path !== undefined && isDenied(last.error)) {
    return `Run with --allow-ffi=${failures[0]!.path!.replace(/\/[^/]*$/, "")}`;
  }
  if (last === undefined || !(isDenied(last.error) || /HOME can be read/.test(String(last.error)))) return undefined;
  const folder = copiesFolder();
  if (folder === undefined) return "Run with --allow-env=HOME,XDG_CACHE_HOME, then it can say where the copy goes";
  return `To write and load the copy, run with --allow-env=HOME,XDG_CACHE_HOME ` +
    ["ffi", "read", "write"].map((name) => `--allow-${name}=${folder}`).join(" ");
}

/** The library that the user named, and then there is no other. */
const explicitPath = (): string | undefined => envIfPermitted("VMNET_SHIM_PATH") || undefined;

/** Where the library may be, in this order. */
function candidates(): string[] {
  const explicit = explicitPath();
  if (explicit !== undefined) return [explicit];
  // A program of one file has its modules in a file system that only it can see, where no library can be loaded from
  if (!import.meta.url.startsWith("file:") || isCompiled) return [];
  const name = platform.os === "darwin" ? "libvmnet_shim.dylib" : "libvmnet_shim.so";
  return folders.map((folder) => decodeURIComponent(new URL(`${folder}${name}`, import.meta.url).pathname));
}

/** Checks that the library speaks this version of the ABI. The call also pins it for the life of the process. */
function checked(library: Shim, path: string): Shim {
  const version = library.vn_abi_version();
  if (version === ABI_VERSION) return library;
  throw new VmnetError(
    `Cannot open the shim: "${path}" has version ${version} of the ABI, this library needs ${ABI_VERSION}. ${remedy}`,
    { status: Status.unsupported, operation: "open shim", remedy },
  );
}
