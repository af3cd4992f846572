/**
 * What storing a model's matrices in fewer bits did to them.
 *
 * In: pieces of matrices before and after. Out: how many weights changed, and the largest relative error
 * of a matrix, ‖W − stored(W)‖ ÷ ‖W‖ in the Frobenius norm.
 */

import { byteWidth, type DType } from "../../ort/tensor/dtype.ts";
import { widenFloats } from "../../ort/tensor/widen_floats.ts";

/** Elements compared at a time: three arrays of them stay in a core's cache. */
const CHUNK = 1 << 14;

/** What was found. */
export interface Rounding {
  /** Types that the matrices had before. */
  readonly from: readonly DType[];
  /** All of their weights. */
  readonly weights: number;
  /** Weights that are not what they were. */
  readonly changed: number;
  /** Weights among them that became 0. */
  readonly zeroed: number;
  /** The matrix with the largest error. */
  readonly worst: { readonly name: string; readonly error: number };
}

/** Elements of a tensor as bytes. */
export interface TypedBytes {
  /** Whole elements, at a multiple of their width in the buffer. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Their type. */
  readonly dtype: DType;
}

/** Takes piece after piece. */
export class RoundingTally {
  readonly #from = new Set<DType>();
  /** Sums of squares by matrix: of its weights, and of their errors. */
  readonly #squares = new Map<string, { weights: number; errors: number }>();
  readonly #before = new Float32Array(CHUNK);
  readonly #after = new Float32Array(CHUNK);
  #weights = 0;
  #changed = 0;
  #zeroed = 0;

  /** Compares a piece of a matrix with what is stored of it. */
  add(name: string, exact: TypedBytes, stored: TypedBytes): void {
    const [from, to] = [byteWidth(exact.dtype), byteWidth(stored.dtype)];
    const count = exact.bytes.byteLength / from;
    const squares = this.#squaresOf(name);
    this.#from.add(exact.dtype);
    this.#weights += count;
    if (exact.dtype === stored.dtype) return;
    for (let start = 0; start < count; start += CHUNK) {
      const length = Math.min(CHUNK, count - start);
      const [before, after] = [this.#before.subarray(0, length), this.#after.subarray(0, length)];
      widenFloats(exact.bytes.subarray(start * from), exact.dtype, before);
      widenFloats(stored.bytes.subarray(start * to), stored.dtype, after);
      this.#compare(before, after, squares);
    }
  }

  /** Compares float32 numbers of a matrix with what they became. */
  compare(
    name: string,
    dtype: DType,
    { before, after }: { readonly before: Float32Array; readonly after: Float32Array },
  ): void {
    this.#from.add(dtype);
    this.#weights += before.length;
    this.#compare(before, after, this.#squaresOf(name));
  }

  #squaresOf(name: string): { weights: number; errors: number } {
    let squares = this.#squares.get(name);
    if (!squares) this.#squares.set(name, squares = { weights: 0, errors: 0 });
    return squares;
  }

  #compare(
    before: Float32Array,
    after: Float32Array,
    squares: { weights: number; errors: number },
  ): void {
    let [weights, errors, changed, zeroed] = [0, 0, 0, 0];
    for (let i = 0; i < before.length; i++) {
      const weight = before[i];
      const error = weight - after[i];
      weights += weight * weight;
      if (error === 0) continue;
      errors += error * error;
      changed++;
      if (after[i] === 0) zeroed++;
    }
    squares.weights += weights;
    squares.errors += errors;
    this.#changed += changed;
    this.#zeroed += zeroed;
  }

  /** What was found; undefined where no matrix was stored. */
  result(): Rounding | undefined {
    let worst: Rounding["worst"] | undefined;
    for (const [name, { weights, errors }] of this.#squares) {
      const error = errors === 0 ? 0 : Math.sqrt(errors / weights);
      if (!worst || error > worst.error) worst = { name, error };
    }
    return worst && {
      from: [...this.#from],
      weights: this.#weights,
      changed: this.#changed,
      zeroed: this.#zeroed,
      worst,
    };
  }
}
