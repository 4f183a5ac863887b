// SPDX-License-Identifier: MIT

/**
 * What is thrown when bytes are not what they should be.
 *
 * @module
 */

/** Where bytes were not what a layer needs. */
export interface PacketErrorOptions extends ErrorOptions {
  /** Name of the layer, for instance `"ipv4"`. */
  readonly layer: string;
  /** Offset of the bytes at fault, counted from the layer's first. */
  readonly offset: number;
}

/**
 * Bytes that end too early, or that say what cannot be. It is the only error that reading a packet throws.
 *
 * @example Usage
 * ```ts
 * import { Ipv4, PacketError } from "vmnet/packet";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => new Ipv4(new Uint8Array(12)), PacketError, "Cannot read ipv4");
 * ```
 */
export class PacketError extends RangeError {
  /** Always `"PacketError"`. */
  override readonly name = "PacketError";
  /** Name of the layer, for instance `"ipv4"`. */
  readonly layer: string;
  /** Offset of the bytes at fault, counted from the layer's first. */
  readonly offset: number;

  /** Makes one; codecs do. */
  constructor(detail: string, options: PacketErrorOptions) {
    super(`Cannot read ${options.layer}: ${detail}`, options);
    this.layer = options.layer;
    this.offset = options.offset;
  }
}
