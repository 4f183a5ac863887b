// SPDX-License-Identifier: MIT

/**
 * What can be attached to a switch: its types, its checks, its encoding.
 *
 * @module
 */

import { canonicalIp } from "./address.ts";
import { Fields } from "./fields.ts";
import { type Interface, lendingHandleOf } from "./interface.ts";
import type { ListEntries, ListValue } from "./list.ts";
import { definedEntries, encodePortOptions, portOptionNames, type PortOptions } from "./port_options.ts";

/** What every endpoint takes. */
export interface CommonEndpointOptions extends PortOptions {
  /** A name for statistics and events, from 1 to 31 characters of ASCII without control characters. */
  label?: string | undefined;
}

/** What endpoints with a queue of their own take. */
export interface QueueOptions {
  /**
   * Bytes that wait for a peer that does not read, for each port, from 131072 to 67108864; 1048576 by default. When it is
   * full, further frames for that port are dropped and counted.
   */
  queueBytes?: number | undefined;
  /**
   * Whether frames carry a 12-byte `virtio_net_hdr_v1`, as QEMU's `vnet_hdr=on` and vmnet's `enableVirtioHeader` have it;
   * false by default. Ports without get complete frames: segments of the path's MTU, with their checksums.
   */
  virtioHeader?: boolean | undefined;
}

/** Options that do not go with the others. */
export type Absent<Name extends string> = { [Key in Name]?: undefined };

/** A socket whose file is made, and to which clients connect. */
export interface ListenAtPath extends Absent<"host" | "port" | "fd" | "pair" | "reconnect"> {
  /** Listens instead of connecting. */
  listen: true;
  /** The socket's file, at most about 100 bytes. One that nobody listens at any more is replaced. */
  path: string;
  /** Permissions of the file, from 0 to 0o777; 0o600, only for the same user, by default. */
  mode?: number | undefined;
  /** Clients at a time, from 1 to 255; 64 by default. Others are turned away. */
  clients?: number | undefined;
}

/** A socket to which this end connects. */
export interface ConnectToPath extends Absent<"mode" | "clients" | "host" | "port" | "fd" | "pair"> {
  /** Connects instead of listening. */
  listen?: false | undefined;
  /** The file of the socket that the other end listens at. */
  path: string;
  /** Whether to connect again, after a growing pause, when the other end has gone; true by default. */
  reconnect?: boolean | undefined;
}

/** A TCP port to which clients connect. */
export interface ListenAtPort extends Absent<"path" | "mode" | "fd" | "pair" | "reconnect"> {
  /** Listens instead of connecting. */
  listen: true;
  /** Loopback address, `"127.0.0.1"` by default. */
  host?: string | undefined;
  /** TCP port, from 0 to 65535; 0 for a free one, which {@linkcode Endpoint.port} then names. */
  port: number;
  /** Clients at a time, from 1 to 255; 64 by default. Others are turned away. */
  clients?: number | undefined;
}

/** A TCP port to which this end connects. */
export interface ConnectToPort extends Absent<"path" | "mode" | "clients" | "fd" | "pair"> {
  /** Connects instead of listening. */
  listen?: false | undefined;
  /** Loopback address, `"127.0.0.1"` by default. */
  host?: string | undefined;
  /** TCP port, from 1 to 65535. */
  port: number;
  /** Whether to connect again, after a growing pause, when the other end has gone; true by default. */
  reconnect?: boolean | undefined;
}

/** A connected socket that this process has already, for instance inherited. */
export interface GivenDescriptor
  extends Absent<"listen" | "path" | "mode" | "clients" | "host" | "port" | "pair" | "reconnect"> {
  /** Its file descriptor, which belongs to the endpoint from its success on. */
  fd: number;
}

/** A pair of sockets made for this: {@linkcode Endpoint.fd} is the other end, for a child process. */
export interface MadePair
  extends Absent<"listen" | "path" | "mode" | "clients" | "host" | "port" | "fd" | "reconnect"> {
  /** Makes one. */
  pair: true;
}

/**
 * A byte stream with the framing of QEMU's `-netdev stream` and of socket_vmnet, each frame after its length in 4 bytes,
 * big-endian: a unix socket or TCP on loopback.
 */
export type StreamEndpointOptions =
  & CommonEndpointOptions
  & QueueOptions
  & { kind: "stream" }
  & (ListenAtPath | ConnectToPath | ListenAtPort | ConnectToPort | GivenDescriptor | MadePair);

/**
 * A unix datagram socket, a frame in each: what vfkit, krunkit and Virtualization.framework use. A listener serves many
 * peers, and tells them apart by the addresses that they bind.
 */
export type DatagramEndpointOptions =
  & CommonEndpointOptions
  & QueueOptions
  & { kind: "datagram" }
  & (ListenAtPath | ConnectToPath | GivenDescriptor | MadePair);

/** A unix socket of type `SOCK_SEQPACKET`, a frame in each packet. Linux only. */
export type SeqpacketEndpointOptions =
  & CommonEndpointOptions
  & QueueOptions
  & { kind: "seqpacket" }
  & (ListenAtPath | ConnectToPath | GivenDescriptor | MadePair);

/** An interface of this thread. Its frames go to the switch, until the endpoint is stopped. */
export interface InterfaceEndpointOptions extends CommonEndpointOptions {
  /** Tells it from the others. */
  kind: "interface";
  /** The interface, without a reader. */
  interface: Interface;
}

/** A TAP device of the kernel. Linux only, and only if this process is permitted to have one (`CAP_NET_ADMIN`). */
export interface TapDeviceEndpointOptions extends CommonEndpointOptions, QueueOptions {
  /** Tells it from the others. */
  kind: "tap";
  /** Its name, from 1 to 15 characters; by default the kernel chooses, and {@linkcode Endpoint.name} says. */
  name?: string | undefined;
}

/** A pcapng file whose frames are sent into the switch as if they came from a machine. */
export interface ReplayEndpointOptions extends CommonEndpointOptions {
  /** Tells it from the others. */
  kind: "replay";
  /** The file. */
  path: string;
  /** How fast: 1, the default, as it was recorded; 2 twice as fast, to 1000; `Infinity` as fast as it goes. */
  speed?: number | undefined;
  /** How often it is played, from 1 to 4294967295, 1 by default; `Infinity` for ever. */
  repeat?: number | undefined;
}

/** What {@linkcode Switch.attach} and {@linkcode bridge} take. */
export type EndpointOptions =
  | StreamEndpointOptions
  | DatagramEndpointOptions
  | SeqpacketEndpointOptions
  | InterfaceEndpointOptions
  | TapDeviceEndpointOptions
  | ReplayEndpointOptions;

/** What kinds of endpoints there are. */
export type EndpointKind = EndpointOptions["kind"];

const kinds: readonly EndpointKind[] = ["stream", "datagram", "seqpacket", "interface", "tap", "replay"];

const commonNames = ["kind", "label", ...portOptionNames] as const;
const queueNames = ["queueBytes", "virtioHeader"] as const;
const socketNames = [...queueNames, "listen", "path", "mode", "clients", "reconnect", "fd", "pair"] as const;

const listenNames = [...queueNames, "path", "mode", "clients"] as const;
const connectNames = [...queueNames, "path", "reconnect"] as const;
const socketKinds: readonly EndpointKind[] = ["stream", "datagram", "seqpacket"];

const ownNames: Record<EndpointKind, readonly string[]> = {
  stream: [...socketNames, "host", "port"],
  datagram: socketNames,
  seqpacket: socketNames,
  interface: ["interface"],
  tap: ["name", ...queueNames],
  replay: ["path", "speed", "repeat"],
};

/** Most bytes that may wait for a port, least ones, and clients of a listener: `VN_QUEUE_*` of the shim. */
const QUEUE_LEAST = 128 << 10;
const QUEUE_MOST = 64 << 20;
const CLIENTS_MOST = 255;

/**
 * Checks and encodes what is to be attached.
 *
 * @param action What is attempted; messages begin with it.
 * @param options What the script gave.
 * @param listen Whether it is to listen, where the script said so by the method that it called.
 * @param isOne Whether there can be one peer only.
 * @throws {TypeError} If a name is not known, missing, of the wrong kind, or does not go with the others.
 * @throws {RangeError} If a value is out of range.
 */
export function encodeEndpoint(
  action: string,
  options: unknown,
  listen?: boolean,
  isOne = false,
): { kind: EndpointKind; entries: ListEntries } {
  const kind = readKind(action, options, listen === undefined ? kinds : socketKinds);
  const way = listen === undefined ? ownNames[kind] : listen ? listenNames : connectNames;
  const tcp = listen !== undefined && kind === "stream" ? ["host", "port"] : [];
  const fields = new Fields(action, options, [...commonNames, ...way, ...tcp]);
  const entries = definedEntries({
    kind,
    ...readOwn(action, kind, fields, listen, isOne),
    label: readName(fields, "label", 31),
    queueBytes: fields.integer("queueBytes", QUEUE_LEAST, QUEUE_MOST),
    virtioHeader: fields.boolean("virtioHeader"),
  });
  return { kind, entries: [...entries, ...encodePortOptions(fields)] };
}

function readOwn(
  action: string,
  kind: EndpointKind,
  fields: Fields,
  listen: boolean | undefined,
  isOne: boolean,
): Values {
  if (kind === "interface") return readInterface(action, fields);
  if (kind === "tap") return { name: readName(fields, "name", 15) };
  return kind === "replay" ? readReplay(fields) : readSocket(fields, listen, isOne);
}

/** The kind decides which names there are, so it is read first. */
function readKind(action: string, options: unknown, known: readonly EndpointKind[]): EndpointKind {
  const isObject = typeof options === "object" && options !== null;
  const kind: unknown = isObject ? (options as { kind?: unknown }).kind : undefined;
  const fields = new Fields(action, isObject && !Array.isArray(options) ? { kind } : options, ["kind"]);
  fields.require("kind");
  return fields.oneOf("kind", known)!;
}

type Values = Record<string, ListValue | undefined>;

function readInterface(action: string, fields: Fields): Values {
  fields.require("interface");
  return { object: lendingHandleOf(fields.raw("interface") as Interface, action) };
}

function readReplay(fields: Fields): Values {
  fields.require("path");
  const speed = fields.raw("speed");
  const takes = "a number from 0.001 to 1000, or Infinity";
  if (speed !== undefined && typeof speed !== "number") fields.wrong("speed", takes);
  if (speed !== undefined && speed !== Infinity && !(speed >= 0.001 && speed <= 1000)) {
    fields.outOfRange("speed", takes);
  }
  const repeat = fields.raw("repeat") === Infinity ? 0 : fields.integer("repeat", 1, 0xffffffff);
  return {
    path: fields.text("path"),
    // In thousandths, and 0 is "at once"
    speed: speed === undefined ? undefined : speed === Infinity ? 0 : Math.round(speed * 1000),
    repeat,
  };
}

/** One of the five ways to a socket. */
function readSocket(fields: Fields, how: boolean | undefined, isOne: boolean): Values {
  const rest = ["listen", "path", "mode", "clients", "host", "port", "reconnect"];
  if (fields.has("pair")) {
    if (fields.raw("pair") !== true) fields.wrong("pair", "true");
    fields.exclude([...rest, "fd"], 'with "pair"');
    return { pair: true };
  }
  if (fields.has("fd")) {
    fields.exclude(rest, 'with "fd"');
    return { fd: fields.integer("fd", 0, 0x7fffffff) };
  }
  const listen = how ?? fields.boolean("listen") ?? false;
  if (!listen) fields.exclude(["mode", "clients"], 'without "listen"');
  else fields.exclude(["reconnect"], 'with "listen"');
  if (fields.has("port")) fields.exclude(["path", "mode"], 'with "port"');
  else fields.exclude(["host"], 'without "port"');
  if (!fields.has("port")) fields.require("path");
  return {
    listen,
    path: readSocketPath(fields),
    host: fields.has("port") ? readHost(fields) : undefined,
    port: fields.integer("port", listen ? 0 : 1, 65535),
    mode: fields.integer("mode", 0, 0o777),
    clients: fields.integer("clients", 1, isOne ? 1 : CLIENTS_MOST) ?? (listen && isOne ? 1 : undefined),
    reconnect: fields.boolean("reconnect"),
  };
}

/** The kernel's limit on a socket's path is in bytes. That of macOS is 4 less, which the shim says. */
const SOCKET_PATH_MOST = 107;

function readSocketPath(fields: Fields): string | undefined {
  const path = fields.text("path");
  if (path !== undefined && new TextEncoder().encode(path).length > SOCKET_PATH_MOST) {
    fields.outOfRange("path", `a path of at most ${SOCKET_PATH_MOST} bytes, as sockets have`);
  }
  return path;
}

/** Frames that go anywhere else would go unencrypted, and to whoever asks. */
function readHost(fields: Fields): string {
  const takes = 'a loopback address as "127.0.0.1", "::1" or "localhost"';
  const host = fields.parsed("host", takes, (text) => text === "localhost" ? "127.0.0.1" : canonicalIp(text));
  if (host !== undefined && host !== "::1" && !host.startsWith("127.")) fields.outOfRange("host", takes);
  return host ?? "127.0.0.1";
}

/** A name that is printed: printable ASCII. */
function readName(fields: Fields, name: string, max: number): string | undefined {
  const text = fields.text(name, max);
  const takes = `1 to ${max} printable characters of ASCII${name === "name" ? ' without spaces and "/"' : ""}`;
  const pattern = name === "name" ? /^[!-.0-~]+$/ : /^[ -~]+$/;
  if (text !== undefined && !pattern.test(text)) fields.outOfRange(name, takes);
  return text;
}
