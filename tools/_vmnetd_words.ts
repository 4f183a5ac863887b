// SPDX-License-Identifier: MIT

/**
 * The command lines of socket_vmnet and vmnet-helper in vmnetd's own words, so that it can take their place.
 *
 * @module
 */

import type { Interface, Network } from "vmnet";
import { type Option, UsageError, type Values } from "./_cli.ts";

const SOCKET_VMNET = "As socket_vmnet has them";
const VMNET_HELPER = "As vmnet-helper has them; with any of these --socket is a datagram socket";

/** A word of another program: which option it stands for, or why it cannot be had. */
export type Word = Option & { section: string; means?: string; cannot?: string };

const offload = "krunkit's frames do not say how they are to be cut, so leave its offloading off";

/** The words. One that means nothing is taken and has no effect. */
export const foreignSettings: Record<string, Word> = {
  "vmnet-mode": { value: "MODE", help: "--mode", means: "mode", section: SOCKET_VMNET },
  "vmnet-interface": { value: "NAME", help: "--interface", means: "interface", section: SOCKET_VMNET },
  "vmnet-gateway": { value: "IP", help: "first address of --subnet", section: SOCKET_VMNET },
  "vmnet-mask": { value: "MASK", help: "mask of --subnet; 255.255.255.0 by default", section: SOCKET_VMNET },
  "vmnet-dhcp-end": { value: "IP", help: "--dhcp-end", section: SOCKET_VMNET },
  "vmnet-interface-id": { value: "UUID", help: "--interface-id", means: "interface-id", section: SOCKET_VMNET },
  "vmnet-network-identifier": {
    value: "UUID",
    help: 'no effect, but in mode host without --vmnet-gateway means --no-dhcp unless it is ""',
    section: SOCKET_VMNET,
  },
  "vmnet-nat66-prefix": { value: "PREFIX", help: "--ipv6-prefix", section: SOCKET_VMNET },
  "operation-mode": { value: "MODE", help: "--mode", means: "mode", section: VMNET_HELPER },
  "shared-interface": { value: "NAME", help: "--interface", means: "interface", section: VMNET_HELPER },
  "start-address": { value: "IP", help: "first address of --subnet", section: VMNET_HELPER },
  "subnet-mask": { value: "MASK", help: "mask of --subnet", section: VMNET_HELPER },
  "end-address": { value: "IP", help: "--dhcp-end", section: VMNET_HELPER },
  "enable-isolation": { help: "--isolated", means: "isolated", section: VMNET_HELPER },
  "enable-tso": { help: "refused", cannot: offload, section: VMNET_HELPER },
  "enable-checksum-offload": { help: "refused", cannot: offload, section: VMNET_HELPER },
  verbose: { help: "no effect", short: "v", section: VMNET_HELPER },
};

/** What vmnet-helper's callers are told of an interface. */
export interface HelperOptions {
  /** UUID of the interface. */
  readonly interfaceId: string;
}

/** What a command line says in vmnetd's words. */
export interface Translated {
  readonly values: Values;
  /** There if it is vmnet-helper's. */
  readonly helper: HelperOptions | undefined;
}

function parseIp(name: string, text: string): number {
  const parts = text.split(".").map(Number);
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text) && parts.every((part) => part <= 255)) {
    return parts.reduce((address, part) => address * 256 + part, 0);
  }
  throw new UsageError(`--${name} takes an IPv4 address, not "${text}"`);
}

const formatIp = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");

/** Subnet and end of DHCP from the first address, the mask and the end. */
function subnetOf(values: Values, first: string, mask: string, end: string): Record<string, string> {
  const text = (name: string) => values[name] as string | undefined;
  if (text(first) === undefined) {
    const alone = [mask, end].find((name) => text(name) !== undefined);
    if (alone !== undefined) throw new UsageError(`--${alone} needs --${first}`);
    return {};
  }
  const gateway = parseIp(first, text(first)!);
  const bits = parseIp(mask, text(mask) ?? "255.255.255.0");
  const length = 32 - Math.log2(2 ** 32 - bits);
  if (!Number.isInteger(length)) throw new UsageError(`--${mask} takes a mask, not "${text(mask)}"`);
  const base = (gateway & bits) >>> 0;
  if (gateway !== base + 1) {
    throw new UsageError(
      `--${first} takes the first address of its subnet, ${formatIp(base + 1)}, not "${text(first)}"`,
    );
  }
  const last = base + 2 ** (32 - length) - 2;
  const dhcpEnd = text(end) === undefined ? last : parseIp(end, text(end)!);
  // The last address is the end anyway, and macOS takes no other
  return { subnet: `${formatIp(base)}/${length}`, ...(dhcpEnd === last ? {} : { "dhcp-end": formatIp(dhcpEnd) }) };
}

/**
 * Translates a command line.
 *
 * @throws {UsageError} If words of both programs are mixed, or one cannot be had.
 */
export function translate(given: Values): Translated {
  const { operands = [], ...values } = given as Values & { operands?: string[] };
  const words = Object.entries(foreignSettings).filter(([name]) => values[name] !== undefined);
  const [section, other] = new Set(words.map(([, word]) => word.section));
  if (other !== undefined || (section === VMNET_HELPER && operands.length > 0)) {
    throw new UsageError("words of socket_vmnet and of vmnet-helper are mixed");
  }
  if (operands.length > 1) {
    throw new UsageError(`one socket can be given without an option, not "${operands.join('" "')}"`);
  }
  const own: Record<string, string | boolean | string[] | undefined> = {
    ...subnetOf(values, "vmnet-gateway", "vmnet-mask", "vmnet-dhcp-end"),
    ...subnetOf(values, "start-address", "subnet-mask", "end-address"),
    ...Object.fromEntries(Object.entries(values).filter(([name]) => !Object.hasOwn(foreignSettings, name))),
  };
  for (const [name, { means, cannot }] of words) {
    if (cannot !== undefined) throw new UsageError(`--${name} cannot be had: ${cannot}`);
    if (means !== undefined) own[means] = values[name];
  }
  const prefix = values["vmnet-nat66-prefix"] as string | undefined;
  if (prefix !== undefined) own["ipv6-prefix"] = prefix.includes("/") ? prefix : `${prefix}/64`;
  if (section === VMNET_HELPER) {
    own["datagram"] = [...(values["datagram"] as string[] | undefined ?? []), ...(values["socket"] as string[] ?? [])];
    delete own["socket"];
    const interfaceId = values["interface-id"] as string | undefined ?? crypto.randomUUID();
    return { values: own, helper: { interfaceId } };
  }
  const isAlone = section === SOCKET_VMNET && values["vmnet-mode"] === "host" && values["vmnet-gateway"] === undefined;
  if (isAlone && values["vmnet-network-identifier"] !== "") own["no-dhcp"] = true;
  if (operands.length > 0) own["socket"] = [...(values["socket"] as string[] | undefined ?? []), ...operands];
  return { values: own, helper: undefined };
}

/** What vmnet-helper prints of its interface: the same UUID gives the same MAC address. */
export async function helperLine(
  { interfaceId }: HelperOptions,
  network: Network | undefined,
  nic: Interface | undefined,
  maxPacketSize: number,
): Promise<string> {
  const id = new TextEncoder().encode(interfaceId.toLowerCase());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", id));
  const mac = [(digest[0]! & 0xfc) | 2, ...digest.subarray(1, 6)].map((byte) => byte.toString(16).padStart(2, "0"));
  const length = Number(network?.ipv4Subnet.split("/")[1] ?? 0);
  return JSON.stringify({
    vmnet_mac_address: nic?.macAddress || mac.join(":"),
    vmnet_mtu: network?.mtu ?? nic?.mtu,
    vmnet_max_packet_size: maxPacketSize,
    vmnet_interface_id: interfaceId.toUpperCase(),
    ...(network === undefined ? partsOf(nic) : {
      vmnet_start_address: network.ipv4Gateway,
      vmnet_end_address: network.dhcpEnd,
      vmnet_subnet_mask: formatIp((2 ** 32 - 2 ** (32 - length)) >>> 0),
      vmnet_nat66_prefix: network.ipv6Prefix.replace(/\/\d+$/, ""),
    }),
  });
}

/** What vmnet says of an interface, under its own names; those that it does not say are left out. */
function partsOf(nic: Interface | undefined): Record<string, string | undefined> {
  const { startAddress, endAddress, subnetMask, nat66Prefix } = nic?.parameters ?? {};
  return {
    vmnet_start_address: startAddress,
    vmnet_end_address: endAddress,
    vmnet_subnet_mask: subnetMask,
    vmnet_nat66_prefix: nat66Prefix,
  };
}
