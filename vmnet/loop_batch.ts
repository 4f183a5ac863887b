// SPDX-License-Identifier: MIT

/**
 * Where loops put what they read.
 *
 * @module
 */

import { batchOf, PacketBatch, stateOf } from "./batch.ts";
import type { PortLimits } from "./port.ts";

/**
 * Frames per drain. Below 8 the calls are felt; the price of a frame out of 1514-byte batches of 64, 128 and 256 was 47,
 * 43 and 44 ns in Deno, 55, 45 and 41 in Bun.
 */
const SLOTS = 128;

/** Bytes of an arena at the most, which matters with frames of 64 KiB. */
const ARENA_LIMIT = 4 << 20;

/** Bytes of an arena whose frames follow one another, whatever their length: 128 frames of 1514 bytes. */
const PACKED_ARENA = 256 << 10;

/** Makes a batch for frames of these limits. */
export function newBatch({ maxPacketSize, maxReadPacketCount, isPacked }: PortLimits): PacketBatch {
  if (isPacked) return newPackedBatch(maxPacketSize);
  const slots = Math.max(1, Math.min(SLOTS, maxReadPacketCount, Math.floor(ARENA_LIMIT / maxPacketSize)));
  return new PacketBatch({ slots, maxPacketSize });
}

/**
 * Makes a batch for the frames of a ring, which lie as close as they can.
 *
 * @param maxPacketSize Longest frame.
 * @param spare Bytes of the buffer behind what a drain may fill.
 */
export function newPackedBatch(maxPacketSize: number, spare = 0): PacketBatch {
  const length = Math.max(PACKED_ARENA, 4 * maxPacketSize);
  const { descriptors } = stateOf(new PacketBatch({ slots: SLOTS, maxPacketSize: 14 }));
  const arena = new Uint8Array(new ArrayBuffer(length + spare), 0, length);
  return batchOf({ arena, descriptors, slots: SLOTS, maxPacketSize, count: 0 });
}

/**
 * Where frames go before they are copied out to their owner. It is used and done with in one synchronous step, so one
 * of each sort per thread is enough; it grows with the largest packet any interface has.
 */
const transits: { packed?: PacketBatch; strided?: PacketBatch } = {};

/** The batch through which frames of these limits go to their owner. */
export function transitFor(limits: PortLimits): PacketBatch {
  const sort = limits.isPacked ? "packed" : "strided";
  const known = transits[sort];
  if (known !== undefined && stateOf(known).maxPacketSize >= limits.maxPacketSize) return known;
  return transits[sort] = newBatch({ ...limits, maxReadPacketCount: SLOTS });
}
