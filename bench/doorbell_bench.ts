/**
 * `deno bench -A bench/doorbell_bench.ts`: 2000 wakes in each iteration. Build the loops in C first: `make -C shim bench`.
 *
 * @module
 */

import { floor, script, WAKES } from "./doorbell_cases.ts";

const group = `${WAKES} wakes`;
Deno.bench({ name: "socketpair, epoll and read in C", group, baseline: true }, () => void floor());
Deno.bench({ name: "a packet loop in the script", group }, async () => void await script());
