// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertFalse, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { PacketBatch } from "vmnet";
import { stateOf } from "../../vmnet/batch.ts";

function filled(...lengths: number[]): PacketBatch {
  const batch = new PacketBatch({ slots: lengths.length });
  lengths.forEach((length, i) => assert(batch.push(new Uint8Array(length).fill(i + 1))));
  return batch;
}

test("PacketBatch.push() appends copies until the slots are used", () => {
  const batch = new PacketBatch({ slots: 2 });
  const packet = new Uint8Array(60).fill(1);
  assert(batch.push(packet));
  packet.fill(9);
  assert(batch.push(packet));
  assertFalse(batch.push(packet));
  assertEquals(batch.length, 2);
  assertEquals(batch.slots, 2);
  assertEquals([batch.at(0)[0], batch.at(1)[0]], [1, 9]);
});

test("PacketBatch has room for the longest packet in every slot", () => {
  const batch = new PacketBatch({ slots: 100, maxPacketSize: 1514 });
  for (let i = 0; i < 100; i++) assert(batch.push(new Uint8Array(1514)));
});

test("PacketBatch.push() throws when it is given something else", () => {
  const batch = new PacketBatch({ maxPacketSize: 100 });
  assertThrows(() => batch.push([1, 2] as unknown as Uint8Array), TypeError);
  assertThrows(() => batch.push(new Uint8Array(0)), RangeError);
  assertThrows(() => batch.push(new Uint8Array(101)), RangeError, "from 1 to 100 bytes");
});

test("PacketBatch throws when its size is out of range", () => {
  for (const slots of [0, 4097, 1.5, NaN]) assertThrows(() => new PacketBatch({ slots }), RangeError, '"slots"');
  for (const maxPacketSize of [13, 65563]) assertThrows(() => new PacketBatch({ maxPacketSize }), RangeError);
  assertThrows(() => new PacketBatch({ slots: "8" as unknown as number }), TypeError, '"slots"');
});

test("PacketBatch tells offset, lengths and bytes of each packet", () => {
  const batch = filled(14, 1514, 60);
  assertEquals([0, 1, 2].map((i) => batch.byteLength(i)), [14, 1514, 60]);
  assertEquals([0, 1, 2].map((i) => batch.originalLength(i)), [14, 1514, 60]);
  assertEquals([0, 1, 2].map((i) => batch.bytes[batch.offset(i)]), [1, 2, 3]);
  assertEquals([...batch].map((packet) => packet.length), [14, 1514, 60]);
  assertEquals(batch.timestampNs(0), 0n);
  assertFalse(batch.hasVirtioHeader(0));
});

test("PacketBatch throws when there is no such packet", () => {
  const batch = filled(14);
  for (const index of [1, -1, NaN, 0.5]) {
    assertThrows(() => batch.at(index), RangeError);
  }
  batch.clear();
  assertThrows(() => batch.at(0), RangeError);
  assertThrows(() => batch.offset(0), RangeError);
  assertEquals([...batch], []);
});

test("PacketBatch.at() gives the same view again when a packet lies where the last one lay", () => {
  const batch = filled(60, 60);
  const view = batch.at(1);
  assertStrictEquals(batch.at(1), view);
  batch.clear();
  batch.push(new Uint8Array(60));
  batch.push(new Uint8Array(60));
  assertStrictEquals(batch.at(1), view);
  batch.clear();
  batch.push(new Uint8Array(60));
  batch.push(new Uint8Array(61));
  assertEquals(batch.at(1).length, 61);
});

test("PacketBatch.copy() keeps packets, times and flags", () => {
  const batch = filled(60, 61, 62);
  stateOf(batch).descriptors.set([100, 3, 5, 7], 6 + 2);
  const copy = batch.copy(1, 3);
  batch.at(1).fill(0xff);
  assertEquals([...copy].map((packet) => [packet.length, packet[0]]), [[61, 2], [62, 3]]);
  assertEquals(copy.originalLength(0), 100);
  assert(copy.hasVirtioHeader(0));
  assertEquals(copy.timestampNs(0), 7n << 32n | 5n);
  assertNotEquals(copy.bytes.buffer, batch.bytes.buffer);
  assertEquals(batch.copy(3).length, 0);
  assertEquals(batch.copy(7).length, 0);
});

test("PacketBatch.copy() takes no more memory than the packets when they lie far apart", () => {
  const batch = filled(14, 14);
  const { descriptors, arena } = stateOf(batch);
  descriptors[6] = 3000;
  arena[3000] = 77;
  const copy = batch.copy();
  assertEquals(copy.bytes.length, 28);
  assertEquals([copy.at(0)[0], copy.at(1)[0]], [1, 77]);
});
