// SPDX-License-Identifier: MIT

/**
 * What a tool shows on a terminal, and how a person ends it.
 *
 * Theory of operation: drawings are of blocks where they can be shown, and of plain ASCII where not: when standard output
 * is no terminal, with NO_COLOR, or with a locale other than UTF-8. What other machines said is never printed raw.
 *
 * @module
 */

import process from "node:process";
import { harmless } from "./_cli.ts";

/** An environment variable, or nothing if it may not be read. */
function variable(name: string): string {
  try {
    return process.env[name] ?? "";
  } catch {
    return ""; // Deno without --allow-env
  }
}

/** Whether drawings have to be of ASCII. */
export function isPlain(): boolean {
  const locale = variable("LC_ALL") || variable("LC_CTYPE") || variable("LANG");
  return !process.stdout.isTTY || variable("NO_COLOR") !== "" || !/utf-?8/i.test(locale);
}

/** How long further signals are the same one: timeout(1), for instance, sends it to the process and to its group. */
const SAME_SIGNAL_MS = 300;

/** The signal that aborts at the first SIGINT or SIGTERM. The next one ends the program, as if there were no handler. */
export function interruption(): AbortSignal {
  const ending = new AbortController();
  const signals = ["SIGINT", "SIGTERM"] as const;
  const end = () => {
    if (ending.signal.aborted) return;
    setTimeout(() => signals.forEach((signal) => process.off(signal, end)), SAME_SIGNAL_MS).unref();
    ending.abort();
  };
  for (const signal of signals) process.on(signal, end);
  return ending.signal;
}

/**
 * A signal that aborts with another one, and after so many seconds if any are given. To be disposed of, because a clock of
 * AbortSignal.timeout() keeps a program in Deno from ending.
 */
export class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal, seconds: number | undefined) {
    const late = new AbortController();
    this.signal = AbortSignal.any([signal, late.signal]);
    if (seconds !== undefined) this.#timer = setTimeout(() => late.abort(), seconds * 1000);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** Lines up columns, of as many rows as there are. */
export function table(cells: readonly (readonly string[])[], indent = ""): string {
  const rows = cells.map((row) => row.map((cell) => harmless(cell)));
  const widths = rows[0]!.map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]!.length), 0));
  return rows.map((row) => `${indent}${row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ")}`.trimEnd()).join("\n");
}

/** What somebody else said, without what a terminal would obey. */
export const printable = (text: string): string => text.replace(/[^ -~]/g, "?");

/** Columns of standard output; as many as needed if it is no terminal. */
export const columns = (): number => process.stdout.isTTY && process.stdout.columns || Infinity;

const BLOCKS = "▁▂▃▄▅▆▇█";
const EIGHTHS = "▏▎▍▌▋▊▉█";
const LEVELS = "_.-=+*%#";

/** A line of values, each a character as high as it is of the highest. */
export function sparkline(values: readonly number[], plain: boolean): string {
  const most = Math.max(...values, Number.MIN_VALUE);
  const steps = plain ? LEVELS : BLOCKS;
  return values.map((value) => steps[Math.min(7, Math.floor(8 * Math.max(0, value) / most))]).join("");
}

/** A bar of some share of a width. */
export function bar(share: number, width: number, plain: boolean): string {
  const eighths = Math.round(8 * width * Math.min(1, Math.max(0, share)));
  if (plain) return "#".repeat(Math.max(share > 0 ? 1 : 0, Math.round(eighths / 8)));
  const rest = eighths % 8;
  const whole = "█".repeat(Math.floor(eighths / 8));
  return rest > 0 ? whole + EIGHTHS[rest - 1] : whole || (share > 0 ? EIGHTHS[0]! : "");
}

/** A line of standard error that is written over by the next one; on a terminal only. */
export class LiveLine {
  readonly #shows: boolean = process.stderr.isTTY === true;
  #length = 0;

  /** Shows a line in the place of the last one. */
  show(line: string): void {
    if (!this.#shows) return;
    const cut = line.slice(0, Math.max(20, (process.stderr.columns || 80) - 1));
    process.stderr.write(`\r${cut.padEnd(this.#length)}`);
    this.#length = cut.length;
  }

  /** Takes it away. */
  clear(): void {
    if (this.#length > 0) process.stderr.write(`\r${" ".repeat(this.#length)}\r`);
    this.#length = 0;
  }
}
