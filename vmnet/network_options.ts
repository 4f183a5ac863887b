// SPDX-License-Identifier: MIT

/**
 * The configuration of a network: its type, its checks, its encoding.
 *
 * @module
 */

import { formatIpv4, formatMac, type Ipv4Subnet, isPrivateIpv4, parseIpv4Subnet } from "./address.ts";
import { Fields } from "./fields.ts";
import { encodeRule, type PortForwardingRule } from "./forwarding.ts";
import type { ListEntries, ListValue } from "./list.ts";
import { modes } from "./options.ts";
import { type DhcpReservation, readGuestAddress, readReservation } from "./reservations.ts";

/** What {@linkcode Network.create} takes. On macOS needs macOS 26; not verified on hardware. */
export interface NetworkOptions {
  /** Whether guests reach the outside (`"shared"`, the default) or only the host and one another (`"host"`). */
  mode?: "host" | "shared";
  /** IPv4 subnet, private after RFC 1918, from /8 to /29; by default a free /24 in 192.168.0.0/16. */
  ipv4Subnet?: string;
  /** Unique local IPv6 prefix of 64 bits, for instance `"fd00:1:2:3::/64"`; random by default. */
  ipv6Prefix?: string;
  /** Largest IP packet in bytes, from 68 to 65535; 1500 by default. Guests get it by DHCP. */
  mtu?: number;
  /** Whether addresses are handed out by DHCP; true by default. */
  dhcp?: boolean;
  /** First address that DHCP hands out; by default the one after the gateway's. Not on macOS, where vmnet decides. */
  dhcpStart?: string;
  /** Last address that DHCP hands out; by default the last of the subnet. Not on macOS, where vmnet decides. */
  dhcpEnd?: string;
  /** How long a lease is valid, from 10 to 31536000 seconds; 86400 by default. Not on macOS. */
  leaseSeconds?: number;
  /** Addresses that DHCP keeps for certain guests. */
  dhcpReservations?: readonly DhcpReservation[];
  /** Whether the gateway answers DNS; true by default. */
  dnsProxy?: boolean;
  /** Whether IPv4 reaches the outside in mode shared; true by default. */
  nat44?: boolean;
  /** Whether IPv6 reaches the outside in mode shared; true by default. */
  nat66?: boolean;
  /** Whether IPv6 routers are announced; true by default. */
  routerAdvertisement?: boolean;
  /** Ports of the host that lead to guests. */
  portForwardingRules?: readonly PortForwardingRule[];
  /** Physical interface to the outside; by default the default route's. Needs macOS 26; not verified on hardware. */
  externalInterface?: string;
}

const ACTION = "create network";

const names = [
  "mode",
  "ipv4Subnet",
  "ipv6Prefix",
  "mtu",
  "dhcp",
  "dhcpStart",
  "dhcpEnd",
  "leaseSeconds",
  "dhcpReservations",
  "dnsProxy",
  "nat44",
  "nat66",
  "routerAdvertisement",
  "portForwardingRules",
  "externalInterface",
] as const satisfies readonly (keyof NetworkOptions)[];

/**
 * Checks the configuration of a network and encodes it.
 *
 * @throws {TypeError} If a name is not known, a value has the wrong kind, or options exclude one another.
 * @throws {RangeError} If a value is out of range.
 */
export function encodeNetworkOptions(options: NetworkOptions): ListEntries {
  const fields = new Fields(ACTION, options, names);
  const mode = fields.oneOf("mode", ["host", "shared"]) ?? "shared";
  if (mode === "host") fields.exclude(["externalInterface", "nat44", "nat66"], 'in mode "host"');
  const subnet = readSubnet(fields);
  if (fields.boolean("dhcp") === false) {
    fields.exclude(["dhcpStart", "dhcpEnd", "leaseSeconds", "dhcpReservations"], "without DHCP");
  }
  const [dhcpStart, dhcpEnd] = readRange(fields, subnet);
  const values: Record<string, ListValue | undefined> = {
    mode: modes[mode],
    ipv4Subnet: subnet && `${formatIpv4(subnet.base)}/${subnet.length}`,
    ipv6Prefix: fields.ipv6Prefix64("ipv6Prefix"),
    mtu: fields.integer("mtu", 68, 65535),
    dhcpStart,
    dhcpEnd,
    leaseSeconds: fields.integer("leaseSeconds", 10, 31536000),
    externalInterface: fields.text("externalInterface"),
  };
  for (const name of ["dhcp", "dnsProxy", "nat44", "nat66", "routerAdvertisement"] as const) {
    values[name] = fields.boolean(name);
  }
  const entries = Object.entries(values).filter((entry): entry is [string, ListValue] => entry[1] !== undefined);
  const taken = new Set<string>();
  const reservations = fields.objects("dhcpReservations", (item, path) => encodeReservation(item, path, subnet, taken));
  const rules = fields.objects("portForwardingRules", (item, path) => encodeRule(item, ACTION, path));
  return [
    ...entries,
    ...reservations.map((entry) => ["reservation", entry] as const),
    ...rules.map((entry) => ["forward", entry] as const),
  ];
}

function readSubnet(fields: Fields): Ipv4Subnet | undefined {
  const takes = 'a private subnet (RFC 1918) from /8 to /29 as "192.168.50.0/24"';
  const subnet = fields.parsed("ipv4Subnet", takes, parseIpv4Subnet);
  if (subnet === undefined) return undefined;
  if (subnet.length < 8 || subnet.length > 29) fields.outOfRange("ipv4Subnet", takes);
  if (!isPrivateIpv4(subnet.base) || !isPrivateIpv4(subnet.last)) fields.outOfRange("ipv4Subnet", takes);
  return subnet;
}

function readRange(fields: Fields, subnet: Ipv4Subnet | undefined): [string | undefined, string | undefined] {
  if (subnet === undefined) fields.exclude(["dhcpStart", "dhcpEnd", "dhcpReservations"], 'without "ipv4Subnet"');
  const start = readGuestAddress(fields, "dhcpStart", subnet);
  const end = readGuestAddress(fields, "dhcpEnd", subnet);
  if (start !== undefined && end !== undefined && end < start) {
    fields.outOfRange("dhcpEnd", `an address from "${formatIpv4(start)}" on, where "dhcpStart" is`);
  }
  return [start === undefined ? undefined : formatIpv4(start), end === undefined ? undefined : formatIpv4(end)];
}

function encodeReservation(
  item: unknown,
  path: string,
  subnet: Ipv4Subnet | undefined,
  taken: Set<string>,
): ListEntries {
  const fields = new Fields(ACTION, item, ["mac", "address"], path);
  const { mac, address } = readReservation(fields, subnet);
  for (const [name, value] of [["mac", formatMac(mac)], ["address", address]] as const) {
    if (taken.has(value)) fields.outOfRange(name, "in no other reservation");
    taken.add(value);
  }
  return [["mac", mac], ["address", address]];
}
