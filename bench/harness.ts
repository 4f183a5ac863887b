/**
 * How a figure is made: subject and ceiling take turns in one process, round by round, and the figure is the median of
 * the ratios of the rounds. A machine that slows down slows both, so the ratio is worth more than either time.
 *
 * @module
 */

import { runtimeName } from "../ffi/runtime.ts";

/** One line of a benchmark's result. */
export interface Result {
  /** What was measured. */
  name: string;
  /** The runtime that ran it. */
  runtime: string;
  /** Median over the rounds. */
  median: number;
  /** Unit of `median` and `ceiling`. */
  unit: string;
  /** Median of the same work in C, in `unit`; `null` when the figure stands alone. */
  ceiling: number | null;
  /** Median of the ratios of the rounds, subject over ceiling; `null` when the figure stands alone. */
  ratio: number | null;
  /** First and third quartile of the ratios, or of the figure itself when it stands alone. */
  spread: [number, number];
  /** Rounds that were counted. */
  rounds: number;
}

type Measure = () => number | Promise<number>;

/** The middle of a list, interpolated: `quantile(values, 0.5)` is the median. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

/** Runs subject and ceiling in turns; the order changes from round to round, so that neither always goes first. */
export async function compare(
  name: string,
  unit: string,
  subject: Measure,
  ceiling: Measure,
  options: { rounds?: number; warmUp?: number; invert?: boolean } = {},
): Promise<Result> {
  const { rounds = 31, warmUp = 5, invert = false } = options;
  const ours: number[] = [];
  const theirs: number[] = [];
  const ratios: number[] = [];
  for (let round = -warmUp; round < rounds; round++) {
    let a: number;
    let b: number;
    if (round % 2 === 0) {
      a = await subject();
      b = await ceiling();
    } else {
      b = await ceiling();
      a = await subject();
    }
    if (round < 0) continue;
    ours.push(a);
    theirs.push(b);
    ratios.push(invert ? b / a : a / b);
  }
  return {
    name,
    runtime: runtimeName,
    median: round3(quantile(ours, 0.5)),
    unit,
    ceiling: round3(quantile(theirs, 0.5)),
    ratio: round3(quantile(ratios, 0.5)),
    spread: [round3(quantile(ratios, 0.25)), round3(quantile(ratios, 0.75))],
    rounds,
  };
}

/** Measures something that has no ceiling in C. */
export async function measure(name: string, unit: string, subject: Measure, rounds = 21): Promise<Result> {
  const values: number[] = [];
  for (let round = 0; round < rounds; round++) values.push(await subject());
  return {
    name,
    runtime: runtimeName,
    median: round3(quantile(values, 0.5)),
    unit,
    ceiling: null,
    ratio: null,
    spread: [round3(quantile(values, 0.25)), round3(quantile(values, 0.75))],
    rounds,
  };
}

/** Three significant digits are all that such a machine gives. */
function round3(value: number): number {
  return Number(value.toPrecision(4));
}
