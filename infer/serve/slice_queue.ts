/**
 * Long work between the answers to others.
 *
 * In: work that can be interrupted. Out: its result. A short one is done at once; of the long ones one
 * at a time goes on, some milliseconds a turn of the event loop, so that replies under way lose little.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "./api_error.ts";

/** Milliseconds of work in one turn. */
const SLICE = 4;
/** Most long works that wait for the one that goes on. */
const MAX_WAITING = 8;
/** Seconds after which a client may try again. */
const RETRY_AFTER = 2;

/** Work that stops every millisecond or so, and answers at its end. */
export type Slices<Result> = Generator<void, Result, void>;

/** Does works in slices. */
export class SliceQueue {
  readonly #now: () => number;
  #last: Promise<void> = Promise.resolve();
  #long = 0;

  /** @param now milliseconds on a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Does a work.
   *
   * @throws {ApiError} 429 where too many long ones wait
   * @throws a signal's reason, once it is aborted
   */
  async run<Result>(
    work: Slices<Result>,
    ...signals: readonly AbortSignal[]
  ): Promise<Result> {
    const first = this.#slice(work);
    if (first) return first.result;
    if (this.#long > MAX_WAITING) {
      throw new ApiError(
        429,
        `Cannot read another long chat: ${this.#long} are being read; try again later`,
        { code: "queue_full", retryAfter: RETRY_AFTER },
      );
    }
    this.#long++;
    const turn = this.#last;
    const mine = Promise.withResolvers<void>();
    this.#last = mine.promise;
    try {
      await turn;
      for (;;) {
        // A timer and not setImmediate(), of which a batch lets many pass between two steps.
        await sleep(0);
        for (const signal of signals) signal.throwIfAborted();
        const done = this.#slice(work);
        if (done) return done.result;
      }
    } finally {
      this.#long--;
      mine.resolve();
    }
  }

  /** Goes on for a while; `undefined` where there is more to do. */
  #slice<Result>(work: Slices<Result>): { readonly result: Result } | undefined {
    const end = this.#now() + SLICE;
    do {
      const { done, value } = work.next();
      if (done) return { result: value };
    } while (this.#now() < end);
    return undefined;
  }
}

/** Does a work without a pause. */
export function atOnce<Result>(work: Slices<Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
