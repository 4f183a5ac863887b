// SPDX-License-Identifier: MIT

/**
 * Ending tidily on Ctrl+C.
 *
 * @module
 */

import { signalOf } from "./fields.ts";

/** The signals that ask a program to end. */
export type InterruptSignal = "SIGINT" | "SIGTERM";

const signals: readonly InterruptSignal[] = ["SIGINT", "SIGTERM"];

/** Longest period of a timer. */
const FOREVER_MS = 0x7fffffff;

/**
 * Waits for SIGINT (Ctrl+C) or SIGTERM. Until then they do not end the program; afterwards they do again, so a second
 * Ctrl+C ends a program that takes too long to clean up. Waiting keeps the program alive.
 *
 * @param options A signal that gives up waiting; the promise then rejects with its reason.
 * @returns Name of the signal that came.
 *
 * @example Usage
 * ```ts ignore
 * import { Interface, interrupted } from "vmnet";
 *
 * await using nic = await Interface.start({ mode: "shared" });
 * const ending = new AbortController();
 * interrupted().then(() => ending.abort());
 * for await (const batch of nic.batches({ signal: ending.signal })) console.log(batch.length);
 * ```
 */
export async function interrupted(options?: { signal?: AbortSignal | undefined }): Promise<InterruptSignal> {
  const signal = signalOf("wait for a signal", options);
  signal?.throwIfAborted();
  const { process } = globalThis; // not imported: see context.ts
  const { promise, resolve, reject } = Promise.withResolvers<InterruptSignal>();
  const timer = setInterval(() => {}, FOREVER_MS);
  const handlers = signals.map((name) => {
    const handler = () => {
      end();
      resolve(name);
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  const abort = () => {
    end();
    reject(signal!.reason);
  };
  function end(): void {
    clearInterval(timer);
    signal?.removeEventListener("abort", abort);
    for (const [name, handler] of handlers) process.off(name, handler);
  }
  signal?.addEventListener("abort", abort, { once: true });
  return await promise;
}
