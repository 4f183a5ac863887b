// SPDX-License-Identifier: MIT

/**
 * Runs scripts in processes of their own, with either runtime.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../../ffi/runtime.ts";

/** The root of the repository. */
export const root: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The runtimes that can be started here, this one first. */
export const runtimes: readonly ("deno" | "bun")[] = runtimeName === "bun" ? ["bun", "deno"] : ["deno", "bun"];

/** The program of a runtime. */
export function programOf(runtime: "deno" | "bun"): string {
  if (runtime === runtimeName) return process.execPath;
  return process.env[`VMNET_TEST_${runtime.toUpperCase()}`] || join(root, "node_modules", ".bin", runtime);
}

/** How a program ended. */
export interface Ending {
  /** Its status, `null` if a signal ended it. */
  code: number | null;
  /** The signal that ended it. */
  signal: string | null;
  /** What it printed on standard output. */
  output: string;
  /** What it printed on standard error. */
  errors: string;
  /** How long it ran, in milliseconds. */
  ms: number;
}

/** A running program. */
export class Program {
  readonly child: ChildProcess;
  /** How it ends. */
  readonly ending: Promise<Ending>;
  #output = "";
  #errors = "";
  #ended = false;
  readonly #looking = new Set<() => void>();

  /** Starts a runtime on a file. */
  constructor(
    runtime: "deno" | "bun",
    file: string,
    args: readonly string[] = [],
    flags?: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ) {
    const prefix = runtime === "deno" ? ["run", "--quiet", ...(flags ?? ["--allow-all"])] : ["run"];
    const start = performance.now();
    // Deno passes its own permissions on to a Deno that it starts itself, and knows it by its path among the arguments
    const env = { ...process.env, ...more, NO_COLOR: "1", VMNET_TEST_PROGRAM: programOf(runtime) };
    const command = ["-c", 'exec "$VMNET_TEST_PROGRAM" "$@"', runtime, ...prefix, file, ...args];
    this.child = spawn("/bin/sh", command, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout!.on("data", (chunk) => {
      this.#output += chunk;
      for (const look of [...this.#looking]) look();
    });
    this.child.stderr!.on("data", (chunk) => this.#errors += chunk);
    this.ending = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("exit", () => this.#ended = true);
      this.child.on("close", (code, signal) => {
        const ms = performance.now() - start;
        resolve({ code, signal, output: this.#output, errors: this.#errors, ms });
        for (const look of [...this.#looking]) look();
      });
    });
  }

  /** Waits until the output matches, and answers the match. */
  async line(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const complain = (why: string) => reject(new Error(`${pattern}: ${why}\n${this.#output}\n${this.#errors}`));
    const timer = setTimeout(() => complain(`not seen within ${timeoutMs} ms`), timeoutMs);
    const look = () => {
      const match = pattern.exec(this.#output);
      if (match !== null) resolve(match);
      else if (this.#ended) complain("the program has ended");
    };
    this.#looking.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#looking.delete(look);
    }
  }

  /** Sends a signal, unless it has ended. Not by `child.kill()`, which in Deno works only once. */
  kill(signal: "SIGINT" | "SIGTERM" | "SIGKILL"): void {
    if (!this.#ended) process.kill(this.child.pid!, signal);
  }

  /** Waits for the end, or kills the program when it takes too long. */
  async end(timeoutMs = 15_000): Promise<Ending> {
    const timer = setTimeout(() => this.kill("SIGKILL"), timeoutMs);
    try {
      return await this.ending;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A directory for scripts, removed at the end. */
export class Scripts implements Disposable {
  /** Its path. */
  readonly directory: string = mkdtempSync(join(tmpdir(), "vmnet-test-"));

  /** Writes a script. The name `vmnet` in it means this library. */
  write(name: string, source: string): string {
    const path = join(this.directory, name);
    const library = new URL("../../mod.ts", import.meta.url).href;
    writeFileSync(path, source.replaceAll('from "vmnet"', `from "${library}"`));
    return path;
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** The programs that a network needs, as the kernel cuts their names: the gateway, the doubles' daemon, vmnet-host, in the
 * loader by its name. */
const HELPERS = ["vmnet-gateway", "vmnet-double-da", "vmnet-host", "macho_run"];

/** Helper programs that are children of a process. */
export function gatewaysOf(pid: number): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((candidate) => {
    try {
      const stat = readFileSync(`/proc/${candidate}/stat`, "utf8");
      const [, name, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? [];
      return HELPERS.includes(name ?? "") && Number(parent) === pid;
    } catch {
      return false;
    }
  });
}

/** Whether a process has ended; one that nobody waits for stays as a zombie. */
export function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}

/** Open descriptors of this process, by what they are. */
export function descriptors(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

/** Threads of this process. */
export function threads(): number {
  return readdirSync("/proc/self/task").length;
}
