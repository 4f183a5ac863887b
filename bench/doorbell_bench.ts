/**
 * `deno bench -A bench/doorbell_bench.ts`: 2000 wakes in each iteration. Build the loops in C first: `make -C shim bench`.
 *
 * @module
 */

import { bench } from "./deno.ts";
import { floor, script, WAKES } from "./doorbell_cases.ts";

const group = `${WAKES} wakes`;
bench({ name: "socketpair, epoll and read in C", group, baseline: true }, () => void floor());
bench({ name: "a packet loop in the script", group }, async () => void await script());
