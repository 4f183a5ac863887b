// SPDX-License-Identifier: MIT

/**
 * Addresses of IPv4.
 *
 * @module
 */

import { decimalByte } from "./digits.ts";
import { RecentTexts } from "./recent_texts.ts";
import { showAsText } from "./inspect.ts";

/** What stands for an IPv4 address where one is asked for: the address, its text, or its 4 bytes. */
export type Ipv4Like = Ipv4Address | string | Uint8Array;

const LENGTH = 4;
const LARGEST = 0xffffffff;
const FORM = 'four numbers up to 255, such as "192.168.64.1"';

/**
 * An address of IPv4 (RFC 791, section 3.2). It never changes.
 *
 * @example Usage
 * ```ts
 * import { Ipv4Address } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const gateway = Ipv4Address.parse("192.168.64.1");
 * assertEquals(gateway.value, 0xc0a84001);
 * assertEquals(gateway.isPrivate, true);
 * assertEquals(`${new Ipv4Address(gateway.value + 1)}`, "192.168.64.2");
 * ```
 */
export class Ipv4Address {
  /** `0.0.0.0`: no address yet, or any. */
  static readonly unspecified: Ipv4Address = new Ipv4Address(0);
  /** `255.255.255.255`: everybody on the link. */
  static readonly broadcast: Ipv4Address = new Ipv4Address(LARGEST);

  static {
    showAsText(this);
  }

  /** The address as a number, its first octet the most significant, from 0 to 2^32 - 1. */
  readonly value: number;

  /**
   * Makes an address.
   *
   * @param address Its 4 bytes, which are copied, or its {@linkcode Ipv4Address.value}.
   * @throws {RangeError} If there are not 4 bytes, or the number is none of 32 bits.
   */
  constructor(address: Uint8Array | number) {
    this.value = typeof address === "number" ? checked(address) : ofBytes(address);
  }

  /**
   * Reads an address: four decimal numbers. Ones with a leading zero are refused, because some read them as octal.
   *
   * @throws {TypeError} If the text is something else.
   */
  static parse(text: string): Ipv4Address {
    return Ipv4Address.tryParse(text) ?? refuse(`Cannot parse IPv4 address "${text}": it takes ${FORM}`);
  }

  /** Reads an address as {@linkcode Ipv4Address.parse} does. Answers `undefined` if the text is something else. */
  static tryParse(text: string): Ipv4Address | undefined {
    const value = parseIpv4(text);
    return value === undefined ? undefined : new Ipv4Address(value);
  }

  /** The 4 bytes, new each time. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(LENGTH);
    this.copyTo(bytes);
    return bytes;
  }

  /** Whether it is `0.0.0.0`. */
  get isUnspecified(): boolean {
    return this.value === 0;
  }

  /** Whether it is of this host, `127.0.0.0/8` (RFC 1122, section 3.2.1.3). */
  get isLoopback(): boolean {
    return this.value >>> 24 === 127;
  }

  /** Whether it is of a private network: `10.0.0.0/8`, `172.16.0.0/12` or `192.168.0.0/16` (RFC 1918, section 3). */
  get isPrivate(): boolean {
    const { value } = this;
    return value >>> 24 === 10 || value >>> 20 === 0xac1 || value >>> 16 === 0xc0a8;
  }

  /** Whether a host gave it to itself, `169.254.0.0/16` (RFC 3927, section 1.4). */
  get isLinkLocal(): boolean {
    return this.value >>> 16 === 0xa9fe;
  }

  /** Whether it stands for a group, `224.0.0.0/4` (RFC 5771, section 3). */
  get isMulticast(): boolean {
    return this.value >>> 28 === 14;
  }

  /** Whether it is `255.255.255.255` (RFC 919, section 7). Broadcast addresses of subnets are not known here. */
  get isBroadcast(): boolean {
    return this.value === LARGEST;
  }

  /** Writes the 4 bytes at an offset. */
  copyTo(into: Uint8Array, offset = 0): void {
    const { value } = this;
    into[offset] = value >>> 24;
    into[offset + 1] = value >>> 16;
    into[offset + 2] = value >>> 8;
    into[offset + 3] = value;
  }

  /** Whether it is the same address as another one, which may be text. */
  equals(other: Ipv4Address | string): boolean {
    return (typeof other === "string" ? parseIpv4(other) : other.value) === this.value;
  }

  /** Four decimal numbers between dots. */
  toString(): string {
    return texts.of(this.value);
  }

  /** The same as {@linkcode Ipv4Address.toString}. */
  toJSON(): string {
    return formatIpv4(this.value);
  }
}

/** The address that stands for a field of options; wrong ones are refused with the field's name. */
export function toIpv4(address: Ipv4Like, field: string): Ipv4Address {
  if (address instanceof Ipv4Address) return address;
  const value = typeof address === "string"
    ? parseIpv4(address)
    : address instanceof Uint8Array && address.length === LENGTH
    ? valueAt(address, 0)
    : undefined;
  return value === undefined
    ? refuse(`Cannot encode packet: ${field} takes ${FORM}, found "${address}"`)
    : new Ipv4Address(value);
}

/** The address at an offset. The bytes have to be there. */
export function readIpv4(bytes: Uint8Array, offset: number): Ipv4Address {
  return new Ipv4Address(valueAt(bytes, offset));
}

/** Text of an address that is a number. */
export function formatIpv4(value: number): string {
  return `${decimalByte[value >>> 24]}.${decimalByte[value >>> 16 & 255]}.${decimalByte[value >>> 8 & 255]}.${
    decimalByte[value & 255]
  }`;
}

const texts = new RecentTexts(formatIpv4);

function valueAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

function ofBytes(bytes: Uint8Array): number {
  if (bytes.length !== LENGTH) {
    throw new RangeError(`Cannot make an IPv4 address: it takes ${LENGTH} bytes, and there are ${bytes.length}`);
  }
  return valueAt(bytes, 0);
}

function checked(value: number): number {
  if (value >>> 0 === value) return value;
  throw new RangeError(`Cannot make an IPv4 address: it takes a whole number of 32 bits, not ${value}`);
}

/** Reads a decimal number up to 255, four times. */
function parseIpv4(text: string): number | undefined {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let octets = 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      if (digits === 0 || ++octets > LENGTH) return undefined;
      value = value * 256 + octet;
      octet = digits = 0;
    } else {
      if (code < 48 || code > 57 || digits > 0 && octet === 0) return undefined;
      octet = octet * 10 + code - 48;
      digits++;
      if (octet > 255) return undefined;
    }
  }
  return digits === 0 || octets !== LENGTH ? undefined : value * 256 + octet;
}

function refuse(message: string): never {
  throw new TypeError(message);
}
