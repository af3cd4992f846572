/** What the engine needs of a batch; `data/collator.ts` makes them. */

/** A grid of tokens, [rows, length] laid out flat. */
export interface TokenGrid {
  readonly rows: number;
  readonly length: number;
  readonly inputIds: BigInt64Array;
  /** Restart at 0 in each segment. */
  readonly positionIds: BigInt64Array;
  /** 0 is padding, 1 and up the example a token belongs to. */
  readonly segmentIds: Int32Array;
}

/** A grid with next-token targets; −100 where none is to be predicted. */
export interface LabelledGrid extends TokenGrid {
  readonly targets: Int32Array;
}
