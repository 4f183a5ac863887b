// SPDX-License-Identifier: MIT

/**
 * An interface and one endpoint, joined in native code.
 *
 * @module
 */

import { Context, type OperationOptions } from "./context.ts";
import { DataPlane, openEndpoint } from "./data_plane.ts";
import type { Endpoint } from "./endpoint.ts";
import { encodeEndpoint, type EndpointOptions } from "./endpoint_options.ts";
import { type Interface, lendingHandleOf } from "./interface.ts";
import type { List } from "./list.ts";
import { Op } from "./symbols.ts";

/** Makes a bridge, for {@linkcode bridge}. */
let startBridge: typeof bridge;

const ACTION = "bridge";

/**
 * An interface and one endpoint, joined in native code; made by {@linkcode bridge}.
 *
 * On macOS not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { type Bridge, bridge, Interface } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using nic = await Interface.start({ mode: "host" });
 * await using joined: Bridge = await bridge(nic, { kind: "stream", listen: true, port: 0 });
 * await joined.drop("udp port 53");
 * assertEquals(joined.stats().dropped.filtered, 0);
 * ```
 */
export class Bridge extends DataPlane {
  #endpoint: Endpoint | undefined;

  static {
    startBridge = async (nic, endpoint, limits) => {
      const target = lendingHandleOf(nic, ACTION);
      const { kind, entries } = encodeEndpoint(ACTION, endpoint, undefined, true);
      const context = Context.current ?? await Context.open();
      const result = await context.operation(target, Op.switchCreate, ACTION, [["straight", true]], limits);
      const made = new Bridge(context, result);
      try {
        made.#endpoint = await openEndpoint(made, ACTION, { kind, entries }, limits);
      } catch (error) {
        await made.stop();
        throw error;
      }
      return made;
    };
  }

  private constructor(context: Context, result: List) {
    super(context, result, "bridge");
  }

  /** The endpoint. It cannot be stopped without the bridge being of no use any more. */
  get endpoint(): Endpoint {
    return this.#endpoint!;
  }
}

/**
 * Joins an interface and one endpoint: what comes from one goes to the other, in native code, while the script counts,
 * taps, limits and decides. Until it is stopped the interface cannot be read or written, and the program is kept alive
 * as by a server.
 *
 * On macOS not verified on hardware.
 *
 * @param nic The interface, without a reader.
 * @param endpoint What it is joined with. A listener has one client at a time.
 * @param limits Signal and timeout of the start.
 * @returns The bridge.
 * @throws {TypeError} If an option is not known, has the wrong kind, or does not go with the others; also if the interface
 * has a reader, or writes that wait.
 * @throws {RangeError} If an option is out of range.
 * @throws {VmnetError} If the system says no: code `inUse` if the path or port is taken, or if the interface is a port of
 * a switch or another bridge.
 *
 * @example Usage
 * ```ts
 * import { bridge, Interface } from "vmnet";
 * import { assertGreater } from "@std/assert";
 *
 * await using nic = await Interface.start({ mode: "host" });
 * await using joined = await bridge(nic, { kind: "stream", listen: true, port: 0 });
 * assertGreater(joined.endpoint.port, 0);
 * ```
 */
export async function bridge(nic: Interface, endpoint: EndpointOptions, limits?: OperationOptions): Promise<Bridge> {
  return await startBridge(nic, endpoint, limits);
}
