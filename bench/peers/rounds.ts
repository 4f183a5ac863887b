/**
 * Rounds: every subject of a test is measured once in each, forwards and backwards in turns, so that a slow minute of
 * the machine hits all.
 *
 * @module
 */

import process from "node:process";
import type { Role, Series } from "./report.ts";

/** One subject's measurement: figures by the name of their test. */
export interface Case {
  subject: string;
  role: Role;
  /** Unit of each test's figure. */
  units: Record<string, string>;
  measure: () => Promise<Record<string, number>>;
}

const say = (text: string) => process.stderr.write(text);

/**
 * Measures all cases in `rounds` rounds, after one that is not counted. What fails is NaN, and said.
 *
 * @param warmUp Whether there is that round.
 */
export async function interleaved(
  what: string,
  cases: readonly Case[],
  rounds: number,
  warmUp = true,
): Promise<Series[]> {
  const series = new Map<string, Series>();
  const begin = performance.now();
  for (let round = warmUp ? -1 : 0; round < rounds; round++) {
    say(`\r${what}: round ${Math.max(round + 1, 0)} of ${rounds} `);
    for (const one of round % 2 === 0 ? cases : [...cases].reverse()) {
      let figures: Record<string, number> = {};
      try {
        figures = await one.measure();
      } catch (error) {
        say(`\n${one.subject}: ${(error as Error).message}\n`);
      }
      if (round < 0) continue;
      for (const [test, unit] of Object.entries(one.units)) {
        const key = `${test}\n${one.subject}`;
        let entry = series.get(key);
        if (entry === undefined) {
          entry = { test, subject: one.subject, role: one.role, unit, values: [] };
          series.set(key, entry);
        }
        entry.values.push(figures[test] ?? NaN);
      }
    }
  }
  say(`(${((performance.now() - begin) / 1000).toFixed(0)} s)\n`);
  // In the order of tests and cases, whichever way the first round went
  const order = cases.map(({ subject }) => subject);
  const tests = [...new Set(cases.flatMap(({ units }) => Object.keys(units)))];
  return [...series.values()].sort((a, b) =>
    tests.indexOf(a.test) - tests.indexOf(b.test) || order.indexOf(a.subject) - order.indexOf(b.subject)
  );
}
