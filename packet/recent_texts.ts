// SPDX-License-Identifier: MIT

/**
 * Texts of addresses that were written before.
 *
 * Theory of operation: a link has few addresses, and their texts are wanted again and again. So the last text of each
 * of 256 slots is kept; the slot follows from the lowest bits of the address, in which neighbours differ.
 *
 * @module
 */

const SLOTS = 256;

/** Texts of numbers, some of which are at hand. */
export class RecentTexts {
  private readonly values: Float64Array = new Float64Array(SLOTS).fill(-1);
  private readonly texts: string[] = new Array(SLOTS).fill("");
  private readonly make: (value: number) => string;

  /** Keeps what a function makes of numbers from 0. */
  constructor(make: (value: number) => string) {
    this.make = make;
  }

  /** The text of a number. */
  of(value: number): string {
    const slot = (value ^ value >>> 8) & SLOTS - 1;
    if (this.values[slot] === value) return this.texts[slot]!;
    this.values[slot] = value;
    return this.texts[slot] = this.make(value);
  }
}
