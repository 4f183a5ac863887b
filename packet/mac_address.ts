// SPDX-License-Identifier: MIT

/**
 * Addresses of network adapters.
 *
 * @module
 */

import { hexByte, hexDigit } from "./digits.ts";
import { RecentTexts } from "./recent_texts.ts";
import { showAsText } from "./inspect.ts";

/** What stands for a MAC address where one is asked for: the address, its text, or its 6 bytes. */
export type MacLike = MacAddress | string | Uint8Array;

const LENGTH = 6;
const LARGEST = 2 ** 48 - 1;
const FORM = 'six octets in hexadecimal, such as "52:54:00:12:34:56"';

/**
 * The address of a network adapter, EUI-48 (IEEE 802). It never changes.
 *
 * @example Usage
 * ```ts
 * import { MacAddress } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const mac = MacAddress.parse("52-54-0-12-34-56");
 * assertEquals(`${mac}`, "52:54:00:12:34:56");
 * assertEquals(mac.isMulticast, false);
 * assertEquals(mac.isLocal, true);
 * ```
 */
export class MacAddress {
  /** All ones: a frame to it is for everybody. */
  static readonly broadcast: MacAddress = new MacAddress(LARGEST);

  static {
    showAsText(this);
  }

  /** The address as a number, its first octet the most significant, from 0 to 2^48 - 1. */
  readonly value: number;

  /**
   * Makes an address.
   *
   * @param address Its 6 bytes, which are copied, or its {@linkcode MacAddress.value}.
   * @throws {RangeError} If there are not 6 bytes, or the number is none of 48 bits.
   */
  constructor(address: Uint8Array | number) {
    this.value = typeof address === "number" ? checked(address) : ofBytes(address);
  }

  /**
   * Reads an address: octets in hexadecimal between colons or hyphens. A leading zero may be missing, as macOS writes it.
   *
   * @throws {TypeError} If the text is something else.
   */
  static parse(text: string): MacAddress {
    return MacAddress.tryParse(text) ?? refuse(`Cannot parse MAC address "${text}": it takes ${FORM}`);
  }

  /** Reads an address as {@linkcode MacAddress.parse} does. Answers `undefined` if the text is something else. */
  static tryParse(text: string): MacAddress | undefined {
    const value = parseMac(text);
    return value === undefined ? undefined : new MacAddress(value);
  }

  /** The 6 bytes, new each time. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(LENGTH);
    this.copyTo(bytes);
    return bytes;
  }

  /** Whether frames to it are for a group, or for everybody: bit 0 of its first octet. */
  get isMulticast(): boolean {
    return (this.value / 2 ** 40 & 1) === 1;
  }

  /** Whether frames to it are for everybody. */
  get isBroadcast(): boolean {
    return this.value === LARGEST;
  }

  /** Whether somebody other than its maker gave it, as with most VMs: bit 1 of its first octet. */
  get isLocal(): boolean {
    return (this.value / 2 ** 40 & 2) === 2;
  }

  /** Writes the 6 bytes at an offset. */
  copyTo(into: Uint8Array, offset = 0): void {
    const { value } = this;
    const high = value / 2 ** 32;
    into[offset] = high >>> 8;
    into[offset + 1] = high;
    into[offset + 2] = value >>> 24;
    into[offset + 3] = value >>> 16;
    into[offset + 4] = value >>> 8;
    into[offset + 5] = value;
  }

  /** Whether it is the same address as another one, which may be text in any form that {@linkcode MacAddress.parse} takes. */
  equals(other: MacAddress | string): boolean {
    return (typeof other === "string" ? parseMac(other) : other.value) === this.value;
  }

  /** Six octets in lower-case hexadecimal, between colons. */
  toString(): string {
    return texts.of(this.value);
  }

  /** The same as {@linkcode MacAddress.toString}. */
  toJSON(): string {
    return this.toString();
  }
}

const texts = new RecentTexts((value) => {
  const high = value / 2 ** 32;
  return `${hexByte[high >>> 8]}:${hexByte[high & 255]}:${hexByte[value >>> 24]}:${hexByte[value >>> 16 & 255]}:` +
    `${hexByte[value >>> 8 & 255]}:${hexByte[value & 255]}`;
});

/** The address that stands for a field of options; wrong ones are refused with the field's name. */
export function toMac(address: MacLike, field: string): MacAddress {
  if (address instanceof MacAddress) return address;
  const value = typeof address === "string"
    ? parseMac(address)
    : address instanceof Uint8Array && address.length === LENGTH
    ? ofBytes(address)
    : undefined;
  return value === undefined
    ? refuse(`Cannot encode packet: ${field} takes ${FORM}, found "${address}"`)
    : new MacAddress(value);
}

/** The address at an offset. The bytes have to be there. */
export function readMac(bytes: Uint8Array, offset: number): MacAddress {
  return new MacAddress(valueAt(bytes, offset));
}

function valueAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8 | bytes[at + 1]!) * 2 ** 32 +
    ((bytes[at + 2]! << 24 | bytes[at + 3]! << 16 | bytes[at + 4]! << 8 | bytes[at + 5]!) >>> 0);
}

function ofBytes(bytes: Uint8Array): number {
  if (bytes.length !== LENGTH) {
    throw new RangeError(`Cannot make a MAC address: it takes ${LENGTH} bytes, and there are ${bytes.length}`);
  }
  return valueAt(bytes, 0);
}

function checked(value: number): number {
  if (value >= 0 && value <= LARGEST && Math.floor(value) === value) return value;
  throw new RangeError(`Cannot make a MAC address: it takes a whole number of 48 bits, not ${value}`);
}

/** Reads one or two hexadecimal digits, six times. */
function parseMac(text: string): number | undefined {
  const separator = text.includes("-") ? 45 : 58;
  let value = 0;
  let octet = 0;
  let digits = 0;
  let octets = 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === separator) {
      if (digits === 0 || ++octets > LENGTH) return undefined;
      value = value * 256 + octet;
      octet = digits = 0;
    } else {
      const digit = hexDigit(code);
      if (digit < 0 || ++digits > 2) return undefined;
      octet = octet << 4 | digit;
    }
  }
  return digits === 0 || octets !== LENGTH ? undefined : value * 256 + octet;
}

function refuse(message: string): never {
  throw new TypeError(message);
}
