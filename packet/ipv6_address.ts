// SPDX-License-Identifier: MIT

/**
 * Addresses of IPv6.
 *
 * @module
 */

import { showAsText } from "./inspect.ts";
import { Ipv4Address } from "./ipv4_address.ts";

/** What stands for an IPv6 address where one is asked for: the address, its text, or its 16 bytes. */
export type Ipv6Like = Ipv6Address | string | Uint8Array;

const LENGTH = 16;
const GROUPS = 8;
const FORM = 'up to eight groups of hexadecimal digits, such as "fe80::1", without a zone';

/**
 * An address of IPv6 (RFC 4291), without a zone. It never changes.
 *
 * @example Usage
 * ```ts
 * import { Ipv6Address } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const address = Ipv6Address.parse("FE80:0:0:0:5054:ff:fe12:3456");
 * assertEquals(`${address}`, "fe80::5054:ff:fe12:3456");
 * assertEquals(address.isLinkLocal, true);
 * assertEquals(`${address.solicitedNode}`, "ff02::1:ff12:3456");
 * ```
 */
export class Ipv6Address {
  /** `::`: no address yet, or any. */
  static readonly unspecified: Ipv6Address = new Ipv6Address(new Uint8Array(LENGTH));

  static {
    showAsText(this);
  }

  // Four signed numbers of 32 bits: less to make than an array of bytes, and nothing that anybody could change
  private readonly word0: number;
  private readonly word1: number;
  private readonly word2: number;
  private readonly word3: number;

  /**
   * Makes an address.
   *
   * @param bytes Its 16 bytes, which are copied.
   * @param offset Where they begin.
   * @throws {RangeError} If there are fewer than 16 bytes from the offset on.
   */
  constructor(bytes: Uint8Array, offset = 0) {
    if (!(offset >= 0 && offset + LENGTH <= bytes.length)) {
      throw new RangeError(
        `Cannot make an IPv6 address: it takes ${LENGTH} bytes at offset ${offset}, and there are ${bytes.length} in all`,
      );
    }
    this.word0 = wordAt(bytes, offset);
    this.word1 = wordAt(bytes, offset + 4);
    this.word2 = wordAt(bytes, offset + 8);
    this.word3 = wordAt(bytes, offset + 12);
  }

  /**
   * Reads an address in any form of RFC 4291, section 2.2; its last 32 bits may be an IPv4 address.
   *
   * @throws {TypeError} If the text is something else.
   */
  static parse(text: string): Ipv6Address {
    return Ipv6Address.tryParse(text) ?? refuse(`Cannot parse IPv6 address "${text}": it takes ${FORM}`);
  }

  /** Reads an address as {@linkcode Ipv6Address.parse} does. Answers `undefined` if the text is something else. */
  static tryParse(text: string): Ipv6Address | undefined {
    const bytes = parseIpv6(text);
    return bytes && new Ipv6Address(bytes);
  }

  /** The 16 bytes, new each time. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(LENGTH);
    this.copyTo(bytes);
    return bytes;
  }

  /** Whether it is `::` (RFC 4291, section 2.5.2). */
  get isUnspecified(): boolean {
    return (this.word0 | this.word1 | this.word2 | this.word3) === 0;
  }

  /** Whether it is `::1`, this host (RFC 4291, section 2.5.3). */
  get isLoopback(): boolean {
    return (this.word0 | this.word1 | this.word2) === 0 && this.word3 === 1;
  }

  /** Whether it is unique in a site, `fc00::/7` (RFC 4193, section 3.1), as vmnet's prefixes are. */
  get isPrivate(): boolean {
    return this.word0 >>> 25 === 0x7e;
  }

  /** Whether it is good on its link only, `fe80::/10` (RFC 4291, section 2.5.6). */
  get isLinkLocal(): boolean {
    return this.word0 >>> 22 === 0x3fa;
  }

  /** Whether it stands for a group, `ff00::/8` (RFC 4291, section 2.7). */
  get isMulticast(): boolean {
    return this.word0 >>> 24 === 0xff;
  }

  /** The IPv4 address that an address of `::ffff:0:0/96` stands for (RFC 4291, section 2.5.5.2). Others stand for none. */
  get ipv4(): Ipv4Address | undefined {
    if ((this.word0 | this.word1) !== 0 || this.word2 !== 0xffff) return undefined;
    return new Ipv4Address(this.word3 >>> 0);
  }

  /** The group in which neighbours ask for this address, of `ff02::1:ff00:0/104` (RFC 4291, section 2.7.1). */
  get solicitedNode(): Ipv6Address {
    const bytes = this.bytes.fill(0, 0, 13);
    bytes.set([0xff, 2]);
    bytes.set([1, 0xff], 11);
    return new Ipv6Address(bytes);
  }

  /** Writes the 16 bytes at an offset. */
  copyTo(into: Uint8Array, offset = 0): void {
    setWord(into, offset, this.word0);
    setWord(into, offset + 4, this.word1);
    setWord(into, offset + 8, this.word2);
    setWord(into, offset + 12, this.word3);
  }

  /** Whether it is the same address as another one, which may be text in any form. */
  equals(other: Ipv6Address | string): boolean {
    const address = typeof other === "string" ? Ipv6Address.tryParse(other) : other;
    return address !== undefined && address.word0 === this.word0 && address.word1 === this.word1 &&
      address.word2 === this.word2 && address.word3 === this.word3;
  }

  /**
   * The form of RFC 5952, section 4: lower case, no leading zeros, the longest run of two or more zero groups as `::`. An
   * IPv4 address in the last 32 bits is written in hexadecimal like all else, as in URLs.
   */
  toString(): string {
    return formatIpv6(this.word0, this.word1, this.word2, this.word3);
  }

  /** The same as {@linkcode Ipv6Address.toString}. */
  toJSON(): string {
    return this.toString();
  }
}

/** The address that stands for a field of options; wrong ones are refused with the field's name. */
export function toIpv6(address: Ipv6Like, field: string): Ipv6Address {
  if (address instanceof Ipv6Address) return address;
  const bytes = typeof address === "string"
    ? parseIpv6(address)
    : address instanceof Uint8Array && address.length === LENGTH
    ? address
    : undefined;
  return bytes === undefined
    ? refuse(`Cannot encode packet: ${field} takes ${FORM}, found "${address}"`)
    : new Ipv6Address(bytes);
}

/** The address at an offset. The bytes have to be there. */
export function readIpv6(bytes: Uint8Array, offset: number): Ipv6Address {
  return new Ipv6Address(bytes, offset);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
}

function setWord(into: Uint8Array, at: number, word: number): void {
  into[at] = word >>> 24;
  into[at + 1] = word >>> 16;
  into[at + 2] = word >>> 8;
  into[at + 3] = word;
}

/** Text of an address that is four numbers of 32 bits. */
export function formatIpv6(word0: number, word1: number, word2: number, word3: number): string {
  const words = [word0, word1, word2, word3];
  const groups = (i: number) => words[i >> 1]! >>> (i & 1 ? 0 : 16) & 0xffff;
  let runStart = -1;
  let runLength = 1;
  for (let at = 0; at < GROUPS; at++) {
    let length = 0;
    while (at + length < GROUPS && groups(at + length) === 0) length++;
    if (length > runLength) {
      runStart = at;
      runLength = length;
    }
    at += length;
  }
  let text = "";
  for (let i = 0; i < GROUPS; i++) {
    if (i === runStart) {
      text += "::";
      i += runLength - 1;
    } else {
      if (i > 0 && i !== runStart + runLength) text += ":";
      text += groups(i).toString(16);
    }
  }
  return text;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => half === "" ? [] : half.split(":"));
  const last = halves.length === 2 ? tail : head;
  // The last 32 bits may be written as an IPv4 address
  const ipv4 = Ipv4Address.tryParse(last.at(-1) ?? "");
  if (ipv4 !== undefined) last.splice(-1, 1, (ipv4.value >>> 16).toString(16), (ipv4.value & 0xffff).toString(16));
  const missing = GROUPS - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const bytes = new Uint8Array(LENGTH);
  const put = (group: string, i: number) => {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return false;
    const value = parseInt(group, 16);
    bytes[2 * i] = value >>> 8;
    bytes[2 * i + 1] = value;
    return true;
  };
  return head.every(put) && tail.every((group, i) => put(group, head.length + missing + i)) ? bytes : undefined;
}

function refuse(message: string): never {
  throw new TypeError(message);
}
