// SPDX-License-Identifier: MIT

/**
 * What a DHCP client or server calls itself, whatever interface it uses.
 *
 * @module
 */

import { hexByte } from "./digits.ts";
import { getU16, getU32, setU16 } from "./field.ts";
import { showAsText } from "./inspect.ts";
import { type MacAddress, type MacLike, readMac, toMac } from "./mac_address.ts";
import { PacketError } from "./packet_error.ts";

/** What stands for a DUID where one is asked for: the DUID, its text, or its bytes. */
export type DuidLike = Duid | string | Uint8Array;

/** Kinds of DUIDs: by link-layer address and time, by enterprise number, by link-layer address, by UUID. */
export type DuidKind = "LLT" | "EN" | "LL" | "UUID";

const kinds: readonly (DuidKind | undefined)[] = [undefined, "LLT", "EN", "LL", "UUID"];

/** The kind, and one byte more. */
const MINIMUM = 3;
const ETHERNET = 1;

/** Seconds from 1970 to 2000, when the time of a DUID begins. */
const EPOCH = 946_684_800;

/**
 * A DHCP unique identifier (RFC 8415, section 11). The kind is 16 bits in network order; then follow
 *
 * | kind | bytes |
 * | --- | --- |
 * | 1, `LLT` | type of hardware (2), seconds since 2000 modulo 2^32 (4), link-layer address |
 * | 2, `EN` | enterprise number (4), what the enterprise likes |
 * | 3, `LL` | type of hardware (2), link-layer address |
 * | 4, `UUID` | UUID (16; RFC 6355) |
 *
 * A link-layer address in it belongs to some interface of the machine, which need not be the one that asks.
 *
 * @example Usage
 * ```ts
 * import { Duid } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const duid = Duid.parse("00:01:00:01:2b:1d:3c:4d:52:54:00:12:34:56");
 * assertEquals(duid.kind, "LLT");
 * assertEquals(`${duid.mac}`, "52:54:00:12:34:56");
 * ```
 */
export class Duid {
  static {
    showAsText(this);
  }

  /** All bytes, with the kind. */
  readonly bytes: Uint8Array;

  /**
   * Makes one.
   *
   * @param bytes All its bytes, which are not copied.
   * @throws {PacketError} If there are fewer than 3.
   */
  constructor(bytes: Uint8Array) {
    if (bytes.length < MINIMUM) {
      throw new PacketError(`a DUID has ${bytes.length} bytes, not ${MINIMUM} at least`, { layer: "duid", offset: 0 });
    }
    this.bytes = bytes;
  }

  /** The DUID of kind `LL` of a MAC address. */
  static ofMac(mac: MacLike): Duid {
    const bytes = new Uint8Array(10);
    setU16(bytes, 0, kinds.indexOf("LL"));
    setU16(bytes, 2, ETHERNET);
    toMac(mac, "mac").copyTo(bytes, 4);
    return new Duid(bytes);
  }

  /**
   * Reads one from text.
   *
   * @param text Octets in hexadecimal with colons between them; a leading zero may be missing.
   * @throws {TypeError} If it is not that.
   */
  static parse(text: string): Duid {
    const duid = Duid.tryParse(text);
    if (duid !== undefined) return duid;
    throw new TypeError(
      `Cannot parse DUID "${text}": it takes 3 octets at least, in hexadecimal with colons between them`,
    );
  }

  /** Reads one from text, or answers `undefined` if it is none; see {@linkcode Duid.parse}. */
  static tryParse(text: string): Duid | undefined {
    const octets = String(text).split(":");
    if (octets.length < MINIMUM || !octets.every((octet) => /^[0-9a-f]{1,2}$/i.test(octet))) return undefined;
    return new Duid(Uint8Array.from(octets, (octet) => parseInt(octet, 16)));
  }

  /** Its kind, `undefined` if it is of none that is known. */
  get kind(): DuidKind | undefined {
    return kinds[getU16(this.bytes, 0)];
  }

  /** Type of hardware, 1 for Ethernet; `undefined` if it has none. */
  get hardwareType(): number | undefined {
    return this.#addressAt() === undefined ? undefined : getU16(this.bytes, 2);
  }

  /** Link-layer address, `undefined` if it has none: a view. */
  get linkLayerAddress(): Uint8Array | undefined {
    const at = this.#addressAt();
    return at === undefined ? undefined : this.bytes.subarray(at);
  }

  /** MAC address, `undefined` if it has none. */
  get mac(): MacAddress | undefined {
    const at = this.#addressAt();
    return at !== undefined && this.bytes.length === at + 6 && this.hardwareType === ETHERNET
      ? readMac(this.bytes, at)
      : undefined;
  }

  /** When it was made, `undefined` if it does not say. */
  get time(): Date | undefined {
    if (this.kind !== "LLT" || this.bytes.length < 8) return undefined;
    return new Date((EPOCH + getU32(this.bytes, 4)) * 1000);
  }

  /** Number of the enterprise (IANA, "Private Enterprise Numbers"), `undefined` if it has none. */
  get enterprise(): number | undefined {
    return this.kind === "EN" && this.bytes.length >= 6 ? getU32(this.bytes, 2) : undefined;
  }

  /** UUID in lower case with hyphens, `undefined` if it has none. */
  get uuid(): string | undefined {
    if (this.kind !== "UUID" || this.bytes.length !== 18) return undefined;
    const digits = Array.from(this.bytes.subarray(2), (byte) => hexByte[byte]).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  /** Whether it is the same as another one. */
  equals(other: Duid | string): boolean {
    return this.toString() === (typeof other === "string" ? Duid.tryParse(other)?.toString() : other.toString());
  }

  /** All octets in lower-case hexadecimal, two digits each, with colons between them. */
  toString(): string {
    return Array.from(this.bytes, (byte) => hexByte[byte]).join(":");
  }

  /** The same as {@linkcode Duid.toString}. */
  toJSON(): string {
    return this.toString();
  }

  /** Offset of a link-layer address of at least one byte. */
  #addressAt(): number | undefined {
    const { kind } = this;
    const at = kind === "LLT" ? 8 : kind === "LL" ? 4 : this.bytes.length;
    return at < this.bytes.length ? at : undefined;
  }
}

/** A DUID of what stands for one in a field of options. */
export function toDuid(duid: DuidLike, field: string): Duid {
  if (duid instanceof Duid) return duid;
  const found = typeof duid === "string"
    ? Duid.tryParse(duid)
    : duid instanceof Uint8Array && duid.length >= MINIMUM
    ? new Duid(duid)
    : undefined;
  if (found !== undefined) return found;
  throw new TypeError(`Cannot use ${field} "${duid}": it takes a DUID of 3 octets at least`);
}
