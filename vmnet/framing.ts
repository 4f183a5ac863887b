// SPDX-License-Identifier: MIT

/**
 * Ethernet frames in a byte stream, as QEMU's `-netdev stream`, socket_vmnet, passt and gvproxy write them: each frame
 * after its length, 4 bytes in big-endian order. This module needs no native code and no permission.
 *
 * @example Usage
 * ```ts
 * import { encodeStream, StreamDecoder } from "vmnet/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const frames = [new Uint8Array(60).fill(1), new Uint8Array(1514).fill(2)];
 * const bytes = encodeStream(frames);
 *
 * const decoder = new StreamDecoder();
 * assertEquals(decoder.decode(bytes.subarray(0, 100)).length, 1);
 * assertEquals(decoder.decode(bytes.subarray(100)), frames.slice(1));
 * ```
 *
 * @module
 */

import { Fields, show } from "./fields.ts";

/** Bytes before each frame: its length in big-endian order. */
export const STREAM_HEADER_SIZE = 4;

/** Bytes of the `virtio_net_hdr_v1` before each frame of an interface with `enableVirtioHeader`. */
export const VIRTIO_NET_HEADER_SIZE = 12;

/** Longest frame of any interface: 65,536 bytes with TSO and an Ethernet header, and the virtio header before it. */
const MAX_FRAME_SIZE = 65550 + VIRTIO_NET_HEADER_SIZE;

/**
 * The stream is not what it should be, and where the next frame starts cannot be known: the connection is to be closed.
 *
 * @example Usage
 * ```ts
 * import { FramingError, StreamDecoder } from "vmnet/framing";
 * import { assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => new StreamDecoder().decode(new Uint8Array(4)), FramingError);
 * console.log(error.message);
 * ```
 */
export class FramingError extends RangeError {
  /** The length that the stream announced, in bytes. */
  readonly length: number;
  /** The frames of the same chunk before that. */
  readonly frames: readonly Uint8Array[];

  /** Constructs a new instance. */
  constructor(message: string, length: number, frames: readonly Uint8Array[] = []) {
    super(message);
    this.name = "FramingError";
    this.length = length;
    this.frames = frames;
  }
}

/** What a {@linkcode StreamDecoder} takes. */
export interface StreamDecoderOptions {
  /** Longest frame in bytes, from 1 to 16777216; 65562 by default, the longest of any interface. */
  maxFrameSize?: number;
}

/**
 * Takes the frames out of a byte stream, however it is cut into chunks.
 *
 * @example Usage
 * ```ts
 * import { StreamDecoder } from "vmnet/framing";
 * import { assertEquals } from "@std/assert";
 *
 * const decoder = new StreamDecoder();
 * assertEquals(decoder.decode(Uint8Array.of(0, 0, 0, 3, 1, 2)), []);
 * assertEquals(decoder.decode(Uint8Array.of(3, 0, 0)), [Uint8Array.of(1, 2, 3)]);
 * ```
 */
export class StreamDecoder {
  readonly #maxFrameSize: number;
  /** Bytes of a header or of a frame that is not complete. */
  #rest: Uint8Array = new Uint8Array(0);
  /** How many bytes of `#rest` are there. */
  #held = 0;
  #failure: FramingError | undefined;

  /**
   * Makes a decoder for one stream.
   *
   * @param options Its limit.
   * @throws {TypeError} If an option is not known or not a number.
   * @throws {RangeError} If `maxFrameSize` is out of range.
   */
  constructor(options: StreamDecoderOptions = {}) {
    const fields = new Fields("make decoder", options, ["maxFrameSize"]);
    this.#maxFrameSize = fields.integer("maxFrameSize", 1, 1 << 24) ?? MAX_FRAME_SIZE;
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @param chunk The bytes.
   * @returns The frames that they complete. They are views of `chunk`, except for one that began in an earlier chunk.
   * @throws {TypeError} If `chunk` is not a `Uint8Array`.
   * @throws {FramingError} If a length is 0 or more than `maxFrameSize`, now and at every later call.
   */
  decode(chunk: Uint8Array): Uint8Array[] {
    if (!(chunk instanceof Uint8Array)) {
      throw new TypeError(`Cannot decode stream: "chunk" must be a Uint8Array, got ${show(chunk)}`);
    }
    this.#checkFailure();
    const frames: Uint8Array[] = [];
    let at = this.#held > 0 ? this.#complete(chunk, frames) : 0;
    while (chunk.length - at >= STREAM_HEADER_SIZE) {
      const end = at + STREAM_HEADER_SIZE + this.#frameLength(chunk, at, frames);
      if (end > chunk.length) break;
      frames.push(chunk.subarray(at + STREAM_HEADER_SIZE, end));
      at = end;
    }
    if (at < chunk.length) this.#hold(chunk.subarray(at));
    return frames;
  }

  /**
   * Ends the stream.
   *
   * @throws {FramingError} If it ends within a frame.
   */
  end(): void {
    this.#checkFailure();
    if (this.#held > 0) throw this.#fail(`the stream ends ${this.#held} bytes into a frame`, this.#held, []);
  }

  /** Completes what an earlier chunk began, and answers where the next frame starts. */
  #complete(chunk: Uint8Array, frames: Uint8Array[]): number {
    let at = this.#fill(chunk, 0, STREAM_HEADER_SIZE);
    if (this.#held < STREAM_HEADER_SIZE) return at;
    const length = this.#frameLength(this.#rest, 0, frames);
    at = this.#fill(chunk, at, STREAM_HEADER_SIZE + length);
    if (this.#held < STREAM_HEADER_SIZE + length) return at;
    frames.push(this.#rest.subarray(STREAM_HEADER_SIZE, STREAM_HEADER_SIZE + length));
    this.#rest = new Uint8Array(0);
    this.#held = 0;
    return at;
  }

  /** Moves bytes of a chunk to `#rest` until that has `size`, and answers how far the chunk is used. */
  #fill(chunk: Uint8Array, at: number, size: number): number {
    const part = chunk.subarray(at, at + Math.max(0, size - this.#held));
    if (this.#rest.length < size) {
      const larger = new Uint8Array(size);
      larger.set(this.#rest.subarray(0, this.#held));
      this.#rest = larger;
    }
    this.#rest.set(part, this.#held);
    this.#held += part.length;
    return at + part.length;
  }

  /** Keeps the beginning of a frame, with room for all of it once its length is known. */
  #hold(bytes: Uint8Array): void {
    const known = bytes.length >= STREAM_HEADER_SIZE;
    this.#rest = new Uint8Array(STREAM_HEADER_SIZE + (known ? this.#frameLength(bytes, 0, []) : 0));
    this.#rest.set(bytes);
    this.#held = bytes.length;
  }

  #frameLength(bytes: Uint8Array, at: number, frames: Uint8Array[]): number {
    const length = (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
    if (length > 0 && length <= this.#maxFrameSize) return length;
    const takes = `a frame has 1 to ${this.#maxFrameSize} bytes`;
    throw this.#fail(`the stream announces ${length} bytes, but ${takes}`, length, frames);
  }

  /** A broken stream stays so. The frames before the break were handed over then, and are not told again. */
  #checkFailure(): void {
    if (this.#failure !== undefined) throw new FramingError(this.#failure.message, this.#failure.length);
  }

  #fail(reason: string, length: number, frames: readonly Uint8Array[]): FramingError {
    return this.#failure = new FramingError(`Cannot decode stream: ${reason}`, length, frames);
  }
}

/**
 * Writes frames one after the other, each after its length.
 *
 * @param frames The frames: an array, a batch of packets, or anything else that can be iterated over.
 * @returns All of them in one buffer, for one write.
 * @throws {TypeError} If one is not a `Uint8Array`.
 * @throws {RangeError} If a frame is empty or longer than 16777216 bytes.
 *
 * @example Usage
 * ```ts
 * import { encodeStream } from "vmnet/framing";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(encodeStream([Uint8Array.of(7, 8)]), Uint8Array.of(0, 0, 0, 2, 7, 8));
 * ```
 */
export function encodeStream(frames: Iterable<Uint8Array>): Uint8Array {
  if (typeof frames !== "object" || typeof frames?.[Symbol.iterator] !== "function") {
    throw new TypeError(`Cannot encode stream: "frames" must be an iterable of Uint8Array, got ${show(frames)}`);
  }
  // What iterates over itself, such as a generator, can do so only once
  const list = Array.isArray(frames) || !Object.is(frames[Symbol.iterator](), frames) ? frames : [...frames];
  let size = 0;
  for (const frame of list) {
    if (!(frame instanceof Uint8Array)) {
      throw new TypeError(`Cannot encode stream: a frame must be a Uint8Array, got ${show(frame)}`);
    }
    const { length } = frame;
    if (length === 0 || length > 1 << 24) {
      throw new RangeError(`Cannot encode stream: a frame has 1 to 16777216 bytes, got ${length}`);
    }
    size += STREAM_HEADER_SIZE + length;
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const frame of list) {
    const { length } = frame;
    out[at] = length >>> 24;
    out[at + 1] = length >>> 16;
    out[at + 2] = length >>> 8;
    out[at + 3] = length;
    out.set(frame, at + STREAM_HEADER_SIZE);
    at += STREAM_HEADER_SIZE + length;
  }
  return out;
}
