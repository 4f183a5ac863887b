// SPDX-License-Identifier: MIT

/**
 * Copies of frames that a switch moves, and rules by which it drops some.
 *
 * @module
 */

import type { PacketBatch } from "./batch.ts";
import { Fields } from "./fields.ts";
import type { List, ListEntries } from "./list.ts";
import { PacketReader, type ReadOptions } from "./packet_loop.ts";
import { Part, type PartOwner } from "./part.ts";
import { Port } from "./port.ts";
import { definedEntries } from "./port_options.ts";

/** What a {@linkcode Tap} copies. */
export interface TapOptions {
  /**
   * A filter in the language of tcpdump, for instance `"tcp port 80"`, at most 4095 characters; everything by default.
   * It needs libpcap on this machine.
   */
  filter?: string | undefined;
  /** Bytes of each frame that are copied at the most, from 14 to 65562; all by default. */
  snapLength?: number | undefined;
  /**
   * Bytes of the ring in which copies wait for the script, from 65536 to 67108864; 1048576 by default. It is rounded up, to a
   * power of two in which two of the longest copies fit. When it is full, further copies are dropped and counted.
   */
  ringBytes?: number | undefined;
  /** Number of the port whose frames are copied, from 1 to 65535; those of every port by default. */
  port?: number | undefined;
}

/** Counters of a {@linkcode Tap}, from its beginning on. */
export interface TapStats {
  /** Frames that the filter matched. */
  readonly matched: number;
  /** Frames that were matched and not copied, because the ring was full. */
  readonly dropped: number;
  /** Copies that the script has read. */
  readonly framesIn: number;
  /** Bytes of those. */
  readonly bytesIn: number;
  /** How often copies woke the script. */
  readonly wakes: number;
  /** Reads that answered copies; `framesIn` divided by this is the mean size of a batch. */
  readonly drains: number;
}

/** Counters of a {@linkcode DropRule}. */
export interface DropRuleStats {
  /** Frames that it has dropped. */
  readonly matched: number;
}

/** Longest expression: `VN_FILTER_TEXT` of the shim, in bytes and with its end. */
export const FILTER_MOST = 4095;

/** Shortest limit of a copy, an Ethernet header, and the longest: `VN_SNAP_*` of the shim. */
const SNAP_LEAST = 14;
const SNAP_MOST = 65562;

const RING_LEAST = 64 << 10;
const RING_MOST = 64 << 20;

/** Frames of one read of a tap. */
const FRAMES_PER_READ = 256;

/** The entries that whatever looks at frames has: filter and port. */
export function readLook(fields: Fields): { filter: string | undefined; port: number | undefined } {
  const filter = fields.text("filter", FILTER_MOST);
  // The shim's limit is in bytes; no word of the language needs more than ASCII
  if (filter !== undefined && !/^[\t\n\r -~]*$/.test(filter)) fields.outOfRange("filter", "characters of ASCII");
  return { filter, port: fields.integer("port", 1, 65535) };
}

/** Size of a ring between the switch and the script. */
export function readRingBytes(fields: Fields): number | undefined {
  return fields.integer("ringBytes", RING_LEAST, RING_MOST);
}

/**
 * Checks and encodes what is to be copied.
 *
 * @throws {TypeError} If a name is not known or a value has the wrong kind.
 * @throws {RangeError} If a value is out of range.
 */
export function encodeTap(options: TapOptions, action: string): { entries: ListEntries; maxPacketSize: number } {
  const fields = new Fields(action, options, ["filter", "snapLength", "ringBytes", "port"]);
  const snapLength = fields.integer("snapLength", SNAP_LEAST, SNAP_MOST);
  const entries = definedEntries({ ...readLook(fields), snapLength, ringBytes: readRingBytes(fields) });
  return { entries, maxPacketSize: snapLength ?? SNAP_MOST };
}

/** Checks and encodes what is to be dropped. */
export function encodeRule(filter: unknown, options: unknown, action: string): ListEntries {
  const text = new Fields(action, { filter }, ["filter"]);
  text.require("filter");
  const fields = new Fields(action, options, ["port"]);
  return definedEntries({ filter: readLook(text).filter, port: fields.integer("port", 1, 65535) });
}

/**
 * Copies of the frames of a switch or bridge, filtered and cut in native code; made by {@linkcode Switch.tap}. There can be
 * any number of them, and a slow one costs the switch nothing but the copying.
 *
 * A tap is read as an {@linkcode Interface} is: one reader at a time, packets that are yours to keep or borrowed batches,
 * `break` loses nothing. {@linkcode PacketBatch.portOf} says which port a frame came from. What a {@linkcode DropRule}
 * drops is not seen, what an {@linkcode Intercept} decides on is, as it was before.
 *
 * @example Usage
 * ```ts
 * import { Interface, Network, Switch } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using network = await Network.create({ mode: "host", dhcp: false });
 * await using nic = await Interface.start({ network });
 * await using sw = await Switch.create({ uplink: network });
 * await using tap = await sw.tap({ snapLength: 14 });
 *
 * await nic.write(new Uint8Array(60).fill(0xff, 0, 6));
 * for await (const batch of tap.batches()) {
 *   assertEquals(batch.byteLength(0), 14);
 *   assertEquals(batch.originalLength(0), 60);
 *   const { kind } = sw.stats().ports.find(({ number }) => number === batch.portOf(0))!;
 *   assertEquals(kind, "interface");
 *   break;
 * }
 * ```
 */
export class Tap implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Longest copy in bytes. */
  readonly maxPacketSize: number;

  readonly #part: Part;
  readonly #reader: PacketReader;

  /** For {@linkcode Switch.tap}, which is how to get one. */
  constructor(owner: PartOwner, result: List, maxPacketSize: number) {
    const limits = {
      minPacketSize: 1,
      maxPacketSize,
      maxReadPacketCount: FRAMES_PER_READ,
      maxWritePacketCount: 1,
      isPacked: true,
    };
    this.#part = new Part(owner, result, "tap", () => port.stop());
    const port = new Port(this.#part.context, this.#part.handle, limits, "tap");
    this.#reader = new PacketReader(port);
    this.maxPacketSize = limits.maxPacketSize;
  }

  /** Copies, each a `Uint8Array` of its own to keep; see {@linkcode Interface}. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#reader.packets();
  }

  /**
   * Copies in batches, without an allocation per packet. A batch is good until the loop asks for the next one;
   * {@linkcode PacketBatch.copy} keeps it.
   *
   * @param options A signal that ends the loop quietly.
   * @returns The batches, none of them empty.
   */
  batches(options?: ReadOptions): AsyncIterableIterator<PacketBatch> {
    return this.#reader.batches(options);
  }

  /**
   * Reads the copies that are there, without waiting.
   *
   * @param batch Where they go; what was in it is gone.
   * @returns How many there are; 0 when none are.
   * @throws {TypeError} If there is another reader.
   * @throws {RangeError} If the batch is made for shorter packets than {@linkcode Tap.maxPacketSize}.
   * @throws {VmnetError} If the tap was stopped or the network ended.
   */
  read(batch: PacketBatch): number {
    return this.#reader.read(batch);
  }

  /**
   * Waits until copies are there.
   *
   * @param options A signal that ends the waiting; the promise then rejects with its reason.
   * @returns How many there are, at least 1.
   * @throws {TypeError} If there is another reader.
   * @throws {VmnetError} If the tap is stopped or the network ends.
   */
  async readable(options?: ReadOptions): Promise<number> {
    return await this.#reader.readable(options);
  }

  /**
   * The tap's counters.
   *
   * @returns Numbers from its beginning on.
   * @throws {VmnetError} If it was stopped.
   */
  stats(): TapStats {
    const list = this.#part.stats();
    const number = (key: keyof TapStats) => list.number(key) ?? 0;
    return {
      matched: number("matched"),
      dropped: number("dropped"),
      framesIn: number("framesIn"),
      bytesIn: number("bytesIn"),
      wakes: number("wakes"),
      drains: number("drains"),
    };
  }

  /**
   * Stops copying; the loop ends quietly. Repeated calls answer the first one's promise.
   *
   * @returns Resolves when nothing of it is left.
   */
  stop(): Promise<void> {
    return this.#part.stop();
  }

  /** Stops copying. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * A rule by which a switch or bridge drops frames, without a script being asked; made by {@linkcode Switch.drop}.
 *
 * @example Usage
 * ```ts
 * import { Switch } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using sw = await Switch.create();
 * await using rule = await sw.drop("udp port 53");
 * assertEquals(rule.stats().matched, 0);
 * ```
 */
export class DropRule implements AsyncDisposable {
  /** The filter. */
  readonly filter: string;

  readonly #part: Part;

  /** For {@linkcode Switch.drop}, which is how to get one. */
  constructor(owner: PartOwner, result: List, filter: string) {
    this.#part = new Part(owner, result, "rule");
    this.filter = filter;
  }

  /**
   * The rule's counters.
   *
   * @returns Numbers from its beginning on.
   * @throws {VmnetError} If it was stopped.
   */
  stats(): DropRuleStats {
    return { matched: this.#part.stats().number("matched") ?? 0 };
  }

  /**
   * Takes the rule back. Repeated calls answer the first one's promise.
   *
   * @returns Resolves when nothing is dropped by it any more.
   */
  stop(): Promise<void> {
    return this.#part.stop();
  }

  /** Takes the rule back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
