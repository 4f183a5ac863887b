/**
 * `deno bench -A bench/packet_bench.ts`: 64 frames described, and 64 frames read down to TCP.
 *
 * @module
 */

import { bench } from "./deno.ts";
import { ceiling, describeMixed, ours, peers } from "./packet_cases.ts";

bench({ name: "describe()", group: "64 mixed frames", baseline: true }, () => void describeMixed());
const group = "64 TCP segments, addresses as text";
bench({ name: "Packet", group, baseline: true }, () => void ours());
bench({ name: "DataView by hand", group }, () => void ceiling());
for (const [name, run] of Object.entries(peers)) bench({ name, group }, () => void run());
