// SPDX-License-Identifier: MIT

/**
 * What `perf` sends by and receives from: an interface, or a client of a vmnetd.
 *
 * @module
 */

import { createConnection, type Socket } from "node:net";
import { Interface, Network, PacketBatch } from "vmnet";
import { encodeStream, StreamDecoder } from "vmnet/framing";

/** Bytes of a frame that say what it is: addresses, a type for experiments, the run, a mark, and a time. */
export const HEADER = 24;

/** Frames of one write at the most. */
export const BATCH = 64;

const [TYPE_HIGH, TYPE_LOW] = [0x88, 0xb5];

/** Is told of the frames of a run: how many came together, and the times that some of them carry. */
export type Receiver = (run: number, count: number, sentAt: readonly number[]) => void;

/** 1, 2, 4, … up to {@linkcode BATCH} frames, ready to be sent again and again. */
export interface Load {
  /** Sends so many frames, a power of two; the first of them carries the time of now. Resolves when there is room for more. */
  send(count: number): Promise<void>;
}

/** One end of what is measured. */
export interface End {
  readonly mac: Uint8Array;
  /** Longest frame in bytes. */
  readonly most: number;
  /** Makes frames to another address. */
  load(run: number, size: number, to: Uint8Array): Load;
  /** Tells of frames that come, until the end is stopped. */
  receive(receiver: Receiver): Promise<void>;
  stop(): Promise<void>;
}

function frameOf(run: number, size: number, from: Uint8Array, to: Uint8Array): Uint8Array {
  const frame = new Uint8Array(size);
  frame.set(to);
  frame.set(from, 6);
  frame.set([TYPE_HIGH, TYPE_LOW, run, 0], 12);
  return frame;
}

/** Sizes of a load's pieces. */
const powers: readonly number[] = Array.from({ length: Math.log2(BATCH) + 1 }, (_, i) => 2 ** i);

/** Where the mark and the time of a frame are. */
const [MARK, TIME] = [15, 16] as const;

/** Sums up frames that came together. */
class Sum {
  run = 0;
  count = 0;
  times: number[] = [];

  constructor(readonly receiver: Receiver) {}

  /** Adds a frame if it is one of ours. */
  add(bytes: Uint8Array, at: number, length: number): void {
    if (length < HEADER || bytes[at + 12] !== TYPE_HIGH || bytes[at + 13] !== TYPE_LOW) return;
    const run = bytes[at + 14]!;
    if (run !== this.run) this.tell(run);
    this.count++;
    if (bytes[at + MARK] === 1) {
      this.times.push(new DataView(bytes.buffer, bytes.byteOffset + at + TIME, 8).getFloat64(0));
    }
  }

  /** Tells of what there is, and begins anew. */
  tell(next: number = this.run): void {
    if (this.count > 0) this.receiver(this.run, this.count, this.times);
    [this.run, this.count, this.times] = [next, 0, []];
  }
}

const macBytes = (text: string): Uint8Array => Uint8Array.from(text.split(":"), (octet) => Number.parseInt(octet, 16));

/** An interface, by the library's batches. */
class InterfaceEnd implements End {
  readonly mac: Uint8Array;
  readonly most: number;
  readonly #nic: Interface;

  constructor(nic: Interface) {
    [this.#nic, this.mac, this.most] = [nic, macBytes(nic.macAddress), nic.maxPacketSize];
  }

  load(run: number, size: number, to: Uint8Array): Load {
    const frame = frameOf(run, size, this.mac, to);
    const batches = new Map(powers.map((count) => {
      const batch = new PacketBatch({ slots: count, maxPacketSize: Math.max(size, 64) });
      for (let i = 0; i < count; i++) batch.push(frame);
      batch.bytes[batch.offset(0) + MARK] = 1;
      const { buffer, byteOffset } = batch.bytes;
      return [count, { batch, time: new DataView(buffer, byteOffset + batch.offset(0) + TIME, 8) }] as const;
    }));
    return {
      send: (count) => {
        const { batch, time } = batches.get(count)!;
        time.setFloat64(0, performance.now());
        return this.#nic.write(batch);
      },
    };
  }

  async receive(receiver: Receiver): Promise<void> {
    const sum = new Sum(receiver);
    for await (const { bytes, descriptors, length } of this.#nic.batches()) {
      for (let i = 0; i < length; i++) sum.add(bytes, descriptors[6 * i]!, descriptors[6 * i + 1]!);
      sum.tell();
    }
  }

  async stop(): Promise<void> {
    await this.#nic.stop();
  }
}

/** A client on a stream socket of a vmnetd, as a VM would be one. */
class SocketEnd implements End {
  readonly mac: Uint8Array = crypto.getRandomValues(new Uint8Array(6));
  readonly most = 65_550;
  readonly #path: string;
  readonly #socket: Socket;

  private constructor(path: string, socket: Socket) {
    [this.#path, this.#socket] = [path, socket];
    this.mac[0] = (this.mac[0]! & 0xfc) | 2; // given locally, to one
  }

  static async connect(path: string): Promise<SocketEnd> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error) => reject(new Error(`Cannot connect to "${path}": ${error.message}`)));
    });
    socket.removeAllListeners("error");
    socket.on("error", () => {}); // "close" follows
    return new SocketEnd(path, socket);
  }

  load(run: number, size: number, to: Uint8Array): Load {
    const frame = frameOf(run, size, this.mac, to);
    const pieces = new Map(powers.map((count) => {
      const bytes = encodeStream(Array.from({ length: count }, () => frame));
      bytes[4 + MARK] = 1;
      return [count, bytes] as const;
    }));
    return {
      send: async (count) => {
        const bytes = pieces.get(count)!.slice(); // the socket may keep it for a while
        new DataView(bytes.buffer, 4 + TIME, 8).setFloat64(0, performance.now());
        if (this.#socket.destroyed) throw new Error(`"${this.#path}" was closed`);
        if (this.#socket.write(bytes)) return;
        await new Promise<void>((resolve) => {
          const go = () => {
            this.#socket.off("drain", go).off("close", go);
            resolve();
          };
          this.#socket.on("drain", go).on("close", go);
        });
      },
    };
  }

  async receive(receiver: Receiver): Promise<void> {
    const [sum, decoder] = [new Sum(receiver), new StreamDecoder()];
    this.#socket.on("data", (chunk: Uint8Array) => {
      for (const frame of decoder.decode(chunk)) sum.add(frame, 0, frame.length);
      sum.tell();
    });
    await new Promise((resolve) => this.#socket.once("close", resolve));
  }

  async stop(): Promise<void> {
    this.#socket.destroy();
    await Promise.resolve();
  }
}

/** Two ends. */
export interface Ends {
  readonly a: End;
  readonly b: End;
  /** What they are, for people. */
  readonly what: string;
  stop(): Promise<void>;
}

/** Two interfaces on a network, which is stopped with them. */
async function onNetwork(network: Network, what: string): Promise<Ends> {
  const nics: Interface[] = [];
  const stop = async () => {
    await Promise.all(nics.map((nic) => nic.stop()));
    await network.stop();
  };
  try {
    for (let i = 0; i < 2; i++) nics.push(await Interface.start({ network }));
  } catch (error) {
    await stop();
    throw error;
  }
  return { a: new InterfaceEnd(nics[0]!), b: new InterfaceEnd(nics[1]!), what, stop };
}

/**
 * Makes the ends.
 *
 * @param sockets Two sockets of vmnetd, or none.
 * @param token The token of a network to join, instead.
 * @param longest The longest frame that is to be sent.
 */
export async function makeEnds(sockets: readonly string[], token: string | undefined, longest: number): Promise<Ends> {
  if (token !== undefined) {
    return await onNetwork(await Network.join(token), "two interfaces on a network that was joined");
  }
  if (sockets.length === 0) {
    const network = await Network.create({ mode: "host", dhcp: false, mtu: Math.max(1500, longest - 14) });
    return await onNetwork(network, "two interfaces on a host network of their own");
  }
  const a = await SocketEnd.connect(sockets[0]!);
  const b = await SocketEnd.connect(sockets[1]!).catch(async (error) => {
    await a.stop();
    throw error;
  });
  const stop = async () => void await Promise.all([a.stop(), b.stop()]);
  return { a, b, what: `two stream clients of vmnetd, ${[...new Set(sockets)].join(" and ")}`, stop };
}
