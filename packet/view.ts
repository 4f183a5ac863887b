// SPDX-License-Identifier: MIT

/**
 * What all layers of a packet have in common when they are read.
 *
 * Theory of operation: a view is a place in a frame, from its first byte to the end of what it carries. It copies nothing
 * and reads a field when it is asked for. Its constructor makes sure of the fixed header, so that getters of fixed
 * fields need no check; whatever lies behind has to be asked for through {@linkcode View.need}.
 *
 * @module
 */

import { showGetters } from "./inspect.ts";
import { PacketError } from "./packet_error.ts";

/** A layer of a packet, where it lies in its frame. Numbers are in network order. */
export abstract class View {
  static {
    showGetters(this);
  }

  /** The bytes that the layer lies in, usually a frame. They are not copied: who changes them changes what is read. */
  readonly frame: Uint8Array;
  /** Offset of the layer's first byte in {@linkcode View.frame}. */
  readonly start: number;
  /** Offset after the last byte of the layer and what it carries. */
  readonly end: number;

  /**
   * Looks at a part of a frame.
   *
   * @param layer Name of the layer, for errors.
   * @param minimum Bytes that the layer has at least.
   * @throws {PacketError} If there are fewer.
   */
  protected constructor(layer: string, minimum: number, frame: Uint8Array, start: number, end: number) {
    if (end - start < minimum || start < 0 || end > frame.length) throw tooShort(layer, minimum, end - start);
    this.frame = frame;
    this.start = start;
    this.end = end;
  }

  /** Name of the layer, for instance `"ipv4"`. */
  abstract readonly layer: string;

  /** Bytes of the header, with its options. */
  abstract readonly headerLength: number;

  /** Bytes of the layer with what it carries. */
  get length(): number {
    return this.end - this.start;
  }

  /** The bytes of the layer with what it carries: a view, not a copy. */
  get bytes(): Uint8Array {
    return this.frame.subarray(this.start, this.end);
  }

  /** The bytes of the header: a view, not a copy. */
  get header(): Uint8Array {
    return this.frame.subarray(this.start, this.start + this.headerLength);
  }

  /** What the layer carries: a view, not a copy. */
  get payload(): Uint8Array {
    return this.frame.subarray(this.start + this.headerLength, this.end);
  }

  /** Makes sure that there are bytes up to an offset. */
  protected need(offset: number): void {
    if (offset > this.end - this.start) throw tooShort(this.layer, offset, this.end - this.start);
  }

  /** The byte at an offset from the layer's first. Not checked: see {@linkcode View.need}. */
  protected u8(at: number): number {
    return this.frame[this.start + at]!;
  }

  /** Two bytes at an offset from the layer's first. */
  protected u16(at: number): number {
    const place = this.start + at;
    return this.frame[place]! << 8 | this.frame[place + 1]!;
  }

  /** Four bytes at an offset from the layer's first. */
  protected u32(at: number): number {
    const place = this.start + at;
    const { frame } = this;
    return (frame[place]! << 24 | frame[place + 1]! << 16 | frame[place + 2]! << 8 | frame[place + 3]!) >>> 0;
  }

  /** The bytes from one offset to another: a view. */
  protected part(from: number, to: number): Uint8Array {
    return this.frame.subarray(this.start + from, this.start + to);
  }
}

function tooShort(layer: string, needs: number, has: number): PacketError {
  return new PacketError(`it needs ${needs} bytes, and there are ${Math.max(has, 0)}`, { layer, offset: has });
}
