/**
 * The largest singular values of a matrix with their vectors, by subspace iteration with Rayleigh–Ritz.
 * Halko, Martinsson and Tropp 2011, https://arxiv.org/abs/0909.4061.
 *
 * In: W float32 [out, in] in the host's memory. Out: σ, u [out] and v [in] with W·v = σ·u, the largest first.
 * Products with W are ONNX Runtime's, in float32; all else is float64.
 */

import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { CompiledGraph } from "../model/engine/compiled_graph.ts";
import { YieldTimer } from "../model/engine/yield_timer.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import * as ops from "../ort/graph/ops.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { TorchGenerator } from "../ort/tensor/torch_random.ts";

/** A singular value and its vectors. */
export interface SingularVector {
  readonly value: number;
  /** [out] */
  readonly left: Float64Array;
  /** [in] */
  readonly right: Float64Array;
}

// The share of the largest that values change by, from one iteration to the next, when they have converged.
const CONVERGED = 1e-7;
// Of singular values that hardly fall, which are as good as each other.
const MOST_ITERATIONS = 30;

/** Columns that are iterated: many more than are wanted, as the others decide how fast it converges. */
function widthOf(count: number, least: number): number {
  return Math.min(least, 4 * count + 16);
}

/**
 * Finds them; the sign of each pair is that by which its right vector's largest element is positive.
 *
 * @param signal stops between two iterations
 * @throws {RangeError} where more are wanted than there are
 */
export async function largestSingularVectors(
  runtime: Runtime,
  matrix: Tensor,
  count: number,
  signal?: AbortSignal,
): Promise<readonly SingularVector[]> {
  const [outputs, inputs] = matrix.shape;
  const least = Math.min(outputs, inputs);
  if (count > least) {
    throw new RangeError(
      `Cannot take ${count} singular values of a matrix of [${outputs}, ${inputs}]: it has ${least}; lower the rank`,
    );
  }
  const width = widthOf(count, least);
  const b = new GraphBuilder("gram_product");
  const w = b.input("w", "float32", [outputs, inputs]);
  const y = ops.gemm(b, w, b.input("q", "float32", [inputs, width]));
  b.output("y", y);
  b.output("z", ops.gemm(b, w, y, { transA: true }));
  using graph = new CompiledGraph(runtime, b.build());
  using q = Tensor.allocate(runtime, "float32", [inputs, width]);
  using product = Tensor.allocate(runtime, "float32", [outputs, width]);
  using next = Tensor.allocate(runtime, "float32", [inputs, width]);

  const start = new Float32Array(inputs * width);
  new TorchGenerator(42).normal(start, 0, 1);
  let basis = orthonormal(Float64Array.from(start), inputs, width);
  let before: readonly number[] = [];
  let last = MOST_ITERATIONS;
  const yieldTimer = new YieldTimer();
  for (let iteration = 0;; iteration++) {
    await yieldTimer.turn(signal);
    q.float32().set(basis);
    graph.run({ w: matrix, q, y: product, z: next });
    const image = Float64Array.from(product.float32());
    const { values, vectors } = symmetricEigen(gramOf(image, outputs, width), width);
    const found = values.slice(0, count).map((each) => Math.sqrt(Math.max(0, each)));
    const changed = Math.max(...found.map((each, i) => Math.abs(each - (before[i] ?? 0))));
    // Vectors converge half as fast as values.
    if (changed <= CONVERGED * found[0]) last = Math.min(last, 2 * iteration + 1);
    // All columns of the space need no iteration.
    if (iteration >= last || width === inputs) {
      return found.map((value, i) => {
        const right = combined(basis, inputs, width, vectors, i);
        const left = combined(image, outputs, width, vectors, i);
        const largest = right.reduce((most, x) => Math.abs(x) > Math.abs(most) ? x : most, 0);
        const sign = largest < 0 ? -1 : 1;
        return {
          value,
          left: left.map((x) => value > 0 ? sign * x / value : 0),
          right: right.map((x) => sign * x),
        };
      });
    }
    before = found;
    basis = orthonormal(Float64Array.from(next.float32()), inputs, width);
  }
}

/** Column `i` of matrix·vectors, of a matrix [rows, width]. */
function combined(
  matrix: Float64Array,
  rows: number,
  width: number,
  vectors: Float64Array,
  i: number,
): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += matrix[row * width + k] * vectors[k * width + i];
    return sum;
  });
}

/** matrixᵀ·matrix of [rows, width]. */
function gramOf(matrix: Float64Array, rows: number, width: number): Float64Array {
  const gram = new Float64Array(width * width);
  for (let row = 0; row < rows; row++) {
    const at = row * width;
    for (let i = 0; i < width; i++) {
      const x = matrix[at + i];
      for (let k = i; k < width; k++) gram[i * width + k] += x * matrix[at + k];
    }
  }
  for (let i = 0; i < width; i++) {
    for (let k = 0; k < i; k++) gram[i * width + k] = gram[k * width + i];
  }
  return gram;
}

/** Its columns made orthonormal, by Gram and Schmidt twice; in place. */
function orthonormal(matrix: Float64Array, rows: number, width: number): Float64Array {
  for (let i = 0; i < width; i++) {
    for (let pass = 0; pass < 2; pass++) {
      const shares = new Float64Array(i);
      for (let row = 0; row < rows; row++) {
        const x = matrix[row * width + i];
        for (let k = 0; k < i; k++) shares[k] += x * matrix[row * width + k];
      }
      for (let row = 0; row < rows; row++) {
        let x = matrix[row * width + i];
        for (let k = 0; k < i; k++) x -= shares[k] * matrix[row * width + k];
        matrix[row * width + i] = x;
      }
    }
    let square = 0;
    for (let row = 0; row < rows; row++) square += matrix[row * width + i] ** 2;
    const norm = Math.sqrt(square);
    // A column of the space of those before it, as of a matrix of lower rank, is left out.
    const scale = norm > 1e-30 ? 1 / norm : 0;
    for (let row = 0; row < rows; row++) matrix[row * width + i] *= scale;
  }
  return matrix;
}

/** Eigenvalues of a symmetric matrix, the largest first, with vectors as columns. */
function symmetricEigen(
  matrix: Float64Array,
  size: number,
): { readonly values: readonly number[]; readonly vectors: Float64Array } {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
    Matrix.from1DArray(size, size, matrix),
    { assumeSymmetric: true },
  );
  // It answers the smallest first.
  const vectors = Float64Array.from(
    { length: size * size },
    (_, i) => eigenvectorMatrix.get(Math.floor(i / size), size - 1 - i % size),
  );
  return { values: realEigenvalues.toReversed(), vectors };
}
