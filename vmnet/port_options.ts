// SPDX-License-Identifier: MIT

/**
 * What a port of a switch may do: its type, its checks, its encoding.
 *
 * @module
 */

import type { Fields } from "./fields.ts";
import type { ListEntries, ListValue } from "./list.ts";

/**
 * What a port of a switch may do. {@linkcode Switch.setPort} changes it while frames move; an endpoint takes it for each
 * of its ports.
 */
export interface PortOptions {
  /**
   * Whether the port reaches only the uplink, and of the other ports only those that are not isolated; false by default.
   */
  isolated?: boolean | undefined;
  /** Bytes that it may send in a second, from 0 to 10^12; 0, the default, is no limit. What exceeds it is dropped. */
  bytesPerSecond?: number | undefined;
  /**
   * Bytes that it may send at once after a pause, from 0 to 10^12; 0, the default, is what `bytesPerSecond` allows in a
   * tenth of a second, and 64 KiB at least.
   */
  burstBytes?: number | undefined;
  /**
   * Broadcast and multicast frames that it may send in a second, from 0 to 10^9; 0, the default, is no limit.
   */
  broadcastsPerSecond?: number | undefined;
  /**
   * Whether it may send only from its own addresses, false by default: from one MAC address, from the IPv4 addresses that
   * DHCP has given to that on this network, and from IPv6 addresses of this network. It can then be neither a DHCP
   * server nor a router either.
   */
  antiSpoof?: boolean | undefined;
  /**
   * The one MAC address that `antiSpoof` allows; by default, or with `"any"`, the first that the port uses.
   */
  macAddress?: string | undefined;
}

/** Most of a limit, which is none: as in the shim. */
const RATE_MOST = 1e12;
const BROADCASTS_MOST = 1e9;

/** The names of {@linkcode PortOptions}. */
export const portOptionNames: readonly (keyof PortOptions)[] = [
  "isolated",
  "bytesPerSecond",
  "burstBytes",
  "broadcastsPerSecond",
  "antiSpoof",
  "macAddress",
];

/** What is given, without what is not. */
export function definedEntries(values: Record<string, ListValue | undefined>): ListEntries {
  return Object.entries(values).filter((entry): entry is [string, ListValue] => entry[1] !== undefined);
}

/**
 * Checks and encodes what a port may do.
 *
 * @throws {TypeError} If a value has the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function encodePortOptions(fields: Fields): ListEntries {
  return definedEntries({
    isolated: fields.boolean("isolated"),
    bytesPerSecond: fields.integer("bytesPerSecond", 0, RATE_MOST),
    burstBytes: fields.integer("burstBytes", 0, RATE_MOST),
    broadcastsPerSecond: fields.integer("broadcastsPerSecond", 0, BROADCASTS_MOST),
    antiSpoof: fields.boolean("antiSpoof"),
    mac: readMac(fields),
  });
}

/** Zeros stand for the first address that the port uses. */
function readMac(fields: Fields): Uint8Array | undefined {
  if (fields.raw("macAddress") === "any") return new Uint8Array(6);
  const mac = fields.mac("macAddress");
  if (mac !== undefined && ((mac[0]! & 1) === 1 || mac.every((byte) => byte === 0))) {
    fields.outOfRange("macAddress", 'the address of one machine as "02:00:00:00:00:01", or "any"');
  }
  return mac;
}
