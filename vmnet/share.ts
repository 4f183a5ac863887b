// SPDX-License-Identifier: MIT

/**
 * An invitation to a network for other processes.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { Op } from "./symbols.ts";

/**
 * An invitation to a network, made by {@linkcode Network.share}: who has its token and belongs to the same user can join
 * from another process, with either runtime.
 *
 * @example Usage
 * ```ts
 * import { Network } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using network = await Network.create({ mode: "host" });
 * await using share = await network.share();
 * await using joined = await Network.join(share.token);
 * assertEquals(joined.ipv4Subnet, network.ipv4Subnet);
 * ```
 */
export class Share implements AsyncDisposable {
  /** What another process hands to {@linkcode Network.join}. Who has it can join, so treat it as a password. */
  readonly token: string;

  readonly #context: Context;
  readonly #handle: number;
  #stopped: Promise<void> | undefined;

  /** For {@linkcode Network.share}, which is how to get one. */
  constructor(context: Context, handle: number, token: string) {
    this.#context = context;
    this.#handle = handle;
    this.token = token;
  }

  /**
   * Takes the invitation back. Who has joined stays. Repeated calls answer the first one's promise.
   *
   * @returns Resolves when the token is void.
   */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    await this.#context.operation(this.#handle, Op.stop, "stop share", []);
  }

  /** Takes the invitation back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
