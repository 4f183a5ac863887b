// SPDX-License-Identifier: MIT

/**
 * What Wireshark asks of a program that captures for it: extcap(4).
 *
 * Theory of operation: Wireshark runs every program in its extcap folders, each time with a question: which interfaces
 * there are (`--extcap-interfaces`), their link types (`--extcap-dlts`) and options (`--extcap-config`). Answers are
 * sentences, a word and then `{key=value}` pairs. For a capture it makes a FIFO, runs the program with `--capture` and
 * `--fifo`, and ends it by SIGTERM. The name of an interface says all that is needed to find it again: `NETWORK@SOCKET`.
 *
 * @module
 */

import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { list, text, UsageError, type Values } from "./_cli.ts";
import { findDaemons } from "./_daemons.ts";

/** The interfaces that are always there: a daemon to be named, and a network of the capture's own. */
const ANY_DAEMON = "vmnetd";
const OWN_NETWORK = "vmnet";

/** What Deno permits the launcher's program. */
const PERMISSIONS = ["ffi", "read", "write", "net", "env", "sys"].map((name) => `--allow-${name}`);

/** A sentence of the protocol. */
function sentence(word: string, pairs: Readonly<Record<string, string | number>>): string {
  return word + " " + Object.entries(pairs).map(([key, value]) => `{${key}=${value}}`).join("");
}

/** Whether a text can stand in a sentence. */
const canBeSaid = (text: string): boolean => /^[^{}\p{Cc}]+$/u.test(text);

async function interfaces(values: Values): Promise<string[]> {
  const daemons = await findDaemons(values);
  const networks = daemons.flatMap(({ control, networks }) =>
    networks.map(({ name, mode, subnet }) => {
      const about = [mode, subnet].filter(Boolean).join(" ");
      return { value: `${name}@${control}`, display: `vmnetd network ${name}${about && `, ${about}`}` };
    })
  ).filter(({ value, display }) => canBeSaid(value) && canBeSaid(display));
  return [
    sentence("extcap", { version: "1.0", display: "vmnet" }),
    ...networks.map((network) => sentence("interface", network)),
    sentence("interface", { value: ANY_DAEMON, display: "vmnetd by its control socket" }),
    sentence("interface", { value: OWN_NETWORK, display: "vmnet, a new network" }),
  ];
}

function configOf(name: string): string[] {
  const args: Readonly<Record<string, string>>[] = [{
    call: "--snap",
    display: "Bytes of each frame",
    tooltip: "No more of each frame is captured; all of it by default",
    type: "unsigned",
    range: "14,65562",
  }];
  if (name === ANY_DAEMON) {
    const tooltip = "vmnetd says at its start where it is";
    args.unshift({ call: "--vmnetd", display: "Control socket", tooltip, type: "string", required: "true" });
  }
  if (name === OWN_NETWORK) {
    const tooltip = "Unix socket for VMs, as QEMU's -netdev stream connects to";
    args.unshift(
      { call: "--mode", display: "Mode", type: "selector" },
      { call: "--listen", display: "Socket", tooltip, type: "string" },
    );
  }
  const modes = [["shared", "shared: the outside, too"], ["host", "host: this machine only"]] as const;
  return [
    ...args.map((arg, number) => sentence("arg", { number, ...arg })),
    ...(name === OWN_NETWORK ? modes.map(([value, display]) => sentence("value", { arg: 0, value, display })) : []),
  ];
}

/** Why a filter cannot be compiled; nothing if it can. */
async function refusalOf(filter: string): Promise<string[]> {
  const { Switch } = await import("vmnet");
  await using sw = await Switch.create();
  try {
    await sw.tap({ filter });
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

/**
 * Answers a question of Wireshark.
 *
 * @param values The command line.
 * @returns The lines to print; undefined if it is no question.
 */
export async function answerExtcap(values: Values): Promise<string[] | undefined> {
  if (values["extcap-interfaces"]) return await interfaces(values);
  if (values["extcap-dlts"]) return [sentence("dlt", { number: 1, name: "EN10MB", display: "Ethernet" })];
  const name = text(values, "extcap-interface");
  if (values["extcap-config"]) return configOf(name ?? "");
  const filter = text(values, "extcap-capture-filter");
  if (name !== undefined && filter !== undefined && !values["capture"]) return await refusalOf(filter);
  return undefined;
}

/** The command line that does what `--capture` asks. */
export function translateExtcap(values: Values): Values {
  if (!values["capture"]) return values;
  const [name, fifo] = [text(values, "extcap-interface"), text(values, "fifo")];
  if (name === undefined || fifo === undefined) throw new UsageError("--capture needs --extcap-interface and --fifo");
  const at = name.indexOf("@");
  const filter = text(values, "extcap-capture-filter") || text(values, "filter");
  const daemon = list(values, "vmnetd").at(-1);
  if (name === ANY_DAEMON && daemon === undefined) {
    throw new UsageError("--vmnetd is missing: say in the interface's options which control socket");
  }
  const source = name === OWN_NETWORK
    ? { vmnetd: [], mode: values["mode"] || "shared", listen: values["listen"] || undefined }
    : { vmnetd: [at < 0 ? daemon! : name.slice(at + 1)], ...(at > 0 && { network: name.slice(0, at) }) };
  if (name !== OWN_NETWORK && name !== ANY_DAEMON && at < 1) {
    throw new UsageError(`--extcap-interface takes one of --extcap-interfaces, not "${name}"`);
  }
  return { ...values, ...source, write: fifo, ...(filter && { filter }) } as Values;
}

/** A word for a shell. */
const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * Puts a launcher of this program into Wireshark's personal extcap folders: that of 4.2 and later, and that of earlier
 * versions, each of which looks into its own only.
 *
 * @param values The command line; its `--vmnetd` becomes part of the launcher.
 * @param program The program's own place.
 * @returns The files.
 */
export function installLauncher(values: Values, program: string): string[] {
  const configuration = process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  const folders = [
    join(homedir(), ".local", "lib", "wireshark", "extcap"),
    join(configuration, "wireshark", "extcap"),
  ];
  const run = process.versions["deno"] === undefined ? ["run"] : ["run", "--quiet", ...PERMISSIONS];
  const daemons = list(values, "vmnetd").flatMap((path) => ["--vmnetd", path]);
  const words = [process.execPath, ...run, fileURLToPath(program), ...daemons].map(quoted).join(" ");
  return folders.map((folder) => {
    const path = join(folder, "vmnet");
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, `#!/bin/sh\n# Written by "capture --install-extcap" for Wireshark\nexec ${words} "$@"\n`);
    chmodSync(path, 0o755);
    return path;
  });
}
