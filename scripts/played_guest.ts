// SPDX-License-Identifier: MIT

/**
 * A guest without a VM: just enough ARP, DHCP, ICMP and TCP to ask for an address, ping the gateway, fetch a page and
 * serve one. The demo plays it where no VM can be booted, and tests use it wherever a guest's word is enough.
 *
 * It takes a reliable network for granted: nothing is sent twice but what a timeout of its caller repeats.
 *
 * @module
 */

import {
  arp,
  ArpOperation,
  type Dhcp,
  dhcp,
  DhcpMessageType,
  encoded,
  ethernet,
  icmp,
  IcmpType,
  ipv4,
  type Layer,
  Packet,
  PacketError,
  type Tcp,
  tcp,
  TcpFlag,
  udp,
} from "../packet/mod.ts";

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

const { fin: FIN, syn: SYN, psh: PSH, ack: ACK } = TcpFlag;

/** Options that the guest asks a DHCP server for: mask, router, DNS, MTU, lease time. */
const WANTED = [1, 3, 6, 26, 51];

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
  readonly #waiting = new Set<(packet: Packet) => void>();
  #nextPort = 40000;
  #nextId = 1;

  /** Makes a guest that sends its frames by a function. */
  constructor(mac: string, send: (frame: Uint8Array) => void) {
    this.mac = mac;
    this.#send = send;
  }

  /** Takes a frame of the network. */
  receive(frame: Uint8Array): void {
    // Who waits reads the packet later, when a borrowed frame is gone
    const packet = new Packet(this.#waiting.size > 0 ? frame.slice() : frame);
    try {
      for (const look of [...this.#waiting]) look(packet);
      if (packet.arp) this.#receiveArp(packet);
      else if (packet.ipv4?.destination.equals(this.address)) this.#receiveIpv4(packet);
    } catch (error) {
      if (!(error instanceof PacketError)) throw error; // tests send it nonsense
    }
  }

  /** Asks for an address. */
  async dhcp(hostname = "played", timeoutMs = 3000): Promise<PlayedLease> {
    const transactionId = Math.floor(Math.random() * 0xffffffff);
    const { discover, request, ack } = DhcpMessageType;
    const asks = { transactionId, hostName: hostname, parameterList: WANTED };
    const offer = await this.#askDhcp(
      dhcp({ ...asks, ...this.#client, messageType: discover }),
      transactionId,
      timeoutMs,
    );
    const { yourAddress: requestedAddress, serverIdentifier } = offer;
    const wish = { ...asks, ...this.#client, requestedAddress, ...(serverIdentifier && { serverIdentifier }) };
    const reply = await this.#askDhcp(dhcp({ ...wish, messageType: request }), transactionId, timeoutMs);
    if (reply.messageType !== ack) throw new Error(`DHCP refused ${requestedAddress}`);
    this.address = `${reply.yourAddress}`;
    return {
      address: this.address,
      router: `${reply.routers?.[0] ?? ""}`,
      dns: reply.dnsServers?.map(String) ?? [],
      leaseSeconds: reply.leaseSeconds ?? 0,
      mtu: reply.mtu ?? 0,
    };
  }

  /** How the guest names itself, and that it can be answered by broadcast alone. */
  get #client() {
    return { clientMac: this.mac, isBroadcast: true };
  }

  async #askDhcp(message: Layer, transactionId: number, timeoutMs: number): Promise<Dhcp> {
    const answer = this.#expect(
      ({ dhcp }) => dhcp?.operation === 2 && dhcp.transactionId === transactionId ? dhcp : undefined,
      timeoutMs,
    );
    this.#sendIpv4(BROADCAST, ANY, "255.255.255.255", udp({ sourcePort: 68, destinationPort: 67 }), message);
    const reply = await answer;
    if (reply === undefined) throw new Error("no answer by DHCP");
    return reply;
  }

  /** Finds out the MAC address of a neighbour. */
  async resolve(address: string, timeoutMs = 2000): Promise<string> {
    const known = this.#neighbours.get(address);
    if (known !== undefined) return known;
    const answer = this.#expect(
      ({ arp }) => arp?.operation === ArpOperation.reply && arp.senderIp.equals(address) ? true : undefined,
      timeoutMs,
    );
    this.#sendArp(BROADCAST, ArpOperation.request, undefined, address);
    if (!await answer) throw new Error(`no answer by ARP from ${address}`);
    return this.#neighbours.get(address)!;
  }

  /** Pings a neighbour; answers whether it replied. */
  async ping(address: string, timeoutMs = 2000): Promise<boolean> {
    const mac = await this.resolve(address, timeoutMs);
    const identifier = this.#nextId++;
    const answer = this.#expect(({ icmp, ipv4 }) => {
      const isReply = icmp?.type === IcmpType.echoReply && icmp.identifier === identifier;
      return isReply && ipv4?.source.equals(address) ? true : undefined;
    }, timeoutMs);
    const message = icmp({ type: IcmpType.echoRequest, identifier, sequence: 1 });
    this.#sendIpv4(mac, this.address, address, message, new TextEncoder().encode("how do you do"));
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

  /** Waits for a packet that a function recognizes. */
  #expect<T>(recognize: (packet: Packet) => T | undefined, timeoutMs: number): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<T | undefined>();
    const end = (found: T | undefined) => {
      clearTimeout(timer);
      this.#waiting.delete(look);
      resolve(found);
    };
    const look = (packet: Packet) => {
      const found = recognize(packet);
      if (found !== undefined) end(found);
    };
    const timer = setTimeout(() => end(undefined), timeoutMs);
    this.#waiting.add(look);
    return promise;
  }

  #sendArp(to: string, operation: number, targetMac: string | undefined, targetIp: string): void {
    const here = { senderMac: this.mac, senderIp: this.address };
    this.#send(
      encoded(ethernet({ destination: to, source: this.mac }), arp({ operation, ...here, targetMac, targetIp })),
    );
  }

  #receiveArp({ arp }: Packet): void {
    const [mac, address] = [`${arp!.senderMac}`, `${arp!.senderIp}`];
    this.#neighbours.set(address, mac);
    if (arp!.operation === ArpOperation.request && arp!.targetIp.equals(this.address) && this.address !== ANY) {
      this.#sendArp(mac, ArpOperation.reply, mac, address);
    }
  }

  #sendIpv4(mac: string, from: string, to: string, ...inner: (Layer | Uint8Array)[]): void {
    const identification = this.#nextId++ & 0xffff;
    const header = ipv4({ source: from, destination: to, identification, dontFragment: true });
    this.#send(encoded(ethernet({ destination: mac, source: this.mac }), header, ...inner));
  }

  #receiveIpv4(packet: Packet): void {
    const from = `${packet.ipv4!.source}`;
    const mac = `${packet.ethernet.source}`;
    this.#neighbours.set(from, mac);
    if (packet.icmp?.type === IcmpType.echoRequest) {
      const { identifier, sequence, payload } = packet.icmp;
      const reply = icmp({ type: IcmpType.echoReply, identifier, sequence });
      this.#sendIpv4(mac, this.address, from, reply, payload);
    } else if (packet.tcp) {
      this.#receiveTcp(from, packet.tcp);
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
    const acknowledgment = (flags & ACK) === 0 ? 0 : expected;
    const ports = { sourcePort: localPort, destinationPort: remotePort };
    const segment = tcp({ ...ports, sequence, acknowledgment, flags, window: 0xffff });
    connection.finished ||= (flags & FIN) !== 0;
    connection.sequence = sequence + data.length + (flags & (SYN | FIN) ? 1 : 0) >>> 0;
    this.#sendIpv4(this.#neighbours.get(remote)!, this.address, remote, segment, data);
  }

  #receiveTcp(from: string, segment: Tcp): void {
    const { sourcePort: remotePort, destinationPort: localPort } = segment;
    const key = `${from} ${remotePort} ${localPort}`;
    let connection = this.#connections.get(key);
    if (connection === undefined) {
      const page = this.#pages.get(localPort);
      if (page === undefined || !segment.syn) return;
      connection = this.#accept(from, remotePort, localPort, page);
    }
    if (segment.rst) {
      this.#connections.delete(key);
      connection.ended = true;
      return connection.changed();
    }
    this.#receiveSegment(connection, segment);
    if (connection.ended) this.#connections.delete(key);
  }

  #receiveSegment(connection: Connection, segment: Tcp): void {
    const { sequence, syn, ack, fin, payload: data } = segment;
    if (syn) {
      connection.expected = sequence + 1 >>> 0;
      this.#sendTcp(connection, ack ? ACK : SYN | ACK);
      if (!ack) return;
    }
    const established = connection.established;
    connection.established = undefined;
    established?.();
    if (syn || sequence !== connection.expected) return;
    connection.received += new TextDecoder().decode(data);
    connection.expected = sequence + data.length + (fin ? 1 : 0) >>> 0;
    connection.ended = fin;
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
