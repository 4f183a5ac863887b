// SPDX-License-Identifier: MIT

/**
 * vmnetd at work: its networks, its captures, and what can be asked of it while it runs.
 *
 * @module
 */

import process from "node:process";
import { prometheus } from "vmnet";
import type { Print } from "./_cli.ts";
import { Capture } from "./_vmnetd_capture.ts";
import type { CaptureConfig, Config } from "./_vmnetd_config.ts";
import { type Answer, ControlServer, EVENTS, type Handler, RequestError, StreamAnswer } from "./_vmnetd_control.ts";
import { countersOf, ServedNetwork } from "./_vmnetd_network.ts";
import { type Sink, SocketSink } from "./_capture_sink.ts";

/** Captures at a time: each copies every frame. */
const CAPTURES_MOST = 8;

type Request = Readonly<Record<string, unknown>>;

/** A field of a request, of a type. */
function field(request: Request, name: string, type: "string" | "number"): never {
  throw new RequestError(`"${name}" takes a ${type}, not ${JSON.stringify(request[name]) ?? "nothing"}`, name);
}

function textOf(request: Request, name: string): string {
  const value = request[name];
  return typeof value === "string" && value !== "" ? value : field(request, name, "string");
}

/** A field that may be missing. */
function optional<T>(request: Request, name: string, read: (request: Request, name: string) => T): T | undefined {
  return request[name] === undefined ? undefined : read(request, name);
}

function integerOf(request: Request, name: string): number {
  const value = request[name];
  return typeof value === "number" && Number.isInteger(value) ? value : field(request, name, "number");
}

/** What of the frames a request wants to have captured. */
function lookOf(request: Request): Pick<CaptureConfig, "filter" | "snap"> {
  const [filter, snap] = [optional(request, "filter", textOf), optional(request, "snap", integerOf)];
  if (snap !== undefined && (snap < 14 || snap > 65562)) {
    throw new RequestError(`"snap" takes an integer from 14 to 65562, not ${snap}`, "snap");
  }
  return { ...(filter && { filter }), ...(snap === undefined ? {} : { snap }) };
}

/** What a request may say besides `do`, and its answer. */
interface Action {
  readonly fields: readonly string[];
  readonly run: (request: Request) => ReturnType<Handler> | Awaited<ReturnType<Handler>>;
}

/** All that is served. */
export class Daemon {
  /** Resolves when somebody asks for the end, or nobody can come any more; rejects when a network ends by itself. */
  readonly ending: Promise<string>;

  readonly #print: Print;
  readonly #networks: readonly ServedNetwork[];
  readonly #captures: Capture[] = [];
  readonly #started = Date.now();
  readonly #end = Promise.withResolvers<string>();
  readonly #actions: ReadonlyMap<string, Action>;
  #control: ControlServer | undefined;
  #following: Promise<void>[] = [];
  #streams = 0;
  #isStopping = false;

  private constructor(networks: readonly ServedNetwork[], print: Print) {
    [this.#networks, this.#print, this.ending] = [networks, print, this.#end.promise];
    this.#actions = this.#table();
  }

  /** Starts all of it, or leaves nothing. */
  static async start(config: Config, print: Print): Promise<Daemon> {
    const networks: ServedNetwork[] = [];
    const daemon = new Daemon(networks, print);
    try {
      for (const network of config.networks) networks.push(await ServedNetwork.start(network));
      if (config.capture !== undefined) await daemon.#capture(config.capture, networks);
      const handle: Handler = (request) => daemon.#handle(request);
      if (config.control !== undefined) daemon.#control = await ControlServer.listen(config.control, handle);
    } catch (error) {
      await daemon.stop();
      throw error;
    }
    daemon.#follow();
    for (const { name, endpoints, facts } of networks) {
      for (const { endpoint: { kind }, place } of endpoints) {
        print("listening", { network: name, kind, socket: place, ...facts });
      }
    }
    if (config.control !== undefined) print("control", { socket: config.control });
    return daemon;
  }

  get networks(): readonly ServedNetwork[] {
    return this.#networks;
  }

  /** Prints the counters of every client. */
  printStats(): void {
    for (const network of this.#networks) {
      for (const port of network.clients()) {
        const { number, macAddress: mac } = port;
        this.#tell("stats", { network: network.name, port: number, mac, ...countersOf(port) });
      }
    }
  }

  /** Ends every client, then the networks. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#captures.map((capture) => capture.stop())); // those that clients read need their connections
    await this.#control?.stop();
    await Promise.all(this.#networks.map((network) => network.stop()));
    await Promise.all(this.#following);
  }

  #tell(event: string, details: Record<string, unknown>): void {
    this.#print(event, details);
    this.#control?.tell({ event, ...details });
  }

  #follow(): void {
    const loops = this.#networks.flatMap((network) => [this.#followPorts(network), this.#followLeases(network)]);
    this.#following = loops.map((loop) =>
      loop.catch((error) => this.#isStopping || this.#end.reject(error)) as Promise<void>
    );
    void Promise.all(this.#networks.map((network) => network.ended())).then(() => this.#end.resolve("the last client"));
  }

  async #followPorts({ name: network, sw, away }: ServedNetwork): Promise<void> {
    for await (const event of sw.events()) {
      if (event.type === "lost") {
        this.#tell("lost", { network, count: event.count });
        continue;
      }
      const { type, port, kind, label, macAddress: mac, detail } = event;
      if (type === "disconnected") away.add(port);
      if (type === "connected" || type === "reconnected") away.delete(port);
      const counted = type === "disconnected" && sw.stats().ports.find(({ number }) => number === port);
      this.#tell(type, { network, port, kind, label, mac, detail, ...(counted && countersOf(counted)) });
    }
  }

  async #followLeases({ name, network }: ServedNetwork): Promise<void> {
    if (network === undefined) return;
    for await (const { change, macAddress: mac, address, hostname } of network.leases()) {
      this.#tell("lease", { network: name, change, mac, address, hostname });
    }
  }

  async #capture(config: CaptureConfig, networks: readonly ServedNetwork[], sink?: Sink): Promise<Capture> {
    if (this.#isStopping) throw new RequestError("The daemon is about to end");
    if (this.#captures.length >= CAPTURES_MOST) throw new RequestError(`There are ${CAPTURES_MOST} captures already`);
    const same = this.#captures.find((capture) => capture.config.file === config.file);
    if (same !== undefined) throw new RequestError(`There is a capture into "${config.file}" already`, "file");
    const capture = await Capture.start(config, networks, sink);
    this.#captures.push(capture);
    void capture.done.then((error) => {
      this.#captures.splice(this.#captures.indexOf(capture), 1);
      if (error !== undefined) this.#tell("error", { capture: config.file, why: error.message });
    });
    return capture;
  }

  /** A capture whose client reads it from the connection that it asked on. */
  async #stream(request: Request): Promise<StreamAnswer> {
    const [networks, sink] = [this.#chosen(request), new SocketSink()];
    const capture = await this.#capture({ file: `stream ${++this.#streams}`, ...lookOf(request) }, networks, sink);
    const names = networks.map(({ name }) => name);
    return new StreamAnswer({ file: capture.config.file, networks: names }, (socket) => {
      sink.attach(socket);
      socket.once("close", () => capture.end());
      return () => capture.end();
    });
  }

  async #handle(request: Request): ReturnType<Handler> {
    const name = textOf(request, "do");
    const action = this.#actions.get(name);
    if (action === undefined) {
      throw new RequestError(`"do" takes one of ${[...this.#actions.keys()].join(", ")}, not "${name}"`, "do");
    }
    const unknown = Object.keys(request).find((key) => key !== "do" && !action.fields.includes(key));
    if (unknown !== undefined) throw new RequestError(`"${unknown}" is not known to ${name}`, unknown);
    return await action.run(request);
  }

  /** The network that a request is about: the one that there is, or the one that it names. */
  #networkOf(request: Request): ServedNetwork {
    const name = optional(request, "network", textOf);
    const names = this.#networks.map((network) => network.name).join(", ");
    if (name === undefined && this.#networks.length > 1) {
      throw new RequestError(`"network" is missing, one of ${names}`, "network");
    }
    const found = this.#networks.find((network) => name === undefined || network.name === name);
    if (found === undefined) throw new RequestError(`"network" takes one of ${names}, not "${name}"`, "network");
    return found;
  }

  /** The networks of a request that is about all of them, unless it names one. */
  #chosen(request: Request): readonly ServedNetwork[] {
    return request["network"] === undefined ? this.#networks : [this.#networkOf(request)];
  }

  /** The network of a request, if macOS has it as an object that can do what is asked. */
  #objectOf(request: Request): NonNullable<ServedNetwork["network"]> {
    const { network, name } = this.#networkOf(request);
    if (network === undefined) throw new RequestError(`The network "${name}" has no DHCP server of its own`, "network");
    return network;
  }

  #table(): ReadonlyMap<string, Action> {
    // What the library checks is passed on as it is, and its message names the field
    const rest = ({ do: _, network: __, ...given }: Request) => given as never;
    const each = async (read: (network: ServedNetwork) => unknown) =>
      await Promise.all(
        this.#networks.map(async (network) => ({ name: network.name, ...await read(network) as object })),
      );
    const port = (request: Request) => {
      const { port, ...options } = rest(request) as { port: never };
      return [port, options] as const;
    };
    const actions: Record<string, Action> = {
      status: { fields: [], run: async () => await this.#status() },
      stats: {
        fields: [],
        run: async () => ({
          networks: await each(({ sw, network }) => ({ switch: sw.stats(), network: network?.stats() ?? {} })),
        }),
      },
      metrics: {
        fields: [],
        run: () => ({
          text: prometheus(this.#networks.map(({ sw, name }) => [sw.stats(), { network: name }] as const)),
        }),
      },
      leases: {
        fields: [],
        run: async () => ({ networks: await each(({ network }) => ({ leases: network?.currentLeases() ?? [] })) }),
      },
      "forward.list": {
        fields: [],
        run: async () => ({
          networks: await each(async ({ rules }) => ({ forwards: await rules.portForwardingRules() })),
        }),
      },
      "forward.add": {
        fields: ["network", "protocol", "externalPort", "internalAddress", "internalPort"],
        run: (request) => this.#forward(request, "added", (rules) => rules.addPortForwardingRule(rest(request))),
      },
      "forward.remove": {
        fields: ["network", "protocol", "externalPort", "family"],
        run: (request) => this.#forward(request, "removed", (rules) => rules.removePortForwardingRule(rest(request))),
      },
      "reservation.list": {
        fields: [],
        run: async () => ({
          networks: await each(async ({ network }) => ({ reservations: await network?.dhcpReservations() ?? [] })),
        }),
      },
      "reservation.add": {
        fields: ["network", "mac", "address"],
        run: async (request) => (await this.#objectOf(request).addDhcpReservation(rest(request)), {}),
      },
      "reservation.remove": {
        fields: ["network", "mac"],
        run: async (request) => {
          const network = this.#objectOf(request);
          await network.removeDhcpReservation(textOf(request, "mac"));
          return {};
        },
      },
      "port.set": {
        fields: [
          ...["network", "port", "isolated", "bytesPerSecond", "burstBytes", "broadcastsPerSecond"],
          ...["antiSpoof", "macAddress"],
        ],
        run: async (request) => (await this.#networkOf(request).sw.setPort(...port(request)), {}),
      },
      disconnect: {
        fields: ["network", "port"],
        run: async (request) => (await this.#networkOf(request).sw.disconnect(port(request)[0]), {}),
      },
      "capture.start": {
        fields: ["network", "file", "filter", "snap"],
        run: async (request) => {
          const config = { file: textOf(request, "file"), ...lookOf(request) };
          if (config.file === "-") throw new RequestError('"file" takes a path, not "-"', "file");
          await this.#capture(config, this.#chosen(request));
          return {};
        },
      },
      "capture.stream": { fields: ["network", "filter", "snap"], run: (request) => this.#stream(request) },
      "capture.stop": {
        fields: ["file"],
        run: async (request) => {
          const file = textOf(request, "file");
          const capture = this.#captures.find(({ config }) => config.file === file);
          if (capture === undefined) throw new RequestError(`"file" takes that of a capture, not "${file}"`, "file");
          const stats = capture.stats();
          const error = await capture.stop();
          if (error !== undefined) throw error;
          return stats;
        },
      },
      events: { fields: [], run: () => EVENTS },
      // Once it is answered
      stop: { fields: [], run: () => (setTimeout(() => this.#end.resolve("the control socket")), {}) },
    };
    return new Map(Object.entries(actions));
  }

  /** Changes a rule of forwarding, and tells of it. */
  async #forward(
    request: Request,
    change: "added" | "removed",
    run: (rules: ServedNetwork["rules"]) => Promise<void>,
  ): Promise<Answer> {
    const { name: network, rules } = this.#networkOf(request);
    await run(rules);
    const { do: _, network: __, ...rule } = request;
    this.#tell("forward", { network, change, ...rule });
    return {};
  }

  async #status(): Promise<Answer> {
    return {
      pid: process.pid,
      uptimeSeconds: Math.round((Date.now() - this.#started) / 1000),
      captures: this.#captures.map((capture) => capture.stats()),
      networks: await Promise.all(this.#networks.map((network) => network.status())),
    };
  }
}
