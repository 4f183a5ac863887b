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
  /** Its letter. */
  short?: string;
  /** Heading of the help that it is under; options without come first. */
  section?: string;
}

/** What a command line has besides options. */
export interface CommandLine {
  /** The arguments; by default the program's. */
  args?: readonly string[];
  /** What arguments that are no options are called in the help. They are values of the name `operands`. */
  operands?: string;
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
 * @param line What else there is; by default no operands.
 * @returns The values.
 * @throws {UsageError} If an option is not known, lacks its value, or is missing.
 */
export function readOptions(
  name: string,
  about: string,
  options: Readonly<Record<string, Option>>,
  line: CommandLine = {},
): Values {
  const all: Record<string, Option> = { ...options, help: { help: "print this and end" } };
  const config = Object.fromEntries(
    Object.entries(all).map(([key, { value, repeat = false, short }]) => [
      key,
      { type: value === undefined ? "boolean" as const : "string" as const, multiple: repeat, ...(short && { short }) },
    ]),
  );
  let values: Values;
  try {
    const args = [...line.args ?? process.argv.slice(2)];
    const parsed = parseArgs({ options: config, args, allowPositionals: line.operands !== undefined });
    values = { ...parsed.values as Values, operands: parsed.positionals };
  } catch (error) {
    throw new UsageError(explain((error as Error).message, all));
  }
  if (values["help"]) {
    say(helpOf(`${name} [options]${line.operands ? ` ${line.operands}` : ""}`, about, all));
    process.exit(0);
  }
  for (const [key, { required }] of Object.entries(all)) {
    if (required && values[key] === undefined) throw new UsageError(`--${key} is missing`);
  }
  return values;
}

/** What parseArgs() has to say, in fewer words. */
function explain(message: string, options: Readonly<Record<string, Option>>): string {
  const [, name = ""] = /^Option '[^']*--([\w-]+)(?: <value>)?' argument (?:missing|is ambiguous)/.exec(message) ?? [];
  const value = options[name]?.value;
  if (value !== undefined) {
    return `--${name} takes ${value}, which is missing, or begins with "-": then --${name}=${value}`;
  }
  return message.split("\n")[0]!.replace(/\. To specify a positional argument .*/, "");
}

function helpOf(usage: string, about: string, options: Record<string, Option>): string {
  const rows = Object.entries(options).map(([key, option]) => {
    const more = [option.required ? "required" : "", option.repeat ? "may be repeated" : ""].filter(Boolean).join(", ");
    const left = `${option.short ? `-${option.short}, ` : ""}--${key}${option.value ? ` ${option.value}` : ""}`;
    return { left, right: option.help + (more ? ` (${more})` : ""), section: option.section ?? "" };
  });
  const width = Math.max(...rows.map(({ left }) => left.length));
  const sections = Object.groupBy(rows, ({ section }) => section);
  const lists = Object.keys(sections).sort((a, b) => Number(a !== "") - Number(b !== "")).map((section) => {
    const list = sections[section]!.map(({ left, right }) => `  ${left.padEnd(width)}  ${right}`).join("\n");
    return section === "" ? list : `${section}:\n${list}`;
  });
  return `${about}\n\nUsage: ${usage}\n\n${lists.join("\n\n")}`;
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

/** The control socket of a vmnetd that `--control` names, or `--socket`, which it is beside. */
export function controlPath(values: Values): string | undefined {
  const [control, socket] = [text(values, "control"), text(values, "socket")];
  const empty = control === "" ? "control" : socket === "" ? "socket" : undefined;
  if (empty !== undefined) throw new UsageError(`--${empty} takes PATH, not ""`);
  return control ?? (socket && `${socket}.control`);
}

/** All values of an option that may be repeated. */
export function list(values: Values, name: string): string[] {
  return values[name] as string[] | undefined ?? [];
}

/**
 * Text without the characters that a terminal obeys, or that turn the direction of what follows. Others stay, unlike in
 * printable() of _terminal.ts: this is also for paths.
 */
export const harmless = (text: string, keep = ""): string =>
  // deno-lint-ignore no-control-regex
  text.replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (one) => keep.includes(one) ? one : "?");

/** JSON without them, too, as escapes: a terminal may be what reads it. */
export const jsonOf = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

let isSaying = false;

/** Prints a line on standard output. If nobody reads there any more, as behind `| head -1`, the program ends quietly. */
export function say(line: string): void {
  if (!isSaying) {
    isSaying = true;
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      console.error(`Cannot write to standard output: ${error.message}`);
      process.exit(1);
    });
  }
  process.stdout.write(`${line}\n`);
}

/** Prints what happens: an event and its details. */
export type Print = (event: string, details: Record<string, unknown>) => void;

/** Makes a {@linkcode Print}: one JSON object a line, or words to read, on standard output if nothing else is said. */
export function printer(json: boolean, write: (line: string) => void = say): Print {
  return (event, details) => {
    if (json) return write(jsonOf({ event, ...details }));
    const words = Object.entries(details).filter(([, value]) => value !== "").map(([key, value]) => `${key}=${value}`);
    write(harmless([event, ...words].join(" ")));
  };
}

/** Runs a tool. An error ends it with one line; the status is 2 for a wrong command line and 1 for the rest. */
export async function main(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const isUsage = error instanceof UsageError || error instanceof TypeError || error instanceof RangeError;
    console.error(`${name}: ${harmless(error instanceof Error ? error.message : String(error))}`);
    if (isUsage) console.error('Try "--help"');
    process.exit(isUsage ? 2 : 1);
  }
}
