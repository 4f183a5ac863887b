// SPDX-License-Identifier: MIT

/**
 * Leases, wherever they are from: whose they are, and what changes from one look to the next.
 *
 * @module
 */

import { canonicalOctets } from "./_dhcpd_leases.ts";

/** A lease, from wherever it is. */
export interface Lease {
  /** MAC address, `""` if the client hides it. */
  readonly mac: string;
  /** The client's identifier, where it is known. */
  readonly id: string;
  readonly address: string;
  readonly hostname: string;
  readonly expiresSeconds: number;
  /** Name of vmnetd's network; `""` in a file. */
  readonly network: string;
}

/** Leases of now, and such as do not count any more. */
export interface LeaseTable {
  readonly leases: readonly Lease[];
  /** Ended, or followed by another one. */
  readonly past: readonly Lease[];
  /** Entries that make no sense. */
  readonly skipped: number;
}

/** The time that leases are compared with. */
export const nowSeconds = (): number => Date.now() / 1000;

/** What happened to a lease. */
export interface LeaseChange {
  readonly change: "added" | "changed" | "renewed" | "expired" | "removed";
  readonly lease: Lease;
  /** The address before, if it is another one now. */
  readonly before?: string;
}

const keyOf = ({ network, mac, id }: Lease): string => `${network} ${mac || id}`;

/** What leads from one table to the next. */
export function changesBetween(before: readonly Lease[], after: readonly Lease[]): LeaseChange[] {
  const [now, then] = [nowSeconds(), new Map(before.map((lease) => [keyOf(lease), lease]))];
  const changes: LeaseChange[] = after.flatMap((lease): LeaseChange[] => {
    const old = then.get(keyOf(lease));
    then.delete(keyOf(lease));
    if (old === undefined) return [{ change: "added", lease }];
    if (old.address !== lease.address) return [{ change: "changed", lease, before: old.address }];
    if (old.hostname !== lease.hostname) return [{ change: "changed", lease }];
    return old.expiresSeconds === lease.expiresSeconds ? [] : [{ change: "renewed", lease }];
  });
  const gone = [...then.values()].map((lease): LeaseChange => {
    return { change: lease.expiresSeconds <= now ? "expired" : "removed", lease };
  });
  return [...gone, ...changes];
}

/** Whether a lease is of a guest that is named by its MAC address, its identifier or its name; of any if by none. */
export function isOf(guest: string | undefined): (lease: Lease) => boolean {
  if (guest === undefined) return () => true;
  const octets = canonicalOctets(guest);
  const name = guest.toLowerCase();
  return ({ mac, id, hostname }) =>
    (octets !== undefined && (octets === mac || octets === id)) || (name !== "" && hostname.toLowerCase() === name);
}

/** What to know when a guest is not found: it may be there under another name. */
export function hiddenHint(leases: readonly Lease[]): string {
  const hidden = leases.filter(({ mac }) => mac === "").length;
  if (hidden === 0) return "";
  return `; ${
    hidden === 1 ? "one lease hides its" : `${hidden} leases hide their`
  } MAC address: give the name or the id`;
}
