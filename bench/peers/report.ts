/**
 * What `bench:peers` has measured, as rows, as bars that must hold, and as tables.
 *
 * Every figure is one of a round, and subjects take turns round by round; a ratio is the median of the ratios of the
 * rounds, shown with its quartiles.
 *
 * @module
 */

import { quantile } from "../harness.ts";

/** Who was measured: us, somebody beside us, or what no switch can beat. */
export type Role = "ours" | "peer" | "limit";

/** The figures of one subject in one test, one for each round; NaN where a round failed. */
export interface Series {
  test: string;
  subject: string;
  role: Role;
  unit: string;
  values: number[];
}

/** One line of the result. */
export interface Row {
  test: string;
  subject: string;
  /** Median over the rounds; `null` when the subject was not measured. */
  value: number | null;
  unit: string;
  /** To the peer that was best in this test; `null` for peers and limits, and where there is none. */
  ratio_to_best_peer: number | null;
  /** To the limit of this test; `null` where there is none. */
  ratio_to_limit: number | null;
  /** First and third quartile of the value. */
  quartiles: [number, number] | null;
  rounds: number;
  /** Why there is no value. */
  note?: string;
}

/** What must hold: one subject's figures over another's. Without `least` and `most` it is only told. */
export interface Bar {
  name: string;
  of: [test: string, subject: string];
  to: [test: string, subject: string];
  least?: number;
  most?: number;
  /** Why it may be missed, as far as that is known. */
  cause?: string;
}

/** A bar and how it went. */
export interface Verdict extends Bar {
  ratio: number;
  quartiles: [number, number];
  met: boolean;
}

const good = (values: readonly number[]) => values.filter((value) => Number.isFinite(value));
const short = (value: number) => Number(value.toPrecision(4));

/** The median, and NaN of nothing. */
export function median(values: readonly number[]): number {
  const usable = good(values);
  return usable.length === 0 ? NaN : quantile(usable, 0.5);
}

function quartiles(values: readonly number[]): [number, number] {
  const usable = good(values);
  return [short(quantile(usable, 0.25)), short(quantile(usable, 0.75))];
}

/** The ratios of the rounds in which both were measured. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  return good(a.map((value, round) => value / (b[round] ?? NaN)));
}

/** Whether little is good: times are, rates are not. */
export const lessIsBetter = (unit: string): boolean => /^(ns|us|s)\b/.test(unit);

function bestOf(list: readonly Series[]): Series | undefined {
  const sign = lessIsBetter(list[0]?.unit ?? "") ? 1 : -1;
  return [...list].filter(({ values }) => good(values).length > 0)
    .sort((a, b) => sign * (median(a.values) - median(b.values)))[0];
}

/**
 * The rows of all series, in their order.
 *
 * @param limits For each test the subject that is its limit, where there is one.
 * @param absent Peers that could not be measured, and why.
 */
export function rowsOf(
  series: readonly Series[],
  limits: Readonly<Record<string, string>>,
  absent: readonly { test: string; subject: string; unit: string; note: string }[] = [],
): Row[] {
  const ratio = (a: Series, b: Series | undefined) => {
    if (b === undefined || b === a) return null;
    const middle = median(ratios(a.values, b.values));
    return Number.isNaN(middle) ? null : short(middle);
  };
  const rows = series.map((one): Row => {
    const others = series.filter(({ test, role }) => test === one.test && role === "peer");
    const limit = series.find(({ test, subject }) => test === one.test && subject === limits[test]);
    const isKnown = good(one.values).length > 0;
    return {
      test: one.test,
      subject: one.subject,
      value: isKnown ? short(median(one.values)) : null,
      unit: one.unit,
      ratio_to_best_peer: one.role === "ours" ? ratio(one, bestOf(others)) : null,
      ratio_to_limit: ratio(one, limit),
      quartiles: isKnown ? quartiles(one.values) : null,
      rounds: good(one.values).length,
      ...(isKnown ? {} : { note: "failed" }),
    };
  });
  const empty = { value: null, ratio_to_best_peer: null, ratio_to_limit: null, quartiles: null, rounds: 0 };
  return [...rows, ...absent.map(({ note, ...rest }): Row => ({ ...rest, ...empty, note }))];
}

/** How the bars went; those whose subjects were not measured are left out. */
export function judge(series: readonly Series[], bars: readonly Bar[]): Verdict[] {
  const find = ([test, subject]: [string, string]) =>
    series.find((one) => one.test === test && one.subject === subject)?.values ?? [];
  return bars.flatMap((bar) => {
    const list = ratios(find(bar.of), find(bar.to));
    if (list.length === 0) return [];
    const ratio = short(median(list));
    const met = ratio >= (bar.least ?? -Infinity) && ratio <= (bar.most ?? Infinity);
    return [{ ...bar, ratio, quartiles: quartiles(list), met }];
  });
}

/** A number as people read it: 2.21 M, 48.3 k. */
export function readable(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function boundOf({ least, most }: Bar): string {
  if (least !== undefined) return `at least ${least}`;
  return most === undefined ? "no bar" : `at most ${most}`;
}

/** The cells of the rows, without those of the test. */
function cells(row: Row): string[] {
  const range = row.quartiles ? ` (${readable(row.quartiles[0])} to ${readable(row.quartiles[1])})` : "";
  return [
    row.subject,
    row.value === null ? row.note ?? "" : `${readable(row.value)}${range}`,
    row.ratio_to_best_peer === null ? "" : readable(row.ratio_to_best_peer),
    row.ratio_to_limit === null ? "" : readable(row.ratio_to_limit),
  ];
}

const headings = (unit: string) => ["", unit, "to best peer", "to limit"];

function* tests(rows: readonly Row[]): Generator<[string, Row[]]> {
  for (const test of new Set(rows.map((row) => row.test))) yield [test, rows.filter((row) => row.test === test)];
}

function judged(verdicts: readonly Verdict[]): string[][] {
  return verdicts.map((one) => [
    one.name,
    `${one.ratio.toPrecision(3)} (${one.quartiles.map((value) => value.toPrecision(3)).join(" to ")})`,
    boundOf(one),
    boundOf(one) === "no bar" ? "" : one.met ? "met" : `MISSED${one.cause ? `: ${one.cause}` : ""}`,
  ]);
}

function aligned(table: readonly string[][]): string {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
  return table.map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n");
}

/** The tables for a terminal. */
export function asText(rows: readonly Row[], verdicts: readonly Verdict[]): string {
  const parts: string[] = [];
  for (const [test, list] of tests(rows)) {
    parts.push(`${test}\n${aligned([headings(list[0]!.unit), ...list.map(cells)])}`);
  }
  if (verdicts.length > 0) parts.push(`Must hold\n${aligned([["", "ratio", "bar", ""], ...judged(verdicts)])}`);
  return parts.join("\n\n");
}

const markdownLine = (line: readonly string[]) => `| ${line.join(" | ")} |`;

function markdownTable(head: readonly string[], lines: readonly string[][]): string {
  return [markdownLine(head), markdownLine(head.map(() => "---")), ...lines.map(markdownLine)].join("\n");
}

/** The same tables in Markdown. */
export function asMarkdown(rows: readonly Row[], verdicts: readonly Verdict[]): string {
  const parts: string[] = [];
  if (verdicts.length > 0) {
    parts.push(markdownTable(["must hold", "ratio (quartiles)", "bar", ""], judged(verdicts)));
  }
  for (const [test, list] of tests(rows)) {
    parts.push(markdownTable([test, ...headings(list[0]!.unit).slice(1)], list.map(cells)));
  }
  return parts.join("\n\n");
}
