/** A tensor of the reference interpreter, row-major. */
export interface Dense {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}
