// SPDX-License-Identifier: MIT

/**
 * What Wireshark's dissectors read of frames.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Fields of one frame, each with all its values in the order of the frame. */
export type Dissection = Readonly<Record<string, readonly string[] | undefined>>;

/** Why tshark cannot be asked, or `false`. */
export const lacksTshark: string | false = spawnSync("tshark", ["--version"]).status === 0
  ? false
  : "tshark not installed";

/**
 * Preferences: checksums are checked, and each frame is read for itself: nothing is put together out of several, and
 * numbers of TCP are those of the wire.
 */
const preferences = [
  "ip.check_checksum:TRUE",
  "ip.defragment:FALSE",
  "ip.tso_support:FALSE",
  "ipv6.defragment:FALSE",
  "tcp.analyze_sequence_numbers:FALSE",
  "tcp.check_checksum:TRUE",
  "tcp.desegment_tcp_streams:FALSE",
  "tcp.relative_sequence_numbers:FALSE",
  "udp.check_checksum:TRUE",
];

/** A capture in the classic format, of Ethernet frames a millisecond apart. */
export function captureOf(frames: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + 16 + length, 24));
  const view = new DataView(bytes.buffer);
  [0xa1b2c3d4, 0x00020004, 0, 0, 0x40000, 1].forEach((word, i) => view.setUint32(4 * i, word));
  let at = 24;
  for (const [i, frame] of frames.entries()) {
    const words = [1_700_000_000 + Math.floor(i / 1000), i % 1000 * 1000, frame.length, frame.length];
    words.forEach((word, k) => view.setUint32(at + 4 * k, word));
    bytes.set(frame, at + 16);
    at += 16 + frame.length;
  }
  return bytes;
}

/**
 * Has frames dissected by one process.
 *
 * @param frames The frames.
 * @param fields Names of the fields that are wanted, as in Wireshark's display filters.
 * @throws {Error} If tshark does not know a field, or does not see as many frames.
 */
export function dissect(frames: readonly Uint8Array[], fields: Iterable<string>): Dissection[] {
  const folder = mkdtempSync(join(tmpdir(), "vmnet-tshark-"));
  try {
    const path = join(folder, "frames.pcap");
    writeFileSync(path, captureOf(frames));
    return dissectFile(path, frames.length, fields);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function dissectFile(path: string, count: number, fields: Iterable<string>): Dissection[] {
  const args = ["-n", "-T", "json", "-r", path, ...preferences.flatMap((preference) => ["-o", preference])];
  for (const field of fields) args.push("-e", field);
  const { status, stdout, stderr } = spawnSync("tshark", args, { maxBuffer: 1 << 30 });
  if (status !== 0) throw new Error(`Cannot dissect: tshark ended with ${status}: ${stderr}`);
  const packets: { _source: { layers?: Dissection } }[] = JSON.parse(stdout.toString());
  if (packets.length !== count) {
    throw new Error(`Cannot dissect: ${packets.length} frames of ${count}: ${stderr}`);
  }
  return packets.map(({ _source }) => _source.layers ?? {});
}
