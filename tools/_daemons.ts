// SPDX-License-Identifier: MIT

/**
 * Finds daemons that run.
 *
 * @module
 */

import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { controlPath, list, text, UsageError, type Values } from "./_cli.ts";

/** Where the sockets of vmnetd usually are: variables of the environment, and directories. */
const places = ["$XDG_RUNTIME_DIR", "$TMPDIR", "/tmp", "/run", "/var/run"];

/** How long a daemon has to say what it serves. */
const ANSWER_MS = 1000;

/** A daemon that answers. */
export interface FoundDaemon {
  /** Its control socket. */
  readonly control: string;
  /** What it serves. */
  readonly networks: readonly { readonly name: string; readonly mode: string; readonly subnet: string }[];
}

/** Control sockets that the command line names. */
export function namedControls(values: Values): string[] {
  const socket = text(values, "socket");
  return [...list(values, "vmnetd"), ...(socket === undefined ? [] : [`${socket}.control`])];
}

/** Control sockets of this user in the usual places. Those of others are left alone: who knows what they answer. */
function usualControls(): string[] {
  return places.flatMap((place) => {
    try {
      const uid = process.getuid!();
      const folder = realpathSync(place.startsWith("$") ? process.env[place.slice(1)]! : place);
      const paths = readdirSync(folder).filter((name) => name.endsWith(".control")).map((name) => join(folder, name));
      return paths.filter((path) => {
        const stat = statSync(path, { throwIfNoEntry: false });
        return stat?.isSocket() === true && stat.uid === uid;
      });
    } catch {
      return []; // there is no such place, or Deno does not permit to look
    }
  });
}

/** Asks a daemon what it serves; undefined if it does not say. */
async function ask(control: string): Promise<FoundDaemon | undefined> {
  const { ask } = await import("./_vmnetd_control.ts");
  try {
    for await (const answer of ask(control, { do: "status" }, AbortSignal.timeout(ANSWER_MS))) {
      return { control, networks: answer["networks"] as FoundDaemon["networks"] };
    }
  } catch {
    // A daemon that was killed leaves its socket behind
  }
  return undefined;
}

/** The daemons that the command line names, and those in the usual places, as far as they answer. */
export async function findDaemons(values: Values): Promise<FoundDaemon[]> {
  const controls = new Set([...namedControls(values), ...usualControls()]);
  const daemons = await Promise.all([...controls].map(ask));
  return daemons.filter((daemon) => daemon !== undefined);
}

/**
 * The control socket of the daemon that is meant when the command line names none: the only one that is found, with the
 * network that it may name.
 *
 * @param values The command line.
 * @param option The option that names one.
 * @returns The path, or undefined if there is no such daemon.
 * @throws {UsageError} If there are several.
 */
export async function onlyDaemon(values: Values, option = "control"): Promise<string | undefined> {
  const network = text(values, "network");
  const found = (await findDaemons(values)).filter(({ networks }) =>
    network === undefined || networks.some(({ name }) => name === network)
  );
  if (found.length <= 1) return found[0]?.control;
  const controls = found.map(({ control }) => control).join(", ");
  throw new UsageError(`There are several vmnetd: name one with --${option} PATH, of ${controls}`);
}

/** Why there is no daemon to ask, when none is named. */
export function noDaemon(values: Values): string {
  const network = text(values, "network");
  return network === undefined
    ? "no vmnetd that runs was found here"
    : `no vmnetd with a network "${network}" was found here`;
}

/** The control socket of the daemon to ask: `--control` or `--socket` names it, or it is the only one that is found. */
export async function daemonOf(values: Values): Promise<string> {
  const control = controlPath(values) ?? await onlyDaemon(values);
  if (control !== undefined) return control;
  throw new UsageError(`${noDaemon(values)}: name its socket with --socket PATH or --control PATH`);
}
