// SPDX-License-Identifier: MIT

/**
 * A network in the form in which vmnet hands it on.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { show } from "./fields.ts";

/** The handle of a serialization, for the library's own files. */
export let serializationHandleOf: (serialization: NetworkSerialization, action: string) => number;

/**
 * What vmnet knows of a network, to make a second object of the same network from it: made by
 * {@linkcode Network.copySerialization}, taken by {@linkcode Network.fromSerialization}. It is opaque and good in this
 * thread alone; for other processes there is {@linkcode Network.share}, which works everywhere.
 *
 * Needs macOS 26; not verified on hardware.
 *
 * @example Usage
 * ```ts
 * import { Network, probe } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * const { networks, backend } = await probe();
 * if (backend === "vmnet" && networks.works) {
 *   await using network = await Network.create({ mode: "host" });
 *   using serialization = await network.copySerialization();
 *   await using same = await Network.fromSerialization(serialization);
 *   assertEquals(same.ipv4Subnet, network.ipv4Subnet);
 * }
 * ```
 */
export class NetworkSerialization implements Disposable {
  readonly #context: Context;
  readonly #handle: number;
  #closed = false;

  static {
    serializationHandleOf = (serialization, action) => {
      if (typeof serialization !== "object" || serialization === null || !(#handle in serialization)) {
        const got = show(serialization);
        throw new TypeError(`Cannot ${action}: "serialization" must be a NetworkSerialization, got ${got}`);
      }
      if (serialization.#closed) throw new TypeError(`Cannot ${action}: "serialization" was closed`);
      return serialization.#handle;
    };
  }

  /** For {@linkcode Network.copySerialization}, which is how to get one. */
  constructor(context: Context, handle: number) {
    this.#context = context;
    this.#handle = handle;
  }

  /** Lets go of it. Networks that were made from it stay. Repeated calls do nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.shim.vn_close(this.#handle);
  }

  /** Lets go of it. */
  [Symbol.dispose](): void {
    this.close();
  }
}
