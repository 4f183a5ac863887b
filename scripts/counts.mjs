// SPDX-License-Identifier: MIT

// Reads how many tests passed, failed and were skipped out of what a test runner printed.

// deno-lint-ignore no-control-regex
const colours = /\x1b\[[0-9;]*m/g;

/** The last match of a global expression, because tests may print such a line before the runner does. */
const last = (text, expression) => [...text.matchAll(expression)].at(-1);

const number = (match, group = 1) => Number(match?.[group] ?? 0);

/**
 * A `describe()` with its cases is one test with steps in Deno, so steps that passed count as well.
 * `ok | 12 passed (3 steps) | 1 failed | 2 ignored | 4 filtered out (29ms)`
 */
function deno(text) {
  const line = last(text, /^(?:ok|FAILED) \| (\d+) passed(?: \((\d+) steps?\))? \| (\d+) failed(.*)$/gm);
  if (!line) return undefined;
  return {
    passed: number(line) + number(line, 2),
    failed: number(line, 3),
    skipped: number(line[4].match(/(\d+) ignored/)),
  };
}

/**
 * ` 12 pass`, ` 1 skip`, ` 1 todo`, ` 0 fail`, ` 1 error`, each on a line of its own above `Ran 14 tests`. An error is one
 * of the failures.
 */
function bun(text) {
  if (!last(text, /^Ran \d+ tests? across/gm)) return undefined;
  const count = (word) => number(last(text, new RegExp(`^ *(\\d+) ${word}s?$`, "gm")));
  return { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
}

/** `N passed, N failed` with an optional `, N skipped`: each C test prints one, so they are added up. */
function plain(text) {
  const lines = [...text.matchAll(/^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm)];
  if (lines.length === 0) return undefined;
  const sum = (group) => lines.reduce((total, line) => total + number(line, group), 0);
  return { passed: sum(1), failed: sum(2), skipped: sum(3) };
}

const readers = { deno, bun, plain };

/**
 * Counts of a finished run, with the runner's exit code taken into account: a runner that failed without a failed test
 * counts as one failure (it crashed, or was ended by the watchdog), and so does one that ran nothing.
 */
export function countTests(runner, output, code) {
  const counts = readers[runner](output.replace(colours, "")) ?? { passed: 0, failed: 0, skipped: 0 };
  const { passed, failed, skipped } = counts;
  if (failed === 0 && (code !== 0 || passed + skipped === 0)) return { passed, failed: 1, skipped };
  return counts;
}
