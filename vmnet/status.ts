// SPDX-License-Identifier: MIT

/**
 * What the network answers.
 *
 * @module
 */

/**
 * Every status an operation can end with. The names from 1000 on are those of Apple's `vmnet_return_t`, the small
 * numbers are this library's own. What a Mac answers is not verified on hardware. The key of a status is the
 * {@linkcode VmnetError.code} of its error.
 *
 * @example Usage
 * ```ts
 * import { Status } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(Status.packetTooBig, 1006);
 * ```
 */
export const Status = {
  /** Done. */
  ok: 0,
  /** The handle was closed or never existed. */
  stale: 1,
  /** The handle belongs to another thread. */
  foreign: 2,
  /** The operation has not ended yet. */
  pending: 3,
  /** All control threads wait for a call that does not return. */
  busy: 4,
  /** The operation's deadline passed. */
  timeout: 5,
  /** The operation was cancelled. */
  cancelled: 6,
  /** A call of this library that the shim does not understand. */
  badCall: 7,
  /** The value of an option is not allowed. */
  badOption: 8,
  /** This backend or this version of macOS cannot do it. */
  unsupported: 9,
  /** The network ended: its creator stopped it or died. */
  networkGone: 10,
  /** The object is being stopped or was stopped. */
  stopped: 11,
  /** Memory, descriptors, threads or handles ran out. */
  noMemory: 12,
  /** A system call failed. */
  system: 13,
  /** A program or library is not installed. */
  missing: 14,
  /** An address, port, path or subnet is taken. */
  inUse: 15,
  /** No such rule, interface or share. */
  notFound: 16,
  /** The token is malformed, stale, or not from this user. */
  badToken: 17,
  /** vmnet: done. */
  success: 1000,
  /** vmnet: general failure; without root or an entitlement the usual answer. */
  failure: 1001,
  /** vmnet: out of memory; since macOS 26 also a missing entitlement. */
  memFailure: 1002,
  /** vmnet: an invalid argument, for instance a frame shorter than an Ethernet header. */
  invalidArgument: 1003,
  /** vmnet: the interface is not ready yet. */
  setupIncomplete: 1004,
  /** vmnet: access denied. */
  invalidAccess: 1005,
  /** vmnet: a frame is longer than the interface's maximum. */
  packetTooBig: 1006,
  /** vmnet: the kernel's buffers are full for the moment. */
  bufferExhausted: 1007,
  /** vmnet: more packets than one call takes. */
  tooManyPackets: 1008,
  /** vmnet: Internet Sharing of the system is on. */
  sharingServiceBusy: 1009,
  /** vmnet: not authorized. */
  notAuthorized: 1010,
} as const;

/** Any number of {@linkcode Status}. */
export type Status = typeof Status[keyof typeof Status];

/** Name of a {@linkcode Status}. */
export type StatusName = keyof typeof Status;

const names = new Map<number, StatusName>(
  Object.entries(Status).map(([name, status]) => [status, name as StatusName]),
);

/** Name of a status number; `"failure"` for a number that is not known, which a later macOS may answer. */
export function statusName(status: number): StatusName {
  return names.get(status) ?? "failure";
}
