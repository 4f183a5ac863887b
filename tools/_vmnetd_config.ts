// SPDX-License-Identifier: MIT

/**
 * What vmnetd is told: options, a file of several networks, and the command lines of socket_vmnet and vmnet-helper.
 *
 * Theory of operation: every network has the options of one table, whether they come from the command line or, under
 * the same names, from the file. The words of other programs are translated into them before anything is read. A value
 * that is wrong is named by where it stands: `--mtu`, or `networks[1].mtu`. What only the library can judge, it does.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import type { DhcpReservation, EndpointOptions, NetworkOptions, PortForwardingRule, PortOptions } from "vmnet";
import { type Option, UsageError, type Values } from "./_cli.ts";

/** An option whose value is an integer has a range. */
export type Setting = Option & { range?: readonly [min: number, max: number] };

/** What a network has. */
export const networkSettings: Record<string, Setting> = {
  socket: { value: "PATH", help: "unix socket to serve, with QEMU's stream framing", repeat: true, short: "s" },
  datagram: { value: "PATH", help: "unix datagram socket to serve, for vfkit and krunkit", repeat: true },
  tcp: { value: "HOST:PORT", help: "port of the loopback to serve, with QEMU's stream framing", repeat: true },
  fd: { value: "N", help: "socket that this program was started with, stream or datagram", repeat: true, short: "f" },
  name: { value: "NAME", help: "name of the network, in captures and metrics" },
  mode: { value: "MODE", help: "shared (default), host or bridged; the last needs macOS" },
  interface: { value: "NAME", help: "interface for mode bridged" },
  "interface-id": { value: "UUID", help: "gives the interface of mode bridged its MAC address again", short: "i" },
  subnet: { value: "A.B.C.D/N", help: "IPv4 subnet; a free one by default" },
  "ipv6-prefix": { value: "PREFIX/64", help: "unique local IPv6 prefix; random by default" },
  "dhcp-start": { value: "IP", help: "first address that DHCP hands out" },
  "dhcp-end": { value: "IP", help: "last address that DHCP hands out" },
  "no-dhcp": { help: "hand out no addresses" },
  mtu: { value: "BYTES", help: "largest IP packet, 68 to 65535; 1500 by default", range: [68, 65535] },
  reserve: { value: "MAC=IP", help: "keep an address for a guest", repeat: true },
  forward: {
    value: "PROTO:PORT:IP:PORT",
    help: "lead a port of this machine to a guest, e.g. tcp:8080:192.168.64.2:80",
    repeat: true,
  },
  isolated: { help: "clients reach the outside and the host, not one another" },
  "anti-spoof": { help: "clients send only from their own addresses" },
  rate: { value: "BYTES/S", help: "most that a client may send in a second", range: [1, 1e12] },
  clients: { value: "N", help: "clients that a socket has at a time, 1 to 255; 64 by default", range: [1, 255] },
  "virtio-header": { help: "frames carry a virtio header of 12 bytes, as with QEMU's vnet_hdr=on" },
  "socket-group": { value: "GROUP", help: "group that may use the sockets, too" },
};

/** What the program has. */
export const daemonSettings: Record<string, Setting> = {
  config: { value: "FILE", help: "JSON file with several networks, instead of the options of one" },
  control: { value: "PATH", help: "control socket; by default beside the first socket, with .control at its end" },
  "no-control": { help: "no control socket" },
  capture: { value: "FILE", help: "write every frame into a pcapng file; - is standard output" },
  filter: { value: "EXPRESSION", help: "capture only what matches, in the language of tcpdump" },
  snap: { value: "BYTES", help: "capture no more of each frame, 14 to 65562", range: [14, 65562] },
  "stats-interval": {
    value: "SECONDS",
    help: "print counters so often; only at the end by default",
    range: [1, 86400],
  },
  pidfile: { value: "FILE", help: "write the number of this process there", short: "p" },
  json: { help: "print one JSON object a line" },
};

/** A network to serve. */
export interface NetworkConfig {
  /** Where its values stand, for messages; empty for the command line. */
  readonly where: string;
  readonly name: string;
  readonly options: NetworkOptions;
  /** The physical interface and the identity of mode bridged. */
  readonly bridged: { externalInterface: string; interfaceId?: string } | undefined;
  readonly endpoints: readonly EndpointOptions[];
  /** Descriptors whose type is to be found out. */
  readonly descriptors: readonly number[];
  /** What each endpoint has. */
  readonly common: PortOptions & { virtioHeader?: boolean };
  readonly group: string | undefined;
}

/** What a capture takes. */
export interface CaptureConfig {
  readonly file: string;
  readonly filter?: string;
  readonly snap?: number;
}

/** All that vmnetd is told. */
export interface Config {
  readonly networks: readonly NetworkConfig[];
  readonly control: string | undefined;
  readonly capture: CaptureConfig | undefined;
  readonly statsInterval: number | undefined;
  readonly pidfile: string | undefined;
}

/** Reads values, and says where a wrong one stands. */
class Reader {
  constructor(readonly values: Values, readonly where: string) {}

  label(name: string): string {
    return this.where === "" ? `--${name}` : `${this.where}.${name}`;
  }

  wrong(name: string, takes: string, value: unknown): never {
    throw new UsageError(`${this.label(name)} takes ${takes}, not ${JSON.stringify(value)}`);
  }

  text(name: string): string | undefined {
    const value = this.values[name] as string | undefined;
    return value === "" ? this.wrong(name, "a text", value) : value;
  }

  list(name: string): string[] {
    return this.values[name] as string[] | undefined ?? [];
  }

  flag(name: string): true | undefined {
    return this.values[name] === true ? true : undefined;
  }

  integer(name: string, settings: Record<string, Setting>): number | undefined {
    const value = this.values[name];
    if (value === undefined) return undefined;
    const [min, max] = settings[name]!.range!;
    const number = Number(value);
    if (/^\d+$/.test(String(value)) && number >= min && number <= max) return number;
    return this.wrong(name, `an integer from ${min} to ${max}`, value);
  }
}

/** Leaves out what is undefined. */
function defined<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** Reads `MAC=IP`. */
export function reservation(text: string): DhcpReservation | undefined {
  const [mac, address, ...rest] = text.split("=");
  return mac && address && rest.length === 0 ? { mac, address } : undefined;
}

/** Reads `PROTO:PORT:IP:PORT`; an IPv6 address is in brackets. */
export function rule(text: string): PortForwardingRule | undefined {
  const match = /^(tcp|udp):(\d+):(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  if (match === null) return undefined;
  const [, protocol, external, ipv6, ipv4, internal] = match;
  const ports = { externalPort: Number(external), internalPort: Number(internal) };
  return { protocol: protocol as "tcp" | "udp", internalAddress: (ipv6 ?? ipv4)!, ...ports };
}

/** The last part of a path, as a label, if it can be one. */
function labelOf(path: string): { label?: string } {
  const label = path.slice(path.lastIndexOf("/") + 1);
  return /^[ -~]{1,31}$/.test(label) ? { label } : {};
}

/** Bytes that the path of a socket can have. */
export const PATH_LIMIT: number = process.platform === "darwin" ? 103 : 107;

/** Checks the path of a socket. */
export function isSocketPath(path: string): boolean {
  return path !== "" && new TextEncoder().encode(path).length <= PATH_LIMIT;
}

function readEndpoints(reader: Reader): Pick<NetworkConfig, "endpoints" | "descriptors"> {
  const clients = reader.integer("clients", networkSettings);
  const listen = { listen: true as const, ...defined({ clients }) };
  const paths = (name: string) =>
    reader.list(name).map((path) => {
      if (!isSocketPath(path)) reader.wrong(name, `a path of 1 to ${PATH_LIMIT} bytes`, path);
      return { path, ...labelOf(path), ...listen };
    });
  const ports = reader.list("tcp").map((place) => {
    const [, host, port] = /^(?:(.+):)?(\d{1,5})$/.exec(place) ?? reader.wrong("tcp", "HOST:PORT", place);
    return { kind: "stream" as const, host: host?.replace(/^\[(.*)\]$/, "$1"), port: Number(port), ...listen };
  });
  const descriptors = reader.list("fd").map((fd) => {
    return /^\d{1,9}$/.test(fd) ? Number(fd) : reader.wrong("fd", "the number of a descriptor", fd);
  });
  const endpoints = [
    ...paths("socket").map((endpoint) => ({ kind: "stream" as const, ...endpoint })),
    ...paths("datagram").map((endpoint) => ({ kind: "datagram" as const, ...endpoint })),
    ...ports.map((endpoint) => defined(endpoint)),
  ];
  if (endpoints.length + descriptors.length === 0) {
    const one = ["socket", "datagram", "tcp", "fd"].map((name) => reader.label(name)).join(", ");
    throw new UsageError(`${reader.label("socket")} is missing: it takes at least one of ${one}`);
  }
  return { endpoints, descriptors };
}

function readNetwork(values: Values, where: string, index: number): NetworkConfig {
  const reader = new Reader(values, where);
  const name = reader.text("name") ?? `vmnet${index}`;
  if (!/^[\w.-]{1,31}$/.test(name)) reader.wrong("name", "1 to 31 letters, digits, and any of ._-", name);
  const mode = reader.text("mode") ?? "shared";
  const externalInterface = reader.text("interface");
  const interfaceId = reader.text("interface-id");
  if ((mode === "bridged") !== (externalInterface !== undefined)) {
    throw new UsageError(`${reader.label("mode")} bridged and ${reader.label("interface")} need one another`);
  }
  const own = defined({
    ipv4Subnet: reader.text("subnet"),
    ipv6Prefix: reader.text("ipv6-prefix"),
    dhcpStart: reader.text("dhcp-start"),
    dhcpEnd: reader.text("dhcp-end"),
    dhcp: reader.flag("no-dhcp") && false,
    mtu: reader.integer("mtu", networkSettings),
    dhcpReservations: orNone(
      reader.list("reserve").map((text) => reservation(text) ?? reader.wrong("reserve", "MAC=IP", text)),
    ),
    portForwardingRules: orNone(
      reader.list("forward").map((text) => rule(text) ?? reader.wrong("forward", "PROTO:PORT:IP:PORT", text)),
    ),
  });
  const [first] = Object.keys(own);
  if (mode === "bridged" && first !== undefined) {
    throw new UsageError(`${reader.label("mode")} bridged has the network's own addresses, without "${first}"`);
  }
  return {
    where,
    name,
    options: { ...own, mode: mode as "shared" },
    bridged: externalInterface === undefined ? undefined : { externalInterface, ...defined({ interfaceId }) },
    ...readEndpoints(reader),
    common: defined({
      isolated: reader.flag("isolated"),
      antiSpoof: reader.flag("anti-spoof"),
      bytesPerSecond: reader.integer("rate", networkSettings),
      virtioHeader: reader.flag("virtio-header"),
    }),
    group: reader.text("socket-group"),
  };
}

function orNone<T>(list: T[]): T[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** Turns an object of a file into the values of options. */
function valuesOf(object: unknown, settings: Record<string, Setting>, where: string): Values {
  const at = (name: string) => where === "" ? name : `${where}.${name}`;
  if (typeof object !== "object" || object === null || Array.isArray(object)) {
    throw new UsageError(`${where || "the file"} takes an object, not ${JSON.stringify(object)}`);
  }
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => {
      const setting = Object.hasOwn(settings, name) ? settings[name]! : undefined;
      if (setting === undefined) throw new UsageError(`${at(name)} is not known`);
      const isText = (item: unknown) => typeof item === "string" || typeof item === "number";
      const isRight = setting.value === undefined
        ? typeof value === "boolean"
        : isText(value) || (setting.repeat === true && Array.isArray(value) && value.every(isText));
      const takes = setting.value === undefined ? "true or false" : setting.repeat ? "a list of texts" : "a text";
      if (!isRight) throw new UsageError(`${at(name)} takes ${takes}, not ${JSON.stringify(value)}`);
      if (setting.value === undefined) return [name, value as boolean];
      return [name, setting.repeat ? [value].flat().map(String) : String(value)];
    }),
  );
}

/** Settings of the program that a file may have. */
const { config: _, json: __, ...fileSettings } = daemonSettings;

function readFile(file: string): { daemon: Values; networks: NetworkConfig[] } {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new UsageError(`--config cannot be read: ${(error as Error).message}`);
  }
  const { networks, ...rest } = Object(content) as { networks?: unknown };
  const daemon = valuesOf(Array.isArray(content) ? content : rest, fileSettings, "");
  if (!Array.isArray(networks) || networks.length === 0) {
    throw new UsageError(`networks takes a list of networks, not ${JSON.stringify(networks)}`);
  }
  const read = networks.map((network, i) => {
    const where = `networks[${i}]`;
    return readNetwork(valuesOf(network, networkSettings, where), where, i);
  });
  const twice = read.find(({ name }, i) => read.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) throw new UsageError(`${twice.where}.name is another network's, too: "${twice.name}"`);
  return { daemon, networks: read };
}

/** The control socket beside a socket. */
export const controlOf = (socket: string): string => `${socket}.control`;

/**
 * Reads all of it.
 *
 * @param values The command line, in words of the tables above.
 * @throws {UsageError} If a value is wrong.
 */
export function readConfig(values: Values): Config {
  const { config } = values;
  const file = config === undefined ? undefined : readFile(config as string);
  if (file !== undefined) {
    const own = Object.keys(networkSettings).find((name) => values[name] !== undefined);
    if (own !== undefined) throw new UsageError(`--${own} cannot be used with --config: it is a network's`);
  }
  const networks = file?.networks ?? [readNetwork(values, "", 0)];
  const reader = new Reader({ ...file?.daemon, ...values }, "");
  const control = reader.text("control");
  if (control !== undefined && !isSocketPath(control)) {
    reader.wrong("control", `a path of 1 to ${PATH_LIMIT} bytes`, control);
  }
  const [beside] = networks.flatMap(({ endpoints }) => endpoints.flatMap((one) => "path" in one ? [one.path!] : []));
  const [capture, filter, snap] = [
    reader.text("capture"),
    reader.text("filter"),
    reader.integer("snap", daemonSettings),
  ];
  if (capture === undefined && (filter ?? snap) !== undefined) {
    throw new UsageError("--filter and --snap are about --capture, which is missing");
  }
  const wanted = reader.flag("no-control") ? undefined : control ?? (beside && controlOf(beside));
  if (wanted !== undefined && !isSocketPath(wanted)) {
    throw new UsageError(`--control or --no-control is needed: "${wanted}" is longer than ${PATH_LIMIT} bytes`);
  }
  return {
    networks,
    control: wanted,
    capture: capture === undefined ? undefined : { file: capture, ...defined({ filter, snap }) },
    statsInterval: reader.integer("stats-interval", daemonSettings),
    pidfile: reader.text("pidfile"),
  };
}
