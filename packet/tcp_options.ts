// SPDX-License-Identifier: MIT

/**
 * Options of a TCP header: each a kind, a length that counts both, and data; two are only a kind.
 *
 * @module
 */

import { ByteWriter } from "./byte_writer.ts";
import { getU16, getU32 } from "./field.ts";
import { PacketError } from "./packet_error.ts";

const END = 0;
const NOP = 1;
const MSS = 2;
const WINDOW_SCALE = 3;
const SACK_PERMITTED = 4;
const SACK = 5;
const TIMESTAMPS = 8;
const MOST = 40;

/** Bytes that have arrived out of order, by their sequence numbers. */
export interface TcpSackBlock {
  /** Number of the first byte, 0 to 2^32 - 1. */
  readonly left: number;
  /** Number after the last byte, 0 to 2^32 - 1. */
  readonly right: number;
}

/**
 * An option of a TCP header:
 *
 * - `nop` fills (RFC 9293, section 3.2),
 * - `mss` is the longest segment that the sender takes, in bytes (RFC 9293, section 3.7.1),
 * - `windowScale` shifts windows to the left, up to 14 bits (RFC 7323, section 2),
 * - `sackPermitted` and `sack` acknowledge what arrived out of order (RFC 2018),
 * - `timestamps` are the sender's clock and the one that it echoes (RFC 7323, section 3),
 * - `unknown` are the data of any other, or of one of these whose length is wrong for it.
 */
export type TcpOption =
  | { readonly name: "nop" }
  | { readonly name: "mss"; readonly value: number }
  | { readonly name: "windowScale"; readonly shift: number }
  | { readonly name: "sackPermitted" }
  | { readonly name: "sack"; readonly blocks: readonly TcpSackBlock[] }
  | { readonly name: "timestamps"; readonly value: number; readonly echo: number }
  | { readonly name: "unknown"; readonly kind: number; readonly data: Uint8Array };

/** The options between two offsets of a segment at `start`, up to the end of their list. */
export function readTcpOptions(frame: Uint8Array, start: number, from: number, to: number): TcpOption[] {
  const options: TcpOption[] = [];
  for (let at = from; at < to && frame[at] !== END;) {
    const kind = frame[at]!;
    if (kind === NOP) {
      options.push({ name: "nop" });
      at++;
      continue;
    }
    const length = at + 1 < to ? frame[at + 1]! : 0;
    if (length < 2 || at + length > to) throw wrongLength(kind, length, to - at, at - start);
    options.push(readOption(kind, frame, at + 2, length - 2));
    at += length;
  }
  return options;
}

function wrongLength(kind: number, length: number, left: number, offset: number): PacketError {
  return new PacketError(`option ${kind} has a length of ${length}, and there are ${left} bytes`, {
    layer: "tcp",
    offset,
  });
}

/** Reads an option whose data begins at an offset. One of an unusual length is as good as unknown. */
function readOption(kind: number, frame: Uint8Array, at: number, length: number): TcpOption {
  if (kind === MSS && length === 2) return { name: "mss", value: getU16(frame, at) };
  if (kind === WINDOW_SCALE && length === 1) return { name: "windowScale", shift: frame[at]! };
  if (kind === SACK_PERMITTED && length === 0) return { name: "sackPermitted" };
  if (kind === TIMESTAMPS && length === 8) {
    return { name: "timestamps", value: getU32(frame, at), echo: getU32(frame, at + 4) };
  }
  if (kind === SACK && length > 0 && length % 8 === 0) {
    const blocks: TcpSackBlock[] = [];
    for (const end = at + length; at < end; at += 8) {
      blocks.push({ left: getU32(frame, at), right: getU32(frame, at + 4) });
    }
    return { name: "sack", blocks };
  }
  return { name: "unknown", kind, data: frame.subarray(at, at + length) };
}

/** The bytes of options, filled up with zeros to a multiple of 4. */
export function encodeTcpOptions(options: readonly TcpOption[] | Uint8Array): Uint8Array {
  const writer = new ByteWriter("tcp");
  if (options instanceof Uint8Array) writer.raw(options);
  else for (const option of options) writeOption(writer, option);
  writer.skip(-writer.length & 3);
  if (writer.length > MOST) {
    throw new RangeError(`Cannot encode tcp: options take up to ${MOST} bytes, found ${writer.length}`);
  }
  return writer.finish();
}

function writeOption(writer: ByteWriter, option: TcpOption): void {
  switch (option.name) {
    case "nop":
      return writer.u8("kind", NOP);
    case "mss":
      begin(writer, MSS, 2);
      return writer.u16("value of mss", option.value);
    case "windowScale":
      begin(writer, WINDOW_SCALE, 1);
      return writer.u8("shift of windowScale", option.shift);
    case "sackPermitted":
      return begin(writer, SACK_PERMITTED, 0);
    case "sack":
      begin(writer, SACK, 8 * option.blocks.length);
      for (const { left, right } of option.blocks) {
        writer.u32("left of sack", left);
        writer.u32("right of sack", right);
      }
      return;
    case "timestamps":
      begin(writer, TIMESTAMPS, 8);
      writer.u32("value of timestamps", option.value);
      return writer.u32("echo of timestamps", option.echo);
    case "unknown":
      begin(writer, option.kind, option.data.length);
      return writer.bytes("data of an option", option.data);
    default:
      throw new TypeError(`Cannot encode tcp: there is no option named ${(option as { name: unknown }).name}`);
  }
}

/** Writes the kind and the length of an option. */
function begin(writer: ByteWriter, kind: number, size: number): void {
  writer.u8("kind of an option", kind);
  writer.u8("length of an option", 2 + size);
}
