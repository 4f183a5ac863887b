// SPDX-License-Identifier: MIT

/**
 * The options of an interface: their types, their checks, and their names in vmnet.
 *
 * @module
 */

import {
  canonicalIpv6Prefix,
  formatIpv4,
  formatIpv6,
  formatUuid,
  ipv4MaskLength,
  isPrivateIpv4,
  parseIpv6,
} from "./address.ts";
import { Fields } from "./fields.ts";
import type { List, ListValue } from "./list.ts";
import { optionName, vmnetKey } from "./names.ts";
import type { Network } from "./network.ts";

/**
 * Options that every interface takes. Where a version of macOS is named, vmnet knows the option from there on; not
 * verified on hardware.
 */
export interface CommonInterfaceOptions {
  /** Whether vmnet suggests a MAC address for the guest; true by default, macOS 10.15. */
  allocateMacAddress?: boolean;
  /** Whether guests on this interface are kept from one another; false by default, macOS 11. Not in mode bridged. */
  enableIsolation?: boolean;
  /** Whether frames of 64 KiB carry TCP both ways; false by default, macOS 11. */
  enableTso?: boolean;
  /** Whether checksums are computed and checked below the guest; false by default, macOS 12. */
  enableChecksumOffload?: boolean;
  /** Whether each frame starts with a 12-byte `virtio_net_hdr_v1`; false by default, macOS 15.4. */
  enableVirtioHeader?: boolean;
}

/** Options of an interface that belongs to no {@linkcode Network} object. On macOS not verified on hardware. */
export interface OwnInterfaceOptions extends CommonInterfaceOptions {
  /** UUID that gives the interface the same MAC address at its next start. */
  interfaceId?: string;
}

/** Options of modes host and shared. On macOS not verified on hardware. */
export interface SubnetInterfaceOptions extends OwnInterfaceOptions {
  /** Largest IP packet in bytes, from 68 to 65535; 1500 by default. */
  mtu?: number;
  /** First address of the subnet, the gateway's; private after RFC 1918. All three of start, end and mask, or none. */
  startAddress?: string;
  /** Last address that DHCP hands out. */
  endAddress?: string;
  /** Netmask of the subnet. */
  subnetMask?: string;
}

/**
 * An interface that reaches the host and its other guests, and nothing beyond. Where a version of macOS is named, vmnet
 * knows the option from there on; not verified on hardware.
 */
export interface HostInterfaceOptions extends SubnetInterfaceOptions {
  /** Chooses the mode. */
  mode: "host";
  /** UUID of an isolated network without DHCP, common to all interfaces that name it; macOS 11. */
  networkIdentifier?: string;
  /** The host's address; needs `networkIdentifier`. */
  hostIpAddress?: string;
  /** Netmask of the host's address; needs `hostIpAddress`. */
  hostSubnetMask?: string;
  /** The host's IPv6 address; needs `networkIdentifier`. */
  hostIpv6Address?: string;
}

/** An interface that reaches the outside through the host's address. What needs a Mac is not verified on hardware. */
export interface SharedInterfaceOptions extends SubnetInterfaceOptions {
  /** Chooses the mode. */
  mode: "shared";
  /** Unique local IPv6 prefix of 64 bits, for instance `"fd00:1:2:3::"`. */
  nat66Prefix?: string;
  /** Length of `nat66Prefix`, which must be 64. Deprecated by Apple in macOS 11. */
  nat66PrefixLength?: number;
}

/** An interface in the network of a physical one. Needs macOS; not verified on hardware. */
export interface BridgedInterfaceOptions extends OwnInterfaceOptions {
  /** Chooses the mode. */
  mode: "bridged";
  /** Name of the physical interface, one of {@linkcode sharedInterfaces}. */
  externalInterface: string;
}

/** An interface on a {@linkcode Network} object, which decides all the rest. On macOS not verified on hardware. */
export interface NetworkInterfaceOptions extends CommonInterfaceOptions {
  /** The network. */
  network: Network;
}

/**
 * What {@linkcode Interface.start} takes: vmnet's own keys in camelCase, with `mode` for `vmnet_operation_mode` and
 * `externalInterface` for `vmnet_shared_interface_name`. On macOS not verified on hardware.
 */
export type InterfaceOptions =
  | HostInterfaceOptions
  | SharedInterfaceOptions
  | BridgedInterfaceOptions
  | NetworkInterfaceOptions;

/**
 * What vmnet says about a started interface: its own keys in camelCase, also such as this library does not know. On macOS
 * not verified on hardware.
 */
export interface InterfaceParameters {
  /** MAC address for the guest. */
  readonly macAddress?: string;
  /** Largest IP packet in bytes. */
  readonly mtu?: number;
  /** Largest frame in bytes. */
  readonly maxPacketSize?: number;
  /** Frames that one read answers at the most. */
  readonly readMaxPackets?: number;
  /** Frames that one write takes at the most. */
  readonly writeMaxPackets?: number;
  /** UUID that gives the interface the same MAC address at its next start. */
  readonly interfaceId?: string;
  /** First address of the subnet, the gateway's. */
  readonly startAddress?: string;
  /** Last address that DHCP hands out. */
  readonly endAddress?: string;
  /** Netmask of the subnet. */
  readonly subnetMask?: string;
  /** IPv6 prefix of the network. */
  readonly nat66Prefix?: string;
  /** Any parameter that is not known here. */
  readonly [key: string]: string | number | undefined;
}

/** Modes under their numbers in vmnet. */
export const modes = { host: 1000, shared: 1001, bridged: 1002 } as const;

const ACTION = "start interface";

const common = [
  "allocateMacAddress",
  "enableIsolation",
  "enableTso",
  "enableChecksumOffload",
  "enableVirtioHeader",
] as const;

const own = [
  "interfaceId",
  "mtu",
  "startAddress",
  "endAddress",
  "subnetMask",
  "nat66Prefix",
  "nat66PrefixLength",
  "networkIdentifier",
  "hostIpAddress",
  "hostSubnetMask",
  "hostIpv6Address",
  "externalInterface",
] as const;

/** The options of an interface after the checks. */
export interface EncodedOptions {
  /** The network object that it belongs to, if any. */
  readonly network: Network | undefined;
  /** The options under vmnet's keys. */
  readonly entries: [key: string, value: ListValue][];
  /** The options as they were when they were checked; the caller may change its own meanwhile. */
  readonly given: InterfaceOptions;
}

/**
 * Checks the options of an interface and encodes them under vmnet's keys.
 *
 * @throws {TypeError} If a name is not known, a value has the wrong kind, or options exclude one another.
 * @throws {RangeError} If a value is out of range.
 */
export function encodeInterfaceOptions(options: InterfaceOptions): EncodedOptions {
  const fields = new Fields(ACTION, options, ["mode", "network", ...common, ...own]);
  const network = fields.has("network") ? readNetwork(fields) : undefined;
  const values: Record<string, ListValue | undefined> = network ? {} : readOwn(fields);
  for (const name of common) values[name] = fields.boolean(name);
  if (values["enableChecksumOffload"] && values["enableVirtioHeader"]) {
    fields.exclude(["enableVirtioHeader"], 'with "enableChecksumOffload"');
  }
  const given = Object.entries(values).filter((entry): entry is [string, ListValue] => entry[1] !== undefined);
  const entries = given.map(([name, value]): [string, ListValue] => [vmnetKey(name), value]);
  return { network, entries, given: fields.given as unknown as InterfaceOptions };
}

function readNetwork(fields: Fields): Network {
  fields.exclude(["mode", ...own], 'with "network", which decides it');
  const network = fields.raw("network");
  // Not instanceof: network.ts imports this file's neighbours, and a second copy of the library is no better
  if (typeof network !== "object" || network === null || !("ipv4Subnet" in network)) {
    fields.wrong("network", "a Network");
  }
  return network as Network;
}

function readOwn(fields: Fields): Record<string, ListValue | undefined> {
  fields.require("mode");
  const mode = fields.oneOf("mode", ["host", "shared", "bridged"])!;
  if (mode !== "host") {
    const hostOnly = ["networkIdentifier", "hostIpAddress", "hostSubnetMask", "hostIpv6Address"];
    fields.exclude(hostOnly, `in mode "${mode}"`);
  }
  if (mode !== "shared") fields.exclude(["nat66Prefix", "nat66PrefixLength"], `in mode "${mode}"`);
  if (mode !== "bridged") fields.exclude(["externalInterface"], `in mode "${mode}"`);
  else {
    fields.require("externalInterface");
    fields.exclude(["mtu", "startAddress", "endAddress", "subnetMask", "enableIsolation"], 'in mode "bridged"');
  }
  return {
    mode: modes[mode],
    interfaceId: fields.uuid("interfaceId"),
    mtu: fields.integer("mtu", 68, 65535),
    externalInterface: fields.text("externalInterface"),
    ...readSubnet(fields),
    ...readPrefix(fields),
    ...readHost(fields),
  };
}

function readSubnet(fields: Fields): Record<string, ListValue> {
  const start = fields.ipv4("startAddress");
  const end = fields.ipv4("endAddress");
  const mask = fields.ipv4("subnetMask");
  if (start === undefined && end === undefined && mask === undefined) return {};
  fields.require("startAddress", "endAddress", "subnetMask");
  const length = ipv4MaskLength(mask!);
  if (length === undefined || length < 8 || length > 30) {
    fields.outOfRange("subnetMask", 'a netmask from "255.0.0.0" to "255.255.255.252"');
  }
  if (!isPrivateIpv4(start!)) fields.outOfRange("startAddress", "a private address (RFC 1918)");
  const base = (start! & mask!) >>> 0;
  const last = (start! | ~mask!) >>> 0;
  if (start === base) fields.outOfRange("startAddress", "the gateway's address, not the subnet's");
  if (end! <= start! || end! >= last) {
    fields.outOfRange("endAddress", `an address from "${formatIpv4(start! + 1)}" to "${formatIpv4(last - 1)}"`);
  }
  return { startAddress: formatIpv4(start!), endAddress: formatIpv4(end!), subnetMask: formatIpv4(mask!) };
}

function readPrefix(fields: Fields): Record<string, ListValue | undefined> {
  const nat66PrefixLength = fields.integer("nat66PrefixLength", 64, 64);
  const takes = 'a unique local IPv6 prefix of 64 bits as "fd00:1:2:3::"';
  const parse = (text: string) => canonicalIpv6Prefix(text.includes("/") ? text : `${text}/64`);
  const prefix = fields.parsed("nat66Prefix", takes, parse);
  if (prefix === undefined) return { nat66PrefixLength };
  if (!prefix.endsWith("/64") || !prefix.startsWith("fd")) fields.outOfRange("nat66Prefix", takes);
  return { nat66PrefixLength, nat66Prefix: prefix.replace("/64", "") };
}

function readHost(fields: Fields): Record<string, ListValue | undefined> {
  const address = fields.ipv4("hostIpAddress");
  const mask = fields.ipv4("hostSubnetMask");
  if (address !== undefined) fields.require("networkIdentifier", "hostSubnetMask");
  if (mask !== undefined) {
    fields.require("hostIpAddress");
    if (ipv4MaskLength(mask) === undefined) fields.outOfRange("hostSubnetMask", "a netmask");
  }
  const ipv6 = fields.parsed("hostIpv6Address", 'an IPv6 address as "fd00::1"', parseIpv6);
  if (ipv6 !== undefined) fields.require("networkIdentifier");
  return {
    networkIdentifier: fields.uuid("networkIdentifier"),
    hostIpAddress: address === undefined ? undefined : formatIpv4(address),
    hostSubnetMask: mask === undefined ? undefined : formatIpv4(mask),
    hostIpv6Address: ipv6 && formatIpv6(ipv6),
  };
}

/** Reads the parameters of a started interface: vmnet's keys in camelCase, UUIDs as text. */
export function decodeInterfaceParameters(list: List): InterfaceParameters {
  const parameters: Record<string, string | number> = {};
  for (const [key, value] of list.entries) {
    if (!key.startsWith("vmnet_")) continue;
    const name = optionName(key);
    if (typeof value === "number" || typeof value === "string") parameters[name] = value;
    else if (value instanceof Uint8Array && value.length === 16) parameters[name] = formatUuid(value);
  }
  return Object.freeze(parameters);
}
