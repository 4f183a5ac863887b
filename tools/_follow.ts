// SPDX-License-Identifier: MIT

/**
 * Following what can be read as a whole and says when there may be something new.
 *
 * Theory of operation: at every piece of news the whole is read anew, and whoever follows compares it with what was there
 * before. So nothing is missed or told twice when news overlap, come in bursts, or are lost.
 *
 * @module
 */

/** Something to follow. */
export interface Source<T> {
  /** All that there is. Rejects when the signal aborts meanwhile; with an error that `isAway` if there may be a source later. */
  read(signal?: AbortSignal): Promise<T>;
  /** Calls back when there may be something new, until the signal aborts; rejects if the source ends by itself. */
  watch(signal: AbortSignal, changed: () => void): Promise<void>;
}

/** How often to try a daemon that is not there yet. */
const AGAIN_MS = 200;

/**
 * What there is, as it comes: at once, then whenever something may have changed, until the signal aborts.
 *
 * @param source Where from.
 * @param signal Ends it quietly.
 * @param isPatient Whether a daemon that is not there is waited for.
 */
export async function* follow<T>(source: Source<T>, signal: AbortSignal, isPatient = false): AsyncGenerator<T> {
  while (!signal.aborted) {
    try {
      yield* followOnce(source, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isPatient || (error as { isAway?: unknown }).isAway !== true) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

async function* followOnce<T>(source: Source<T>, signal: AbortSignal): AsyncGenerator<T> {
  const left = new AbortController();
  const either = AbortSignal.any([signal, left.signal]);
  let failure: unknown;
  let news = Promise.withResolvers<void>();
  either.addEventListener("abort", () => news.resolve(), { once: true });
  const watching = source.watch(either, () => news.resolve()).catch((error) => {
    failure = error;
    news.resolve();
  });
  try {
    while (!either.aborted) {
      yield await source.read(either);
      await news.promise;
      if (failure !== undefined) throw failure;
      news = Promise.withResolvers<void>();
    }
  } finally {
    left.abort();
    await watching;
  }
}
