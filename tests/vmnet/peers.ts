// SPDX-License-Identifier: MIT

/**
 * Machines on the other side of an endpoint, for tests: they speak QEMU's framing over a socket.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DataPlane, type LoneSwitchOptions, type PortEvent, Switch } from "vmnet";
import { encodeStream, StreamDecoder } from "vmnet/framing";
import { delay, numbered, numberOf } from "./frames.ts";

/** A machine on a byte stream. */
export class Peer implements AsyncDisposable {
  /** Frames that have come. */
  readonly frames: Uint8Array[] = [];
  readonly socket: Socket;
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;
  readonly #decoder = new StreamDecoder();
  #taken = 0;

  /** Takes a socket that is connected. */
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on(
      "data",
      (chunk: Uint8Array) => this.frames.push(...this.#decoder.decode(chunk).map((frame) => frame.slice())),
    );
    socket.on("error", () => {}); // "close" follows
    this.closed = new Promise((resolve) => socket.on("close", () => resolve()));
  }

  /** Connects to a TCP port of this machine, or to a path. */
  static async connect(to: number | string): Promise<Peer> {
    const socket = typeof to === "number" ? connect(to, "127.0.0.1") : connect(to);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Peer(socket);
  }

  /** Sends frames. */
  send(...frames: Uint8Array[]): void {
    this.socket.write(encodeStream(frames));
  }

  /** Sends a numbered frame, as a machine of that address does. */
  sendNumber(number: number, from = 1): void {
    this.send(numberedFrom(number, from));
  }

  /** The numbers of the experimental frames that have come. */
  get numbers(): number[] {
    return this.frames.map(numberOf).filter((number) => number !== undefined);
  }

  /** Takes the numbers of experimental frames, once there are so many; later ones come with the next call. */
  async take(count: number): Promise<number[]> {
    await until(() => this.numbers.length >= this.#taken + count, `${count} frames, there are ${this.numbers.length}`);
    this.#taken += count;
    return this.numbers.slice(this.#taken - count, this.#taken);
  }

  /** Waits until a numbered frame has come. */
  async received(number: number): Promise<void> {
    await until(() => this.numbers.includes(number), `frame ${number}`);
  }

  /** Closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** Something that a switch connects to. */
export class Listener implements AsyncDisposable {
  readonly #server: Server;
  readonly #peers: Peer[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#peers.push(new Peer(socket)));
  }

  /** Listens at a path, or at a free TCP port. */
  static async start(path?: string): Promise<Listener> {
    const server = createServer();
    const listener = new Listener(server);
    await new Promise<void>((resolve) =>
      path === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(path, resolve)
    );
    return listener;
  }

  /** The TCP port. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** The next one who connects. */
  async accept(): Promise<Peer> {
    await until(() => this.#peers.length > 0, "a connection");
    return this.#peers.shift()!;
  }

  /** Closes it, and who is connected. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Two machines on a switch of their own. */
export class Wire implements AsyncDisposable {
  readonly sw: Switch;
  readonly a: Peer;
  readonly b: Peer;
  /** Numbers of their ports. */
  readonly ports: { a: number; b: number };

  private constructor(sw: Switch, a: Peer, b: Peer, ports: { a: number; b: number }) {
    [this.sw, this.a, this.b, this.ports] = [sw, a, b, ports];
  }

  /** Starts them. */
  static async start(options: LoneSwitchOptions = {}): Promise<Wire> {
    const sw = await Switch.create(options);
    const door = await sw.listen({ kind: "stream", port: 0 });
    const events = sw.events();
    const join = async () => {
      const peer = await Peer.connect(door.port);
      const { value } = await events.next();
      if (value?.type !== "connected") throw new Error(`not connected but ${value?.type}`);
      return [peer, value.port] as const;
    };
    const [a, portA] = await join();
    const [b, portB] = await join();
    await events.return!();
    return new Wire(sw, a, b, { a: portA, b: portB });
  }

  /** Stops them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a, this.b].map((peer) => peer[Symbol.asyncDispose]()));
    await this.sw.stop();
  }
}

/** A folder for sockets, with a short path, removed at the end. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "vn-"));

  /** A path in it. */
  at(name: string): string {
    return join(this.path, name);
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A broadcast frame with a number, from the machine 02:00:00:00:00:`from`. */
export function numberedFrom(number: number, from: number, length = 60): Uint8Array {
  const frame = numbered(number, length);
  frame[11] = from;
  return frame;
}

/** Waits until something holds. */
export async function until(holds: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  for (const end = performance.now() + timeoutMs; !holds(); await delay(2)) {
    if (performance.now() > end) throw new Error(`not seen within ${timeoutMs} ms: ${what}`);
  }
}

/** Waits for the first event of a type. */
export async function eventOf(plane: DataPlane, type: PortEvent["type"]): Promise<PortEvent> {
  for await (const event of plane.events({ signal: AbortSignal.timeout(10_000) })) {
    if (event.type === type) return event;
  }
  throw new Error(`no event of type ${type}`);
}

let compiles: Promise<boolean> | undefined;

/** The skip option of a test that compiles a filter. */
export async function withoutFilters(open: () => Promise<DataPlane>): Promise<string | false> {
  compiles ??= open().then(async (plane) => {
    try {
      await plane.tap({ filter: "ip" });
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code === "missing") return false;
      throw error;
    } finally {
      await plane.stop();
    }
  });
  return !await compiles && "libpcap is not installed";
}
