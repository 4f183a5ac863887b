// SPDX-License-Identifier: MIT

/**
 * Finds daemons that run.
 *
 * @module
 */

import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { list, text, type Values } from "./_cli.ts";

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
