// SPDX-License-Identifier: MIT

/**
 * What the reading and the writing half of an interface, a tap or an intercept have in common.
 *
 * @module
 */

import type { Context } from "./context.ts";
import { errorOf, stoppedError, VmnetError } from "./errors.ts";
import type { List } from "./list.ts";
import type { Shim } from "./shim.ts";
import { Status } from "./status.ts";
import { Get, Ready } from "./symbols.ts";

/** Limits of an interface, as vmnet reports them. */
export interface PortLimits {
  /** Shortest frame in bytes. */
  readonly minPacketSize: number;
  /** Longest frame in bytes, virtio header included. */
  readonly maxPacketSize: number;
  /** Frames that one read answers at the most. */
  readonly maxReadPacketCount: number;
  /** Frames that one write takes at the most. */
  readonly maxWritePacketCount: number;
  /** Whether frames are read from a ring, close to one another, and not each into a slot of its own. */
  readonly isPacked?: boolean;
}

/** What frames can be read from. */
export type PortKind = "interface" | "tap" | "intercept";

/** The handle of what has frames, its limits and its state. */
export class Port {
  readonly context: Context;
  readonly shim: Shim;
  readonly handle: number;
  readonly limits: PortLimits;
  /** What it is, for messages. */
  readonly kind: PortKind;
  /** Whether the interface has ended by itself. */
  failed = false;
  /** Called when frames wait or the state has changed. */
  onReadable: () => void = () => {};
  /** Called when there is room again or the state has changed. */
  onWritable: () => void = () => {};

  #stopped = false;
  #status: number = Status.ok;
  #state: List | undefined;

  constructor(context: Context, handle: number, limits: PortLimits, kind: PortKind = "interface") {
    this.context = context;
    this.shim = context.shim;
    this.handle = handle;
    this.limits = limits;
    this.kind = kind;
    context.attach(handle, (bits) => this.#onReady(bits));
  }

  /** Whether the script has stopped the interface, or ends altogether. */
  get stopping(): boolean {
    return this.#stopped || this.context.isEnding;
  }

  /** Throws if the interface does not work any more. */
  check(action: string): void {
    if (this.stopping || this.failed) throw this.errorOf(action, this.#status);
  }

  /** The error for a status, or for what ended the interface. */
  errorOf(action: string, status: number): VmnetError {
    if (this.stopping) return stoppedError(action);
    if (this.failed) return errorOf(action, this.#status, this.#state);
    return status === Status.inUse ? this.#lentError(action) : errorOf(action, status);
  }

  /** Marks the interface as stopped by the script and wakes everybody who waits. */
  stop(): void {
    this.#stopped = true;
    this.onReadable();
    this.onWritable();
  }

  /** Frames of an interface that a switch has go there, and not to the script. */
  #lentError(action: string): VmnetError {
    const message = `Cannot ${action}: the ${this.kind} is a port of a switch or a bridge, stop that first`;
    return new VmnetError(message, { status: Status.inUse, operation: action, remedy: "Stop the switch or bridge" });
  }

  #onReady(bits: number): void {
    if ((bits & Ready.state) !== 0) this.#readState();
    if ((bits & (Ready.packets | Ready.state)) !== 0) this.onReadable();
    if ((bits & (Ready.writable | Ready.state)) !== 0) this.onWritable();
  }

  #readState(): void {
    if (this.stopping || this.failed) return;
    try {
      this.#state = this.context.get(this.handle, Get.state, `use ${this.kind}`);
      this.#status = this.#state.number("status") ?? Status.ok;
    } catch (error) {
      this.#status = (error as VmnetError).status;
    }
    this.failed = this.#status !== Status.ok && this.#status !== Status.success;
  }
}
