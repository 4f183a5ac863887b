// SPDX-License-Identifier: MIT

/**
 * Writing DHCPv6 messages.
 *
 * @module
 */

import { ByteWriter } from "./byte_writer.ts";
import { checkCode } from "./dhcp_options.ts";
import type { DuidLike } from "./dhcp_duid.ts";
import { associationKind, type Dhcpv6AssociationOptions, writeAssociation, writeOption } from "./dhcpv6_association.ts";
import {
  codecs,
  type Dhcpv6Fqdn,
  Dhcpv6MessageType,
  type Dhcpv6Option,
  Dhcpv6OptionCode,
  type Dhcpv6Status,
  type Dhcpv6VendorClass,
  type Dhcpv6VendorOptions,
} from "./dhcpv6_options.ts";
import { encoded, type Layer } from "./encode.ts";
import { uint } from "./field.ts";
import { type Ipv6Like, toIpv6 } from "./ip_address.ts";
import type { MacLike } from "./mac_address.ts";

/** What {@linkcode dhcpv6} takes: fields of {@linkcode Dhcpv6}. An option is left out unless its field is given. */
export interface Dhcpv6Options {
  /** Kind of the message: 0 to 255; see {@linkcode Dhcpv6MessageType}. */
  readonly messageType: number;
  /** What messages of client and server have in common: 24 bits. Default: 0. A relay's message has none. */
  readonly transactionId?: number | undefined;
  /** Number of relays before this one, of a relay's message only: 0 to 255. Default: 0. */
  readonly hopCount?: number | undefined;
  /** Address of the client's link, of a relay's message only. Default: `::`. */
  readonly linkAddress?: Ipv6Like | undefined;
  /** Who a relay has it from or hands it to, of a relay's message only. Default: `::`. */
  readonly peerAddress?: Ipv6Like | undefined;
  /** DUID of the client. */
  readonly clientId?: DuidLike | undefined;
  /** DUID of the server. */
  readonly serverId?: DuidLike | undefined;
  /** Codes of the options that the client asks for. */
  readonly requestedOptions?: readonly number[] | undefined;
  /** How much the server wants to be chosen: 0 to 255. */
  readonly preference?: number | undefined;
  /** Milliseconds since the client began, in steps of ten: 0 to 655350. */
  readonly elapsedMs?: number | undefined;
  /** How it went. */
  readonly status?: Dhcpv6Status | undefined;
  /** Whether two messages are enough. Default: `false`. */
  readonly isRapidCommit?: boolean | undefined;
  /** Interface of a relay. */
  readonly interfaceId?: Uint8Array | undefined;
  /** What the client's user is. */
  readonly userClass?: readonly Uint8Array[] | undefined;
  /** What the client is. */
  readonly vendorClass?: Dhcpv6VendorClass | undefined;
  /** What vendors like to say. */
  readonly vendorOptions?: readonly Dhcpv6VendorOptions[] | undefined;
  /** Identity associations: addresses and prefixes. */
  readonly associations?: readonly Dhcpv6AssociationOptions[] | undefined;
  /** Servers of DNS, the best first. */
  readonly dnsServers?: readonly Ipv6Like[] | undefined;
  /** Domains to look for names in. */
  readonly domainSearch?: readonly string[] | undefined;
  /** Seconds after which the client asks again for all but addresses: 32 bits. */
  readonly informationRefreshSeconds?: number | undefined;
  /** Name of the client. */
  readonly fqdn?: Dhcpv6Fqdn | undefined;
  /** Address of a file to boot. */
  readonly bootFileUrl?: string | undefined;
  /** MAC address of the client, as a relay saw it. */
  readonly clientMac?: MacLike | undefined;
  /** Message that a relay hands on. */
  readonly relayMessage?: Layer | Uint8Array | undefined;
  /** Further options, written behind those that have a field here. */
  readonly options?: readonly Dhcpv6Option[] | undefined;
}

/**
 * A DHCPv6 message to be written.
 *
 * @param options What it says.
 * @returns The layer, to be carried by UDP.
 * @throws {TypeError} If something is of the wrong type or no address, or an option is given twice.
 * @throws {RangeError} If a number or a text does not fit.
 *
 * @example A relay's message
 * ```ts
 * import { Dhcpv6, dhcpv6, Dhcpv6MessageType, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const message = new Dhcpv6(encoded(dhcpv6({
 *   messageType: Dhcpv6MessageType.relayForward,
 *   peerAddress: "fe80::1",
 *   relayMessage: dhcpv6({ messageType: Dhcpv6MessageType.informationRequest, transactionId: 7 }),
 * })));
 * assertEquals(message.relayMessage?.transactionId, 7);
 * ```
 */
export function dhcpv6(options: Dhcpv6Options): Layer {
  const writer = new ByteWriter("dhcpv6");
  const type = uint("dhcpv6", "messageType", options.messageType, 0, 0xff);
  if (type === Dhcpv6MessageType.relayForward || type === Dhcpv6MessageType.relayReply) {
    writer.u8("messageType", type);
    writer.u8("hopCount", options.hopCount ?? 0);
    writer.address(toIpv6(options.linkAddress ?? "::", "linkAddress"));
    writer.address(toIpv6(options.peerAddress ?? "::", "peerAddress"));
  } else {
    const id = uint("dhcpv6", "transactionId", options.transactionId, 0, 0xffffff);
    writer.u32("transactionId", type * 0x1000000 + id);
  }
  writeOptions(writer, options);
  return writer.finishLayer();
}

function writeOptions(writer: ByteWriter, options: Dhcpv6Options): void {
  const given = new Map<number, string>();
  for (const field of Object.keys(codecs) as (keyof typeof codecs)[]) {
    const value = options[field];
    if (value === undefined) continue;
    const { code, write } = codecs[field];
    given.set(code, field);
    writeOption(writer, field, code, () => {
      (write as (writer: ByteWriter, field: string, value: unknown) => void)(writer, field, value);
    });
  }
  if (options.isRapidCommit) {
    given.set(Dhcpv6OptionCode.rapidCommit, "isRapidCommit");
    writeOption(writer, "isRapidCommit", Dhcpv6OptionCode.rapidCommit, () => {});
  }
  for (const association of options.associations ?? []) writeAssociation(writer, association);
  for (const { enterprise, options: inner } of options.vendorOptions ?? []) {
    given.set(Dhcpv6OptionCode.vendorOptions, "vendorOptions");
    writeOption(writer, "vendorOptions", Dhcpv6OptionCode.vendorOptions, () => {
      writer.u32("enterprise", enterprise);
      for (const { code, value } of inner) writeOption(writer, "value", code, () => writer.bytes("value", value));
    });
  }
  const { relayMessage } = options;
  if (relayMessage !== undefined) {
    given.set(Dhcpv6OptionCode.relayMessage, "relayMessage");
    writeOption(writer, "relayMessage", Dhcpv6OptionCode.relayMessage, () => writer.raw(encoded(relayMessage)));
  }
  const hasAssociations = (options.associations?.length ?? 0) > 0;
  for (const { code, value } of options.options ?? []) {
    checkCode("dhcpv6", code, given);
    if (hasAssociations && associationKind(code) !== undefined) {
      throw new TypeError(`Cannot encode dhcpv6: option ${code} is in options, and associations are given`);
    }
    writeOption(writer, "value", code, () => writer.bytes("value", value));
  }
}
