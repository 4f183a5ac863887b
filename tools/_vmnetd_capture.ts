// SPDX-License-Identifier: MIT

/**
 * Captures of vmnetd: copies of the frames of its networks, in one flow of pcapng.
 *
 * Theory of operation: each network has a tap, whose loop writes a batch and only then takes the next. When the disk, or
 * whoever reads, is slow, copies wait in the tap's ring, and are dropped and counted when that is full: the network does
 * not wait. The counts are the last that is written; whoever reads learns of drops in between, too.
 *
 * @module
 */

import { PacketBatch, type Switch, type Tap, type TapStats } from "vmnet";
import { PcapngWriter } from "vmnet/packet";
import { openSink, ReaderGone, type Sink } from "./_capture_sink.ts";
import type { CaptureConfig } from "./_vmnetd_config.ts";

/** Bytes of a tap's ring: what a network moves in some tens of milliseconds. */
const RING_BYTES = 16 << 20;

/** Reads of a tap after the end of its loop, at most: what was in the ring, and not what comes meanwhile. */
const LAST_READS = 1000;

/** Frames of one of those. */
const LAST_SLOTS = 256;

/** How often a capture may say that copies were dropped, in milliseconds. */
const COUNTS_MS = 1000;

/** The time in nanoseconds since 1970. */
const now = (): bigint => BigInt(Date.now()) * 1_000_000n;

/** A capture that goes on. */
export class Capture {
  readonly config: CaptureConfig;
  /** Resolves when it has ended, with the error that made it, if one did. */
  readonly done: Promise<Error | undefined>;

  readonly #sink: Sink;
  readonly #taps: readonly Tap[];
  readonly #writer: PcapngWriter;
  readonly #ending = new AbortController();
  /** Blocks of several networks go into the file one after the other. */
  #last: Promise<void> = Promise.resolve();

  private constructor(config: CaptureConfig, sink: Sink, taps: readonly Tap[], writer: PcapngWriter) {
    [this.config, this.#sink, this.#taps, this.#writer] = [config, sink, taps, writer];
    this.done = this.#run().then(() => undefined, (error) => error instanceof ReaderGone ? undefined : error as Error);
  }

  /** Begins one, into the file of its configuration unless there is something else for it. */
  static async start(
    config: CaptureConfig,
    networks: readonly { name: string; sw: Switch }[],
    sink?: Sink,
  ): Promise<Capture> {
    const { file, filter, snap } = config;
    const options = { ringBytes: RING_BYTES, filter, snapLength: snap };
    const taps: Tap[] = [];
    try {
      for (const { sw } of networks) taps.push(await sw.tap(options));
      const writer = new PcapngWriter({ application: "vmnetd" });
      for (const { name } of networks) writer.addInterface({ name, snapLength: snap, filter });
      return new Capture(config, sink ?? await openSink(file), taps, writer);
    } catch (error) {
      await Promise.all(taps.map((tap) => tap.stop()));
      throw error;
    }
  }

  /** Frames that were captured, and copies that were dropped as the file was too slow. */
  stats(): { file: string; frames: number; dropped: number } {
    const stats = this.#taps.map((tap) => tap.stats());
    const sum = (key: "framesIn" | "dropped") => stats.reduce((all, one) => all + one[key], 0);
    return { file: this.config.file, frames: sum("framesIn"), dropped: sum("dropped") };
  }

  /** Asks for its end. What was copied so far is still written, then the counts. */
  end(): void {
    this.#ending.abort();
  }

  /** Ends it; a reader that takes its time is not waited for. */
  async stop(): Promise<Error | undefined> {
    this.end();
    this.#sink.hurry?.();
    return await this.done;
  }

  /** Writes what the writer has. */
  #write(): Promise<void> {
    const bytes = this.#writer.take();
    return this.#last = this.#last.then(() => this.#sink.write(bytes)).then(() => this.#writer.recycle(bytes));
  }

  #writeBatch(batch: PacketBatch, number: number): Promise<void> {
    this.#writer.writeBatch(batch, number);
    return this.#write();
  }

  #count({ matched, dropped }: TapStats, number: number, startNs: bigint): void {
    const counts = { received: matched, interfaceDropped: dropped };
    this.#writer.writeStatistics(number, { ...counts, startNs, endNs: now() });
  }

  async #run(): Promise<void> {
    try {
      await this.#write();
      await Promise.all(this.#taps.map((tap, i) => this.#follow(tap, i)));
    } finally {
      await Promise.all(this.#taps.map((tap) => tap.stop()));
      await this.#sink.close();
    }
  }

  async #follow(tap: Tap, number: number): Promise<void> {
    const { signal } = this.#ending;
    const startNs = now();
    try {
      let [dropped, told] = [0, performance.now()];
      for await (const batch of tap.batches({ signal })) {
        await this.#writeBatch(batch, number);
        if (performance.now() - told < COUNTS_MS) continue;
        told = performance.now();
        const stats = tap.stats();
        if (stats.dropped !== dropped) this.#count(stats, number, startNs);
        dropped = stats.dropped;
      }
      const batch = new PacketBatch({ slots: LAST_SLOTS, maxPacketSize: tap.maxPacketSize });
      for (let i = 0; i < LAST_READS && tap.read(batch) > 0; i++) await this.#writeBatch(batch, number);
      this.#count(tap.stats(), number, startNs);
      await this.#write();
    } catch (error) {
      this.#ending.abort(); // the others' loops, too
      throw error;
    }
  }
}
