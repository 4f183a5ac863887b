// SPDX-License-Identifier: MIT

/**
 * DHCP reservations: addresses that are kept for certain guests.
 *
 * @module
 */

import { formatIpv4, formatMac, type Ipv4Subnet, isWithin, parseIpv4Subnet } from "./address.ts";
import type { Context, OperationOptions } from "./context.ts";
import { Fields } from "./fields.ts";
import type { List, ListEntries } from "./list.ts";
import { Op } from "./symbols.ts";

/** An address that DHCP keeps for one guest. On macOS not verified on hardware. */
export interface DhcpReservation {
  /** The guest's MAC address, for instance `"52:54:00:00:00:01"`. */
  mac: string;
  /** The guest's IPv4 address, within the network's subnet. */
  address: string;
}

/**
 * An address that a guest of the subnet may have: no host address, and not the first, which is the gateway's.
 *
 * @throws {TypeError} If it is of the wrong kind.
 * @throws {RangeError} If it is no such address.
 */
export function readGuestAddress(fields: Fields, name: string, subnet: Ipv4Subnet | undefined): number | undefined {
  const address = fields.ipv4(name);
  if (address === undefined || subnet === undefined) return address;
  const [first, last] = [subnet.base + 2, subnet.last - 1];
  if (isWithin(subnet, address) && address >= first && address <= last) return address;
  return fields.outOfRange(name, `an address from "${formatIpv4(first)}" to "${formatIpv4(last)}"`);
}

function readMac(fields: Fields): Uint8Array {
  fields.require("mac");
  const mac = fields.mac("mac")!;
  if ((mac[0]! & 1) === 1) fields.outOfRange("mac", "the address of one machine, not of a group");
  return mac;
}

/**
 * Checks a reservation.
 *
 * @throws {TypeError} If a name is not known, missing, or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function readReservation(fields: Fields, subnet: Ipv4Subnet | undefined): { mac: Uint8Array; address: string } {
  fields.require("mac", "address");
  const mac = readMac(fields);
  return { mac, address: formatIpv4(readGuestAddress(fields, "address", subnet)!) };
}

/** Reserves an address on a network of that subnet. */
export async function addReservation(
  context: Context,
  target: number,
  ipv4Subnet: string,
  reservation: DhcpReservation,
  options: OperationOptions | undefined,
): Promise<void> {
  const action = "add DHCP reservation";
  const fields = new Fields(action, reservation, ["mac", "address"]);
  const { mac, address } = readReservation(fields, parseIpv4Subnet(ipv4Subnet));
  await context.operation(target, Op.reservationAdd, action, [["mac", mac], ["address", address]], options);
}

/** Removes the reservation of a MAC address. */
export async function removeReservation(
  context: Context,
  target: number,
  mac: string,
  options: OperationOptions | undefined,
): Promise<void> {
  const action = "remove DHCP reservation";
  const entries: ListEntries = [["mac", readMac(new Fields(action, { mac }, ["mac"]))]];
  await context.operation(target, Op.reservationRemove, action, entries, options);
}

function decodeReservation(list: List): DhcpReservation {
  return { mac: formatMac(list.bytes("mac") ?? new Uint8Array(6)), address: list.text("address") ?? "" };
}

/** The reservations of a network. */
export async function listReservations(
  context: Context,
  target: number,
  options: OperationOptions | undefined,
): Promise<DhcpReservation[]> {
  const list = await context.operation(target, Op.reservationList, "list DHCP reservations", [], options);
  return list.lists("reservation").map(decodeReservation);
}
