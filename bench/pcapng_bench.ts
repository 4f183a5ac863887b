/**
 * `deno bench -A bench/pcapng_bench.ts`: writing pcapng, each iteration 25,600 frames of 1514 bytes (38.8 MB), and
 * reading half as many.
 *
 * @module
 */

import { bench } from "./deno.ts";
import { batches, batchesAnew, chunks, copied, copiedAnew, packets, read } from "./pcapng_cases.ts";

const group = "25,600 frames of 1514 bytes";
bench({ name: "set()", group, baseline: true }, () => void copied());
bench({ name: "writeBatch(), memory recycled", group }, () => void batches());
bench({ name: "write(), memory recycled", group }, () => void packets());
bench({ name: "set() into new memory", group }, () => void copiedAnew());
bench({ name: "writeBatch(), new memory", group }, () => void batchesAnew());
bench({ name: "pcapngChunks() of batches", group }, async () => void await chunks());

const reading = "12,800 frames of 1514 bytes";
bench({ name: "CaptureReader, pieces of 64 KiB", group: reading, baseline: true }, () => void read(64 << 10));
bench({ name: "CaptureReader, pieces of 1 MiB", group: reading }, () => void read(1 << 20));
