// SPDX-License-Identifier: MIT

/**
 * Serves VMs on a unix socket, in the stream framing of QEMU, socket_vmnet and libkrun: a length of 4 bytes, then the
 * frame. Each client gets an interface of its own on one network; every frame passes through the loops below.
 *
 *     deno run -A tools/vmnetd.ts --socket /tmp/vm.sock
 *     qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm.sock -device virtio-net-pci,netdev=n
 *
 * Theory of operation: what a chunk from a client holds goes to its interface as views of the chunk, in one call; when
 * the interface is full the socket is paused until it is not. What an interface has goes to its client in one buffer;
 * while a client does not read, its interface is not read either, so that its own ring fills up and drops its own
 * frames, which are counted. Nothing grows without bound, and no client waits for another.
 *
 * @module
 */

import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import process from "node:process";
import {
  type DhcpReservation,
  Interface,
  interrupted,
  Network,
  type NetworkOptions,
  type PortForwardingRule,
  VmnetError,
} from "vmnet";
import { encodeStream, FramingError, StreamDecoder } from "vmnet/framing";
import { integer, list, main, type Print, printer, readOptions, text, UsageError, type Values } from "./_cli.ts";

const NAME = "vmnetd";

const options = {
  socket: { value: "PATH", help: "unix socket to serve", required: true },
  mode: { value: "MODE", help: "shared (default) or host" },
  subnet: { value: "A.B.C.D/N", help: "IPv4 subnet; a free one by default" },
  reserve: { value: "MAC=IP", help: "keep an address for a guest", repeat: true },
  forward: {
    value: "PROTO:PORT:IP:PORT",
    help: "lead a port of this machine to a guest, e.g. tcp:8080:192.168.64.2:80",
    repeat: true,
  },
  mtu: { value: "BYTES", help: "largest IP packet, 68 to 65535; 1500 by default" },
  "stats-interval": { value: "SECONDS", help: "print counters so often; only at the end by default" },
  json: { help: "print one JSON object a line" },
} as const;

/** Shortest Ethernet frame that an interface takes. */
const MIN_FRAME = 14;

/** Bytes that may wait in a client's socket before its interface is left alone. */
const MAX_WAITING = 1 << 20;

/** Bytes that the path of a socket can have. */
const PATH_LIMIT = process.platform === "darwin" ? 103 : 107;

const byteLength = (text: string) => new TextEncoder().encode(text).length;

/** Why a client was disconnected, for the log. */
type Goodbye = "closed" | "bad stream" | "network gone" | "error";

/** A VM and its interface. */
class Client {
  /** Number of the client, in the order of arrival. */
  readonly id: number;
  /** Frames that were too short or too long for the interface. */
  droppedBad = 0;

  readonly #socket: Socket;
  readonly #nic: Interface;
  readonly #decoder = new StreamDecoder();
  readonly #ending = new AbortController();
  #goodbye: Goodbye = "closed";

  constructor(id: number, socket: Socket, nic: Interface) {
    [this.id, this.#socket, this.#nic] = [id, socket, nic];
  }

  /** Serves the client to its end. Answers why it ended, and its last counters. */
  async serve(): Promise<Record<string, unknown>> {
    const socket = this.#socket;
    socket.on("error", () => this.close("error"));
    socket.on("close", () => this.close("closed"));
    socket.on("data", (chunk: Uint8Array) => this.#fromClient(chunk));
    socket.resume();
    try {
      await this.#toClient();
    } catch (error) {
      this.close(error instanceof VmnetError && error.code === "networkGone" ? "network gone" : "error");
    }
    try {
      return { why: this.#goodbye, ...this.stats() };
    } finally {
      await this.#nic.stop();
    }
  }

  /** Ends the client. The first reason counts. */
  close(why: Goodbye): void {
    if (this.#ending.signal.aborted) return;
    this.#goodbye = why;
    this.#ending.abort();
    this.#socket.destroy();
  }

  /** The counters of the client's interface, by the guest's view: it sent what came out of the socket. */
  stats(): Record<string, number> {
    const { framesIn, bytesIn, framesOut, bytesOut, droppedIn, droppedOut } = this.#nic.stats();
    const dropped = { droppedToGuest: droppedIn, droppedFromGuest: droppedOut + this.droppedBad };
    return { toGuest: framesIn, bytesToGuest: bytesIn, fromGuest: framesOut, bytesFromGuest: bytesOut, ...dropped };
  }

  #fromClient(chunk: Uint8Array): void {
    let failure: FramingError | undefined;
    let frames: readonly Uint8Array[];
    try {
      frames = this.#decoder.decode(chunk);
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      failure = error;
      frames = error.frames;
    }
    this.#write(frames.every(({ length }) => this.#fits(length)) ? frames : this.#fitting(frames));
    if (failure !== undefined) this.close("bad stream");
  }

  #fits(length: number): boolean {
    return length >= MIN_FRAME && length <= this.#nic.maxPacketSize;
  }

  #fitting(frames: readonly Uint8Array[]): Uint8Array[] {
    const fitting = frames.filter(({ length }) => this.#fits(length));
    this.droppedBad += frames.length - fitting.length;
    return fitting;
  }

  #write(frames: readonly Uint8Array[]): void {
    if (frames.length === 0 || this.#ending.signal.aborted) return;
    const limit = this.#nic.maxWritePacketCount;
    let sent = 0;
    try {
      for (let taken = -1; sent < frames.length && taken !== 0; sent += taken) {
        taken = this.#nic.tryWrite(sent === 0 && frames.length <= limit ? frames : frames.slice(sent, sent + limit));
      }
      if (sent === frames.length) return;
      this.#socket.pause();
      this.#nic.write(frames.slice(sent)).then(() => this.#socket.resume(), () => this.close("network gone"));
    } catch {
      this.close("network gone");
    }
  }

  async #toClient(): Promise<void> {
    const { signal } = this.#ending;
    for await (const batch of this.#nic.batches({ signal })) {
      if (this.#socket.write(encodeStream(batch)) || this.#socket.writableLength < MAX_WAITING) continue;
      await drained(this.#socket, signal);
    }
  }
}

/** Waits until a socket has room, or the client has ended. */
function drained(socket: Socket, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => {
    socket.off("drain", end);
    signal.removeEventListener("abort", end);
    resolve();
  };
  if (signal.aborted) return Promise.resolve();
  socket.on("drain", end);
  signal.addEventListener("abort", end);
  return promise;
}

/** Everything that is served: one network and its clients. */
class Daemon {
  readonly #network: Network;
  readonly #print: Print;
  readonly #clients = new Map<Client, Promise<void>>();
  readonly #accepting = new Set<Promise<void>>();
  #nextId = 1;
  #isEnding = false;

  constructor(network: Network, print: Print) {
    [this.#network, this.#print] = [network, print];
  }

  /** Takes a client whose socket is paused. */
  accept(socket: Socket): void {
    const accepting = this.#accept(socket).finally(() => this.#accepting.delete(accepting));
    this.#accepting.add(accepting);
  }

  async #accept(socket: Socket): Promise<void> {
    const id = this.#nextId++;
    socket.on("error", () => {});
    let nic: Interface;
    try {
      nic = await Interface.start({ network: this.#network });
    } catch (error) {
      this.#print("refused", { client: id, why: (error as Error).message });
      return void socket.destroy();
    }
    if (this.#isEnding || socket.destroyed) {
      socket.destroy();
      return await nic.stop().catch(() => {});
    }
    const client = new Client(id, socket, nic);
    this.#print("connected", { client: id });
    this.#clients.set(client, this.#serve(client));
  }

  async #serve(client: Client): Promise<void> {
    try {
      this.#print("disconnected", { client: client.id, ...await client.serve() });
    } catch (error) {
      this.#print("disconnected", { client: client.id, why: (error as Error).message });
    }
    this.#clients.delete(client);
  }

  /** Prints the counters of every client. */
  printStats(): void {
    for (const client of this.#clients.keys()) this.#print("stats", { client: client.id, ...client.stats() });
  }

  /** Prints leases as they come, until the network is stopped. */
  async printLeases(): Promise<void> {
    for await (const { change, macAddress, address, hostname } of this.#network.leases()) {
      this.#print("lease", { change, mac: macAddress, address, hostname });
    }
  }

  /** Ends every client, then the network. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#accepting);
    const serving = [...this.#clients.values()];
    for (const client of this.#clients.keys()) client.close("closed");
    await Promise.all(serving);
    await this.#network.stop();
  }
}

function reservation(text: string): DhcpReservation {
  const [mac, address, ...rest] = text.split("=");
  if (!mac || !address || rest.length > 0) throw new UsageError(`--reserve takes MAC=IP, not "${text}"`);
  return { mac, address };
}

function rule(text: string): PortForwardingRule {
  // The address may be IPv6 in brackets
  const match = /^(tcp|udp):(\d+):(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  if (match === null) throw new UsageError(`--forward takes PROTO:PORT:IP:PORT, not "${text}"`);
  const [, protocol, external, ipv6, ipv4, internal] = match;
  const ports = { externalPort: Number(external), internalPort: Number(internal) };
  return { protocol: protocol as "tcp" | "udp", internalAddress: (ipv6 ?? ipv4)!, ...ports };
}

function networkOptions(values: Values): NetworkOptions {
  const [mode, ipv4Subnet, mtu] = [text(values, "mode"), text(values, "subnet"), integer(values, "mtu", 68, 65535)];
  return {
    mode: (mode ?? "shared") as "shared",
    ...(ipv4Subnet === undefined ? {} : { ipv4Subnet }),
    ...(mtu === undefined ? {} : { mtu }),
    dhcpReservations: list(values, "reserve").map(reservation),
    portForwardingRules: list(values, "forward").map(rule),
  };
}

function cannotListen(path: string, why: string): Error {
  return new Error(`Cannot listen on "${path}": ${why}`);
}

/** Removes the socket of a daemon that was killed. One that answers is left alone. */
async function removeStale(path: string): Promise<void> {
  const answer = await new Promise<string>((resolve) => {
    const socket = createConnection(path, () => resolve("it is in use"));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("connect", () => socket.destroy());
  });
  if (answer === "ENOENT") return;
  if (answer !== "ECONNREFUSED") throw cannotListen(path, answer);
  if (!lstatSync(path).isSocket()) throw cannotListen(path, "it is not a socket");
  rmSync(path);
}

/**
 * Listens on a socket that only this user can connect to. It is bound in a directory of this user alone, and moved to
 * its place when its own permissions are set: in between, it would be as open as the umask lets it be.
 */
async function listen(server: Server, path: string): Promise<void> {
  let directory: string | undefined;
  try {
    directory = mkdtempSync(`${dirname(path)}/.`);
    const bound = join(directory, "s");
    if (byteLength(bound) > PATH_LIMIT) throw new Error("the path of its directory is too long");
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(bound, resolve));
    server.removeAllListeners("error");
    chmodSync(bound, 0o600);
    renameSync(bound, path);
  } catch (error) {
    throw cannotListen(path, (error as Error).message.split(", ")[0]!); // without the name that it has meanwhile
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

await main(NAME, async () => {
  const values = readOptions(NAME, "Serves VMs on a unix socket with QEMU's stream framing.", options);
  const path = text(values, "socket")!;
  if (byteLength(path) > PATH_LIMIT || path === "") {
    throw new UsageError(`--socket takes a path of 1 to ${PATH_LIMIT} bytes, not "${path}"`);
  }
  const interval = integer(values, "stats-interval", 1, 86400);
  const print = printer(values["json"] === true);
  const signal = interrupted();
  const network = await Network.create(networkOptions(values));
  const daemon = new Daemon(network, print);
  await removeStale(path);
  const server = createServer({ pauseOnConnect: true }, (socket) => daemon.accept(socket));
  await listen(server, path);
  // For instance when descriptors run out; those that are served are served on
  server.on("error", (error) => print("error", { why: error.message }));
  const { mode, ipv4Subnet, ipv4Gateway, mtu } = network;
  print("listening", { socket: path, mode, subnet: ipv4Subnet, gateway: ipv4Gateway, mtu });
  const timer = interval === undefined ? undefined : setInterval(() => daemon.printStats(), interval * 1000);
  const leases = daemon.printLeases(); // goes on until the network ends
  try {
    print("stopping", { signal: await Promise.race([signal, leases]) });
  } finally {
    clearInterval(timer);
    server.close();
    rmSync(path, { force: true });
    await daemon.stop();
  }
  await leases;
});
