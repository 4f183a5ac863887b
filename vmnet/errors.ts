// SPDX-License-Identifier: MIT

/**
 * What goes wrong at run time. A wrong call throws `TypeError` or `RangeError` instead.
 *
 * @module
 */

import { platform } from "../ffi/runtime.ts";
import type { List } from "./list.ts";
import { optionName } from "./names.ts";
import { Status, type StatusName, statusName } from "./status.ts";

/** What an error says beside its message. */
export interface VmnetErrorOptions {
  /** What the network answered. */
  status: number;
  /** What was attempted, as in "start interface". */
  operation: string;
  /** What would mend it, if that is known. */
  remedy?: string | undefined;
  /** The error below this one. */
  cause?: unknown;
}

/**
 * The network says no: an operation failed, or an object does not work any more.
 *
 * @example Usage
 * ```ts
 * import { Network, VmnetError } from "vmnet";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const network = await Network.create({ mode: "host" });
 * await network.stop();
 * try {
 *   await network.share();
 * } catch (error) {
 *   assert(error instanceof VmnetError);
 *   assertEquals(error.code, "stopped");
 * }
 * ```
 */
export class VmnetError extends Error {
  /** Name of the status, to be compared. */
  readonly code: StatusName;
  /** What the network answered, one of {@linkcode Status} unless macOS answers a newer one; not verified on hardware. */
  readonly status: number;
  /** What was attempted, as in "start interface". */
  readonly operation: string;
  /** What would mend it, `undefined` when that is not known. */
  readonly remedy: string | undefined;

  /** Constructs a new instance. */
  constructor(message: string, options: VmnetErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "VmnetError";
    this.code = statusName(options.status);
    this.status = options.status;
    this.operation = options.operation;
    this.remedy = options.remedy;
  }
}

/**
 * This backend or this version of macOS cannot do it. The message and {@linkcode UnsupportedError.needs} say what
 * could. What a version of macOS can do is not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { Interface, probe, UnsupportedError } from "vmnet";
 * import { assert } from "@std/assert";
 *
 * if (!(await probe()).bridged.works) {
 *   try {
 *     await Interface.start({ mode: "bridged", externalInterface: "en0" });
 *   } catch (error) {
 *     assert(error instanceof UnsupportedError);
 *   }
 * }
 * ```
 */
export class UnsupportedError extends VmnetError {
  /** What could do it, for instance `"macOS 26"`. */
  readonly needs: string | undefined;

  /** Constructs a new instance. */
  constructor(message: string, options: Omit<VmnetErrorOptions, "status"> & { needs?: string | undefined }) {
    super(message, { ...options, status: Status.unsupported });
    this.name = "UnsupportedError";
    this.needs = options.needs;
  }
}

/** What each status means, for when the shim has no words of its own. */
const meanings: Partial<Record<StatusName, string>> = {
  stale: "it was stopped",
  foreign: "it belongs to another thread",
  busy: "all control threads wait for a call that does not return",
  timeout: "the time is over",
  cancelled: "it was cancelled",
  badCall: "the shim does not understand the call",
  badOption: "an option is not allowed",
  unsupported: "it is not supported here",
  networkGone: "the network is gone",
  stopped: "it was stopped",
  noMemory: "memory, descriptors or threads ran out",
  system: "a system call failed",
  missing: "something is not installed",
  inUse: "it is in use",
  notFound: "there is none",
  badToken: "the token is not valid",
  failure: "general failure",
  memFailure: "out of memory",
  invalidArgument: "invalid argument",
  setupIncomplete: "it is not ready yet",
  invalidAccess: "access denied",
  packetTooBig: "a packet is too big",
  bufferExhausted: "the buffers are full",
  tooManyPackets: "too many packets",
  sharingServiceBusy: "Internet Sharing is on",
  notAuthorized: "not authorized",
};

/** What helps against answers that say little. Those of vmnet are remedies for a Mac, and not verified on hardware. */
const remedies: Partial<Record<StatusName, string>> = {
  busy: platform.os === "darwin"
    ? "Restart the program; if that does not help, restart the Mac"
    : "Restart the program",
  failure: "Choose another subnet; if that does not help, restart the Mac",
  memFailure: "Run outside of a sandbox; if that does not help, restart the Mac",
  sharingServiceBusy: "Turn Internet Sharing off in System Settings",
  notAuthorized: "Run with sudo",
};

function remedyOf(code: StatusName, needs: string | undefined): string | undefined {
  if (needs === undefined) return remedies[code];
  if (needs === "root") return "Run with sudo";
  return code === "missing" ? `Install ${needs}` : `Needs ${needs}`;
}

/**
 * Makes the error for a status.
 *
 * @param operation What was attempted, as in "start interface".
 * @param status What the network answered.
 * @param details The result list, when there is one.
 */
export function errorOf(operation: string, status: number, details?: List): VmnetError {
  const code = statusName(status);
  const needs = details?.text("needs");
  const field = details?.text("field") && optionName(details.text("field")!);
  const errno = details?.number("errno");
  const remedy = remedyOf(code, needs);
  const reason = inSentence(
    details?.text("message") || (Status[code] === status && meanings[code]) || `status ${status}`,
  );
  const where = field === undefined ? "" : `"${field}": `;
  const why = errno === undefined ? "" : ` (errno ${errno})`;
  const hint = remedy === undefined || reason.includes(needs ?? remedy) ? "" : `. ${remedy}`;
  const message = `Cannot ${operation}: ${where}${reason}${why}${hint}`;
  return code === "unsupported"
    ? new UnsupportedError(message, { operation, remedy, needs })
    : new VmnetError(message, { operation, status, remedy });
}

/** The error of a call on something that was stopped. */
export function stoppedError(operation: string): VmnetError {
  return errorOf(operation, Status.stopped);
}

/** The shim's own sentences begin with a capital, and here they follow a colon. */
function inSentence(text: string): string {
  return text.replace(/^(A|An|Another|Cannot|It|No|Only|The|This)\b/, (word) => word.toLowerCase());
}
