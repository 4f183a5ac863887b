// SPDX-License-Identifier: MIT

/**
 * An interface on a virtual network.
 *
 * @module
 */

import type { PacketBatch } from "./batch.ts";
import { Context, type OperationOptions } from "./context.ts";
import { show } from "./fields.ts";
import { addRule, listRules, type PortForwardingKey, type PortForwardingRule, removeRule } from "./forwarding.ts";
import { handleOf } from "./network.ts";
import {
  decodeInterfaceParameters,
  encodeInterfaceOptions,
  type InterfaceOptions,
  type InterfaceParameters,
} from "./options.ts";
import { PacketReader, type ReadOptions } from "./packet_loop.ts";
import { Port, type PortLimits } from "./port.ts";
import { Get, Op } from "./symbols.ts";
import { type Packets, PacketWriter } from "./writer.ts";

/** Counters of an interface, from its start on. "In" is towards the script. */
export interface InterfaceStats {
  /** Frames read by the script. */
  readonly framesIn: number;
  /** Bytes read by the script. */
  readonly bytesIn: number;
  /** Frames written by the script. */
  readonly framesOut: number;
  /** Bytes written by the script. */
  readonly bytesOut: number;
  /** Frames lost on their way in, because the script did not read them in time. */
  readonly droppedIn: number;
  /** Frames that the script wrote and nobody could take. */
  readonly droppedOut: number;
  /** How often frames woke the script. */
  readonly wakes: number;
  /** Reads that answered frames; `framesIn` divided by this is the mean size of a batch. */
  readonly drains: number;
}

/** The port of an interface, for the library's own files and its benchmarks. */
export let portOf: (nic: Interface) => Port;

/** The handle of an interface that a switch is to have, for the library's own files; throws if it cannot be lent now. */
export let lendingHandleOf: (nic: Interface, action: string) => number;

/** Length of `virtio_net_hdr_v1`. */
const VIRTIO_HEADER = 12;

/** What vmnet is known to allow, for a macOS that does not report it (before 15). */
const PACKETS_PER_CALL = 256;

/**
 * An interface on a virtual network: what a VM's network card is plugged into.
 *
 * Reading: iterate over the interface for packets that are yours to keep, over {@linkcode Interface.batches} for the
 * fastest way, or call {@linkcode Interface.read} yourself. One reader at a time. Leaving a loop with `break` loses
 * nothing; {@linkcode Interface.stop} and an abort end it quietly; a network that fails makes it throw.
 *
 * Writing: {@linkcode Interface.write} takes everything, and its promise is the back-pressure;
 * {@linkcode Interface.tryWrite} takes what fits.
 *
 * An interface belongs to the thread that started it. It keeps the program alive only while somebody waits for it.
 *
 * While it is a port of a {@linkcode Switch} or of a {@linkcode bridge} its frames go there: reading and writing fail
 * with code `inUse` until that is stopped.
 *
 * On macOS needs 10.15, and root up to macOS 15; not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { Interface } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using a = await Interface.start({ mode: "host" });
 * await using b = await Interface.start({ mode: "host" });
 *
 * const frame = new Uint8Array(60);
 * frame.fill(0xff, 0, 6); // to everybody
 * frame.set([0x02, 0, 0, 0, 0, 1], 6);
 * frame.set([0x88, 0xb5], 12); // a type for experiments
 * await a.write(frame);
 *
 * for await (const packet of b) {
 *   if (packet[12] !== 0x88) continue;
 *   assertEquals(packet, frame);
 *   break;
 * }
 * ```
 */
export class Interface implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** The options it was started with. */
  readonly options: Readonly<InterfaceOptions>;
  /** What vmnet says about it. */
  readonly parameters: InterfaceParameters;
  /** MAC address for the guest, empty with `allocateMacAddress: false`. */
  readonly macAddress: string;
  /** Largest IP packet in bytes. */
  readonly mtu: number;
  /** Longest frame in bytes that can be read and written, virtio header included. */
  readonly maxPacketSize: number;
  /** Frames that one {@linkcode Interface.read} answers at the most. */
  readonly maxReadPacketCount: number;
  /** Frames that one {@linkcode Interface.tryWrite} takes at the most. */
  readonly maxWritePacketCount: number;

  readonly #port: Port;
  readonly #reader: PacketReader;
  readonly #writer: PacketWriter;
  #stopped: Promise<void> | undefined;

  static {
    portOf = (nic) => nic.#port;
    lendingHandleOf = (nic, action) => {
      if (typeof nic !== "object" || nic === null || !(#port in nic)) {
        throw new TypeError(`Cannot ${action}: "interface" must be an Interface, got ${show(nic)}`);
      }
      nic.#port.check(action);
      if (nic.#reader.isBusy) throw new TypeError(`Cannot ${action}: the interface has a reader, leave its loop first`);
      if (nic.#writer.isWaiting) {
        throw new TypeError(`Cannot ${action}: the interface has writes that wait, await them first`);
      }
      // Asks for no signal, which nobody waits for anyway: the answer says whether a switch has the interface
      const answer = nic.#port.shim.vn_interest(nic.#port.handle, 0);
      if (answer < 0) throw nic.#port.errorOf(action, -answer);
      return nic.#port.handle;
    };
  }

  private constructor(context: Context, handle: number, options: InterfaceOptions, parameters: InterfaceParameters) {
    const limits = limitsOf(options, parameters);
    this.#port = new Port(context, handle, limits);
    this.#reader = new PacketReader(this.#port);
    this.#writer = new PacketWriter(this.#port);
    this.options = Object.freeze({ ...options });
    this.parameters = parameters;
    this.macAddress = parameters.macAddress ?? "";
    this.mtu = parameters.mtu ?? 1500;
    this.maxPacketSize = limits.maxPacketSize;
    this.maxReadPacketCount = limits.maxReadPacketCount;
    this.maxWritePacketCount = limits.maxWritePacketCount;
  }

  /**
   * Starts an interface.
   *
   * @param options Its mode or network, and what else vmnet takes.
   * @param limits Signal and timeout of the start.
   * @returns The interface, ready to read and write.
   * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others.
   * @throws {RangeError} If an option is out of range.
   * @throws {UnsupportedError} If this system cannot do it; mode bridged needs macOS, and is not verified on hardware.
   * @throws {VmnetError} If the network says no.
   *
   * @example Usage
   * ```ts
   * import { Interface } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * await using nic = await Interface.start({ mode: "host", mtu: 1400 });
   * assertEquals(nic.mtu, 1400);
   * assertEquals(nic.maxPacketSize, 1414);
   * ```
   */
  static async start(options: InterfaceOptions, limits?: OperationOptions): Promise<Interface> {
    const action = "start interface";
    const { network, entries, given } = encodeInterfaceOptions(options);
    const context = Context.current ?? await Context.open();
    const target = network === undefined ? context.handle : handleOf(network, action);
    const result = await context.operation(target, Op.interfaceStart, action, entries, limits);
    return new Interface(context, result.number("handle") ?? 0, given, decodeInterfaceParameters(result));
  }

  /**
   * Packets, each a `Uint8Array` of its own to keep. Those that were read together share one buffer, so one that is
   * kept for long keeps up to 127 others in memory; `slice()` it then.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#reader.packets();
  }

  /**
   * Packets in batches, without an allocation per packet. A batch is good until the loop asks for the next one;
   * {@linkcode PacketBatch.copy} keeps it.
   *
   * @param options A signal that ends the loop quietly.
   * @returns The batches, none of them empty.
   *
   * @example Usage
   * ```ts
   * import { Interface } from "vmnet";
   *
   * await using nic = await Interface.start({ mode: "host" });
   * let bytes = 0;
   * for await (const batch of nic.batches({ signal: AbortSignal.timeout(10) })) {
   *   for (let i = 0; i < batch.length; i++) bytes += batch.byteLength(i);
   * }
   * console.log(`${bytes} bytes`);
   * ```
   */
  batches(options?: ReadOptions): AsyncIterableIterator<PacketBatch> {
    return this.#reader.batches(options);
  }

  /**
   * Reads the packets that are there, without waiting.
   *
   * @param batch Where they go; what was in it is gone.
   * @returns How many there are; 0 when none are.
   * @throws {TypeError} If there is another reader.
   * @throws {RangeError} If the batch is made for shorter packets than {@linkcode Interface.maxPacketSize}.
   * @throws {VmnetError} If the interface was stopped or its network ended.
   *
   * @example Usage
   * ```ts
   * import { Interface, PacketBatch } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * await using nic = await Interface.start({ mode: "host" });
   * const batch = new PacketBatch({ maxPacketSize: nic.maxPacketSize });
   * const count = nic.read(batch);
   * assertEquals(batch.length, count);
   * ```
   */
  read(batch: PacketBatch): number {
    return this.#reader.read(batch);
  }

  /**
   * Waits until packets are there. On macOS it goes by vmnet's estimate, which may be of packets that have been read
   * meanwhile; {@linkcode Interface.read} then answers 0.
   *
   * @param options A signal that ends the waiting; the promise then rejects with its reason.
   * @returns vmnet's estimate of how many there are, at least 1.
   * @throws {TypeError} If there is another reader.
   * @throws {VmnetError} If the interface is stopped or its network ends.
   */
  async readable(options?: ReadOptions): Promise<number> {
    return await this.#reader.readable(options);
  }

  /**
   * Writes packets, all of them. Their bytes have been taken when this returns, so a buffer can be used again at once.
   * The promise is for back-pressure: it resolves when there is room for more.
   *
   * @param packets One packet, a batch, or several packets. If one has a wrong size, none is written.
   * @returns Resolves when the interface has taken them.
   * @throws {TypeError} If it is something else, or its buffer was transferred.
   * @throws {VmnetError} With code `invalidArgument` or `packetTooBig` if a packet has a wrong size; with another code
   * if the interface was stopped or its network ended.
   */
  write(packets: Packets): Promise<void> {
    return this.#writer.write(packets);
  }

  /**
   * Writes packets as far as there is room, without waiting.
   *
   * @param packets One packet, a batch, or several packets. If one has a wrong size, none is written.
   * @returns How many were taken, from the first on. The rest is for a later call, or for {@linkcode Interface.write}.
   * @throws {TypeError} If it is something else, or its buffer was transferred.
   * @throws {RangeError} If there are more than {@linkcode Interface.maxWritePacketCount}.
   * @throws {VmnetError} As {@linkcode Interface.write}.
   *
   * @example Usage
   * ```ts
   * import { Interface } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * await using nic = await Interface.start({ mode: "host" });
   * assertEquals(nic.tryWrite([new Uint8Array(60), new Uint8Array(1514)]), 2);
   * ```
   */
  tryWrite(packets: Packets): number {
    return this.#writer.tryWrite(packets);
  }

  /**
   * The interface's counters.
   *
   * @returns Numbers from the start on.
   * @throws {VmnetError} If the interface was stopped.
   */
  stats(): InterfaceStats {
    const action = "read statistics";
    if (this.#port.stopping) this.#port.check(action);
    const list = this.#port.context.get(this.#port.handle, Get.stats, action);
    const number = (key: keyof InterfaceStats) => list.number(key) ?? 0;
    return {
      framesIn: number("framesIn"),
      bytesIn: number("bytesIn"),
      framesOut: number("framesOut"),
      bytesOut: number("bytesOut"),
      droppedIn: number("droppedIn"),
      droppedOut: number("droppedOut") + this.#writer.dropped,
      wakes: number("wakes"),
      drains: number("drains"),
    };
  }

  /**
   * Makes a port of the host lead to a guest. On macOS only for an interface without a {@linkcode Network} object;
   * not verified on hardware.
   *
   * @param rule The rule.
   * @param limits Signal and timeout.
   * @throws {TypeError} If a field is missing, not known, or has the wrong kind.
   * @throws {RangeError} If a field is out of range.
   * @throws {VmnetError} If the network says no, with code `inUse` if the port is taken.
   */
  async addPortForwardingRule(rule: PortForwardingRule, limits?: OperationOptions): Promise<void> {
    this.#port.check("add port forwarding rule");
    await addRule(this.#port.context, this.#port.handle, rule, limits);
  }

  /**
   * Takes a rule back.
   *
   * @param key Which one.
   * @param limits Signal and timeout.
   * @throws {VmnetError} With code `notFound` if there is no such rule.
   */
  async removePortForwardingRule(key: PortForwardingKey, limits?: OperationOptions): Promise<void> {
    this.#port.check("remove port forwarding rule");
    await removeRule(this.#port.context, this.#port.handle, key, limits);
  }

  /**
   * The rules in force.
   *
   * @param limits Signal and timeout.
   * @returns Every rule.
   */
  async portForwardingRules(limits?: OperationOptions): Promise<PortForwardingRule[]> {
    this.#port.check("list port forwarding rules");
    return await listRules(this.#port.context, this.#port.handle, limits);
  }

  /**
   * Stops the interface. Its loop ends quietly, writes that wait fail with code `stopped`. Repeated calls answer the
   * first one's promise.
   *
   * @returns Resolves when nothing of it is left.
   * @throws {VmnetError} On macOS, with code `timeout`, if vmnet has not answered after 30 seconds: nothing works any
   * more, and what is left goes when vmnet answers.
   */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { context, handle } = this.#port;
    this.#port.stop();
    try {
      await context.operation(handle, Op.stop, "stop interface", []);
    } finally {
      context.detach(handle);
    }
  }

  /** Stops the interface. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function limitsOf(options: InterfaceOptions, parameters: InterfaceParameters): PortLimits {
  const header = options.enableVirtioHeader ? VIRTIO_HEADER : 0;
  return {
    minPacketSize: 14 + header,
    maxPacketSize: (parameters.maxPacketSize ?? 1514) + header,
    maxReadPacketCount: parameters.readMaxPackets ?? PACKETS_PER_CALL,
    maxWritePacketCount: parameters.writeMaxPackets ?? PACKETS_PER_CALL,
  };
}
