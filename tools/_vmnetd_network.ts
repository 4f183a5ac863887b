// SPDX-License-Identifier: MIT

/**
 * A network that vmnetd serves: its switch, its sockets, and what is told of it.
 *
 * @module
 */

import { chmodSync, chownSync, readFileSync } from "node:fs";
import process from "node:process";
import {
  type Endpoint,
  type EndpointOptions,
  Interface,
  Network,
  type PortStats,
  Switch,
  UnsupportedError,
  VmnetError,
} from "vmnet";
import { UsageError } from "./_cli.ts";
import type { NetworkConfig } from "./_vmnetd_config.ts";

type Dropped = Readonly<Record<string, number>>;

/** Causes that were, as `droppedFull: 7`. */
function droppedOf(stats: { dropped: object }): Dropped {
  const causes = Object.entries(stats.dropped as Dropped).filter(([, count]) => count > 0);
  return Object.fromEntries(
    causes.map(([cause, count]) => [`dropped${cause[0]!.toUpperCase()}${cause.slice(1)}`, count]),
  );
}

/** A client's counters, as seen by the guest: it sent what came out of the socket. */
export function countersOf(port: PortStats): Readonly<Record<string, number>> {
  return {
    fromGuest: port.framesIn,
    bytesFromGuest: port.bytesIn,
    toGuest: port.framesOut,
    bytesToGuest: port.bytesOut,
    ...droppedOf(port),
  };
}

/** The number of a group. */
function groupId(name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  const line = readFileSync("/etc/group", "utf8").split("\n").find((line) => line.startsWith(`${name}:`));
  if (line === undefined) throw new UsageError(`--socket-group takes a group, not "${name}"`);
  return Number(line.split(":")[2]);
}

/** Where an endpoint is, for people. */
function placeOf(endpoint: Endpoint, options: EndpointOptions): string {
  if (endpoint.path !== "") return endpoint.path;
  if (endpoint.port === 0) return "fd" in options ? `fd ${options.fd}` : "";
  const host = "host" in options && options.host || "127.0.0.1";
  return `${host.includes(":") ? `[${host}]` : host}:${endpoint.port}`;
}

/** A network with its clients. */
export class ServedNetwork {
  readonly config: NetworkConfig;
  readonly name: string;
  readonly sw: Switch;
  /** The network; in mode bridged, and on macOS before 26, there is an interface instead. */
  readonly network: Network | undefined;
  readonly nic: Interface | undefined;
  /** Ports of clients that are not there, whose place is kept. */
  readonly away: Set<number> = new Set();
  readonly endpoints: { readonly endpoint: Endpoint; readonly place: string }[] = [];

  private constructor(config: NetworkConfig, sw: Switch, uplink: Network | Interface) {
    [this.config, this.name, this.sw] = [config, config.name, sw];
    this.network = uplink instanceof Network ? uplink : undefined;
    this.nic = uplink instanceof Interface ? uplink : undefined;
  }

  /** Makes it and its sockets. */
  static async start(config: NetworkConfig): Promise<ServedNetwork> {
    try {
      return await ServedNetwork.#start(config);
    } catch (error) {
      if (config.where === "") throw error;
      const text = `${config.where}: ${(error as Error).message}`;
      throw error instanceof TypeError || error instanceof RangeError ? new UsageError(text) : new Error(text);
    }
  }

  static async #start(config: NetworkConfig): Promise<ServedNetwork> {
    const gid = config.group === undefined ? undefined : groupId(config.group);
    const uplink = await startUplink(config);
    let sw: Switch | undefined;
    try {
      sw = await (uplink instanceof Network ? Switch.create({ uplink }) : Switch.create({ uplink }));
      const served = new ServedNetwork(config, sw, uplink);
      for (const endpoint of config.endpoints) await served.#attach(endpoint);
      for (const fd of config.descriptors) await served.#attachDescriptor(fd);
      if (gid !== undefined) served.#open(gid);
      return served;
    } catch (error) {
      await sw?.stop();
      await uplink.stop();
      throw error;
    }
  }

  async #attach(options: EndpointOptions): Promise<void> {
    const all = { ...options, ...this.config.common } as EndpointOptions;
    try {
      const endpoint = await this.sw.attach(all);
      this.endpoints.push({ endpoint, place: placeOf(endpoint, options) });
    } catch (error) {
      if (!(error instanceof VmnetError) || !("path" in options)) throw error;
      throw new Error(
        `Cannot listen on "${options.path}": ${error.message.replace(/^Cannot [^:]*: (?:"path": )?/, "")}`,
      );
    }
  }

  /** A descriptor does not say what it is: what does not take it answers so. */
  async #attachDescriptor(fd: number): Promise<void> {
    const kinds = ["datagram", "stream", "seqpacket"] as const;
    const errors: unknown[] = [];
    for (const kind of kinds) {
      try {
        return await this.#attach({ kind, fd, label: `fd ${fd}` });
      } catch (error) {
        if (!(error instanceof VmnetError)) throw error;
        errors.push(error);
      }
    }
    // The one that is about this type of socket
    throw errors.find((error) => !/of another type/.test((error as Error).message)) ?? errors[0];
  }

  /** Lets a group use the sockets. Until then they are this user's alone. */
  #open(gid: number): void {
    for (const { endpoint: { path } } of this.endpoints) {
      if (path === "") continue;
      chownSync(path, process.getuid!(), gid);
      chmodSync(path, 0o660);
    }
  }

  /** What a line says of it when it is ready. */
  get facts(): Readonly<Record<string, unknown>> {
    const { options: { mode }, bridged } = this.config;
    if (this.network === undefined) {
      const { mtu, parameters: { startAddress: gateway = "" } } = this.nic!;
      return {
        mode: bridged ? "bridged" : mode,
        subnet: bridged ? "" : this.config.options.ipv4Subnet ?? "",
        gateway,
        mtu,
      };
    }
    const { ipv4Subnet: subnet, ipv4Gateway: gateway, mtu } = this.network;
    return { mode, subnet, gateway, mtu };
  }

  /** Resolves when there can be no client any more: every descriptor that it was given has come to its end. */
  async ended(): Promise<void> {
    if (this.config.endpoints.length > 0) return await new Promise(() => {});
    await Promise.allSettled(this.endpoints.map(({ endpoint }) => endpoint.done));
  }

  /** The ports of clients, with the addresses that they use. */
  clients(): PortStats[] {
    return this.sw.stats().ports.filter(({ endpoint }) => endpoint !== 0);
  }

  /** Everything that is known of it. */
  async status(): Promise<Readonly<Record<string, unknown>>> {
    const stats = this.sw.stats();
    const leases = this.network?.currentLeases() ?? [];
    const sockets = this.endpoints.map(({ endpoint, place }) => {
      const { clients, accepted, refused } = endpoint.stats();
      return { kind: endpoint.kind, socket: place, id: endpoint.id, clients, accepted, refused };
    });
    const clients = this.clients().map((port) => {
      const lease = leases.find(({ macAddress }) => macAddress === port.macAddress);
      const { number, kind, label, macAddress: mac, endpoint, isolated, queuedBytes } = port;
      const who = { address: lease?.address ?? "", hostname: lease?.hostname ?? "" };
      return {
        port: number,
        kind,
        label,
        endpoint,
        connected: !this.away.has(number),
        mac,
        ...who,
        isolated,
        queuedBytes,
        ...countersOf(port),
      };
    });
    return {
      name: this.name,
      ...this.facts,
      ipv6Prefix: this.network?.ipv6Prefix ?? "",
      frames: stats.frames,
      bytes: stats.bytes,
      ...droppedOf(stats),
      sockets,
      clients,
      leases,
      // What a network of macOS does not tell is left out
      forwards: await this.rules.portForwardingRules().catch(() => []),
      reservations: await this.network?.dhcpReservations().catch(() => []) ?? [],
    };
  }

  /** Who knows the rules of forwarding. */
  get rules(): Network | Interface {
    return this.network ?? this.nic!;
  }

  /** Ends the clients, then the network. */
  async stop(): Promise<void> {
    await this.sw.stop();
    await this.rules.stop();
  }
}

/** The network, or what macOS has instead: before version 26 it knows interfaces only, which share a subnet. */
async function startUplink({ options, bridged }: NetworkConfig): Promise<Network | Interface> {
  if (bridged !== undefined) return await Interface.start({ mode: "bridged", ...bridged });
  try {
    return await Network.create(options);
  } catch (error) {
    const { mode = "shared", mtu, ipv4Subnet, dhcpEnd, ipv6Prefix, portForwardingRules = [], ...rest } = options;
    const isPossible = Object.keys(rest).length === 0 && (ipv6Prefix === undefined || mode === "shared");
    if (!(error instanceof UnsupportedError) || !isPossible) throw error;
    const nic = await Interface.start({
      mode: mode as "shared",
      ...(mtu === undefined ? {} : { mtu }),
      ...(ipv4Subnet === undefined ? {} : rangeOf(ipv4Subnet, dhcpEnd)),
      ...(ipv6Prefix === undefined ? {} : { nat66Prefix: ipv6Prefix.replace("/64", "") }),
    });
    try {
      for (const rule of portForwardingRules) await nic.addPortForwardingRule(rule);
    } catch (error) {
      await nic.stop();
      throw error;
    }
    return nic;
  }
}

/** A subnet as an interface has it: its first address, the last that DHCP hands out, its mask. */
function rangeOf(subnet: string, dhcpEnd?: string): { startAddress: string; endAddress: string; subnetMask: string } {
  const [base, length] = subnet.split("/");
  const first = base!.split(".").reduce((address, part) => address * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  const ip = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
  return {
    startAddress: ip(first + 1),
    endAddress: dhcpEnd ?? ip(first + size - 2),
    subnetMask: ip(2 ** 32 - size),
  };
}
