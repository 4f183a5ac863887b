// SPDX-License-Identifier: MIT

/**
 * Port forwarding rules: ports of the host that lead to guests.
 *
 * @module
 */

import type { Context, OperationOptions } from "./context.ts";
import { Fields } from "./fields.ts";
import type { List, ListEntries } from "./list.ts";
import { Op } from "./symbols.ts";

/** A port of the host that leads to a port of a guest. On macOS not verified on hardware. */
export interface PortForwardingRule {
  /** `"tcp"` or `"udp"`. */
  protocol: "tcp" | "udp";
  /** Port on the host, from 1 to 65535. */
  externalPort: number;
  /** The guest's IPv4 or IPv6 address. */
  internalAddress: string;
  /** The guest's port, from 1 to 65535. */
  internalPort: number;
}

/** Which rule is meant: protocol, port and address family are its key. */
export interface PortForwardingKey {
  /** `"tcp"` or `"udp"`. */
  protocol: "tcp" | "udp";
  /** Port on the host, from 1 to 65535. */
  externalPort: number;
  /** Address family of the guest's address; `"ipv4"` by default. */
  family?: "ipv4" | "ipv6";
}

const protocols = { tcp: 6, udp: 17 } as const;

function readProtocol(fields: Fields): number {
  return protocols[fields.oneOf("protocol", ["tcp", "udp"])!];
}

/**
 * Checks and encodes a rule.
 *
 * @throws {TypeError} If a name is not known, missing, or of the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function encodeRule(rule: unknown, action: string, path = ""): ListEntries {
  const fields = new Fields(action, rule, ["protocol", "externalPort", "internalAddress", "internalPort"], path);
  fields.require("protocol", "externalPort", "internalAddress", "internalPort");
  return [
    ["protocol", readProtocol(fields)],
    ["externalPort", fields.integer("externalPort", 1, 65535)!],
    ["internalAddress", fields.ip("internalAddress")!],
    ["internalPort", fields.integer("internalPort", 1, 65535)!],
  ];
}

function encodeKey(key: unknown, action: string): ListEntries {
  const fields = new Fields(action, key, ["protocol", "externalPort", "family", "internalAddress", "internalPort"]);
  fields.require("protocol", "externalPort");
  const address = fields.ip("internalAddress");
  const family = fields.oneOf("family", ["ipv4", "ipv6"]) ?? (address?.includes(":") ? "ipv6" : "ipv4");
  return [
    ["protocol", readProtocol(fields)],
    ["externalPort", fields.integer("externalPort", 1, 65535)!],
    ["family", family === "ipv4" ? 4 : 6],
  ];
}

function decodeRule(list: List): PortForwardingRule {
  return {
    protocol: list.number("protocol") === protocols.udp ? "udp" : "tcp",
    externalPort: list.number("externalPort") ?? 0,
    internalAddress: list.text("internalAddress") ?? "",
    internalPort: list.number("internalPort") ?? 0,
  };
}

/** Adds a rule to an interface or a network. */
export async function addRule(
  context: Context,
  target: number,
  rule: PortForwardingRule,
  options: OperationOptions | undefined,
): Promise<void> {
  const action = "add port forwarding rule";
  await context.operation(target, Op.forwardAdd, action, encodeRule(rule, action), options);
}

/** Removes a rule of an interface or a network. */
export async function removeRule(
  context: Context,
  target: number,
  key: PortForwardingKey,
  options: OperationOptions | undefined,
): Promise<void> {
  const action = "remove port forwarding rule";
  await context.operation(target, Op.forwardRemove, action, encodeKey(key, action), options);
}

/** The rules of an interface or a network. */
export async function listRules(
  context: Context,
  target: number,
  options: OperationOptions | undefined,
): Promise<PortForwardingRule[]> {
  const list = await context.operation(target, Op.forwardList, "list port forwarding rules", [], options);
  return list.lists("forward").map(decodeRule);
}
