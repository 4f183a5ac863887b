// SPDX-License-Identifier: MIT

/**
 * Errors on their way from a callback to the JavaScript that called C.
 *
 * A callback cannot throw through C. Deno passes an error on only if no other
 * callback runs before C returns, and loses it else, so it is kept here: the
 * callbacks that C still makes are answered with 0 without being run, and the
 * function that had called C throws it. That is what `bun:ffi` does.
 *
 * @module
 */

/** The state: at most one error at a time, since JavaScript is single-threaded. */
export const pending: { thrown: boolean; error: unknown; rethrow(): never; report(): void } = {
  /** Whether there is an error, checked after every call of C. */
  thrown: false,
  /** The error. */
  error: undefined,
  /** Throws it. */
  rethrow(): never {
    const { error } = pending;
    pending.thrown = false;
    pending.error = undefined;
    throw error;
  },
  /** Makes it an uncaught error, if there is one, where nobody is to throw it to. */
  report(): void {
    if (!pending.thrown) return;
    const { error } = pending;
    pending.thrown = false;
    pending.error = undefined;
    queueMicrotask(() => {
      throw error;
    });
  },
};

/**
 * Keeps an error for the function that had called C. If nothing had, because C
 * called from a thread of its own, it becomes an uncaught error.
 *
 * @param error What the callback threw.
 */
export function keepError(error: unknown): void {
  pending.thrown = true;
  pending.error = error;
  // Microtasks wait until all JavaScript has returned, so a caller comes first
  queueMicrotask(() => {
    if (pending.thrown && pending.error === error) pending.rethrow();
  });
}
