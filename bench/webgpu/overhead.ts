/**
 * How much of an update a device waits for the host. In: dispatches, what each takes, products. Out: seconds, and
 * their share.
 */

/** An update as it was counted, and rates. */
export interface OverheadOptions {
  readonly dispatches: number;
  readonly runs: number;
  readonly microsecondsADispatch: number;
  readonly microsecondsARun: number;
  /** Of the update's matrix products. */
  readonly flops: number;
  readonly flopsPerSecond: number;
}

/** Seconds of an update. */
export interface Overhead {
  readonly hostSeconds: number;
  readonly productSeconds: number;
  /** Host time over that of the products, in percent. Below 100 it is hidden, as work is queued ahead. */
  readonly percent: number;
}

/** Calculates it; nothing is measured. */
export function overheadOf(options: OverheadOptions): Overhead {
  const { dispatches, runs, microsecondsADispatch, microsecondsARun } = options;
  const hostSeconds = (dispatches * microsecondsADispatch + runs * microsecondsARun) / 1e6;
  const productSeconds = options.flops / options.flopsPerSecond;
  return { hostSeconds, productSeconds, percent: 100 * hostSeconds / productSeconds };
}
