// SPDX-License-Identifier: MIT

/**
 * Captures of vmnetd: copies of the frames of its networks, in one pcapng file.
 *
 * Theory of operation: each network has a tap, whose loop writes a batch into the file and only then takes the next.
 * When the disk is slow copies wait in the tap's ring, and are dropped and counted when that is full: the network does
 * not wait. The counts are the last that goes into the file.
 *
 * @module
 */

import { type FileHandle, open } from "node:fs/promises";
import process from "node:process";
import { PacketBatch, type Switch, type Tap } from "vmnet";
import { type CapturedInterface, pcapngHeader, pcapngPackets, pcapngStatistics } from "./_pcapng.ts";
import type { CaptureConfig } from "./_vmnetd_config.ts";

/** Bytes of a tap's ring: what a network moves in some tens of milliseconds. */
const RING_BYTES = 16 << 20;

/** Reads of a tap after the end of its loop, at most: what was in the ring, and not what comes meanwhile. */
const LAST_READS = 1000;

/** Frames of one of those. */
const LAST_SLOTS = 256;

/** Where a capture goes. */
interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

async function openSink(file: string): Promise<Sink> {
  if (file === "-") {
    const write = (bytes: Uint8Array) =>
      new Promise<void>((resolve, reject) => {
        process.stdout.write(bytes, (error) => error ? reject(error) : resolve());
      });
    return { write, close: () => Promise.resolve() };
  }
  const handle: FileHandle = await open(file, "w", 0o600);
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
  };
  return { write, close: () => handle.close() };
}

/** A capture that goes on. */
export class Capture {
  readonly config: CaptureConfig;
  /** Resolves when it has ended, with the error that made it, if one did. */
  readonly done: Promise<Error | undefined>;

  readonly #sink: Sink;
  readonly #taps: readonly Tap[];
  readonly #ending = new AbortController();
  /** Blocks of several networks go into the file one after the other. */
  #last: Promise<void> = Promise.resolve();

  private constructor(config: CaptureConfig, sink: Sink, taps: readonly Tap[], header: Uint8Array) {
    [this.config, this.#sink, this.#taps] = [config, sink, taps];
    this.done = this.#run(header).then(() => undefined, (error) => error as Error);
  }

  /** Begins one. */
  static async start(config: CaptureConfig, networks: readonly { name: string; sw: Switch }[]): Promise<Capture> {
    const { file, filter, snap } = config;
    const options = { ringBytes: RING_BYTES, filter, snapLength: snap };
    const taps: Tap[] = [];
    try {
      for (const { sw } of networks) taps.push(await sw.tap(options));
      const interfaces = networks.map(({ name }): CapturedInterface => ({
        name,
        snapLength: snap ?? 0,
        filter: filter ?? "",
      }));
      return new Capture(config, await openSink(file), taps, pcapngHeader("vmnetd", interfaces));
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

  /** Ends it. What was copied so far goes into the file. */
  async stop(): Promise<Error | undefined> {
    this.#ending.abort();
    return await this.done;
  }

  #write(bytes: Uint8Array): Promise<void> {
    return this.#last = this.#last.then(() => this.#sink.write(bytes));
  }

  async #run(header: Uint8Array): Promise<void> {
    try {
      await this.#write(header);
      await Promise.all(this.#taps.map((tap, i) => this.#follow(tap, i)));
    } finally {
      await Promise.all(this.#taps.map((tap) => tap.stop()));
      await this.#sink.close();
    }
  }

  async #follow(tap: Tap, number: number): Promise<void> {
    const { signal } = this.#ending;
    try {
      for await (const batch of tap.batches({ signal })) await this.#write(pcapngPackets(number, batch));
      const batch = new PacketBatch({ slots: LAST_SLOTS, maxPacketSize: tap.maxPacketSize });
      for (let i = 0; i < LAST_READS && tap.read(batch) > 0; i++) await this.#write(pcapngPackets(number, batch));
      const { matched, dropped } = tap.stats();
      await this.#write(pcapngStatistics(number, matched, dropped));
    } catch (error) {
      this.#ending.abort(); // the others' loops, too
      throw error;
    }
  }
}
