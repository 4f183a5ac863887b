// SPDX-License-Identifier: MIT

/**
 * What the tools have in common: options with a help text, errors that explain themselves, and a tidy end.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";

/** One option of a tool. */
export interface Option {
  /** What the value is, for the help; a flag has none. */
  value?: string;
  /** One line for the help. */
  help: string;
  /** May be given several times. */
  repeat?: boolean;
  /** Has to be given. */
  required?: boolean;
}

/** The values of options: flags are true, options that may be repeated are lists. */
export type Values = Readonly<Record<string, string | boolean | string[] | undefined>>;

/** A wrong command line. The program ends with status 2. */
export class UsageError extends Error {}

/**
 * Reads the command line. `--help` prints the help and ends the program.
 *
 * @param name Name of the tool.
 * @param about What it does, in a line or two.
 * @param options Its options.
 * @returns The values.
 * @throws {UsageError} If an option is not known, lacks its value, or is missing.
 */
export function readOptions(name: string, about: string, options: Readonly<Record<string, Option>>): Values {
  const all: Record<string, Option> = { ...options, help: { help: "print this and end" } };
  const config = Object.fromEntries(
    Object.entries(all).map(([key, { value, repeat = false }]) => [
      key,
      { type: value === undefined ? "boolean" as const : "string" as const, multiple: repeat },
    ]),
  );
  let values: Values;
  try {
    values = parseArgs({ options: config, args: process.argv.slice(2) }).values as Values;
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
  if (values["help"]) {
    console.log(helpOf(name, about, all));
    process.exit(0);
  }
  for (const [key, { required }] of Object.entries(all)) {
    if (required && values[key] === undefined) throw new UsageError(`--${key} is missing`);
  }
  return values;
}

function helpOf(name: string, about: string, options: Record<string, Option>): string {
  const rows = Object.entries(options).map(([key, option]) => {
    const more = [option.required ? "required" : "", option.repeat ? "may be repeated" : ""].filter(Boolean).join(", ");
    return [`--${key}${option.value ? ` ${option.value}` : ""}`, option.help + (more ? ` (${more})` : "")] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  const list = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
  return `${about}\n\nUsage: ${name} [options]\n\n${list}`;
}

/** An integer option. */
export function integer(values: Values, name: string, min: number, max: number): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (typeof text === "string" && /^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`--${name} takes an integer from ${min} to ${max}, not "${text}"`);
}

/** A text option. */
export function text(values: Values, name: string): string | undefined {
  return values[name] as string | undefined;
}

/** All values of an option that may be repeated. */
export function list(values: Values, name: string): string[] {
  return values[name] as string[] | undefined ?? [];
}

/** Prints what happens: an event and its details. */
export type Print = (event: string, details: Record<string, unknown>) => void;

/** Makes a {@linkcode Print}: one JSON object a line, or words to read. */
export function printer(json: boolean): Print {
  return (event, details) => {
    if (json) return console.log(JSON.stringify({ event, ...details }));
    const words = Object.entries(details).filter(([, value]) => value !== "").map(([key, value]) => `${key}=${value}`);
    console.log([event, ...words].join(" "));
  };
}

/** Runs a tool. An error ends it with one line; the status is 2 for a wrong command line and 1 for the rest. */
export async function main(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const isUsage = error instanceof UsageError || error instanceof TypeError || error instanceof RangeError;
    console.error(`${name}: ${error instanceof Error ? error.message : error}`);
    if (isUsage) console.error('Try "--help"');
    process.exit(isUsage ? 2 : 1);
  }
}
