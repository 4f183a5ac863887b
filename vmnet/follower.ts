// SPDX-License-Identifier: MIT

/**
 * Loops over news: of leases, of what happens at the ports of a switch.
 *
 * @module
 */

/** What a follower needs of the object that has the news. */
export interface NewsSource<Self> {
  /** Throws if the object does not work any more. */
  check(): void;
  /** Whether the script has stopped the object. */
  isStopping(): boolean;
  /** Adds a follower, and tells it what waits. */
  follow(follower: Self): void;
  /** Removes a follower. */
  unfollow(follower: Self): void;
  /** Keeps the program alive. */
  hold(): void;
  /** Ends one `hold()`. */
  release(): void;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * One loop over news. It follows its source from the first step on, keeps the program alive while it waits, and ends
 * quietly when it is aborted or the script stops the source; what else ends the source is thrown.
 */
export abstract class Follower<T> implements AsyncIterableIterator<T> {
  readonly #source: NewsSource<this>;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting = new Set<() => void>();
  #state: "new" | "active" | "done" = "new";

  constructor(source: NewsSource<never>, signal: AbortSignal | undefined) {
    this.#source = source as NewsSource<this>;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next of the news, if there is one. */
  protected abstract take(): T | undefined;

  /** Ends a waiting. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.#state === "new" && !this.#signal?.aborted) {
      this.#source.check();
      this.#state = "active";
      this.#source.follow(this);
    }
    while (this.#state === "active" && !this.#signal?.aborted && !this.#source.isStopping()) {
      const value = this.take();
      if (value !== undefined) return { value, done: false };
      try {
        this.#source.check();
      } catch (error) {
        await this.return();
        throw error;
      }
      await this.#wait();
    }
    return await this.return();
  }

  return(): Promise<IteratorResult<T, undefined>> {
    if (this.#state === "active") this.#source.unfollow(this);
    this.#state = "done";
    this.wake();
    return Promise.resolve(DONE);
  }

  #wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      if (!this.#waiting.delete(wake)) return;
      this.#signal?.removeEventListener("abort", wake);
      this.#source.release();
      resolve();
    };
    this.#waiting.add(wake);
    this.#signal?.addEventListener("abort", wake, { once: true });
    this.#source.hold();
    return promise;
  }
}
