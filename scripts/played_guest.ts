// SPDX-License-Identifier: MIT

/**
 * A guest without a VM: just enough ARP, DHCP, ICMP and TCP to ask for an address, ping the gateway, fetch a page and
 * serve one. The demo plays it where no VM can be booted, and tests use it wherever a guest's word is enough.
 *
 * It takes a reliable network for granted: nothing is sent twice but what a timeout of its caller repeats.
 *
 * @module
 */

import { checksum, Writer } from "./played_packets.ts";

/** What DHCP gave to a {@linkcode PlayedGuest}. */
export interface PlayedLease {
  /** The guest's address. */
  address: string;
  /** The gateway's address, empty if none was told. */
  router: string;
  /** Addresses of DNS servers. */
  dns: string[];
  /** How long the lease is valid, in seconds. */
  leaseSeconds: number;
  /** Largest IP packet in bytes, 0 if not told. */
  mtu: number;
}

/** A TCP connection, seen by the guest. */
interface Connection {
  readonly remote: string;
  readonly remotePort: number;
  readonly localPort: number;
  /** What the other side sends. */
  received: string;
  sequence: number;
  expected: number;
  /** What to do once the connection stands. */
  established: (() => void) | undefined;
  /** Called after data and at the end. */
  changed: () => void;
  /** The other side has said all it had to say. */
  ended: boolean;
  /** The guest has. */
  finished: boolean;
}

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ANY = "0.0.0.0";

const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16] as const;
const [ICMP, TCP, UDP] = [1, 6, 17] as const;

const ipv4 = (bytes: Uint8Array, at: number): string => bytes.subarray(at, at + 4).join(".");
const u16 = (bytes: Uint8Array, at: number): number => bytes[at]! << 8 | bytes[at + 1]!;
const u32 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) << 16 | u16(bytes, at + 2)) >>> 0;

/** A guest that is only played. Frames for it go to {@linkcode PlayedGuest.receive}. */
export class PlayedGuest {
  /** MAC address of the guest. */
  readonly mac: string;
  /** IPv4 address, once DHCP gave one or it was set. */
  address: string = ANY;

  readonly #send: (frame: Uint8Array) => void;
  readonly #neighbours = new Map<string, string>();
  readonly #connections = new Map<string, Connection>();
  readonly #pages = new Map<number, string>();
  readonly #waiting = new Set<(frame: Uint8Array) => void>();
  #nextPort = 40000;
  #nextId = 1;

  /** Makes a guest that sends its frames by a function. */
  constructor(mac: string, send: (frame: Uint8Array) => void) {
    this.mac = mac;
    this.#send = send;
  }

  /** Takes a frame of the network. */
  receive(frame: Uint8Array): void {
    if (frame.length < 34) return;
    for (const look of [...this.#waiting]) look(frame);
    const type = u16(frame, 12);
    if (type === 0x0806) this.#receiveArp(frame);
    else if (type === 0x0800 && ipv4(frame, 30) === this.address) this.#receiveIpv4(frame);
  }

  /** Asks for an address. */
  async dhcp(hostname = "played", timeoutMs = 3000): Promise<PlayedLease> {
    const id = Math.floor(Math.random() * 0xffffffff);
    const offer = await this.#dhcpStep(id, 1, [], hostname, timeoutMs);
    const server = offer.get(54) ?? new Uint8Array(4);
    const address = offer.address;
    const options: [number, Uint8Array][] = [[50, Writer.ipv4(address)], [54, server]];
    const ack = await this.#dhcpStep(id, 3, options, hostname, timeoutMs);
    if (ack.type !== 5) throw new Error(`DHCP refused ${address}`);
    this.address = ack.address;
    const [router, dns, mtu] = [ack.get(3), ack.get(6) ?? new Uint8Array(0), ack.get(26)];
    return {
      address: ack.address,
      router: router ? ipv4(router, 0) : "",
      dns: Array.from({ length: dns.length / 4 }, (_, i) => ipv4(dns, 4 * i)),
      leaseSeconds: u32(ack.get(51) ?? new Uint8Array(4), 0),
      mtu: mtu ? u16(mtu, 0) : 0,
    };
  }

  async #dhcpStep(id: number, type: number, options: [number, Uint8Array][], hostname: string, timeoutMs: number) {
    const message = new Writer().u8(1, 1, 6, 0).u32(id).u16(0, 0x8000).u32(0, 0, 0, 0).mac(this.mac).zeros(202);
    message.u32(0x63825363).u8(53, 1, type);
    for (const [code, value] of options) message.u8(code, value.length).bytes(value);
    const name = new TextEncoder().encode(hostname);
    message.u8(12, name.length).bytes(name).u8(55, 5, 1, 3, 6, 26, 51, 255);
    const answer = this.#expect((frame) => {
      if (u16(frame, 12) !== 0x0800 || frame[23] !== UDP || u16(frame, 36) !== 68) return undefined;
      const reply = frame.subarray(42);
      if (reply.length < 241 || u32(reply, 4) !== id) return undefined;
      const found = new Map<number, Uint8Array>();
      for (let at = 240; at < reply.length && reply[at] !== 255; at += reply[at] === 0 ? 1 : 2 + reply[at + 1]!) {
        if (reply[at] !== 0) found.set(reply[at]!, reply.slice(at + 2, at + 2 + reply[at + 1]!));
      }
      return {
        address: ipv4(reply, 16),
        type: found.get(53)?.[0] ?? 0,
        get: (code: number) => found.get(code),
      };
    }, timeoutMs);
    this.#sendIpv4(BROADCAST, ANY, "255.255.255.255", UDP, udp(68, 67, message.finish()));
    const reply = await answer;
    if (reply === undefined) throw new Error("no answer by DHCP");
    return reply;
  }

  /** Finds out the MAC address of a neighbour. */
  async resolve(address: string, timeoutMs = 2000): Promise<string> {
    const known = this.#neighbours.get(address);
    if (known !== undefined) return known;
    const answer = this.#expect((frame) => {
      return u16(frame, 12) === 0x0806 && u16(frame, 20) === 2 && ipv4(frame, 28) === address ? true : undefined;
    }, timeoutMs);
    this.#sendArp(BROADCAST, 1, "00:00:00:00:00:00", address);
    if (!await answer) throw new Error(`no answer by ARP from ${address}`);
    return this.#neighbours.get(address)!;
  }

  /** Pings a neighbour; answers whether it replied. */
  async ping(address: string, timeoutMs = 2000): Promise<boolean> {
    const mac = await this.resolve(address, timeoutMs);
    const id = this.#nextId++;
    const answer = this.#expect((frame) => {
      const isReply = u16(frame, 12) === 0x0800 && frame[23] === ICMP && frame[34] === 0 && u16(frame, 38) === id;
      return isReply && ipv4(frame, 26) === address ? true : undefined;
    }, timeoutMs);
    const message = new Writer().u8(8, 0).u16(0, id, 1).bytes(new TextEncoder().encode("how do you do")).finish();
    new DataView(message.buffer).setUint16(2, checksum(message));
    this.#sendIpv4(mac, this.address, address, ICMP, message);
    return await answer === true;
  }

  /** Fetches a page by HTTP through a gateway; answers what came, head and body. */
  async fetch(gateway: string, address: string, port: number, path: string, timeoutMs = 5000): Promise<string> {
    const mac = await this.resolve(gateway, timeoutMs);
    this.#neighbours.set(address, mac);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const connection = this.#connect(address, port, this.#nextPort++);
    const timer = setTimeout(() => reject(new Error(`no answer from ${address}:${port}`)), timeoutMs);
    connection.established = () => {
      const request = `GET ${path} HTTP/1.0\r\nHost: ${address}\r\nConnection: close\r\n\r\n`;
      this.#sendTcp(connection, PSH | ACK, new TextEncoder().encode(request));
    };
    connection.changed = () => void (connection.ended && resolve(connection.received));
    this.#sendTcp(connection, SYN);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Serves a page at a port. */
  serve(port: number, body: string): void {
    this.#pages.set(port, body);
  }

  /** Waits for a frame that a function recognizes. */
  #expect<T>(recognize: (frame: Uint8Array) => T | undefined, timeoutMs: number): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<T | undefined>();
    const end = (found: T | undefined) => {
      clearTimeout(timer);
      this.#waiting.delete(look);
      resolve(found);
    };
    const look = (frame: Uint8Array) => {
      const found = recognize(frame);
      if (found !== undefined) end(found);
    };
    const timer = setTimeout(() => end(undefined), timeoutMs);
    this.#waiting.add(look);
    return promise;
  }

  #sendArp(to: string, operation: number, targetMac: string, target: string): void {
    const frame = new Writer().mac(to).mac(this.mac).u16(0x0806, 1, 0x0800, 0x0604, operation);
    this.#send(frame.mac(this.mac).bytes(Writer.ipv4(this.address)).mac(targetMac).bytes(Writer.ipv4(target)).finish());
  }

  #receiveArp(frame: Uint8Array): void {
    if (frame.length < 42) return;
    const sender = Writer.macText(frame.subarray(22, 28));
    this.#neighbours.set(ipv4(frame, 28), sender);
    if (u16(frame, 20) === 1 && ipv4(frame, 38) === this.address && this.address !== ANY) {
      this.#sendArp(sender, 2, sender, ipv4(frame, 28));
    }
  }

  #sendIpv4(mac: string, from: string, to: string, protocol: number, payload: Uint8Array): void {
    const header = new Writer().u8(0x45, 0).u16(20 + payload.length, this.#nextId++ & 0xffff, 0x4000).u8(64, protocol)
      .u16(0).bytes(Writer.ipv4(from)).bytes(Writer.ipv4(to)).finish();
    new DataView(header.buffer).setUint16(10, checksum(header));
    this.#send(new Writer().mac(mac).mac(this.mac).u16(0x0800).bytes(header).bytes(payload).finish());
  }

  #receiveIpv4(frame: Uint8Array): void {
    const header = (frame[14]! & 15) * 4;
    const from = ipv4(frame, 26);
    const payload = frame.subarray(14 + header, 14 + u16(frame, 16));
    this.#neighbours.set(from, Writer.macText(frame.subarray(6, 12)));
    if (frame[23] === ICMP && payload[0] === 8) {
      const reply = payload.slice();
      reply[0] = 0;
      new DataView(reply.buffer).setUint16(2, 0);
      new DataView(reply.buffer).setUint16(2, checksum(reply));
      this.#sendIpv4(this.#neighbours.get(from)!, this.address, from, ICMP, reply);
    } else if (frame[23] === TCP && payload.length >= 20) {
      this.#receiveTcp(from, payload);
    }
  }

  #connect(remote: string, remotePort: number, localPort: number): Connection {
    const sequence = Math.floor(Math.random() * 0x7fffffff);
    const changed = () => {};
    const state = {
      received: "",
      sequence,
      expected: 0,
      established: undefined,
      changed,
      ended: false,
      finished: false,
    };
    const connection = { remote, remotePort, localPort, ...state };
    this.#connections.set(`${remote} ${remotePort} ${localPort}`, connection);
    return connection;
  }

  #sendTcp(connection: Connection, flags: number, data: Uint8Array = new Uint8Array(0)): void {
    const { remote, remotePort, localPort, sequence, expected } = connection;
    const segment = new Writer().u16(localPort, remotePort).u32(sequence, (flags & ACK) === 0 ? 0 : expected)
      .u8(0x50, flags).u16(0xffff, 0, 0).bytes(data).finish();
    const pseudo = new Writer().bytes(Writer.ipv4(this.address)).bytes(Writer.ipv4(remote)).u16(TCP, segment.length);
    new DataView(segment.buffer).setUint16(16, checksum(pseudo.bytes(segment).finish()));
    connection.finished ||= (flags & FIN) !== 0;
    connection.sequence = sequence + data.length + (flags & (SYN | FIN) ? 1 : 0) >>> 0;
    this.#sendIpv4(this.#neighbours.get(remote)!, this.address, remote, TCP, segment);
  }

  #receiveTcp(from: string, segment: Uint8Array): void {
    const [remotePort, localPort, flags] = [u16(segment, 0), u16(segment, 2), segment[13]!];
    const key = `${from} ${remotePort} ${localPort}`;
    let connection = this.#connections.get(key);
    if (connection === undefined) {
      const page = this.#pages.get(localPort);
      if (page === undefined || (flags & SYN) === 0) return;
      connection = this.#accept(from, remotePort, localPort, page);
    }
    if ((flags & RST) !== 0) {
      this.#connections.delete(key);
      connection.ended = true;
      return connection.changed();
    }
    this.#receiveSegment(connection, segment, flags);
    if (connection.ended) this.#connections.delete(key);
  }

  #receiveSegment(connection: Connection, segment: Uint8Array, flags: number): void {
    const sequence = u32(segment, 4);
    if ((flags & SYN) !== 0) {
      connection.expected = sequence + 1 >>> 0;
      this.#sendTcp(connection, (flags & ACK) === 0 ? SYN | ACK : ACK);
      if ((flags & ACK) === 0) return;
    }
    const established = connection.established;
    connection.established = undefined;
    established?.();
    const data = segment.subarray((segment[12]! >>> 4) * 4);
    if ((flags & SYN) !== 0 || sequence !== connection.expected) return;
    connection.received += new TextDecoder().decode(data);
    connection.expected = sequence + data.length + (flags & FIN ? 1 : 0) >>> 0;
    connection.ended = (flags & FIN) !== 0;
    if (connection.ended) this.#sendTcp(connection, connection.finished ? ACK : FIN | ACK);
    else if (data.length > 0) this.#sendTcp(connection, ACK);
    connection.changed();
  }

  #accept(remote: string, remotePort: number, localPort: number, page: string): Connection {
    const connection = this.#connect(remote, remotePort, localPort);
    connection.changed = () => {
      if (!connection.received.includes("\r\n\r\n") || connection.ended) return;
      connection.received = "";
      const head = `HTTP/1.0 200 OK\r\nContent-Length: ${page.length}\r\nConnection: close\r\n\r\n`;
      this.#sendTcp(connection, PSH | ACK, new TextEncoder().encode(head + page));
      this.#sendTcp(connection, FIN | ACK);
    };
    return connection;
  }
}

function udp(from: number, to: number, data: Uint8Array): Uint8Array {
  // A checksum of 0 says that there is none, which IPv4 allows
  return new Writer().u16(from, to, 8 + data.length, 0).bytes(data).finish();
}
