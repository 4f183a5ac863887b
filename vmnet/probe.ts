// SPDX-License-Identifier: MIT

/**
 * What works on this machine, and what would make the rest work.
 *
 * @module
 */

import { platform, runtimeName } from "../ffi/runtime.ts";
import { Context, type OperationOptions } from "./context.ts";
import { VmnetError } from "./errors.ts";
import { Op } from "./symbols.ts";

/** Whether something works, and if not, why and what mends it. */
export interface Capability {
  /** Whether it works. */
  readonly works: boolean;
  /** Why it does not work. */
  readonly reason?: string;
  /** The command or the step that mends it, if there is one. */
  readonly remedy?: string;
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
}

const works: Capability = { works: true };

const BUILD = "npm run build";
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
    context = Context.current();
  } catch (error) {
    if (!(error instanceof VmnetError)) throw error;
    const shim: Capability = { works: false, reason: error.message, remedy: BUILD };
    const rest: Capability = { works: false, reason: "the shim cannot be opened", remedy: BUILD };
    return {
      ...here,
      backend: undefined,
      libslirpVersion: undefined,
      shim,
      host: rest,
      shared: rest,
      bridged: rest,
      dhcp: rest,
    };
  }
  const found = await context.operation(context.handle, Op.probe, "probe", [], limits);
  const base = { ...here, libslirpVersion: found.text("libslirp"), shim: works };
  return found.text("backend") === "vmnet"
    ? { ...base, backend: "vmnet", ...vmnetCapabilities(found.number("uid") === 0) }
    : { ...base, backend: "embedded", ...embeddedCapabilities(found.number("gateway") === 1, base.libslirpVersion) };
}

type Capabilities = Pick<Probe, "host" | "shared" | "bridged" | "dhcp">;

function embeddedCapabilities(gateway: boolean, libslirp: string | undefined): Capabilities {
  const noGateway: Capability = { works: false, reason: "the program vmnet-gateway cannot be started", remedy: BUILD };
  const noSlirp: Capability = { works: false, reason: "libslirp is not installed", remedy: INSTALL_SLIRP };
  return {
    host: gateway ? works : noGateway,
    dhcp: gateway ? works : noGateway,
    shared: !gateway ? noGateway : libslirp === undefined ? noSlirp : works,
    bridged: { works: false, reason: "the embedded backend has no bridged mode", remedy: "Use mode shared, or a Mac" },
  };
}

/** Not verified on hardware. */
function vmnetCapabilities(isRoot: boolean): Capabilities {
  const denied: Capability = {
    works: false,
    reason: "vmnet needs root, as this runtime is not signed with com.apple.security.virtualization",
    remedy: "Run with sudo",
  };
  const all = isRoot ? works : denied;
  return { host: all, shared: all, bridged: all, dhcp: all };
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
  const context = Context.current();
  const result = await context.operation(context.handle, Op.sharedInterfaces, "list shared interfaces", [], limits);
  return result.texts("interface");
}
