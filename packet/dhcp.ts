// SPDX-License-Identifier: MIT

/**
 * DHCPv4 (RFC 2131), and BOOTP (RFC 951), which it grew out of.
 *
 * @module
 */

import { ByteReader } from "./byte_reader.ts";
import { readText } from "./byte_writer.ts";
import { Duid } from "./dhcp_duid.ts";
import {
  BOOT_FILE,
  BROADCAST,
  COOKIE,
  ETHERNET,
  HARDWARE_ADDRESS,
  HEADER,
  OPTIONS,
  SERVER_NAME,
} from "./dhcp_layout.ts";
import {
  codecs,
  collectOptions,
  DhcpOptionCode,
  type DhcpParts,
  type DhcpRoute,
  type DhcpValues,
  joinParts,
} from "./dhcp_options.ts";
import { type Ipv4Address, readIpv4 } from "./ip_address.ts";
import { type MacAddress, readMac } from "./mac_address.ts";
import { PacketError } from "./packet_error.ts";
import { View } from "./view.ts";

/** Values of option 52. */
const FILE_HAS_OPTIONS = 1;
const NAME_HAS_OPTIONS = 2;

/** First byte of a client identifier that has a DUID, after an IAID of four bytes (RFC 4361, section 6.1). */
const DUID_ID = 255;

/**
 * A DHCPv4 or BOOTP message (RFC 2131, section 2; numbers in network order):
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 1 | `operation` |
 * | 1 | 1 | `hardwareType` |
 * | 2 | 1 | `hardwareLength` |
 * | 3 | 1 | `hops` |
 * | 4 | 4 | `transactionId` |
 * | 8 | 2 | `seconds` |
 * | 10 | 2 | `flags` |
 * | 12 | 4 | `clientAddress` |
 * | 16 | 4 | `yourAddress` |
 * | 20 | 4 | `serverAddress` |
 * | 24 | 4 | `relayAddress` |
 * | 28 | 16 | `clientHardwareAddress`, `clientMac` |
 * | 44 | 64 | `serverName` |
 * | 108 | 128 | `bootFile` |
 * | 236 | 4 | 63 82 53 63 if options follow |
 * | 240 | | `options` |
 *
 * What an option says is `undefined` where there is none, and throws a {@linkcode PacketError} where options are cut
 * short or this one has a wrong length.
 *
 * @example Usage
 * ```ts
 * import { Dhcp, dhcp, DhcpMessageType, encoded } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const message = new Dhcp(encoded(dhcp({
 *   messageType: DhcpMessageType.request,
 *   clientMac: "52:54:00:00:00:01",
 *   requestedAddress: "192.168.64.2",
 *   hostName: "guest",
 * })));
 * assertEquals(`${message.clientMac} ${message.requestedAddress}`, "52:54:00:00:00:01 192.168.64.2");
 * assertEquals(message.leaseSeconds, undefined);
 * ```
 */
export class Dhcp extends View {
  /** Always `"dhcp"`. */
  readonly layer = "dhcp";
  #options: ReadonlyMap<number, Uint8Array> | undefined;
  #overload = 0;
  /** Why options could not be read: they are not tried again for each that is asked for. */
  #failure: PacketError | undefined;

  /**
   * Looks at a message.
   *
   * @param frame Bytes that it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If there are fewer than 236 bytes.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("dhcp", HEADER, frame, start, end);
  }

  /** Bytes of the message: it carries nothing else. */
  get headerLength(): number {
    return this.length;
  }

  /** 1 for a request of a client, 2 for a reply of a server. */
  get operation(): number {
    return this.u8(0);
  }

  /** Type of the client's hardware: 1 for Ethernet. */
  get hardwareType(): number {
    return this.u8(1);
  }

  /** Bytes of the client's hardware address: 6 for Ethernet. */
  get hardwareLength(): number {
    return this.u8(2);
  }

  /** Number of relays on the way. */
  get hops(): number {
    return this.u8(3);
  }

  /** What requests and replies have in common: 32 bits. */
  get transactionId(): number {
    return this.u32(4);
  }

  /** Seconds since the client began. */
  get seconds(): number {
    return this.u16(8);
  }

  /** 16 flags, of which only the highest is used. */
  get flags(): number {
    return this.u16(10);
  }

  /** Whether replies have to be broadcast: the highest of the flags. */
  get isBroadcast(): boolean {
    return (this.flags & BROADCAST) !== 0;
  }

  /** Address that the client has and answers to, `0.0.0.0` if none: `ciaddr`. */
  get clientAddress(): Ipv4Address {
    return readIpv4(this.frame, this.start + 12);
  }

  /** Address that the client gets: `yiaddr`. */
  get yourAddress(): Ipv4Address {
    return readIpv4(this.frame, this.start + 16);
  }

  /** Server to boot from: `siaddr`. For the DHCP server see {@linkcode Dhcp.serverIdentifier}. */
  get serverAddress(): Ipv4Address {
    return readIpv4(this.frame, this.start + 20);
  }

  /** Relay that took the request, `0.0.0.0` if none: `giaddr`. */
  get relayAddress(): Ipv4Address {
    return readIpv4(this.frame, this.start + 24);
  }

  /** The client's hardware address, 16 bytes at most: a view. */
  get clientHardwareAddress(): Uint8Array {
    const { at, length } = HARDWARE_ADDRESS;
    return this.part(at, at + Math.min(this.hardwareLength, length));
  }

  /** The client's MAC address, `undefined` if its hardware is not Ethernet. */
  get clientMac(): MacAddress | undefined {
    return this.hardwareType === ETHERNET && this.hardwareLength === 6
      ? readMac(this.frame, this.start + HARDWARE_ADDRESS.at)
      : undefined;
  }

  /** Whether there are no options, as BOOTP had none. */
  get isBootp(): boolean {
    return this.length < OPTIONS || this.u32(HEADER) !== COOKIE;
  }

  /** Name of the server to boot from, empty if none: `sname`, or option 66 if options take its place. */
  get serverName(): string {
    return this.#name(SERVER_NAME, NAME_HAS_OPTIONS, DhcpOptionCode.tftpServerName);
  }

  /** Name of the file to boot, empty if none: `file`, or option 67 if options take its place. */
  get bootFile(): string {
    return this.#name(BOOT_FILE, FILE_HAS_OPTIONS, DhcpOptionCode.bootFile);
  }

  /**
   * Values of all options by their codes, in their order, without the length. Values that were split are put together
   * (RFC 3396), also those that go on in the places of `bootFile` and `serverName`, as option 52 tells, which is left
   * out.
   *
   * @throws {PacketError} If they are cut short.
   */
  get options(): ReadonlyMap<number, Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#options ??= this.#read();
    } catch (error) {
      if (error instanceof PacketError) this.#failure = error;
      throw error;
    }
  }

  /** Kind of the message, option 53; see {@linkcode DhcpMessageType}. */
  get messageType(): number | undefined {
    return this.#value("messageType");
  }

  /** Server that the message comes from or is for, option 54. */
  get serverIdentifier(): Ipv4Address | undefined {
    return this.#value("serverIdentifier");
  }

  /** Who the client is, option 61: a type of hardware, or 0, or 255 for a DUID, and an identifier. */
  get clientId(): Uint8Array | undefined {
    return this.#value("clientId");
  }

  /** DUID of the client, if that is who it is (RFC 4361). */
  get clientDuid(): Duid | undefined {
    const id = this.clientId;
    return id !== undefined && id[0] === DUID_ID && id.length >= 8 ? new Duid(id.subarray(5)) : undefined;
  }

  /** Address that the client asks for, option 50. */
  get requestedAddress(): Ipv4Address | undefined {
    return this.#value("requestedAddress");
  }

  /** Seconds of the lease, option 51; 0xffffffff for ever. */
  get leaseSeconds(): number | undefined {
    return this.#value("leaseSeconds");
  }

  /** Seconds after which the client renews, T1, option 58. */
  get renewalSeconds(): number | undefined {
    return this.#value("renewalSeconds");
  }

  /** Seconds after which the client asks any server, T2, option 59. */
  get rebindingSeconds(): number | undefined {
    return this.#value("rebindingSeconds");
  }

  /** Subnet mask, option 1. */
  get subnetMask(): Ipv4Address | undefined {
    return this.#value("subnetMask");
  }

  /** Broadcast address, option 28. */
  get broadcastAddress(): Ipv4Address | undefined {
    return this.#value("broadcastAddress");
  }

  /** Routes, option 121. Who knows them ignores `routers`. */
  get classlessRoutes(): readonly DhcpRoute[] | undefined {
    return this.#value("classlessRoutes");
  }

  /** Routers, the best first, option 3. */
  get routers(): readonly Ipv4Address[] | undefined {
    return this.#value("routers");
  }

  /** Servers of DNS, the best first, option 6. */
  get dnsServers(): readonly Ipv4Address[] | undefined {
    return this.#value("dnsServers");
  }

  /** Servers of NTP, the best first, option 42. */
  get ntpServers(): readonly Ipv4Address[] | undefined {
    return this.#value("ntpServers");
  }

  /** Domain of the client, option 15. */
  get domainName(): string | undefined {
    return this.#value("domainName");
  }

  /** Domains to look for names in, option 119. */
  get domainSearch(): readonly string[] | undefined {
    return this.#value("domainSearch");
  }

  /** Name of the client, option 12. Any text: look at it before a terminal does. */
  get hostName(): string | undefined {
    return this.#value("hostName");
  }

  /** Bytes of the largest IP packet of the interface, option 26. */
  get mtu(): number | undefined {
    return this.#value("mtu");
  }

  /** What the client is, option 60. */
  get vendorClass(): string | undefined {
    return this.#value("vendorClass");
  }

  /** Codes of the options that the client asks for, option 55. */
  get parameterList(): readonly number[] | undefined {
    return this.#value("parameterList");
  }

  /** Bytes of the largest message that the client takes, option 57. */
  get maximumMessageSize(): number | undefined {
    return this.#value("maximumMessageSize");
  }

  /** Why it went wrong, option 56. */
  get message(): string | undefined {
    return this.#value("message");
  }

  #value<K extends keyof DhcpValues>(field: K): DhcpValues[K] | undefined {
    const { code, read } = codecs[field];
    const value = this.options.get(code);
    if (value === undefined) return undefined;
    // A value that was put together lies in no frame
    const offset = value.buffer === this.frame.buffer ? value.byteOffset - this.frame.byteOffset - this.start : 0;
    return read(new ByteReader(this.layer, value, -offset, 0, value.length, 0));
  }

  #read(): ReadonlyMap<number, Uint8Array> {
    const parts: DhcpParts = new Map();
    if (this.isBootp) return new Map();
    this.#collect(OPTIONS, this.length, parts);
    const overload = parts.get(DhcpOptionCode.overload)?.[0]?.[0] ?? 0;
    if ((overload & FILE_HAS_OPTIONS) !== 0) this.#collect(BOOT_FILE.at, BOOT_FILE.at + BOOT_FILE.length, parts);
    if ((overload & NAME_HAS_OPTIONS) !== 0) this.#collect(SERVER_NAME.at, SERVER_NAME.at + SERVER_NAME.length, parts);
    parts.delete(DhcpOptionCode.overload);
    this.#overload = overload;
    return new Map(Array.from(parts, ([code, values]) => [code, joinParts(values)]));
  }

  #collect(from: number, to: number, parts: DhcpParts): void {
    collectOptions(new ByteReader(this.layer, this.frame, this.start, this.start + from, this.start + to), parts);
  }

  #name({ at, length }: { at: number; length: number }, overload: number, code: number): string {
    const { options } = this;
    const bytes = (this.#overload & overload) !== 0 ? options.get(code) : this.part(at, at + length);
    return bytes === undefined ? "" : readText(bytes).replace(/\0.*$/s, "");
  }
}
