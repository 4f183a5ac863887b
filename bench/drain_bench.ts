/**
 * `deno bench -A bench/drain_bench.ts`: draining an interface, each iteration 25,600 frames of 1514 bytes with the filling
 * of the ring. Build the loops in C first: `make -C shim bench`.
 *
 * @module
 */

import { bench } from "./deno.ts";
import { borrowedByOffset, borrowedViews, ceiling, handleA, owned, raw } from "./drain_cases.ts";

const group = "25,600 frames of 1514 bytes";
bench({ name: "loop in C", group, baseline: true }, () => void ceiling(handleA));
bench({ name: "raw vn_drain()", group }, () => void raw());
bench({ name: "borrowed batches by offset", group }, async () => void await borrowedByOffset());
bench({ name: "borrowed views", group }, async () => void await borrowedViews());
bench({ name: "owned packets", group }, async () => void await owned());
