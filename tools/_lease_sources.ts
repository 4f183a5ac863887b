// SPDX-License-Identifier: MIT

/**
 * Where leases can be read: a vmnetd that runs, or the file of macOS.
 *
 * Theory of operation: whoever follows a source compares whole tables (_follow.ts). The file is replaced by another one at
 * every change, so it is its directory that is watched; and because not every file system tells, and leases end without
 * anybody writing, there is a look twice a second besides, which is one stat() while nothing has changed.
 *
 * @module
 */

import { readFileSync, type Stats, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import { newestOf, parseDhcpdLeases } from "./_dhcpd_leases.ts";
import type { Source } from "./_follow.ts";
import { type Lease, type LeaseTable, nowSeconds } from "./_leases.ts";
import { askForLists, followEvents } from "./_vmnetd_answers.ts";

/** Where leases are from. */
export type LeaseSource = Source<LeaseTable>;

/** Where macOS keeps them. */
export const DHCPD_LEASES = "/var/db/dhcpd_leases";

/** Longest file that is read. One of a full subnet has 40 KB. */
const FILE_MOST = 64 << 20;

/** How often to look without being told. */
const LOOK_MS = 500;

/** What is wrong with a file, and what to do. */
export function unreadable(path: string, error: NodeJS.ErrnoException): Error {
  const because = (why: string, what: string) => new Error(`Cannot read "${path}": ${why}. ${what}`);
  if (error.name === "NotCapable") return because("it is not permitted", `Run with --allow-read=${path}`);
  if (error.code === "EACCES") return because("permission denied", "Run with sudo, or ask a vmnetd by --socket");
  if (error.code === "EPERM") {
    return because("a sandbox forbids it", "Run from a terminal that may, with sudo, or ask a vmnetd by --socket");
  }
  return because(error.code === "ENOENT" ? "there is no such file" : error.message, "--file takes another one");
}

/** Reads a file in bootpd's format. A file that may be missing has no leases then. */
export class LeaseFile implements LeaseSource {
  readonly #path: string;
  readonly #mayBeMissing: boolean;
  #seen = "";
  #all: readonly Lease[] = [];
  #skipped = 0;

  constructor(path: string, mayBeMissing: boolean) {
    [this.#path, this.#mayBeMissing] = [path, mayBeMissing];
  }

  read(): Promise<LeaseTable> {
    try {
      this.#look();
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (!isMissing || !this.#mayBeMissing) return Promise.reject(unreadable(this.#path, error as Error));
      [this.#seen, this.#all, this.#skipped] = ["", [], 0];
    }
    const now = nowSeconds();
    const leases = newestOf(this.#all).filter(({ expiresSeconds }) => expiresSeconds > now);
    const current = new Set(leases);
    return Promise.resolve({ leases, past: this.#all.filter((lease) => !current.has(lease)), skipped: this.#skipped });
  }

  /** Reads it if it is another one than before. What is written between the two calls is another one the next time. */
  #look(): void {
    const stats: Stats = statSync(this.#path);
    if (!stats.isFile()) throw new Error("it is not a file");
    if (stats.size > FILE_MOST) throw new Error(`it has more than ${FILE_MOST >> 20} MiB`);
    const seen = `${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
    if (seen === this.#seen) return;
    const { leases, skipped } = parseDhcpdLeases(readFileSync(this.#path, "utf8"));
    this.#all = leases.map((lease) => ({ ...lease, network: "" }));
    [this.#seen, this.#skipped] = [seen, skipped];
  }

  async watch(signal: AbortSignal, changed: () => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setInterval(changed, LOOK_MS);
    let close = () => {};
    try {
      const watcher = watch(dirname(this.#path), changed);
      watcher.on("error", () => {}); // the timer goes on
      close = () => watcher.close();
    } catch {
      // likewise
    }
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (!signal.aborted) await promise;
    clearInterval(timer);
    close();
  }
}

/** A lease as vmnetd tells it. */
interface Told extends Omit<Lease, "mac" | "id"> {
  readonly macAddress: string;
}

const FIELDS = { macAddress: "string", address: "string", hostname: "string", expiresSeconds: "number" } as const;

/** Asks a vmnetd that runs. */
export class DaemonLeases implements LeaseSource {
  readonly #control: string;

  constructor(control: string) {
    this.#control = control;
  }

  async read(signal?: AbortSignal): Promise<LeaseTable> {
    const { items } = await askForLists(this.#control, "leases", "leases", FIELDS, signal);
    const leases = (items as unknown as Told[]).map(({ macAddress: mac, ...rest }) => ({ mac, id: "", ...rest }));
    return { leases, past: [], skipped: 0 };
  }

  async watch(signal: AbortSignal, changed: () => void): Promise<void> {
    await followEvents(this.#control, signal, (event) => {
      if (event === undefined || event === "lease" || event === "lost") changed();
    });
  }
}

/** The source that a command line names: vmnetd by its sockets, a file, or that of macOS; nothing if none is named. */
export function leaseSourceOf(
  control: string | undefined,
  file: string | undefined,
  mayBeMissing: boolean,
): LeaseSource | undefined {
  if (control !== undefined) return new DaemonLeases(control);
  if (file !== undefined) return new LeaseFile(file, mayBeMissing);
  return process.platform === "darwin" ? new LeaseFile(DHCPD_LEASES, true) : undefined;
}
