// SPDX-License-Identifier: MIT

/**
 * Writing pcapng as packets come: into a file, a pipe, or the body of an HTTP response.
 *
 * Theory of operation: the source is read ahead of the reader, up to a limit, and what has come goes to the reader in
 * one chunk. A reader that keeps up gets every packet at once; for one that is slow packets gather, so that it has
 * fewer chunks to handle; and at the limit the source has to wait.
 *
 * @module
 */

import type { CaptureInterfaceOptions, CapturePacketOptions, CaptureStatistics } from "./pcapng_format.ts";
import { type FrameBatch, PcapngWriter, type PcapngWriterOptions } from "./pcapng_writer.ts";

/** Bytes that wait at the most, but for the packets that came last. */
const WAITING_MOST = 1 << 20;

/** What goes into a capture: a packet, one with what is known of it (as {@linkcode CapturedPacket}), or a batch. */
export type CaptureItem =
  | Uint8Array
  | FrameBatch
  | CapturePacketOptions & { readonly bytes: Uint8Array };

/** About a capture that is written as a stream. */
export interface PcapngStreamOptions extends PcapngWriterOptions {
  /**
   * Its interfaces, which packets name by their place in the list; they are written at once. Others come with their
   * packets: those of a file that was read, and an Ethernet one if there is none that a packet could be of.
   */
  readonly interfaces?: readonly CaptureInterfaceOptions[] | undefined;
  /** Asked when the source has ended for what each interface counted, in their order. */
  readonly statistics?: (() => readonly (CaptureStatistics | undefined)[]) | undefined;
}

/** Where packets come from. */
export type CaptureItems = Iterable<CaptureItem> | AsyncIterable<CaptureItem>;

const nothing = (): void => {};

class Chunks implements AsyncIterableIterator<Uint8Array<ArrayBuffer>, void> {
  readonly #writer: PcapngWriter;
  readonly #iterator: Iterator<CaptureItem> | AsyncIterator<CaptureItem>;
  readonly #statistics: PcapngStreamOptions["statistics"];

  /** Whether the source is being asked, has ended, and is not to be asked any more. */
  #isAsking = false;
  #hasEnded = false;
  #isStopped = false;
  #hasBegun = false;
  #failure: { readonly error: unknown } | undefined;
  /** Called when there is something to take, and when there is room again. */
  #wake = nothing;
  #goOn = nothing;

  constructor(source: CaptureItems, options: PcapngStreamOptions) {
    const { interfaces = [], statistics } = options;
    this.#writer = new PcapngWriter(options);
    for (const each of interfaces) this.#writer.addInterface(each);
    this.#statistics = statistics;
    this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array<ArrayBuffer>, void>> {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      void this.#fill();
    }
    while (this.#writer.length === 0 && !this.#hasEnded && !this.#isStopped) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#isStopped) return { done: true, value: undefined };
    if (this.#writer.length > 0) {
      const value = this.#writer.take();
      this.#goOn();
      return { done: false, value };
    }
    this.#isStopped = true;
    if (this.#failure) throw this.#failure.error;
    return { done: true, value: undefined };
  }

  /** Ends the source. It is not waited for while it has a packet to wait for: that may take for ever. */
  async return(): Promise<IteratorResult<Uint8Array<ArrayBuffer>, void>> {
    const isFirst = !this.#isStopped;
    this.#isStopped = true;
    this.#wake();
    this.#goOn();
    if (isFirst && !this.#hasEnded) {
      const returned = Promise.resolve(this.#iterator.return?.());
      if (this.#isAsking) returned.catch(nothing);
      else await returned;
    }
    return { done: true, value: undefined };
  }

  async #fill(): Promise<void> {
    try {
      while (!this.#isStopped) {
        this.#isAsking = true;
        const { done, value } = await this.#iterator.next();
        this.#isAsking = false;
        if (done || this.#isStopped) break;
        this.#add(value);
        this.#wake();
        while (this.#writer.length >= WAITING_MOST && !this.#isStopped) {
          await new Promise<void>((resolve) => this.#goOn = resolve);
        }
      }
      this.#statistics?.().forEach((each, i) => each && this.#writer.writeStatistics(i, each));
    } catch (error) {
      this.#failure = { error };
      if (!this.#isAsking) await this.#closeSource(); // it knows nothing of a packet that could not be written
    } finally {
      this.#hasEnded = true;
      this.#wake();
    }
  }

  #add(item: CaptureItem): void {
    if (item instanceof Uint8Array) this.#writer.write(item);
    else if ("descriptors" in item) this.#writer.writeBatch(item);
    else this.#writer.write(item.bytes, item);
  }

  async #closeSource(): Promise<void> {
    try {
      await this.#iterator.return?.();
    } catch {
      // the first error is the one that counts
    }
  }
}

/**
 * Writes packets as pcapng, in chunks: for a file or a pipe, with whatever writes an iterable.
 *
 * @param source The packets. A batch is of interface 0; it is copied before the source is asked again.
 * @param options About the file.
 * @returns Chunks of whole blocks, the first with the header at once. An error of the source comes after all that it
 * has yielded before. To leave the loop ends the source.
 * @throws {TypeError} If an option has the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { pcapngChunks, readCapture } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const chunks = pcapngChunks([new Uint8Array(60), new Uint8Array(1514)], { interfaces: [{ name: "lab" }] });
 *
 * const lengths = [];
 * for await (const packet of readCapture(chunks)) lengths.push(packet.originalLength);
 * assertEquals(lengths, [60, 1514]);
 * ```
 */
export function pcapngChunks(
  source: CaptureItems,
  options: PcapngStreamOptions = {},
): AsyncIterableIterator<Uint8Array<ArrayBuffer>, void> {
  return new Chunks(source, options);
}

/**
 * Writes packets as pcapng, as a stream: for the body of an HTTP response, or to pipe it somewhere.
 *
 * @param source The packets; see {@linkcode pcapngChunks}.
 * @param options About the file.
 * @returns A stream of chunks. To cancel it ends the source.
 * @throws {TypeError} If an option has the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example Usage
 * ```ts
 * import { pcapngStream } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const packets = [new Uint8Array(60)];
 * const response = new Response(pcapngStream(packets), { headers: { "content-type": "application/x-pcapng" } });
 * assertEquals((await response.bytes()).length, 28 + 32 + 92);
 * ```
 */
export function pcapngStream(
  source: CaptureItems,
  options: PcapngStreamOptions = {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks = new Chunks(source, options);
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return();
    },
  }, { highWaterMark: 0 });
}
