/**
 * Time that may be spent, and its parts. In: seconds. Out: seconds left, never below 0.
 */

/** A stretch of time that ends. */
export class TimeBudget {
  readonly #end: number;
  readonly #clock: () => number;

  /** Starts now; the clock counts milliseconds. */
  constructor(seconds: number, clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#end = clock() + 1000 * seconds;
  }

  /** Seconds left. */
  left(): number {
    return Math.max(0, (this.#end - this.#clock()) / 1000);
  }

  /** Seconds that one thing may take: those left, but no more than `most`. */
  limit(most: number): number {
    return Math.min(this.left(), most);
  }

  /**
   * The part of one of `weights`, where the first is next: what earlier ones left over is shared out
   * among those to come.
   */
  part(weights: readonly number[]): TimeBudget {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return new TimeBudget(total > 0 ? this.left() * weights[0] / total : 0, this.#clock);
  }
}
