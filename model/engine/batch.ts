/**
 * What the engine needs of a batch.
 *
 * Token ids, positions and segments, [rows·length] each, and targets where it is to learn.
 * `data/batches/collator.ts` makes them of examples.
 */

/** The target of a token after which nothing is to be predicted, as in PyTorch. */
export const NO_TARGET: number = -100;

/** A grid of tokens, [rows, length] laid out flat. */
export interface TokenGrid {
  /** Rows of the grid. */
  readonly rows: number;
  /** Tokens a row, padding included. */
  readonly length: number;
  /** Token ids, [rows·length]. */
  readonly inputIds: BigInt64Array;
  /** Restart at 0 in each segment. */
  readonly positionIds: BigInt64Array;
  /** 0 is padding, 1 and up the example a token belongs to. */
  readonly segmentIds: Int32Array;
}

/** A grid with next-token targets; −100 where none is to be predicted. */
export interface LabelledGrid extends TokenGrid {
  /** The id to predict after each token, [rows·length]; −100 where there is none. */
  readonly targets: Int32Array;
}

/**
 * One row of tokens, each to be predicted from those before it.
 *
 * In: token ids. Out: a grid [1, ids.length] in one segment, without padding.
 *
 * @example
 * ```ts
 * import { sequenceGrid } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([...sequenceGrid([5, 6, 7]).targets], [6, 7, -100]);
 * ```
 */
export function sequenceGrid(ids: ArrayLike<number>): LabelledGrid {
  const { length } = ids;
  return {
    rows: 1,
    length,
    inputIds: BigInt64Array.from(ids, BigInt),
    positionIds: BigInt64Array.from({ length }, (_, i) => BigInt(i)),
    segmentIds: new Int32Array(length).fill(1),
    targets: Int32Array.from({ length }, (_, i) => ids[i + 1] ?? NO_TARGET),
  };
}
