/**
 * What the engine needs of a batch.
 *
 * Types only: token ids, positions and segments, [rows·length] each, and targets where it is to
 * learn. `data/collator.ts` makes them.
 */

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
