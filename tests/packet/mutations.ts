// SPDX-License-Identifier: MIT

/**
 * Frames that went wrong: valid ones that are bent, cut, joined, lengthened or given impossible lengths, and plain
 * noise. A seed tells the whole story.
 *
 * @module
 */

/** Longest frame that comes out: a jumbo frame. */
export const LONGEST = 9018;

/** Values that lengths, counts, offsets and types are tried with. */
const extremes = [0, 1, 2, 3, 4, 5, 7, 8, 0x0f, 0x10, 0x3f, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xc0, 0xf0, 0xfe, 0xff];

/** EtherTypes that noise is put behind. */
const types = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8];

/** A generator of bent frames. */
export class Mutations {
  readonly #frames: readonly Uint8Array[];
  readonly #scratch = new Uint8Array(LONGEST);
  #state: number;

  /** Bends these frames, by random numbers that begin with a seed. */
  constructor(seed: number, frames: readonly Uint8Array[]) {
    this.#frames = frames;
    // Neighbouring seeds shall not begin alike
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
  }

  /** A number from 0 to below a limit (xorshift32). */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  /** One of the frames, as it is. */
  pick(): Uint8Array {
    return this.#frames[this.below(this.#frames.length)]!;
  }

  /** The next frame. It is valid until the next call, which uses the same bytes. */
  next(): Uint8Array {
    const kind = this.below(16);
    if (kind === 0) return this.#noise();
    let length = kind < 3 ? this.#spliced() : this.#copied();
    if (kind < 7) length = this.#bent(length);
    else if (kind < 10) length = this.#extreme(length);
    else if (kind < 12) length = this.below(length + 1);
    else if (kind < 14) length = this.#lengthened(length);
    else length = this.#bent(this.#extreme(length));
    return this.#scratch.subarray(0, length);
  }

  #copied(): number {
    const frame = this.pick();
    this.#scratch.set(frame);
    return frame.length;
  }

  /** Random bytes, or such behind a type that is known. */
  #noise(): Uint8Array {
    const length = this.below(1515);
    for (let i = 0; i < length; i++) this.#scratch[i] = this.below(256);
    const type = types[this.below(types.length)]!;
    if (length > 14 && this.below(4) > 0) {
      this.#scratch[12] = type >>> 8;
      this.#scratch[13] = type & 255;
      if (this.below(2) === 0) this.#scratch[14] = type === 0x86dd ? 0x60 : 0x45;
    }
    return this.#scratch.subarray(0, length);
  }

  /** The head of one frame with the tail of another. */
  #spliced(): number {
    const head = this.pick();
    const tail = this.pick();
    const cut = this.below(head.length + 1);
    const from = this.below(tail.length + 1);
    const length = Math.min(cut + tail.length - from, LONGEST);
    this.#scratch.set(head.subarray(0, cut));
    this.#scratch.set(tail.subarray(from, from + length - cut), cut);
    return length;
  }

  /** Some bytes are others, or have another bit. */
  #bent(length: number): number {
    if (length === 0) return 0;
    for (let i = 1 + this.below(6); i > 0; i--) {
      const at = this.below(length);
      this.#scratch[at] = this.below(2) === 0 ? this.below(256) : this.#scratch[at]! ^ 1 << this.below(8);
    }
    return length;
  }

  /** One, two or four bytes, more often of the headers, become what a length had better not be. */
  #extreme(length: number): number {
    if (length < 4) return length;
    const reach = this.below(3) === 0 ? length : Math.min(length, 80);
    const at = this.below(reach - 3);
    const size = 1 << this.below(3);
    const value = extremes[this.below(extremes.length)]!;
    if (this.below(2) === 0) this.#scratch.fill(value === 0 ? 0 : 0xff, at, at + size);
    else this.#scratch[at] = value;
    return length;
  }

  /** Padding, noise, or the frame's own end over and over. */
  #lengthened(length: number): number {
    const longer = Math.min(length + this.below(this.below(8) === 0 ? LONGEST - length + 1 : 300), LONGEST);
    const period = 1 + this.below(32);
    const kind = this.below(3);
    for (let i = length; i < longer; i++) {
      this.#scratch[i] = kind === 0 ? 0 : kind === 1 ? this.below(256) : this.#scratch[Math.max(i - period, 0)]!;
    }
    return longer;
  }
}
