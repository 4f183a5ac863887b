/**
 * `deno bench -A bench/drain_bench.ts`: draining an interface, each iteration 25,600 frames of 1514 bytes with the filling
 * of the ring. Build the loops in C first: `make -C shim bench`.
 *
 * @module
 */

import { borrowedByOffset, borrowedViews, ceiling, handleA, owned, raw } from "./drain_cases.ts";

const group = "25,600 frames of 1514 bytes";
Deno.bench({ name: "loop in C", group, baseline: true }, () => void ceiling(handleA));
Deno.bench({ name: "raw vn_drain()", group }, () => void raw());
Deno.bench({ name: "borrowed batches by offset", group }, async () => void await borrowedByOffset());
Deno.bench({ name: "borrowed views", group }, async () => void await borrowedViews());
Deno.bench({ name: "owned packets", group }, async () => void await owned());
