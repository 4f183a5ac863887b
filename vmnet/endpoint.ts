// SPDX-License-Identifier: MIT

/**
 * What is attached to a switch.
 *
 * @module
 */

import type { EndpointKind } from "./endpoint_options.ts";
import { errorOf } from "./errors.ts";
import type { List } from "./list.ts";
import { Part, type PartOwner } from "./part.ts";
import { Status } from "./status.ts";
import { Get, Ready } from "./symbols.ts";

/** Counters of an endpoint. Those of its frames are its ports', in {@linkcode Switch.stats}. */
export interface EndpointStats {
  /** Clients that are connected now. */
  readonly clients: number;
  /** Clients that have ever been let in. */
  readonly accepted: number;
  /** Clients that were turned away, because there were too many. */
  readonly refused: number;
  /** What its kind counts besides, under the names that it gives. */
  readonly details: Readonly<Record<string, number>>;
}

/**
 * Something that is attached to a switch: a listener with its clients, a connection, a device, an interface or a file.
 * Made by {@linkcode Switch.attach}, {@linkcode Switch.listen}, {@linkcode Switch.connect} and {@linkcode bridge}.
 *
 * @example Usage
 * ```ts
 * import { Switch } from "vmnet";
 * import { assertEquals, assertGreater } from "@std/assert";
 *
 * await using sw = await Switch.create();
 * await using door = await sw.listen({ kind: "stream", port: 0 });
 * assertGreater(door.port, 0);
 * assertEquals(door.stats().clients, 0);
 * ```
 */
export class Endpoint implements AsyncDisposable {
  /** What it is. */
  readonly kind: EndpointKind;
  /** Its number, from 1 on, which {@linkcode PortStats.endpoint} of its ports has. */
  readonly id: number;
  /** The file of its socket, empty if it has none. */
  readonly path: string;
  /** Its TCP port, 0 if it has none. */
  readonly port: number;
  /** Name of its TAP device, empty if it has none. */
  readonly name: string;
  /**
   * With `pair: true` the other end, for a child process; else -1. It belongs to the script, which closes it
   * when the child has it.
   */
  readonly fd: number;
  /**
   * Resolves when it was stopped, or has come to its end: the file was played, the other end has gone and nothing
   * reconnects, the network has ended. Rejects with a {@linkcode VmnetError} if something else made it end. Nobody has to
   * look.
   */
  readonly done: Promise<void>;

  readonly #part: Part;
  readonly #settle: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  /** For {@linkcode Switch.attach}, which is how to get one. */
  constructor(owner: PartOwner, kind: EndpointKind, result: List) {
    this.#part = new Part(owner, result, "endpoint", () => this.#settle.resolve());
    this.kind = kind;
    this.id = result.number("serial") ?? 0;
    this.path = result.text("path") ?? "";
    this.port = result.number("port") ?? 0;
    this.name = result.text("name") ?? "";
    this.fd = result.number("fd") ?? -1;
    this.done = this.#settle.promise;
    this.done.catch(() => {}); // who does not look is told by events
    owner.context.attach(this.#part.handle, (bits) => this.#onReady(bits));
  }

  /**
   * Counters of its clients.
   *
   * @returns Numbers from its beginning on.
   * @throws {VmnetError} If it was stopped.
   */
  stats(): EndpointStats {
    const { entries } = this.#part.stats();
    const numbers = entries.filter((entry): entry is [string, number] => typeof entry[1] === "number");
    const { clients = 0, accepted = 0, refused = 0, serial: _, ...details } = Object.fromEntries(numbers);
    return { clients, accepted, refused, details };
  }

  /**
   * Detaches it: its clients are disconnected, an interface goes back to the script. Repeated calls answer the first
   * one's promise.
   *
   * @returns Resolves when nothing of it is left.
   */
  stop(): Promise<void> {
    return this.#part.stop();
  }

  /** Detaches it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #onReady(bits: number): void {
    if ((bits & Ready.state) === 0 || this.#part.isStopping) return;
    const action = "use endpoint";
    try {
      const state = this.#part.context.get(this.#part.handle, Get.state, action);
      const status = state.number("status") ?? Status.ok;
      if (status === Status.ok) return;
      if (status === Status.stopped || status === Status.networkGone) this.#settle.resolve();
      else this.#settle.reject(errorOf(action, status, state));
    } catch (error) {
      this.#settle.reject(error);
    }
  }
}
