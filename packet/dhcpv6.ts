// SPDX-License-Identifier: MIT

/**
 * DHCPv6 (RFC 8415).
 *
 * @module
 */

import { ByteReader } from "./byte_reader.ts";
import type { Duid } from "./dhcp_duid.ts";
import { associationKind, type Dhcpv6Association, readAssociation } from "./dhcpv6_association.ts";
import {
  codecs,
  type Dhcpv6Fqdn,
  Dhcpv6MessageType,
  type Dhcpv6Option,
  Dhcpv6OptionCode,
  type Dhcpv6Status,
  type Dhcpv6VendorClass,
  type Dhcpv6VendorOptions,
  readOptions,
} from "./dhcpv6_options.ts";
import { type Ipv6Address, readIpv6 } from "./ip_address.ts";
import type { MacAddress } from "./mac_address.ts";
import { PacketError } from "./packet_error.ts";
import { View } from "./view.ts";

export { dhcpv6, type Dhcpv6Options } from "./dhcpv6_message.ts";

const HEADER = 4;
const RELAY_HEADER = 34;

/** Relays that one message passes at most: each counts, from 0 up to HOP_COUNT_LIMIT (RFC 8415, section 7.6). */
const MAX_RELAYS = 9;

/**
 * A DHCPv6 message. One of client or server (RFC 8415, section 8; numbers in network order):
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 1 | `messageType` |
 * | 1 | 3 | `transactionId` |
 * | 4 | | `options` |
 *
 * One of a relay (section 9), which has another message in it:
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 1 | `messageType`, 12 or 13 |
 * | 1 | 1 | `hopCount` |
 * | 2 | 16 | `linkAddress` |
 * | 18 | 16 | `peerAddress` |
 * | 34 | | `options` |
 *
 * What an option says is `undefined` or an empty list where there is none, and throws a {@linkcode PacketError} where
 * options are cut short or this one is wrong.
 *
 * @example Usage
 * ```ts
 * import { Dhcpv6, dhcpv6, Dhcpv6MessageType, Duid, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const message = new Dhcpv6(encoded(dhcpv6({
 *   messageType: Dhcpv6MessageType.solicit,
 *   transactionId: 0x123456,
 *   clientId: Duid.ofMac("52:54:00:00:00:01"),
 *   associations: [{ kind: "IA_NA", id: 1 }],
 * })));
 * assertEquals(`${message.clientMac}`, "52:54:00:00:00:01");
 * assertEquals(message.associations[0]!.kind, "IA_NA");
 * ```
 */
export class Dhcpv6 extends View {
  /** Always `"dhcpv6"`. */
  readonly layer = "dhcpv6";
  /** Code, offset of the value in the frame, and offset behind it, of each option. */
  #places: readonly number[] | undefined;
  #options: readonly Dhcpv6Option[] | undefined;
  /** Why options could not be read: they are not tried again for each that is asked for. */
  #failure: PacketError | undefined;
  /** Relays around this message, as far as they were looked through. */
  #depth = 0;

  /**
   * Looks at a message.
   *
   * @param frame Bytes that it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If there are fewer than 4 bytes, or 34 of a relay's message.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("dhcpv6", HEADER, frame, start, end);
    if (this.isRelayed) this.need(RELAY_HEADER);
  }

  /** Bytes of the message: it carries nothing else but what is in its options. */
  get headerLength(): number {
    return this.length;
  }

  /** Kind of the message; see {@linkcode Dhcpv6MessageType}. */
  get messageType(): number {
    return this.u8(0);
  }

  /** Whether it is a relay's, with another message in {@linkcode Dhcpv6.relayMessage}. */
  get isRelayed(): boolean {
    const { messageType } = this;
    return messageType === Dhcpv6MessageType.relayForward || messageType === Dhcpv6MessageType.relayReply;
  }

  /** What messages of client and server have in common: 24 bits; 0 in a relay's. */
  get transactionId(): number {
    return this.isRelayed ? 0 : this.u32(0) & 0xffffff;
  }

  /** Number of relays before this one; 0 in a message of client or server. */
  get hopCount(): number {
    return this.isRelayed ? this.u8(1) : 0;
  }

  /** Address of the link that the client is on, as a relay sees it; `undefined` in a message of client or server. */
  get linkAddress(): Ipv6Address | undefined {
    return this.isRelayed ? readIpv6(this.frame, this.start + 2) : undefined;
  }

  /** Who a relay has it from or hands it to; `undefined` in a message of client or server. */
  get peerAddress(): Ipv6Address | undefined {
    return this.isRelayed ? readIpv6(this.frame, this.start + 18) : undefined;
  }

  /**
   * All options, in their order.
   *
   * @throws {PacketError} If they are cut short.
   */
  get options(): readonly Dhcpv6Option[] {
    return this.#options ??= this.#each((code, from, to) => ({ code, value: this.#reader(from, to).view() }));
  }

  /**
   * Message that a relay hands on, option 9, which may be another relay's.
   *
   * @throws {PacketError} If options are cut short, the message is too short, or this one has passed 9 relays already.
   */
  get relayMessage(): Dhcpv6 | undefined {
    const reader = this.#first(Dhcpv6OptionCode.relayMessage);
    if (reader === undefined) return undefined;
    if (this.#depth >= MAX_RELAYS) throw reader.error(`it was relayed more than ${MAX_RELAYS} times`);
    const inner = new Dhcpv6(this.frame, reader.at, reader.end);
    inner.#depth = this.#depth + 1;
    return inner;
  }

  /** DUID of the client, option 1. */
  get clientId(): Duid | undefined {
    return this.#value("clientId");
  }

  /** DUID of the server, option 2. */
  get serverId(): Duid | undefined {
    return this.#value("serverId");
  }

  /**
   * MAC address of the client: what a relay saw (option 79), else the one in its DUID, which may be of any of its
   * interfaces.
   * `undefined` if there is none.
   */
  get clientMac(): MacAddress | undefined {
    return this.#value("clientMac") ?? this.clientId?.mac;
  }

  /** Identity associations, options 3, 4 and 25: addresses and prefixes. */
  get associations(): readonly Dhcpv6Association[] {
    return this.#each((code, from, to) => {
      const kind = associationKind(code);
      return kind && readAssociation(kind, this.#reader(from, to));
    });
  }

  /** Codes of the options that the client asks for, option 6. */
  get requestedOptions(): readonly number[] | undefined {
    return this.#value("requestedOptions");
  }

  /** How much the server wants to be chosen, option 7: 0 to 255. */
  get preference(): number | undefined {
    return this.#value("preference");
  }

  /** Milliseconds since the client began, in steps of ten, option 8. */
  get elapsedMs(): number | undefined {
    return this.#value("elapsedMs");
  }

  /** How it went, option 13. Associations and addresses may have their own. */
  get status(): Dhcpv6Status | undefined {
    return this.#value("status");
  }

  /** Whether two messages are enough, option 14. */
  get isRapidCommit(): boolean {
    return this.#first(Dhcpv6OptionCode.rapidCommit) !== undefined;
  }

  /** What the client's user is, option 15. */
  get userClass(): readonly Uint8Array[] | undefined {
    return this.#value("userClass");
  }

  /** What the client is, option 16. */
  get vendorClass(): Dhcpv6VendorClass | undefined {
    return this.#value("vendorClass");
  }

  /** What vendors like to say, options 17. */
  get vendorOptions(): readonly Dhcpv6VendorOptions[] {
    return this.#each((code, from, to) => {
      if (code !== Dhcpv6OptionCode.vendorOptions) return undefined;
      const reader = this.#reader(from, to);
      return { enterprise: reader.u32(), options: readOptions(reader) };
    });
  }

  /** Interface of a relay, option 18. */
  get interfaceId(): Uint8Array | undefined {
    return this.#value("interfaceId");
  }

  /** Servers of DNS, the best first, option 23. */
  get dnsServers(): readonly Ipv6Address[] | undefined {
    return this.#value("dnsServers");
  }

  /** Domains to look for names in, option 24. */
  get domainSearch(): readonly string[] | undefined {
    return this.#value("domainSearch");
  }

  /** Seconds after which the client asks again for all but addresses, option 32. */
  get informationRefreshSeconds(): number | undefined {
    return this.#value("informationRefreshSeconds");
  }

  /** Name of the client, option 39. */
  get fqdn(): Dhcpv6Fqdn | undefined {
    return this.#value("fqdn");
  }

  /** Address of a file to boot, option 59. */
  get bootFileUrl(): string | undefined {
    return this.#value("bootFileUrl");
  }

  #value<K extends keyof typeof codecs>(field: K): ReturnType<(typeof codecs)[K]["read"]> | undefined {
    const { code, read } = codecs[field];
    const reader = this.#first(code);
    return reader && read(reader) as ReturnType<(typeof codecs)[K]["read"]>;
  }

  #first(code: number): ByteReader | undefined {
    const places = this.#found();
    for (let i = 0; i < places.length; i += 3) {
      if (places[i] === code) return this.#reader(places[i + 1]!, places[i + 2]!);
    }
    return undefined;
  }

  /** What a function makes of the options, as far as it makes something of them. */
  #each<T>(read: (code: number, from: number, to: number) => T | undefined): T[] {
    const all: T[] = [];
    const places = this.#found();
    for (let i = 0; i < places.length; i += 3) {
      const one = read(places[i]!, places[i + 1]!, places[i + 2]!);
      if (one !== undefined) all.push(one);
    }
    return all;
  }

  #found(): readonly number[] {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#places !== undefined) return this.#places;
    const places: number[] = [];
    const reader = this.#reader(this.start + (this.isRelayed ? RELAY_HEADER : HEADER), this.end);
    try {
      while (reader.left > 0) {
        const code = reader.u16();
        const length = reader.u16();
        places.push(code, reader.take(length), reader.at);
      }
    } catch (error) {
      if (error instanceof PacketError) this.#failure = error;
      throw error;
    }
    return this.#places = places;
  }

  #reader(from: number, to: number): ByteReader {
    return new ByteReader(this.layer, this.frame, this.start, from, to);
  }
}
