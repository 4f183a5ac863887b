// SPDX-License-Identifier: MIT

/**
 * Finds and opens the shim, once and only when something needs it.
 *
 * @module
 */

import { type ConvertFns, dlopen } from "../ffi/mod.ts";
import { envIfPermitted, platform } from "../ffi/runtime.ts";
import { VmnetError } from "./errors.ts";
import { Status } from "./status.ts";
import { ABI_VERSION, symbols } from "./symbols.ts";

/** The functions of the shim. Numbers are not checked here; a negative result is a status with its sign turned. */
export type Shim = ConvertFns<typeof symbols>;

/*
 * On a Mac a library that came by way of a quarantined program is in quarantine itself, and dlopen() then hangs behind
 * a dialog of Gatekeeper. Looking before needs the permission to read, which the library does not ask for; so it is
 * `tools/doctor.ts` that looks, and docs/macos.md has the command that ends it. Not verified on hardware.
 */

const BUILD = "Build it: `npm run build`, or `make -C shim`";

let shim: Shim | undefined;

/**
 * The shim, opened at the first call.
 *
 * @throws {VmnetError} With code `missing` if it cannot be opened, naming what was tried.
 */
export function openShim(): Shim {
  return shim ??= open();
}

function open(): Shim {
  const failures: unknown[] = [];
  const tried = candidates();
  for (const path of tried) {
    try {
      return checked(dlopen(path, symbols).symbols, path);
    } catch (error) {
      // A library that was found and is the wrong one must not be passed over in silence
      if (error instanceof VmnetError) throw error;
      failures.push(error);
    }
  }
  const list = tried.map((path) => `"${path}"`).join(", ") || "nothing, as this module was not loaded from a file";
  // The same for all of them, and then it says nothing about whether they exist
  const isDenied = String(failures[0]).includes("--allow-ffi");
  const remedy = isDenied ? `Run with --allow-ffi=${tried[0]!.replace(/\/[^/]*$/, "")}` : BUILD;
  throw new VmnetError(`Cannot open the shim: tried ${list}. ${remedy}`, {
    status: Status.missing,
    operation: "open shim",
    remedy,
    cause: failures[0],
  });
}

/** Where the library may be, in this order; a path that was given excludes the others. */
function candidates(): string[] {
  const explicit = envIfPermitted("VMNET_SHIM_PATH");
  if (explicit) return [explicit];
  if (!import.meta.url.startsWith("file:")) return [];
  // One file holds both of a Mac's processors. In a clone the system's own build goes before the one made elsewhere
  const places = platform.os === "darwin"
    ? [
      "shim/build/libvmnet_shim.dylib",
      "shim/build/darwin/libvmnet_shim.dylib",
      "natives/darwin-universal/libvmnet_shim.dylib",
    ]
    : ["shim/build/libvmnet_shim.so", `natives/${platform.os}-${platform.arch}/libvmnet_shim.so`];
  return places.map((place) => new URL(`../${place}`, import.meta.url)).map((url) => decodeURIComponent(url.pathname));
}

/** Checks that the library speaks this version of the ABI. The call also pins it for the life of the process. */
function checked(library: Shim, path: string): Shim {
  const version = library.vn_abi_version();
  if (version === ABI_VERSION) return library;
  throw new VmnetError(
    `Cannot open the shim: "${path}" has version ${version} of the ABI, this library needs ${ABI_VERSION}. ${BUILD}`,
    { status: Status.unsupported, operation: "open shim", remedy: BUILD },
  );
}
