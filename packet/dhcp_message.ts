// SPDX-License-Identifier: MIT

/**
 * Writing DHCPv4 and BOOTP messages.
 *
 * @module
 */

import { ByteWriter, toBytes } from "./byte_writer.ts";
import {
  BOOT_FILE,
  BROADCAST,
  COOKIE,
  END,
  ETHERNET,
  HARDWARE_ADDRESS,
  Operation,
  PAD,
  SERVER_NAME,
} from "./dhcp_layout.ts";
import {
  checkCode,
  codecs,
  DhcpMessageType,
  DhcpOptionCode,
  type DhcpValueOptions,
  writeOption,
} from "./dhcp_options.ts";
import type { Layer } from "./encode.ts";
import { uint, withBits } from "./field.ts";
import { type Ipv4Like, toIpv4 } from "./ip_address.ts";
import { type MacLike, toMac } from "./mac_address.ts";

/** Bytes that BOOTP servers and relays expect at least (RFC 1542, section 2.1). */
const MIN_LENGTH = 300;

/** Codes that say how options lie in a message: padding, overload, end. */
const structure: ReadonlyMap<number, string> = new Map([
  [PAD, "padding"],
  [DhcpOptionCode.overload, "the place of options"],
  [END, "the end"],
]);

const replies: readonly (number | undefined)[] = [
  DhcpMessageType.offer,
  DhcpMessageType.ack,
  DhcpMessageType.nak,
  DhcpMessageType.forceRenew,
];

/** What {@linkcode dhcp} takes: fields of {@linkcode Dhcp}. */
export interface DhcpOptions extends DhcpValueOptions {
  /** 1 for a request, 2 for a reply. Default: by the kind of the message, 1 if it has none. */
  readonly operation?: number | undefined;
  /** Type of the client's hardware: 0 to 255. Default: 1, Ethernet. */
  readonly hardwareType?: number | undefined;
  /** Bytes of the client's hardware address: 0 to 255. Default: as many as are given. */
  readonly hardwareLength?: number | undefined;
  /** Number of relays on the way: 0 to 255. Default: 0. */
  readonly hops?: number | undefined;
  /** What requests and replies have in common: 32 bits. Default: 0. */
  readonly transactionId?: number | undefined;
  /** Seconds since the client began: 0 to 65535. Default: 0. */
  readonly seconds?: number | undefined;
  /** 16 flags. Default: 0. */
  readonly flags?: number | undefined;
  /** Whether replies have to be broadcast: the highest of the flags. Default: as in `flags`. */
  readonly isBroadcast?: boolean | undefined;
  /** Address that the client has. Default: `0.0.0.0`, like all that follow. */
  readonly clientAddress?: Ipv4Like | undefined;
  /** Address that the client gets. */
  readonly yourAddress?: Ipv4Like | undefined;
  /** Server to boot from. */
  readonly serverAddress?: Ipv4Like | undefined;
  /** Relay that took the request. */
  readonly relayAddress?: Ipv4Like | undefined;
  /** The client's MAC address. */
  readonly clientMac?: MacLike | undefined;
  /** The client's hardware address if it is no MAC address: 16 bytes at most. Default: `clientMac`. */
  readonly clientHardwareAddress?: Uint8Array | undefined;
  /** Name of the server to boot from: 64 bytes at most. Default: empty. */
  readonly serverName?: string | undefined;
  /** Name of the file to boot: 128 bytes at most. Default: empty. */
  readonly bootFile?: string | undefined;
  /** Whether to leave out all options. Default: `false`. */
  readonly isBootp?: boolean | undefined;
  /**
   * Values of further options by their codes, written behind those that have a field here; one that is longer than 255
   * bytes is split. 0, 52 and 255 say how options lie in a message and cannot be given.
   */
  readonly options?: ReadonlyMap<number, Uint8Array> | undefined;
  /** Bytes that the message has at least; it is filled up with zeros. Default: 300. */
  readonly length?: number | undefined;
}

/**
 * A DHCPv4 or BOOTP message to be written. Options are written in this order: the kind of the message, those that have
 * a field here, those of `options`.
 *
 * @param options What it says; all of it may be left out.
 * @returns The layer, to be carried by UDP.
 * @throws {TypeError} If something is of the wrong type or no address, or an option is given twice.
 * @throws {RangeError} If a number or a text does not fit.
 *
 * @example An answer
 * ```ts
 * import { Dhcp, dhcp, DhcpMessageType, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(dhcp({
 *   messageType: DhcpMessageType.ack,
 *   transactionId: 0x3903f326,
 *   yourAddress: "192.168.64.2",
 *   clientMac: "52:54:00:00:00:01",
 *   leaseSeconds: 3600,
 *   routers: ["192.168.64.1"],
 * }));
 * assertEquals(bytes.length, 300);
 * assertEquals(`${new Dhcp(bytes).routers}`, "192.168.64.1");
 * ```
 */
export function dhcp(options: DhcpOptions = {}): Layer {
  const writer = new ByteWriter("dhcp");
  const { messageType, clientMac, isBootp = false } = options;
  const hardware = options.clientHardwareAddress ??
    (clientMac === undefined ? new Uint8Array(0) : toMac(clientMac, "clientMac").bytes);
  const defaultLength = hardware.length || 6;
  writer.u8(
    "operation",
    options.operation ?? (replies.includes(messageType ?? 0) ? Operation.reply : Operation.request),
  );
  writer.u8("hardwareType", options.hardwareType ?? ETHERNET);
  writer.u8("hardwareLength", options.hardwareLength ?? defaultLength);
  writer.u8("hops", options.hops ?? 0);
  writer.u32("transactionId", options.transactionId ?? 0);
  writer.u16("seconds", options.seconds ?? 0);
  writer.u16("flags", withBits(uint("dhcp", "flags", options.flags, 0, 0xffff), [options.isBroadcast, BROADCAST]));
  for (const field of ["clientAddress", "yourAddress", "serverAddress", "relayAddress"] as const) {
    writer.address(toIpv4(options[field] ?? "0.0.0.0", field));
  }
  writeFixed(writer, "clientHardwareAddress", hardware, HARDWARE_ADDRESS.length);
  writeFixed(writer, "serverName", options.serverName ?? "", SERVER_NAME.length);
  writeFixed(writer, "bootFile", options.bootFile ?? "", BOOT_FILE.length);
  writeOptions(writer, options, isBootp);
  const length = uint("dhcp", "length", options.length, MIN_LENGTH, 0xffff);
  if (writer.length < length) writer.skip(length - writer.length);
  return writer.finishLayer();
}

function writeFixed(writer: ByteWriter, field: string, value: string | Uint8Array, length: number): void {
  const bytes = toBytes("dhcp", field, value);
  if (bytes.length > length) {
    throw new RangeError(`Cannot encode dhcp: ${field} takes ${length} bytes at most, found ${bytes.length}`);
  }
  writer.raw(bytes);
  writer.skip(length - bytes.length);
}

function writeOptions(writer: ByteWriter, options: DhcpOptions, isBootp: boolean): void {
  const values = new Map<number, Uint8Array>();
  const given = new Map(structure);
  for (const field of Object.keys(codecs) as (keyof typeof codecs)[]) {
    const value = options[field];
    if (value === undefined) continue;
    const { code, write } = codecs[field];
    const inner = new ByteWriter("dhcp");
    (write as (writer: ByteWriter, field: string, value: unknown) => void)(inner, field, value);
    values.set(code, inner.finish());
    given.set(code, field);
  }
  for (const [code, value] of options.options ?? []) {
    values.set(checkCode("dhcp", code, given), toBytes("dhcp", `option ${code}`, value));
  }
  if (isBootp) {
    if (values.size === 0) return;
    throw new TypeError("Cannot encode dhcp: isBootp leaves no place for options");
  }
  writer.u32("cookie", COOKIE);
  for (const [code, value] of values) writeOption(writer, code, value);
  writer.u8("end", END);
}
