/**
 * What processes that train together decide together.
 *
 * In: their `Comm`, and a signal that each may get at another time. Out: a signal that is aborted on all of
 * them after the same update, and sums.
 */

import type { Comm } from "../../comm/comm.ts";

/** Processes that train together, or one alone. */
export class ProcessGroup {
  /** This process's number, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** Aborted when {@linkcode ProcessGroup.agree} has found that somebody's is. */
  readonly signal: AbortSignal | undefined;
  readonly #comm: Comm | undefined;
  readonly #asked: AbortSignal | undefined;
  readonly #agreed = new AbortController();

  /**
   * Asks nobody yet.
   *
   * @param comm the processes, or this one alone
   * @param signal asks this process to stop
   */
  constructor(comm: Comm | undefined, signal: AbortSignal | undefined) {
    this.rank = comm?.rank ?? 0;
    this.size = comm?.size ?? 1;
    this.#comm = this.size > 1 ? comm : undefined;
    this.#asked = signal;
    this.signal = this.#comm ? this.#agreed.signal : signal;
  }

  /** Whether any process was asked to stop, told to all. */
  async agree(): Promise<void> {
    if (!this.#comm || this.#agreed.signal.aborted) return;
    const [asked] = await this.sum([Number(this.#asked?.aborted ?? false)]);
    if (asked > 0) this.#agreed.abort(this.#asked?.reason);
  }

  /** Each number summed over all processes, the same on all. */
  async sum(numbers: readonly number[]): Promise<readonly number[]> {
    if (!this.#comm) return numbers;
    const sums = Float64Array.from(numbers);
    await this.#comm.allReduceSum(sums);
    return [...sums];
  }
}
