// SPDX-License-Identifier: MIT

// npm test: sets up what is missing, then builds, checks and tests everything, in both runtimes.
//
//   npm test [-- --long] [-- --only TEXT]
//
// --long runs the full soaks; --only runs the steps whose name contains TEXT. Failed steps show all they printed, and
// the last line is "N passed, N failed". What this machine cannot run is skipped, with the reason; with CI=true on
// Linux that is a failure.

import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { countTests } from "./counts.mjs";
import { run, since } from "./run.mjs";
import { root, runtimeEnvironment, versionOf } from "./runtimes.mjs";
import { setUp } from "./setup.mjs";
import { phases } from "./steps.mjs";

const { values: options } = parseArgs({
  options: { long: { type: "boolean", default: false }, only: { type: "string", default: "" } },
});

/** In CI nothing may go missing unnoticed. On a Mac the guests' network does not exist at all. */
const strict = process.env.CI === "true" && process.platform === "linux";

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

function counted({ passed, failed, skipped }) {
  const words = [`${passed} passed`];
  if (failed > 0) words.push(`${failed} failed`);
  if (skipped > 0) words.push(`${skipped} skipped`);
  return words.join(", ");
}

function report(step, counts, note, output) {
  for (const key of Object.keys(total)) total[key] += counts[key];
  const word = counts.failed > 0 ? "FAILED" : counts.passed > 0 ? "ok" : "skipped";
  console.log(`${word.padEnd(8)}${step.name}: ${note}`);
  if (counts.failed === 0) return;
  failures.push(step.name);
  // The bar keeps a runner's own summary from being taken for ours.
  console.log(output.trimEnd().split("\n").map((line) => `  | ${line}`).join("\n"));
}

async function runStep(step, environment) {
  if (step.lacks) {
    const counts = { passed: 0, failed: strict ? 1 : 0, skipped: strict ? 0 : 1 };
    return report(step, counts, `cannot run here: ${step.lacks}`, step.lacks);
  }
  const start = performance.now();
  const { code, output, timedOut } = await run(step.command, step.args, {
    cwd: join(root, step.cwd ?? ""),
    env: { ...environment, ...step.env },
    timeoutMs: step.timeoutMs,
  });
  const counts = step.runner === "command"
    ? { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 }
    : countTests(step.runner, output, code);
  const end = timedOut ? `, stopped by the watchdog after ${since(start)}` : `, ${since(start)}`;
  const status = counts.failed > 0 ? `, status ${code}` : "";
  report(step, counts, counted(counts) + status + end, output);
}

/** Runs a phase's steps, as many at a time as it has lanes. */
async function runPhase(phase, environment) {
  const start = performance.now();
  const queue = [...phase.steps];
  const lane = async () => {
    for (let step = queue.shift(); step; step = queue.shift()) await runStep(step, environment);
  };
  await Promise.all(Array.from({ length: phase.lanes }, lane));
  console.log(`-- ${phase.name}: ${since(start)}\n`);
}

/** The phases that --only leaves over. A build stays as long as something after it needs it. */
function selected(all) {
  const chosen = all.map((phase) => ({
    ...phase,
    steps: phase.steps.filter(({ name }) => name.includes(options.only)),
  }));
  return all.map((phase, i) => {
    const needed = phase.steps.some((step) => step.fatal) && chosen.slice(i + 1).some(({ steps }) => steps.length > 0);
    return needed ? phase : chosen[i];
  }).filter(({ steps }) => steps.length > 0);
}

const start = performance.now();
await setUp("test");
console.log(`${versionOf("deno")}, ${versionOf("bun")}, node ${process.versions.node}, ${process.platform}\n`);
// Poisoned views and both runtimes' paths for every test;
const environment = { ...runtimeEnvironment(), VMNET_CHECK: "1", ...(options.long ? { VMNET_LONG: "1" } : {}) };
for (const phase of selected(await phases(options))) {
  await runPhase(phase, environment);
  // Without the library every further test would fail, for one and the same reason.
  if (failures.some((name) => phase.steps.find((step) => step.name === name)?.fatal)) break;
}
if (failures.length > 0) console.log(`Failed: ${failures.join("; ")}`);
console.log(`In ${since(start)}:`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
