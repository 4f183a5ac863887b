// SPDX-License-Identifier: MIT

/**
 * Boots the test guest in QEMU and talks to its serial console. See `image/init` for the other end of the protocol and
 * `scripts/guest.mjs` for the image.
 *
 * @module
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Readable, Writable } from "node:stream";

/** What `locateGuest()` of `scripts/guest.mjs` says, as far as it is used here. */
interface Image {
  kernel: string;
  initrd: string;
  extraInitrd: string;
  ready: boolean;
  extraReady: boolean;
}

// Through a variable: the script is plain JavaScript, which the type checkers would have to be told to read.
const recipe = new URL("../../scripts/guest.mjs", import.meta.url).href;
const { locateGuest } = await import(recipe) as { locateGuest: () => Image };

/** How the guest's network card is connected, in QEMU's words: to a listening unix socket or to a socket we hold. */
export type GuestNetdev =
  /** QEMU connects to a listening unix stream socket; frames have a 4-byte length. */
  | { kind: "stream"; path: string }
  /** One end of a stream socketpair, given to QEMU. */
  | { kind: "stream"; fd: number }
  /** QEMU binds `localPath` and sends to `path`; one datagram is one frame. */
  | { kind: "dgram"; path: string; localPath: string }
  /** One end of a datagram socketpair, given to QEMU. */
  | { kind: "dgram"; fd: number }
  /** QEMU's own user network: a peer to compare with. */
  | { kind: "user" }
  /** Words of a person, of the id `net`; a descriptor becomes number 3 in QEMU. */
  | { kind: "words"; words: string; fd?: number };

/** Options of {@linkcode bootGuest}. */
export interface GuestOptions {
  netdev: GuestNetdev;
  /** MAC address of the guest's network card. */
  mac: string;
  /** Whether the guest asks for a lease before it is ready, by default true. */
  dhcp?: boolean;
  /** Whether the image has socat and iperf3, by default false. */
  extra?: boolean;
  /** Memory in MiB, by default 128, or 192 with `extra`. */
  memory?: number;
  /** Time until the guest has to be ready, in milliseconds, by default 90 s: a busy machine emulates slowly. */
  bootTimeoutMs?: number;
}

/** The lease that the guest got last. */
export interface GuestLease {
  ip: string;
  /** Length of the subnet's prefix. */
  mask: number;
  router: string[];
  dns: string[];
  serverId: string;
  leaseSeconds: number;
  /** From option 26, undefined when the server sent none. */
  mtu: number | undefined;
  domain: string;
  search: string;
}

/** What a command in the guest ended with. */
export interface GuestResult {
  status: number;
  /** Standard output and error, without the last newline. */
  output: string;
}

function programPath(name: string): string | undefined {
  return (process.env.PATH ?? "").split(":").map((place) => join(place, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why no guest can be booted here, or `false`: what the `skip` option of a test takes. */
export function whyNoGuest(options: { extra?: boolean } = {}): string | false {
  if (!programPath("qemu-system-x86_64")) return "qemu-system-x86_64 is not installed";
  const image = locateGuest();
  if (!image.ready) return 'the guest image is missing, run "node scripts/guest.mjs"';
  if (options.extra && !image.extraReady) return 'the guest image has no socat and iperf3, run "npm test" as root';
  return false;
}

/** Whether QEMU and the guest image are here. */
export function guestAvailable(options: { extra?: boolean } = {}): boolean {
  return whyNoGuest(options) === false;
}

/** QEMU's `-netdev` argument; a descriptor becomes number 3 in QEMU. */
function netdevArgument(netdev: GuestNetdev): string {
  // QEMU's option syntax doubles a comma that is part of a value.
  const quoted = (path: string) => path.replaceAll(",", ",,");
  if (netdev.kind === "user") return "user,id=net";
  if (netdev.kind === "words") return netdev.words;
  if (netdev.kind === "stream") {
    return "fd" in netdev
      ? "stream,id=net,addr.type=fd,addr.str=3"
      : `stream,id=net,server=off,addr.type=unix,addr.path=${quoted(netdev.path)}`;
  }
  return "fd" in netdev
    ? "dgram,id=net,local.type=fd,local.str=3"
    : `dgram,id=net,local.type=unix,local.path=${quoted(netdev.localPath)},` +
      `remote.type=unix,remote.path=${quoted(netdev.path)}`;
}

function qemuArguments(options: GuestOptions): string[] {
  const { kernel, initrd, extraInitrd } = locateGuest();
  // Emulation is what every machine can do. A stock kernel under a nested KVM may print nothing at all, so KVM is asked for.
  const dhcp = options.dhcp === false ? " guest.dhcp=0" : "";
  const accelerators = process.env.VMNET_TEST_KVM === "1" ? ["kvm", "tcg"] : ["tcg"];
  return [
    ...["-machine", "q35", ...accelerators.flatMap((name) => ["-accel", name])],
    ...["-m", String(options.memory ?? (options.extra ? 192 : 128))],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-kernel", kernel, "-initrd", options.extra ? extraInitrd : initrd],
    // no_timer_check: on a busy host the emulated timer misses the kernel's look at it, which then gives up
    ...["-append", `console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check${dhcp}`],
    ...["-netdev", netdevArgument(options.netdev)],
    // No option ROM: it would look for a boot server first.
    ...["-device", `virtio-net-pci,romfile=,netdev=net,mac=${options.mac}`],
  ];
}

function parseLease(line: string): GuestLease {
  // Values may hold spaces (several servers) and be empty, so each reaches up to the next " name=".
  const fields = new Map([...line.matchAll(/(\w+)=(.*?)(?= \w+=|$)/g)].map(([, name, value]) => [name, value!.trim()]));
  const text = (name: string) => fields.get(name) ?? "";
  const list = (name: string) => text(name).split(" ").filter(Boolean);
  return {
    ip: text("ip"),
    mask: Number(text("mask")),
    router: list("router"),
    dns: list("dns"),
    serverId: text("serverid"),
    leaseSeconds: Number(text("lease")),
    mtu: text("mtu") ? Number(text("mtu")) : undefined,
    domain: text("domain"),
    search: text("search"),
  };
}

/** A guest that was booted by {@linkcode bootGuest}. */
export class Guest implements AsyncDisposable {
  /** The last lease, undefined while there is none. */
  lease: GuestLease | undefined;
  /** Milliseconds from the start of QEMU until the guest was ready. */
  bootMs = 0;

  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #exited: Promise<number | null>;
  /** Everything that QEMU and the guest ever said, for error messages. */
  readonly #log: string[] = [];
  /** Lines since the last command, and whom the next one wakes. */
  #lines: string[] = [];
  #rest = "";
  #wake: () => void = () => {};
  #ended = false;
  /** Commands run one after the other, whoever calls. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: GuestOptions) {
    const { fd: given } = options.netdev as { fd?: number };
    const fd = given === undefined ? [] : [given];
    this.#process = spawn("qemu-system-x86_64", qemuArguments(options), {
      stdio: ["pipe", "pipe", "pipe", ...fd],
    }) as ChildProcessByStdio<Writable, Readable, Readable>;
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => this.#take(text));
    }
    // A guest that is gone is reported by whoever waits for its answer.
    this.#process.stdin.on("error", () => {});
    this.#exited = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        this.#log.push(`Cannot start QEMU: ${error.message}`);
        resolve(null);
      });
      this.#process.on("exit", (code) => resolve(code));
    });
    this.#exited.then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines.map((line) => line.replace(/\r$/, ""))) {
      this.#log.push(line);
      this.#lines.push(line);
      if (line.startsWith("@@LEASE ")) this.lease = parseLease(line);
    }
    this.#wake();
  }

  #error(what: string): Error {
    return new Error(`${what}; the guest said:\n${this.#log.slice(-40).join("\n")}\n${this.#rest}`);
  }

  /** Takes the lines up to one that matches, and returns those before it and the match. */
  async #until(pattern: RegExp, what: string, timeoutMs: number): Promise<[string[], RegExpMatchArray]> {
    const deadline = performance.now() + timeoutMs;
    for (let at = 0;;) {
      for (; at < this.#lines.length; at++) {
        const match = this.#lines[at]!.match(pattern);
        if (match) return [this.#lines.splice(0, at + 1).slice(0, -1), match];
      }
      if (this.#ended) throw this.#error(`Cannot ${what}: QEMU ended`);
      const left = deadline - performance.now();
      if (left <= 0) {
        // A late answer would be taken for that of the next command.
        this.kill();
        throw this.#error(`Cannot ${what}: no answer within ${timeoutMs} ms`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Resolves when the guest takes commands. */
  async ready(timeoutMs = 90_000): Promise<void> {
    const start = performance.now();
    await this.#until(/^@@READY$/, "boot the guest", timeoutMs);
    this.bootMs = Math.round(performance.now() - start);
  }

  /** Runs one line in the guest's shell. Throws when there is no answer in time, and kills the guest. */
  run(command: string, { timeoutMs = 30_000 }: { timeoutMs?: number } = {}): Promise<GuestResult> {
    if (command.includes("\n")) throw new TypeError(`Cannot run ${JSON.stringify(command)}: it has to be one line`);
    const result = this.#queue.then(async () => {
      this.#lines = [];
      this.#process.stdin.write(`${command}\n`);
      // The output may end without a newline, right before the mark.
      const [lines, match] = await this.#until(/^(.*)@@RC (\d+)$/, `run "${command}" in the guest`, timeoutMs);
      if (match[1]) lines.push(match[1]);
      return { status: Number(match[2]), output: lines.join("\n") };
    });
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Runs one line and returns its output. Throws when its status is not 0. */
  async sh(command: string, options: { timeoutMs?: number } = {}): Promise<string> {
    const { status, output } = await this.run(command, options);
    if (status !== 0) throw this.#error(`Cannot run "${command}" in the guest: status ${status}`);
    return output;
  }

  /** Shuts the guest down in order and resolves to QEMU's exit code. Kills it when that takes more than 15 seconds. */
  async powerOff(): Promise<number | null> {
    await this.#queue;
    this.#process.stdin.write("poweroff\n");
    const timer = setTimeout(() => this.kill(), 15_000);
    const code = await this.#exited;
    clearTimeout(timer);
    return code;
  }

  /** Ends QEMU at once, as if the plug were pulled. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Kills the guest unless it ended already, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.kill();
    await this.#exited;
  }
}

/** Boots a guest and resolves when it takes commands, with its lease unless `dhcp` is false. */
export async function bootGuest(options: GuestOptions): Promise<Guest> {
  const reason = whyNoGuest(options.extra ? { extra: true } : {});
  if (reason) throw new Error(`Cannot boot a guest: ${reason}`);
  if ("path" in options.netdev && !statSync(options.netdev.path, { throwIfNoEntry: false })?.isSocket()) {
    // QEMU would go on without a network, and without a word.
    throw new Error(`Cannot boot a guest: there is no socket at "${options.netdev.path}"`);
  }
  const guest = new Guest(options);
  try {
    await guest.ready(options.bootTimeoutMs);
  } catch (error) {
    await guest[Symbol.asyncDispose]();
    throw error;
  }
  return guest;
}
