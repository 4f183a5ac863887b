// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { encodeStream, FramingError, STREAM_HEADER_SIZE, StreamDecoder, VIRTIO_NET_HEADER_SIZE } from "vmnet/framing";

const frames = [60, 1, 1514, 65562, 3].map((length, i) => new Uint8Array(length).fill(i + 1));

test("the sizes are those of the wire", () => {
  assertEquals([STREAM_HEADER_SIZE, VIRTIO_NET_HEADER_SIZE], [4, 12]);
});

test("encodeStream() writes each frame after its length in big-endian order", () => {
  assertEquals(encodeStream([]), new Uint8Array(0));
  const bytes = encodeStream(frames);
  assertEquals([...bytes.subarray(0, 5)], [0, 0, 0, 60, 1]);
  assertEquals([...bytes.subarray(64 + 5 + 1518, 64 + 5 + 1518 + 5)], [0, 1, 0, 0x1a, 4]);
});

test("encodeStream() throws when a frame is empty", () => {
  assertThrows(() => encodeStream([new Uint8Array(0)]), RangeError);
});

test("StreamDecoder decodes the same frames however the stream is cut", () => {
  const bytes = encodeStream(frames);
  for (const size of [1, 2, 3, 4, 5, 7, 64, 1000, 1518, 65536, bytes.length]) {
    const decoder = new StreamDecoder();
    const decoded: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) decoded.push(...decoder.decode(bytes.subarray(at, at + size)));
    decoder.end();
    assertEquals(decoded, frames, `chunks of ${size} bytes`);
  }
});

test("StreamDecoder decodes without a copy what lies in one chunk", () => {
  const bytes = encodeStream(frames);
  for (const frame of new StreamDecoder().decode(bytes)) assertStrictEquals(frame.buffer, bytes.buffer);
});

test("StreamDecoder keeps frames that were begun when the caller reuses the chunk", () => {
  const decoder = new StreamDecoder();
  const chunk = Uint8Array.of(0, 0, 0, 4, 1, 2);
  decoder.decode(chunk);
  chunk.fill(9);
  assertEquals(decoder.decode(Uint8Array.of(3, 4)), [Uint8Array.of(1, 2, 3, 4)]);
});

test("StreamDecoder throws when a length is 0 or too large, and stays so", () => {
  for (const header of [[0, 0, 0, 0], [255, 255, 255, 255], [0, 1, 0, 0x1b]]) {
    for (const cut of [1, 4]) {
      const decoder = new StreamDecoder();
      const bytes = Uint8Array.from(header);
      const decode = () => [decoder.decode(bytes.subarray(0, cut)), decoder.decode(bytes.subarray(cut))];
      const error = assertThrows(decode, FramingError);
      assertEquals(error.length, new DataView(bytes.buffer).getUint32(0));
      for (const again of [() => decoder.decode(Uint8Array.of(1)), () => decoder.end()]) {
        assertEquals(assertThrows(again, FramingError).message, error.message);
      }
    }
  }
});

test("StreamDecoder hands over the frames before a bad length", () => {
  const bytes = Uint8Array.of(0, 0, 0, 1, 7, 0, 0, 0, 0);
  const error = assertThrows(() => new StreamDecoder().decode(bytes), FramingError);
  assertEquals([...error.frames], [Uint8Array.of(7)]);
});

test("StreamDecoder hands over the frames before a bad length once", () => {
  const decoder = new StreamDecoder();
  const bytes = Uint8Array.of(0, 0, 0, 1, 7, 0, 0, 0, 0);
  const counts = [1, 2].map(() => assertThrows(() => decoder.decode(bytes), FramingError).frames.length);
  assertEquals(counts, [1, 0]);
});

test("StreamDecoder.decode() throws TypeError when the chunk is no Uint8Array", () => {
  for (const chunk of [new ArrayBuffer(5), "text", null, [0, 0, 0, 1, 7], new DataView(new ArrayBuffer(5))]) {
    assertThrows(() => new StreamDecoder().decode(chunk as never), TypeError, '"chunk" must be a Uint8Array');
  }
});

test("encodeStream() takes what can be iterated over only once", () => {
  function* frames(): Generator<Uint8Array> {
    yield Uint8Array.of(7, 8);
    yield Uint8Array.of(9);
  }
  assertEquals(encodeStream(frames()), Uint8Array.of(0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9));
  assertEquals(encodeStream(new Set(frames())), encodeStream([...frames()]));
  for (const wrong of ["text", 5, null]) {
    assertThrows(() => encodeStream(wrong as never), TypeError, '"frames" must be an iterable of Uint8Array');
  }
});

test("StreamDecoder takes a limit", () => {
  const decoder = new StreamDecoder({ maxFrameSize: 3 });
  assertEquals(decoder.decode(Uint8Array.of(0, 0, 0, 3, 1, 2, 3)).length, 1);
  assertThrows(() => decoder.decode(Uint8Array.of(0, 0, 0, 4)), FramingError);
  for (const maxFrameSize of [0, -1, 1.5, NaN, 2 ** 25]) {
    assertThrows(() => new StreamDecoder({ maxFrameSize }), RangeError);
  }
});

test("StreamDecoder.end() throws when the stream ends within a frame", () => {
  const decoder = new StreamDecoder();
  decoder.end();
  decoder.decode(Uint8Array.of(0, 0));
  assertThrows(() => decoder.end(), FramingError, "2 bytes into a frame");
});

test("StreamDecoder allocates no more than what a length may be", () => {
  // A peer that announces much and sends little costs one frame's memory at the most
  const decoder = new StreamDecoder({ maxFrameSize: 1514 });
  assertThrows(() => decoder.decode(Uint8Array.of(0x7f, 255, 255, 255, 0)), FramingError);
});
