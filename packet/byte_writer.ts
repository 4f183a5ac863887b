// SPDX-License-Identifier: MIT

/**
 * Writing messages whose length is only known once they are written.
 *
 * @module
 */

import type { Layer, LayerName } from "./encode.ts";
import { setU16, setU32, uint } from "./field.ts";

/** Grows with what is written. Numbers are in network order; one that does not fit is refused by its field's name. */
export class ByteWriter {
  /** Name of the layer, for errors. */
  readonly layer: LayerName;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(512);
  #length = 0;

  /** Begins a message. */
  constructor(layer: LayerName) {
    this.layer = layer;
  }

  /** Number of bytes that were written. */
  get length(): number {
    return this.#length;
  }

  /** What was written: a copy. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** What was written as a layer, which carries nothing. */
  finishLayer(): Layer {
    const bytes = this.finish();
    return {
      layer: this.layer,
      headerLength: bytes.length,
      write: ({ into, start }) => into.set(bytes, start),
    };
  }

  /** Moves over some bytes, which are zero, and answers where they begin. Whatever grows gets another buffer. */
  skip(length: number): number {
    const at = this.#length;
    this.#length = at + length;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    return at;
  }

  /** 8 bits. */
  u8(field: string, value: number): void {
    const checked = uint(this.layer, field, value, 0, 0xff);
    const at = this.skip(1);
    this.#bytes[at] = checked;
  }

  /** 16 bits. */
  u16(field: string, value: number): void {
    const checked = uint(this.layer, field, value, 0, 0xffff);
    const at = this.skip(2);
    setU16(this.#bytes, at, checked);
  }

  /** 32 bits. */
  u32(field: string, value: number): void {
    const checked = uint(this.layer, field, value, 0, 0xffffffff);
    const at = this.skip(4);
    setU32(this.#bytes, at, checked);
  }

  /** Bytes that somebody gave for a field. */
  bytes(field: string, bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Cannot encode ${this.layer}: ${field} takes a Uint8Array, found ${typeof bytes}`);
    }
    this.raw(bytes);
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    const at = this.skip(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** An address. */
  address(address: { readonly bytes: Uint8Array }): void {
    this.raw(address.bytes);
  }

  /** Writes what a length of 16 bits goes before. */
  counted16(field: string, write: () => void): void {
    const at = this.skip(2);
    write();
    setU16(this.#bytes, at, uint(this.layer, `length of ${field}`, this.#length - at - 2, 0, 0xffff));
  }

  /** Writes what a length of 8 bits goes before. */
  counted8(field: string, write: () => void): void {
    const at = this.skip(1);
    write();
    this.#bytes[at] = uint(this.layer, `length of ${field}`, this.#length - at - 1, 0, 0xff);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes as text of UTF-8; what is none becomes U+FFFD. */
export function readText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Text or bytes as bytes. */
export function toBytes(layer: LayerName, field: string, value: string | Uint8Array): Uint8Array {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`Cannot encode ${layer}: ${field} takes text or bytes, found ${typeof value}`);
}

/** Bytes as text of one character each. */
export function readLatin(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

/** Text as bytes, one of each character. */
export function toLatin(layer: LayerName, field: string, text: string): Uint8Array {
  if (typeof text !== "string") {
    throw new TypeError(`Cannot encode ${layer}: ${field} takes text, found ${typeof text}`);
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) {
      throw new RangeError(`Cannot encode ${layer}: ${field} takes characters up to U+00FF, found "${text[i]}"`);
    }
    bytes[i] = code;
  }
  return bytes;
}
