// SPDX-License-Identifier: MIT

/**
 * What switches and bridges have in common.
 *
 * @module
 */

import type { Context, OperationOptions } from "./context.ts";
import { Endpoint } from "./endpoint.ts";
import type { EndpointKind } from "./endpoint_options.ts";
import { errorOf, stoppedError, VmnetError } from "./errors.ts";
import { Fields, signalOf } from "./fields.ts";
import { encodeIntercept, Intercept, type InterceptOptions, type VerdictHandler } from "./intercept.ts";
import type { List, ListEntries } from "./list.ts";
import type { ReadOptions } from "./packet_loop.ts";
import type { Part, PartOwner } from "./part.ts";
import { encodePortOptions, portOptionNames, type PortOptions } from "./port_options.ts";
import { Status } from "./status.ts";
import { decodeEvents, EventFollower, type SwitchEvent } from "./switch_events.ts";
import { decodeSwitchStats, type SwitchStats } from "./switch_stats.ts";
import { Get, Op, Ready } from "./symbols.ts";
import { DropRule, encodeRule, encodeTap, Tap, type TapOptions } from "./tap.ts";

/** Attaches an endpoint, for the library's own files. */
export let openEndpoint: (
  plane: DataPlane,
  action: string,
  endpoint: { kind: EndpointKind; entries: ListEntries },
  limits: OperationOptions | undefined,
) => Promise<Endpoint>;

/** Throws if a switch or bridge does not work any more, for the library's own files. */
export let checkPlane: (plane: DataPlane, action: string) => void;

/**
 * Frames that move in native code, and a script's hold on them: what {@linkcode Switch} and {@linkcode Bridge} have in
 * common.
 *
 * Everything here takes effect while frames move, and nothing stops them.
 *
 * @example Usage
 * ```ts
 * import { Switch } from "vmnet";
 * import { assertEquals } from "@std/assert";
 *
 * await using sw = await Switch.create();
 * await using a = await sw.attach({ kind: "stream", pair: true, label: "a" });
 * await using b = await sw.attach({ kind: "stream", fd: a.fd, label: "b" });
 *
 * const port = sw.stats().ports.find(({ endpoint }) => endpoint === b.id)!;
 * await sw.setPort(port.number, { bytesPerSecond: 12_500_000, antiSpoof: true });
 * for await (const event of sw.events()) {
 *   assertEquals(event.type, "connected");
 *   break;
 * }
 * ```
 */
export abstract class DataPlane implements AsyncDisposable {
  /** Longest frame in bytes that a port without virtio header sends and gets. */
  readonly maxPacketSize: number;

  readonly #context: Context;
  readonly #kind: string;
  readonly #handle: number;
  readonly #owner: { context: Context; parts: Set<Part>; stopped: Promise<void> | undefined };
  readonly #followers = new Set<EventFollower>();
  /** What ended it, unless the script did. */
  #ended: { status: number; state?: List } | undefined;
  #isStopping = false;
  /** Whether it keeps the program alive, as far as the script has said, and whether it does so now. */
  #isWanted = true;
  #isHeld = false;

  static {
    openEndpoint = async (plane, action, { kind, entries }, limits) => {
      const result = await plane.#operation(Op.endpointOpen, action, entries, limits);
      return new Endpoint(plane.#owner, kind, result);
    };
    checkPlane = (plane, action) => plane.#check(action);
  }

  /** For {@linkcode Switch.create} and {@linkcode bridge}, which are how to get one. */
  constructor(context: Context, result: List, kind: "switch" | "bridge") {
    this.#kind = kind;
    this.#context = context;
    this.#handle = result.number("handle") ?? 0;
    this.#owner = { context, parts: new Set(), stopped: undefined } satisfies PartOwner;
    this.maxPacketSize = result.number("maxFrame") ?? 1514;
    context.attach(this.#handle, (bits) => this.#onReady(bits));
    this.#keepAlive();
  }

  /**
   * Copies frames to the script, filtered and cut in native code.
   *
   * @param options What is copied; by default everything.
   * @param limits Signal and timeout.
   * @returns The copies, to be read in a loop.
   * @throws {TypeError} If an option is not known or has the wrong kind.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} With code `badOption` if the filter cannot be compiled, `missing` without libpcap.
   */
  async tap(options: TapOptions = {}, limits?: OperationOptions): Promise<Tap> {
    const action = "open tap";
    const { entries, maxPacketSize } = encodeTap(options, action);
    const result = await this.#operation(Op.tapOpen, action, entries, limits);
    return new Tap(this.#owner, result, maxPacketSize);
  }

  /**
   * Lets the script decide on frames.
   *
   * @param options Which frames; by default all of them.
   * @param handler Decides on a frame: {@linkcode Verdict}.
   * @param limits Signal and timeout.
   * @returns What ends it, and counts.
   * @throws {TypeError} If an option is not known or has the wrong kind, or if `handler` is not a function.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} With code `badOption` if the filter cannot be compiled, `missing` without libpcap.
   */
  async intercept(
    options: InterceptOptions,
    handler: VerdictHandler,
    limits?: OperationOptions,
  ): Promise<Intercept> {
    const action = "open intercept";
    const entries = encodeIntercept(options, handler, action);
    const result = await this.#operation(Op.interceptOpen, action, entries, limits);
    return new Intercept(this.#owner, result, this.maxPacketSize, handler);
  }

  /**
   * Drops what a filter matches, without asking the script.
   *
   * @param filter A filter in the language of tcpdump, for instance `"udp port 53"`, at most 4095 characters.
   * @param options Number of the port whose frames are meant; those of every port by default.
   * @param limits Signal and timeout.
   * @returns What takes the rule back, and counts.
   * @throws {TypeError} If a value has the wrong kind.
   * @throws {RangeError} If a value is out of range.
   * @throws {VmnetError} With code `badOption` if the filter cannot be compiled, `missing` without libpcap.
   */
  async drop(
    filter: string,
    options: { port?: number | undefined } = {},
    limits?: OperationOptions,
  ): Promise<DropRule> {
    const action = "add drop rule";
    const entries = encodeRule(filter, options, action);
    return new DropRule(this.#owner, await this.#operation(Op.ruleAdd, action, entries, limits), filter);
  }

  /**
   * Changes what a port may do. What is not given stays as it is.
   *
   * @param port The port's number, as {@linkcode PortStats.number}.
   * @param options What it may do from now on.
   * @param limits Signal and timeout.
   * @throws {TypeError} If an option is not known or has the wrong kind.
   * @throws {RangeError} If an option is out of range.
   * @throws {VmnetError} With code `notFound` if there is no such port.
   */
  async setPort(port: number, options: PortOptions, limits?: OperationOptions): Promise<void> {
    const action = "set port";
    const fields = new Fields(action, options, portOptionNames);
    await this.#operation(Op.portSet, action, [portEntry(action, port), ...encodePortOptions(fields)], limits);
  }

  /**
   * Takes a port away: a client is disconnected, and may come again.
   *
   * @param port The port's number, as {@linkcode PortStats.number}.
   * @param limits Signal and timeout.
   * @throws {TypeError} If the number is none.
   * @throws {RangeError} If the number is out of range.
   * @throws {VmnetError} With code `notFound` if there is no such port.
   */
  async disconnect(port: number, limits?: OperationOptions): Promise<void> {
    const action = "disconnect port";
    await this.#operation(Op.portSet, action, [portEntry(action, port), ["disconnect", true]], limits);
  }

  /**
   * The counters of the switch and of each port. Reading them stops nothing.
   *
   * @returns Plain data, good for `JSON.stringify()` and for {@linkcode prometheus}.
   * @throws {VmnetError} If it was stopped.
   */
  stats(): SwitchStats {
    const action = "read statistics";
    if (this.#isStopping || this.#context.isEnding) throw stoppedError(action);
    return decodeSwitchStats(this.#context.get(this.#handle, Get.stats, action));
  }

  /**
   * What happens at its ports. The first loop gets also what has happened before it, 256 events at the most; several
   * loops can run at a time. Stopping ends them quietly, a network that ends makes them throw.
   *
   * @param options A signal that ends the loop quietly.
   * @returns The events.
   */
  events(options?: ReadOptions): AsyncIterableIterator<SwitchEvent> {
    const action = "read events";
    return new EventFollower({
      check: () => this.#check(action),
      isStopping: () => this.#isStopping || this.#context.isEnding,
      follow: (follower) => {
        this.#followers.add(follower);
        // What waits is of use only to the first: the others' was told to the first
        if (this.#followers.size === 1) this.#onReady(Ready.event);
      },
      unfollow: (follower) => void this.#followers.delete(follower),
      hold: () => this.#context.hold(),
      release: () => this.#context.release(),
    }, signalOf(action, options));
  }

  /**
   * Keeps the program alive while it runs, which is the default; as `ref()` of a server does.
   *
   * @returns Itself.
   */
  ref(): this {
    this.#isWanted = true;
    this.#keepAlive();
    return this;
  }

  /**
   * Lets the program end although it runs.
   *
   * @returns Itself.
   */
  unref(): this {
    this.#isWanted = false;
    this.#keepAlive();
    return this;
  }

  /**
   * Stops it, and all that is attached: loops end quietly, clients are disconnected, interfaces go back to the script.
   * A network that it was made on goes on. Repeated calls answer the first one's promise.
   *
   * @returns Resolves when nothing of it is left.
   * @throws {VmnetError} On macOS, with code `timeout`, if vmnet has not answered after 30 seconds; not verified on
   * hardware.
   */
  stop(): Promise<void> {
    return this.#owner.stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    for (const part of this.#owner.parts) part.end();
    this.#wakeFollowers();
    try {
      await this.#context.operation(this.#handle, Op.stop, `stop ${this.#kind}`, []);
    } finally {
      for (const part of this.#owner.parts) {
        part.end(); // one whose operation had just succeeded
        part.close();
      }
      this.#owner.parts.clear();
      this.#context.detach(this.#handle);
      this.#keepAlive();
    }
  }

  /** Stops it, and all that is attached. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #operation(
    op: number,
    action: string,
    entries: ListEntries,
    limits: OperationOptions | undefined,
  ): Promise<List> {
    this.#check(action);
    try {
      return await this.#context.operation(this.#handle, op, action, entries, limits, () => !this.#isStopping);
    } catch (error) {
      // A switch that is stopped while something is opened takes its network with it
      if (this.#isStopping && error instanceof VmnetError && isOver(error.status)) throw stoppedError(action);
      throw error;
    }
  }

  #check(action: string): void {
    if (this.#isStopping || this.#context.isEnding) throw stoppedError(action);
    if (this.#ended !== undefined) throw errorOf(action, this.#ended.status, this.#ended.state);
  }

  #keepAlive(): void {
    const isHeld = this.#isWanted && !this.#isStopping && this.#ended === undefined;
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#context.hold();
    else this.#context.release();
  }

  #onReady(bits: number): void {
    if (this.#isStopping) return;
    try {
      if ((bits & Ready.event) !== 0 && this.#followers.size > 0) this.#readEvents();
      if ((bits & Ready.state) !== 0) this.#readState();
    } catch (error) {
      this.#fail({ status: (error as VmnetError).status });
    }
  }

  #readEvents(): void {
    const events = decodeEvents(this.#context.get(this.#handle, Get.events, "read events"));
    if (events.length === 0) return;
    for (const follower of [...this.#followers]) follower.tell(events);
  }

  #readState(): void {
    const state = this.#context.get(this.#handle, Get.state, `use ${this.#kind}`);
    const status = state.number("status") ?? Status.ok;
    if (status !== Status.ok && status !== Status.success) this.#fail({ status, state });
  }

  #fail(ended: { status: number; state?: List }): void {
    this.#ended ??= ended;
    this.#keepAlive();
    this.#wakeFollowers();
  }

  #wakeFollowers(): void {
    for (const follower of [...this.#followers]) follower.wake();
  }
}

/** Whether a status says that there is no switch any more. */
function isOver(status: number): boolean {
  return status === Status.networkGone || status === Status.stale;
}

/** The number of a port, checked and encoded. */
function portEntry(action: string, port: unknown): readonly [string, number] {
  const fields = new Fields(action, { port }, ["port"]);
  fields.require("port");
  return ["port", fields.integer("port", 1, 65535)!];
}
