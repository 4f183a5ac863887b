// SPDX-License-Identifier: MIT

/**
 * Where things are in a DHCPv4 or BOOTP message (RFC 2131, section 2; RFC 2132, sections 2 and 3).
 *
 * @module
 */

/** Bytes before the cookie and options. */
export const HEADER = 236;

/** What stands before options: 99, 130, 83, 99. */
export const COOKIE = 0x63825363;

/** Offset of options. */
export const OPTIONS: number = HEADER + 4;

/** Values of the first byte. */
export const Operation = { request: 1, reply: 2 } as const;

/** Type of hardware (IANA, "Hardware Types"). */
export const ETHERNET = 1;

/** The flag of a client that cannot be sent to yet. */
export const BROADCAST = 0x8000;

/** A field of so many bytes at an offset. */
interface Field {
  readonly at: number;
  readonly length: number;
}

/** The client's address, of which as many bytes count as the third byte says. */
export const HARDWARE_ADDRESS: Field = { at: 28, length: 16 };

/** Name of the server to boot from, or options. */
export const SERVER_NAME: Field = { at: 44, length: 64 };

/** Name of the file to boot, or options. */
export const BOOT_FILE: Field = { at: 108, length: 128 };

/** Code of an option that is one byte and says nothing. */
export const PAD = 0;

/** Code behind the last option. */
export const END = 255;
