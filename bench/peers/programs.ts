/**
 * The processes of `bench:peers`: ours in each runtime, the peers, the guests' end. All are ended by their process id,
 * or by the end of their input when this process dies.
 *
 * @module
 */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Where `make bench-peers` puts its programs. */
export const toolsAt: string = process.env.VMNET_BENCH_TOOLS ?? join(here, "../../shim/build/bench");

/** The runtimes that there are, by name. */
export const runtimes: { name: "Bun" | "Deno"; path: string }[] = (["Bun", "Deno"] as const).flatMap((name) => {
  const path = process.env[`VMNET_TEST_${name.toUpperCase()}`];
  return path ? [{ name, path }] : [];
});

/** A program on the PATH, where root's are too, or undefined. */
export function which(name: string): string | undefined {
  const places = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  if (name === "gvproxy" && process.env.VMNET_BENCH_GVPROXY) return process.env.VMNET_BENCH_GVPROXY;
  return places.filter(Boolean).map((place) => join(place, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a command to its end and answers what it printed. */
export function output(command: string, args: string[], timeoutMs = 30_000): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: timeoutMs, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(" ")}: ${stderr || stdout || error.message}`.slice(0, 400)));
      else resolve(stdout);
    });
  });
}

/** The same at once, for short commands of the set-up. */
export const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** A process that serves. */
export class Program {
  /** All that were started, to be ended. */
  static readonly all: Program[] = [];

  readonly child: ChildProcess;
  #seen = "";
  #ended = false;

  constructor(command: string, args: string[]) {
    this.child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdin?.on("error", () => {});
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        if (this.#seen.length < 10_000) this.#seen += text;
      });
    }
    this.child.once("error", () => this.#ended = true).once("exit", () => this.#ended = true);
    Program.all.push(this);
  }

  /** Waits until it is ready, which `isReady` tells from what it printed. */
  async ready(isReady: (seen: string) => boolean, what: string): Promise<this> {
    for (let tries = 0; !isReady(this.#seen); tries++) {
      if (this.#ended || tries > 1500) throw new Error(`Cannot start ${what}: it said ${JSON.stringify(this.#seen)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return this;
  }

  /** What it printed. */
  get seen(): string {
    return this.#seen;
  }

  /** Its process and the children of that. */
  pids(): number[] {
    return family(this.child.pid!);
  }

  /** Ends it. */
  end(): void {
    if (!this.#ended) this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.#ended || this.child.kill("SIGKILL"), 2000);
    timer.unref();
  }
}

function family(pid: number): number[] {
  try {
    return [pid].concat(
      ...readdirSync(`/proc/${pid}/task`).map((task) =>
        readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).flatMap((child) =>
          family(Number(child))
        )
      ),
    );
  } catch {
    return [pid];
  }
}

/** Seconds of CPU that processes have used, by the scheduler's own count. */
export function cpuSeconds(pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids) {
    try {
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
      }
    } catch {
      // It has ended
    }
  }
  return ns / 1e9;
}

/** Ours in a runtime. */
export function ours(runtime: { path: string; name: string }, ...args: string[]): Promise<Program> {
  const prefix = runtime.name === "Deno" ? ["run", "-A", "--no-check"] : [];
  return new Program(runtime.path, [...prefix, join(here, "ours.ts"), ...args])
    .ready((seen) => seen.includes('"ready":true'), `ours ${args[0]} in ${runtime.name}`);
}

/** One of the C programs that serve. */
export function carry(...args: string[]): Promise<Program> {
  return new Program(join(toolsAt, "carry"), args).ready((seen) => seen.includes("ready"), `carry ${args[0]}`);
}

/** A process that is ready when a socket's file is there. */
export function serving(command: string, args: string[], file: string): Promise<Program> {
  return new Program(command, args).ready(() => existsSync(file), command);
}

/** One measurement by `traffic`. */
export async function traffic(...args: (string | number)[]): Promise<Record<string, number>> {
  return JSON.parse(await output(join(toolsAt, "traffic"), args.map(String)));
}

/** A program's version: its package's where Debian has it, else the first line of what it says. */
export async function versionOf(name: string, args: string[], debian?: string): Promise<string | undefined> {
  const path = name.startsWith("/") ? name : which(name);
  if (path === undefined) return undefined;
  try {
    if (debian) return `${name} ${await output("dpkg-query", ["-W", "-f", "${Version}", debian])}`;
  } catch {
    // Not from a package
  }
  try {
    return (await output(path, args)).trim().split("\n")[0]!.slice(0, 60);
  } catch {
    return `${name} of an unknown version`;
  }
}
