// SPDX-License-Identifier: MIT

/**
 * What endpoints, taps, intercepts and rules have in common: each belongs to a switch and ends with it.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { stoppedError } from "./errors.ts";
import type { List } from "./list.ts";
import { Get, Op } from "./symbols.ts";

/** What the parts of a switch know of it. */
export interface PartOwner {
  readonly context: Context;
  /** The parts there are. */
  readonly parts: Set<Part>;
  /** The end of the switch, if the script has stopped it. */
  readonly stopped: Promise<void> | undefined;
}

/** The handle of a part and its end. */
export class Part {
  readonly handle: number;
  readonly context: Context;

  readonly #owner: PartOwner;
  readonly #kind: string;
  readonly #onEnd: () => void;
  #stopped: Promise<void> | undefined;
  #isOver = false;

  /**
   * Belongs to its switch from now on.
   *
   * @param owner The switch.
   * @param result What the operation that made it answered.
   * @param kind What it is, for messages.
   * @param onEnd Called once, when it is stopped or the switch is, and before that has happened.
   */
  constructor(owner: PartOwner, result: List, kind: string, onEnd: () => void = () => {}) {
    this.#owner = owner;
    this.#kind = kind;
    this.#onEnd = onEnd;
    this.context = owner.context;
    this.handle = result.number("handle") ?? 0;
    owner.parts.add(this);
  }

  /** Whether the script has stopped it, or all of the switch. */
  get isStopping(): boolean {
    return this.#isOver || this.context.isEnding;
  }

  /** Its counters as the shim names them. */
  stats(): List {
    const action = "read statistics";
    if (this.isStopping) throw stoppedError(action);
    return this.context.get(this.handle, Get.stats, action);
  }

  /** Stops it; repeated calls answer the first one's promise. */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.end();
    // The switch takes its parts with it
    if (this.#owner.stopped !== undefined) return await this.#owner.stopped;
    try {
      await this.context.operation(this.handle, Op.stop, `stop ${this.#kind}`, []);
    } finally {
      this.#owner.parts.delete(this);
      this.context.detach(this.handle);
    }
  }

  /** Whoever waits for it waits no more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
  }

  /** Lets go of what the switch has ended. */
  close(): void {
    this.context.detach(this.handle);
    this.context.shim.vn_close(this.handle);
  }
}
