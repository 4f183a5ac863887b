// SPDX-License-Identifier: MIT

/**
 * Asking a vmnetd that runs: one answer, or its events.
 *
 * @module
 */

import { type Answer, ask, AwayError } from "./_vmnetd_control.ts";

/**
 * Asks for one answer.
 *
 * @throws {AwayError} If there is no such daemon.
 * @throws {Error} If it says no, or the signal aborts.
 */
export async function askOnce(control: string, request: Answer, signal?: AbortSignal): Promise<Answer> {
  for await (const answer of ask(control, request, signal)) {
    if (answer["ok"] === true) return answer;
    throw refusalOf(control, answer);
  }
  if (signal?.aborted) throw new Error(`Cannot ask "${control}": it did not answer in time`);
  throw new AwayError(`Cannot ask "${control}": it closed without an answer`);
}

/** What is wrong with an answer that does not make sense. */
export function nonsense(control: string): Error {
  return new Error(`Cannot ask "${control}": what answers there is no vmnetd, or of another version`);
}

/** A daemon's no. */
export function refusalOf(control: string, { error }: Answer): Error {
  return typeof error === "string" ? new Error(error) : nonsense(control);
}

/** An item of a list, with the name of the network that it is of. */
export type Item = Readonly<Record<string, unknown>> & { readonly network: string };

/**
 * Asks for the lists that networks have.
 *
 * @param control The control socket.
 * @param command What is asked.
 * @param list The name of the list in the answer.
 * @param types The type of each field that an item has to have.
 * @param signal Ends it.
 * @returns Names of the networks, and what they have.
 * @throws {Error} If there is no such daemon, or what it answers is not that.
 */
export async function askForLists(
  control: string,
  command: string,
  list: string,
  types: Readonly<Record<string, "string" | "number">>,
  signal?: AbortSignal,
): Promise<{ names: string[]; items: Item[] }> {
  const answer = await askOnce(control, { do: command }, signal);
  try {
    const networks = answer["networks"] as Record<string, unknown>[];
    const names = networks.map(({ name }) => name as string);
    const items = networks.flatMap((network) =>
      (network[list] as Item[]).map((item) => ({ ...item, network: network["name"] }))
    );
    const typeOf = (value: unknown): string => typeof value;
    const isRight = (item: Answer) => Object.entries(types).every(([key, type]) => typeOf(item[key]) === type);
    if (names.every((name) => typeof name === "string") && items.every(isRight)) {
      return { names, items: items as Item[] };
    }
  } catch {
    // Something is not there, or no list
  }
  throw nonsense(control);
}

/**
 * Follows what happens until the signal aborts.
 *
 * @param control The control socket.
 * @param signal Ends it quietly.
 * @param tell Is called with `undefined` once nothing can be missed any more, then with the name of each event.
 * @throws {Error} If there is no such daemon, or it ends.
 */
export async function followEvents(
  control: string,
  signal: AbortSignal,
  tell: (event: string | undefined) => void,
): Promise<void> {
  let isFirst = true;
  for await (const line of ask(control, { do: "events" }, signal)) {
    if (isFirst && line["ok"] !== true) throw refusalOf(control, line);
    tell(isFirst ? undefined : String(line["event"]));
    isFirst = false;
  }
  if (!signal.aborted) throw new AwayError(`The daemon at "${control}" has ended`);
}
