/**
 * A model's matrices as inputs of a graph, whatever they are kept in. Only here a graph widens what is
 * stored in fewer bits.
 *
 * In: a name, a shape and how matrices are stored. Out: the matrix, rows of it, or products with it, in the
 * precision that the graph computes in.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Shape } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { BASE_STORAGES } from "../base_storage.ts";
import type { PrecisionOptions } from "../precision.ts";

/** A matrix. */
interface MatrixSpec {
  /** The input's name. */
  readonly name: string;
  /** [rows, columns] */
  readonly shape: Shape;
}

/** Declares a matrix as an input; answers its value. */
export function matrixInput(b: GraphBuilder, spec: MatrixSpec, options: PrecisionOptions): Value {
  return widened(b, storedInput(b, spec, options), options);
}

/** Declares a matrix as an input; answers the rows of the given ids, [...ids, columns]: only they are widened. */
export function matrixRows(
  b: GraphBuilder,
  spec: MatrixSpec,
  { ids, ...options }: PrecisionOptions & { readonly ids: Value },
): Value {
  return widened(b, ops.gather(b, storedInput(b, spec, options), ids), options);
}

/** A matrix W with many rows, such as the head, and products with it. */
export interface LargeMatrix {
  /** The input, as it is stored. */
  readonly input: Value;
  /** x [n, columns] → x·Wᵀ [n, rows] */
  readonly linear: (x: Value) => Value;
  /** dy [n, rows] → dy·W [n, columns], the gradient of x */
  readonly backward: (dy: Value) => Value;
}

/** Elements of a large matrix that are held widened at a time: 32 MiB of float32. */
export const SLICE_ELEMENTS: number = 2 ** 23;

/**
 * Declares a large matrix as an input. Where it is stored in fewer bits it is widened a slice of rows at a
 * time, so that it is never there in whole: Qwen3-1.7B's head would be 1.2 GB.
 */
export function largeMatrixInput(
  b: GraphBuilder,
  spec: { readonly name: string; readonly shape: readonly [rows: number, columns: number] },
  options: PrecisionOptions,
): LargeMatrix {
  const input = storedInput(b, spec, options);
  const [rows, columns] = spec.shape;
  const most = Math.max(2, Math.floor(SLICE_ELEMENTS / columns));
  const slice = (start: number, end: number): Value => {
    const whole = start === 0 && end === rows;
    return widened(b, whole ? input : ops.slice(b, input, { axis: 0, start, end }), options);
  };
  if (input.dtype === (options.precision ?? "float32") || rows <= most) {
    const value = slice(0, rows);
    return {
      input,
      linear: (x) => ops.linear(b, x, value),
      backward: (dy) => ops.gemm(b, dy, value),
    };
  }
  return {
    input,
    linear: (x) => {
      const parts = cuts(rows, most, most).map(([start, end]) =>
        ops.linear(b, x, slice(start, end))
      );
      return ops.concat(b, parts, { axis: 1, joined: rows });
    },
    // Cut elsewhere: of two equal slices ONNX Runtime makes one, which it would hold from the first
    // product to the second, and so all of them.
    backward: (dy) => {
      // Before all products: of what a product reads ONNX Runtime runs last what was written first, so that
      // each slice is made for its product alone.
      const parts = cuts(rows, most, Math.ceil(most / 2)).map(([start, end]) => ({
        dy: ops.slice(b, dy, { axis: 1, start, end }),
        w: slice(start, end),
      }));
      let sum: Value | undefined;
      for (const { dy, w } of parts) sum = ops.gemm(b, dy, w, { c: sum });
      return sum!;
    },
  };
}

/** From 0 to `rows`, in parts of `most`, of which the first has `first`. */
function cuts(rows: number, most: number, first: number): readonly (readonly [number, number])[] {
  const parts: [number, number][] = [];
  for (let start = 0, end = first; start < rows; start = end, end += most) {
    parts.push([start, Math.min(end, rows)]);
  }
  return parts;
}

function storedInput(
  b: GraphBuilder,
  { name, shape }: MatrixSpec,
  { precision = "float32", storage = BASE_STORAGES.fp32 }: PrecisionOptions,
): Value {
  return b.input(name, storage.matrices ?? precision, shape);
}

function widened(b: GraphBuilder, x: Value, { precision = "float32" }: PrecisionOptions): Value {
  return ops.cast(b, x, precision);
}
