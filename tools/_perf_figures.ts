// SPDX-License-Identifier: MIT

/**
 * What `perf` makes of its samples: percentiles, and drawings of them.
 *
 * @module
 */

import { bar, columns } from "./_terminal.ts";

/** Percentiles of times, in microseconds; `p999` is missing if there are fewer than a thousand. */
export interface Latency {
  readonly samples: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999?: number;
  readonly max: number;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;

/** Sorts samples and reads percentiles: the smallest sample that so many percent are not above. */
export function latencyOf(microseconds: readonly number[]): Latency | undefined {
  if (microseconds.length === 0) return undefined;
  const sorted = Float64Array.from(microseconds).sort();
  const at = (share: number) => tenths(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!);
  return {
    samples: sorted.length,
    min: at(0),
    ...{ p50: at(0.5), p90: at(0.9), p99: at(0.99) },
    ...(sorted.length >= 1000 && { p999: at(0.999) }),
    max: at(1),
  };
}

/** A time that people can read. */
export function timeText(microseconds: number | undefined, plain: boolean): string {
  if (microseconds === undefined) return "-";
  if (microseconds >= 1e6) return `${(microseconds / 1e6).toFixed(2)} s`;
  if (microseconds >= 1000) return `${(microseconds / 1000).toFixed(microseconds < 10_000 ? 2 : 1)} ms`;
  return `${microseconds < 10 ? microseconds.toFixed(1) : Math.round(microseconds)} ${plain ? "us" : "µs"}`;
}

/** A number with a thousand's letter. */
export function countText(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(2)} M`;
  return count >= 1e4 ? `${(count / 1e3).toFixed(0)} k` : String(Math.round(count));
}

/** Width of the bars; less on a narrow terminal, which has label and share beside them. */
const WIDTH = 40;

/** Rows at the most. */
const ROWS = 12;

/**
 * Draws how samples are distributed: a row for each doubling of time, whatever is outside of the busiest rows in the last.
 *
 * @param microseconds The samples.
 * @param plain Whether in ASCII.
 */
export function histogram(microseconds: readonly number[], plain: boolean): string[] {
  const rows = new Map<number, number>();
  for (const value of microseconds) {
    const row = Math.floor(Math.log2(Math.max(value, 1)));
    rows.set(row, (rows.get(row) ?? 0) + 1);
  }
  const [first, last] = [Math.min(...rows.keys()), Math.max(...rows.keys())];
  const end = Math.min(last, first + ROWS - 1);
  const most = Math.max(...rows.values());
  const lines: string[] = [];
  const width = Math.max(8, Math.min(WIDTH, columns() - 22));
  for (let row = first; row <= end; row++) {
    const isRest = row === end && end < last;
    const count = isRest ? [...rows].reduce((sum, [i, n]) => sum + (i >= end ? n : 0), 0) : rows.get(row) ?? 0;
    const label = `${timeText(2 ** row, plain)}${isRest ? " and more" : ""}`.padStart(9);
    const percent = 100 * count / microseconds.length;
    const share = count === 0 ? "" : percent < 0.1 ? "<0.1 %" : `${percent.toFixed(1)} %`;
    lines.push(`  ${label}  ${bar(count / most, width, plain)} ${share}`.trimEnd());
  }
  return lines;
}
