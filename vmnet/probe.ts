// SPDX-License-Identifier: MIT

/**
 * What works on this machine, and what would make the rest work.
 *
 * @module
 */

import { platform, runtimeName } from "../ffi/runtime.ts";
import { Context, type OperationOptions } from "./context.ts";
import { VmnetError } from "./errors.ts";
import type { List } from "./list.ts";
import { remedy as buildRemedy } from "./natives.ts";
import { Op } from "./symbols.ts";

/** Whether something works, and if not, why and what mends it. */
export interface Capability {
  /** Whether it works. */
  readonly works: boolean;
  /** Why it does not work, or what may yet get in its way. */
  readonly reason?: string;
  /** The command or the step that mends it, if there is one. */
  readonly remedy?: string;
}

/** What {@linkcode probe} knows of a Mac. Not verified on hardware. */
export interface MacOsFacts {
  /** Version of macOS, for instance `"26.1"`. */
  readonly version: string;
  /** Whether this process runs as root, which vmnet asks for before macOS 26. */
  readonly root: boolean;
  /** Whether the running program is signed with `com.apple.security.virtualization`, which is enough since macOS 26. */
  readonly entitled: boolean;
  /** Whether the native library is in quarantine: loading it may then hang behind a dialog of Gatekeeper. */
  readonly quarantined: boolean;
  /** Whether vmnet has network objects, which {@linkcode Network} needs; since macOS 26. */
  readonly networks: boolean;
  /** Whether the program vmnet-host opens the interfaces, as this process may not; since macOS 26. */
  readonly host: boolean;
  /** Path of the native library. */
  readonly libraryPath: string;
  /** Path of vmnet-host; empty if it is not there. */
  readonly hostPath: string;
}

/** What {@linkcode probe} found out. */
export interface Probe {
  /** The runtime, `"deno"` or `"bun"`. */
  readonly runtime: string;
  /** Operating system and processor, for instance `"linux-x64"`. */
  readonly platform: string;
  /** Where networks come from: Apple's vmnet, or embedded in this process. `undefined` without the shim. */
  readonly backend: "embedded" | "vmnet" | undefined;
  /** Version of libslirp, which the embedded shared mode uses. */
  readonly libslirpVersion: string | undefined;
  /** What vmnet depends on, `undefined` with another backend. Not verified on hardware. */
  readonly macos: MacOsFacts | undefined;
  /** Whether the native library could be opened; nothing works without it. */
  readonly shim: Capability;
  /** Mode host. */
  readonly host: Capability;
  /** Mode shared. */
  readonly shared: Capability;
  /** Mode bridged. */
  readonly bridged: Capability;
  /** Addresses by DHCP. */
  readonly dhcp: Capability;
  /** {@linkcode Network} objects, which on a Mac need macOS 26. */
  readonly networks: Capability;
}

const works: Capability = { works: true };

const INSTALL_SLIRP = "apt-get install libslirp0";

/**
 * Finds out what works here, without starting anything.
 *
 * @param limits Signal and timeout.
 * @returns What works; for the rest why it does not, and what mends it.
 *
 * @example Usage
 * ```ts
 * import { probe } from "vmnet";
 * import { assert } from "@std/assert";
 *
 * const { shim, shared } = await probe();
 * assert(shim.works);
 * if (!shared.works) console.log(`${shared.reason}; to mend it: ${shared.remedy}`);
 * ```
 */
export async function probe(limits?: OperationOptions): Promise<Probe> {
  const here = { runtime: runtimeName, platform: `${platform.os}-${platform.arch}` };
  let context: Context;
  try {
    context = Context.current ?? await Context.open();
  } catch (error) {
    if (!(error instanceof VmnetError)) throw error;
    const { remedy = buildRemedy } = error;
    const shim: Capability = { works: false, reason: error.message, remedy };
    const rest: Capability = { works: false, reason: "the shim cannot be opened", remedy };
    return {
      ...here,
      backend: undefined,
      libslirpVersion: undefined,
      macos: undefined,
      shim,
      host: rest,
      shared: rest,
      bridged: rest,
      dhcp: rest,
      networks: rest,
    };
  }
  const found = await context.operation(context.handle, Op.probe, "probe", [], limits);
  const base = { ...here, libslirpVersion: found.text("libslirp") };
  if (found.text("backend") !== "vmnet") {
    const capabilities = embeddedCapabilities(found.number("gateway") === 1, base.libslirpVersion);
    return { ...base, backend: "embedded", macos: undefined, ...capabilities };
  }
  const macos = macOsFacts(found);
  return { ...base, backend: "vmnet", macos, ...vmnetCapabilities(macos) };
}

function macOsFacts(found: List): MacOsFacts {
  return Object.freeze({
    version: found.text("macos") ?? "",
    root: found.number("root") === 1,
    entitled: found.number("entitled") === 1,
    quarantined: found.number("quarantined") === 1,
    networks: found.number("networks") === 1,
    host: found.number("host") === 1,
    libraryPath: found.text("libraryPath") ?? "",
    hostPath: found.text("hostPath") ?? "",
  });
}

type Capabilities = Pick<Probe, "shim" | "host" | "shared" | "bridged" | "dhcp" | "networks">;

function embeddedCapabilities(gateway: boolean, libslirp: string | undefined): Capabilities {
  const noGateway: Capability = {
    works: false,
    reason: "the program vmnet-gateway cannot be started",
    remedy: buildRemedy,
  };
  const noSlirp: Capability = { works: false, reason: "libslirp is not installed", remedy: INSTALL_SLIRP };
  return {
    shim: works,
    host: gateway ? works : noGateway,
    dhcp: gateway ? works : noGateway,
    networks: gateway ? works : noGateway,
    shared: !gateway ? noGateway : libslirp === undefined ? noSlirp : works,
    bridged: { works: false, reason: "the embedded backend has no bridged mode", remedy: "Use mode shared, or a Mac" },
  };
}

/** Not verified on hardware. */
function vmnetCapabilities(macos: MacOsFacts): Capabilities {
  const access = vmnetAccess(macos);
  const noNetworks: Capability = {
    works: false,
    reason: `network objects need macOS 26, this is ${macos.version}`,
    remedy: "Start interfaces by mode and subnet: those with the same meet on one network",
  };
  return {
    shim: macos.quarantined ? quarantine(macos.libraryPath) : works,
    host: access,
    shared: access,
    bridged: access,
    dhcp: access,
    networks: !access.works || macos.networks ? access : noNetworks,
  };
}

/** Whether vmnet lets this process in. */
function vmnetAccess({ version, root, entitled, networks, host, hostPath }: MacOsFacts): Capability {
  const isNew = networks || Number.parseInt(version) >= 26;
  if (root || (isNew && entitled) || (host && hostPath !== "")) return works;
  if (!isNew) {
    return { works: false, reason: `on macOS ${version} vmnet needs root`, remedy: "Run with sudo" };
  }
  const unsigned = "vmnet needs root, or com.apple.security.virtualization in the signature of the running program";
  return {
    works: false,
    reason: `${unsigned}, and vmnet-host, which has it, is not beside the library`,
    remedy: "Install the package anew, or run with sudo",
  };
}

/** It was loaded, so somebody has allowed it; another program may hang all the same. */
function quarantine(path: string): Capability {
  const quoted = /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
  return {
    works: true,
    reason: "the library is in quarantine, so loading it may hang behind a dialog of Gatekeeper",
    remedy: `xattr -d com.apple.quarantine ${quoted}`,
  };
}

/**
 * Names of the physical interfaces of this machine, which mode bridged takes. On macOS needs 10.15; not verified on
 * hardware.
 *
 * @param limits Signal and timeout.
 * @returns The names, for instance `["en0"]`.
 *
 * @example Usage
 * ```ts
 * import { sharedInterfaces } from "vmnet";
 *
 * for (const name of await sharedInterfaces()) console.log(name);
 * ```
 */
export async function sharedInterfaces(limits?: OperationOptions): Promise<string[]> {
  const context = Context.current ?? await Context.open();
  const result = await context.operation(context.handle, Op.sharedInterfaces, "list shared interfaces", [], limits);
  return result.texts("interface");
}
