// SPDX-License-Identifier: MIT

/**
 * Captures, and what Wireshark's programs say of them, for the tests of capture.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { assertEquals, assertLess } from "@std/assert";
import { delay } from "../vmnet/frames.ts";
import { Program, root } from "../vmnet/programs.ts";
import { Client, type Daemon, FLAGS as DAEMON_FLAGS } from "./vmnetd_clients.ts";

/** The program. */
export const file: string = join(root, "tools", "capture.ts");
/** What Deno permits it. */
export const FLAGS: readonly string[] = [
  ...DAEMON_FLAGS.filter((flag) => !flag.startsWith("--allow-env")),
  "--allow-env",
  "--allow-sys",
];

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;
/** Why tests with Wireshark are skipped. */
export const skip: string | false = !["tshark", "capinfos", "editcap"].every(has) &&
  "Wireshark's programs are not installed";

/** Runs one of Wireshark's programs and answers what it prints. */
export function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assertEquals(status, 0, `${program} ${args.join(" ")}: ${stderr}`);
  return stdout.trimEnd();
}

/** Fields of the packets of a file that are ours. */
export function fields(path: string, ...names: string[]): string[][] {
  const wanted = names.flatMap((name) => ["-e", name]);
  const text = run("tshark", "-r", path, "-Y", "eth.type == 0x88b5", "-T", "fields", ...wanted);
  return text === "" ? [] : text.split("\n").map((line) => line.split("\t"));
}

/** A capture that runs. */
export function capture(runtime: "deno" | "bun", ...args: string[]): Program {
  return new Program(runtime, file, args, FLAGS);
}

/** The events that a program printed. */
export function eventsOf(output: string): Record<string, unknown>[] {
  return output.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Waits until something is so. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const start = performance.now(); !await condition(); await delay(20)) {
    assertLess(performance.now() - start, 15_000, String(condition));
  }
}

/** Two clients of a daemon, which see one another's frames. */
export async function pair(daemon: Daemon): Promise<[Client, Client]> {
  await daemon.event("control");
  const clients: [Client, Client] = [new Client(daemon.path), new Client(daemon.path)];
  await daemon.program.line(/(?:"event":"connected"[^]*){2}/);
  return clients;
}
