// SPDX-License-Identifier: MIT

/**
 * Options of an IPv4 header (RFC 791, section 3.1): each a type, a length that counts both, and data; two are only a
 * type.
 *
 * @module
 */

import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";

const END = 0;
const NO_OPERATION = 1;
const MOST = 40;

/** An option of an IPv4 header. */
export interface Ipv4Option {
  /** Type with the copy flag and class, for instance 148 for router alert (RFC 2113); 1 fills, without data. */
  readonly type: number;
  /** What follows type and length, up to 38 bytes. */
  readonly data: Uint8Array;
}

/** The options between two offsets of a packet at `start`, up to the end of their list. Data are views, not copies. */
export function readIpv4Options(frame: Uint8Array, start: number, from: number, to: number): Ipv4Option[] {
  const reader = new ByteReader("ipv4", frame, start, from, to);
  const options: Ipv4Option[] = [];
  while (reader.left > 0) {
    const type = reader.u8();
    if (type === END) break;
    const length = type === NO_OPERATION ? 2 : reader.u8();
    if (length < 2) throw reader.error(`option ${type} has a length of ${length}, at least 2 is wanted`, reader.at - 1);
    options.push({ type, data: reader.view(length - 2) });
  }
  return options;
}

/** The bytes of options, filled up with zeros to a multiple of 4. */
export function encodeIpv4Options(options: readonly Ipv4Option[] | Uint8Array): Uint8Array {
  const writer = new ByteWriter("ipv4");
  if (options instanceof Uint8Array) {
    writer.raw(options);
  } else {
    for (const { type, data } of options) {
      writer.u8("type of an option", type);
      if (type <= NO_OPERATION) continue;
      writer.u8("length of an option", 2 + data.length);
      writer.bytes("data of an option", data);
    }
  }
  writer.skip(-writer.length & 3);
  if (writer.length > MOST) {
    throw new RangeError(`Cannot encode ipv4: options take up to ${MOST} bytes, found ${writer.length}`);
  }
  return writer.finish();
}
