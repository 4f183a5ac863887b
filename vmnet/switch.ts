// SPDX-License-Identifier: MIT

/**
 * A switch whose frames move in native code.
 *
 * @module
 */

import { Context, type OperationOptions } from "./context.ts";
import { checkPlane, DataPlane, openEndpoint } from "./data_plane.ts";
import type { Endpoint } from "./endpoint.ts";
import {
  type ConnectToPath,
  type ConnectToPort,
  type DatagramEndpointOptions,
  encodeEndpoint,
  type EndpointOptions,
  type ListenAtPath,
  type ListenAtPort,
  type SeqpacketEndpointOptions,
  type StreamEndpointOptions,
} from "./endpoint_options.ts";
import { Fields, show } from "./fields.ts";
import { Interface, lendingHandleOf } from "./interface.ts";
import type { List, ListEntries } from "./list.ts";
import { handleOf, Network } from "./network.ts";
import { definedEntries } from "./port_options.ts";
import { Op } from "./symbols.ts";

/** The switch that a network has. */
export interface NetworkSwitchOptions {
  /**
   * The network: its gateway and its interfaces are ports of the switch. On macOS they are behind one port, the uplink, as
   * vmnet has a switch of its own; not verified on hardware.
   */
  uplink: Network;
  /** Not of a network. */
  ageSeconds?: undefined;
  /** Not of a network: it has one. */
  mtu?: undefined;
}

/** A new switch, one of whose ports is an interface. */
export interface InterfaceSwitchOptions {
  /** The interface, without a reader. Its frames go to the switch until that is stopped. */
  uplink: Interface;
  /** How long the switch remembers where a MAC address is, from 1 to 86400 seconds; 300 by default. */
  ageSeconds?: number | undefined;
  /** Not with an interface: it has one. */
  mtu?: undefined;
}

/** A new switch without an uplink. */
export interface LoneSwitchOptions {
  /** None. */
  uplink?: undefined;
  /** How long the switch remembers where a MAC address is, from 1 to 86400 seconds; 300 by default. */
  ageSeconds?: number | undefined;
  /** Largest IP packet in bytes, from 68 to 65535; by default 65548, more than any endpoint has. */
  mtu?: number | undefined;
}

/** What {@linkcode Switch.create} takes. */
export type SwitchOptions = NetworkSwitchOptions | InterfaceSwitchOptions | LoneSwitchOptions;

/** Endpoints without what the method says already. */
export type WithoutListen<T> = T extends unknown ? Omit<T, "listen"> : never;

/** What {@linkcode Switch.listen} takes. */
export type ListenOptions = WithoutListen<
  & (StreamEndpointOptions | DatagramEndpointOptions | SeqpacketEndpointOptions)
  & (ListenAtPath | ListenAtPort)
>;

/** What {@linkcode Switch.connect} takes. */
export type ConnectOptions = WithoutListen<
  & (StreamEndpointOptions | DatagramEndpointOptions | SeqpacketEndpointOptions)
  & (ConnectToPath | ConnectToPort)
>;

/**
 * A learning switch whose frames move in native code, at full speed, while the script keeps control: it attaches VMs and
 * devices, limits ports, reads counters, taps copies of frames and decides on some.
 *
 * It is the switch of a {@linkcode Network}, a new one with an {@linkcode Interface} as its way out, or a new one on
 * its own. Until it is stopped it keeps the program alive, as a server does; {@linkcode DataPlane.unref} changes that.
 *
 * On macOS not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { Network, Switch } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using network = await Network.create({ mode: "host" });
 * await using sw = await Switch.create({ uplink: network });
 * await using door = await sw.listen({ kind: "stream", port: 0, clients: 8 });
 * console.log(`qemu-system-x86_64 … -netdev stream,id=n0,addr.type=inet,addr.host=127.0.0.1,addr.port=${door.port}`);
 * assertEquals(sw.stats().dropped.full, 0);
 * ```
 */
export class Switch extends DataPlane {
  private constructor(context: Context, result: List) {
    super(context, result, "switch");
  }

  /**
   * Makes a switch.
   *
   * @param options What it is the switch of; by default a new one on its own.
   * @param limits Signal and timeout.
   * @returns The switch, ready for endpoints.
   * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others; also if the interface
   * has a reader, or writes that wait.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} If the network says no: code `inUse` if the interface is a port of a switch already.
   *
   * @example Usage
   * ```ts
   * import { Interface, Switch } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * await using nic = await Interface.start({ mode: "host" });
   * await using sw = await Switch.create({ uplink: nic, ageSeconds: 60 });
   * assertEquals(sw.stats().ports.length, 1);
   * ```
   */
  static async create(options: SwitchOptions = {}, limits?: OperationOptions): Promise<Switch> {
    const action = "create switch";
    const context = Context.current ?? await Context.open();
    const { target, entries } = encodeSwitch(context, options, action);
    return new Switch(context, await context.operation(target, Op.switchCreate, action, entries, limits));
  }

  /**
   * Attaches something: VMs by sockets, an interface, a TAP device, a file to replay.
   *
   * @param options What is attached, by its `kind`, and what its ports may do.
   * @param limits Signal and timeout.
   * @returns The endpoint, ready.
   * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others.
   * @throws {RangeError} If an option is out of range.
   * @throws {UnsupportedError} If this system has no such endpoint.
   * @throws {VmnetError} If the system says no: code `inUse` if the path or port is taken, `system` with its errno.
   *
   * @example Usage
   * ```ts
   * import { Interface, Switch } from "vmnet";
   * import { assertEquals } from "@std/assert";
   *
   * await using nic = await Interface.start({ mode: "host" });
   * await using sw = await Switch.create();
   * await using endpoint = await sw.attach({ kind: "interface", interface: nic, isolated: true });
   * assertEquals(endpoint.kind, "interface");
   * ```
   */
  async attach(options: EndpointOptions, limits?: OperationOptions): Promise<Endpoint> {
    const action = "attach endpoint";
    checkPlane(this, action);
    return await openEndpoint(this, action, encodeEndpoint(action, options), limits);
  }

  /**
   * Attaches a socket to which clients connect, each of which gets a port: {@linkcode Switch.attach} with `listen: true`.
   * A client that comes again gets the port that it had.
   *
   * @param options Kind of the socket and where it is.
   * @param limits Signal and timeout.
   * @returns The endpoint, ready for clients.
   * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} If the system says no: code `inUse` if somebody listens there.
   */
  async listen(options: ListenOptions, limits?: OperationOptions): Promise<Endpoint> {
    return await this.#open("listen", options, true, limits);
  }

  /**
   * Connects to a socket that somebody else listens at: {@linkcode Switch.attach} with `listen: false`.
   *
   * @param options Kind of the socket and where it is.
   * @param limits Signal and timeout.
   * @returns The endpoint, connected.
   * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} If nobody listens there.
   */
  async connect(options: ConnectOptions, limits?: OperationOptions): Promise<Endpoint> {
    return await this.#open("connect", options, false, limits);
  }

  async #open(
    action: string,
    options: ListenOptions | ConnectOptions,
    listen: boolean,
    limits: OperationOptions | undefined,
  ): Promise<Endpoint> {
    checkPlane(this, action);
    return await openEndpoint(this, action, encodeEndpoint(action, options, listen), limits);
  }
}

/** The object that the operation is for, and its options. */
function encodeSwitch(
  context: Context,
  options: SwitchOptions,
  action: string,
): { target: number; entries: ListEntries } {
  const fields = new Fields(action, options, ["uplink", "ageSeconds", "mtu"]);
  const uplink = fields.raw("uplink");
  const isNetwork = uplink instanceof Network;
  if (uplink !== undefined && !isNetwork && !(uplink instanceof Interface)) {
    throw new TypeError(`Cannot ${action}: "uplink" must be a Network or an Interface, got ${show(uplink)}`);
  }
  if (isNetwork) fields.exclude(["ageSeconds", "mtu"], "with a Network");
  if (uplink instanceof Interface) fields.exclude(["mtu"], "with an Interface");
  const entries = definedEntries({
    ageSeconds: fields.integer("ageSeconds", 1, 86400),
    mtu: fields.integer("mtu", 68, 65535),
  });
  if (uplink === undefined) return { target: context.handle, entries };
  return { target: isNetwork ? handleOf(uplink, action) : lendingHandleOf(uplink as Interface, action), entries };
}
