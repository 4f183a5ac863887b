/**
 * The part of the `Deno` namespace that the files for `deno bench` use, so that they are checked without Deno's types, too.
 *
 * @module
 */

/** What `deno bench` wants to know of a benchmark. */
export interface BenchOptions {
  name: string;
  group: string;
  baseline?: boolean;
}

interface DenoNamespace {
  bench(options: BenchOptions, run: () => void | Promise<void>): void;
}

/** Registers a benchmark. */
export const bench: DenoNamespace["bench"] = (globalThis as unknown as { Deno: DenoNamespace }).Deno.bench;
