// SPDX-License-Identifier: MIT

/**
 * The calls of `ffi_cases.ts` for `deno bench`:
 *
 *     deno bench --allow-ffi --allow-env --allow-read bench/ffi_bench.ts
 *
 * Each is a thousand calls. For ratios use `bench/ffi.ts`, whose contenders
 * take turns.
 *
 * @module
 */

import { bench } from "./deno.ts";
import { cases, contenders, loopOf } from "./ffi_cases.ts";

for (const entry of cases) {
  for (const contender of contenders) {
    if (entry.calls[contender] === undefined) continue;
    const loop = loopOf(entry, contender);
    const options = { name: `${entry.name}, ${contender}`, group: entry.name, baseline: contender === "native" };
    bench(options, () => void loop(1000));
  }
}
