// SPDX-License-Identifier: MIT

/**
 * The flat key/value lists that carry options and results across the ABI; `shim/vmnet_shim.h` describes the bytes.
 *
 * @module
 */

/** A value of a list. Truth is written as 0 or 1. */
export type ListValue = number | bigint | boolean | string | Uint8Array | ListEntries;

/** Keys and values in order; a key may occur several times. */
export type ListEntries = readonly (readonly [key: string, value: ListValue])[];

const HEADER_SIZE = 8;
const Type = { number: 1, text: 2, bytes: 3, list: 4 } as const;

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: false });

function encodeValue(value: ListValue): [type: number, bytes: Uint8Array] {
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    return [Type.number, bytes];
  }
  if (typeof value === "string") return [Type.text, utf8.encode(value)];
  if (value instanceof Uint8Array) return [Type.bytes, value];
  return [Type.list, encodeList(value)];
}

/**
 * Encodes a list.
 *
 * @param entries Keys of 1 to 255 bytes, values as {@linkcode ListValue}; numbers are integers from 0 to 2^53 - 1,
 * bigints to 2^64 - 1.
 * @returns The encoded list.
 */
export function encodeList(entries: ListEntries): Uint8Array {
  const parts = entries.map(([key, value]) => [utf8.encode(key), ...encodeValue(value)] as const);
  const length = parts.reduce((sum, [key, , value]) => sum + HEADER_SIZE + key.length + value.length, 0);
  const out = new Uint8Array(new ArrayBuffer(length));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [key, type, value] of parts) {
    view.setUint8(at, type);
    view.setUint8(at + 1, key.length);
    view.setUint32(at + 4, value.length, true);
    out.set(key, at + HEADER_SIZE);
    out.set(value, at + HEADER_SIZE + key.length);
    at += HEADER_SIZE + key.length + value.length;
  }
  return out;
}

/** A decoded list. Values of a type that is not known are left out, so a later shim may add some. */
export class List {
  /** Keys and values in order. */
  readonly entries: readonly (readonly [key: string, value: number | string | Uint8Array | List])[];

  /**
   * Decodes a list.
   *
   * @param bytes The encoded list; nothing of it is kept.
   * @throws {RangeError} If an entry reaches beyond the end.
   */
  constructor(bytes: Uint8Array) {
    const entries: [string, number | string | Uint8Array | List][] = [];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length;) {
      const keyEnd = at + HEADER_SIZE <= bytes.length ? at + HEADER_SIZE + view.getUint8(at + 1) : Infinity;
      const end = keyEnd <= bytes.length ? keyEnd + view.getUint32(at + 4, true) : Infinity;
      if (end > bytes.length) {
        throw new RangeError(`Cannot decode list: the entry at byte ${at} reaches beyond its end`);
      }
      const key = text.decode(bytes.subarray(at + HEADER_SIZE, keyEnd));
      const type = view.getUint8(at);
      if (type === Type.number && end - keyEnd === 8) entries.push([key, Number(view.getBigUint64(keyEnd, true))]);
      else if (type === Type.text) entries.push([key, text.decode(bytes.subarray(keyEnd, end))]);
      else if (type === Type.bytes) entries.push([key, bytes.slice(keyEnd, end)]);
      else if (type === Type.list) entries.push([key, new List(bytes.subarray(keyEnd, end))]);
      at = end;
    }
    this.entries = entries;
  }

  /** The last number of that key. */
  number(key: string): number | undefined {
    return this.#last(key, (value) => typeof value === "number");
  }

  /** The last text of that key. */
  text(key: string): string | undefined {
    return this.#last(key, (value) => typeof value === "string");
  }

  /** The last bytes of that key. */
  bytes(key: string): Uint8Array | undefined {
    return this.#last(key, (value) => value instanceof Uint8Array);
  }

  /** Every text of that key. */
  texts(key: string): string[] {
    return this.#all(key, (value) => typeof value === "string");
  }

  /** Every list of that key. */
  lists(key: string): List[] {
    return this.#all(key, (value) => value instanceof List);
  }

  #all<T>(key: string, is: (value: unknown) => value is T): T[] {
    return this.entries.filter((entry) => entry[0] === key).map((entry) => entry[1]).filter(is) as T[];
  }

  #last<T>(key: string, is: (value: unknown) => value is T): T | undefined {
    return this.#all(key, is).at(-1);
  }
}
