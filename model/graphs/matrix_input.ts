/**
 * A model's matrices as inputs of a graph, whatever they are kept in. Only here a graph widens what is
 * stored in fewer bits.
 *
 * In: a name, a shape and how matrices are stored. Out: the matrix, rows of it, or products with it, in the
 * precision that the graph computes in.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Dim, Shape } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import { packedLinear, packedLinearGradient } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import { BASE_STORAGES } from "../base_storage.ts";
import type { Precision, PrecisionOptions } from "../precision.ts";
import { blocksOf, numbersFormat, scalesName } from "../quantization.ts";

/** A matrix. */
interface MatrixSpec {
  /** The input's name. */
  readonly name: string;
  /** [rows, columns] */
  readonly shape: Shape;
}

/** What a matrix's product is taken with where it is packed: no tensor is ever bound to it. */
const PACKED = "uint8";

/**
 * Declares a matrix as an input; answers its value, for {@linkcode matrixLinear}. One whose products are of
 * whole numbers is no tensor and so no input, but a name and a shape.
 */
export function matrixInput(b: GraphBuilder, spec: MatrixSpec, options: PrecisionOptions): Value {
  if (options.storage?.quantization?.compute === "int8") {
    return b.input(spec.name, PACKED, spec.shape);
  }
  const { whole, product } = storedMatrix(b, spec, options);
  const matrix = whole();
  if (product) {
    PRODUCTS.set(matrix, (x) => {
      const y = product(x);
      b.differentiate(y, {
        inputs: [x],
        rule: ({ dy, give }) => give(0, (partial) => ops.gemm(b, dy, matrix, { c: partial })),
      });
      return y;
    });
  }
  return matrix;
}

/** Products with what a widened matrix is made of, so that x·Wᵀ need not widen it. */
const PRODUCTS = new WeakMap<Value, (x: Value) => Value>();

/** x [N, columns] → x·Wᵀ, plus an addend, which may be a bias. */
export function matrixLinear(b: GraphBuilder, x: Value, matrix: Value, addend?: Value): Value {
  const product = matrix.dtype === PACKED
    ? (x: Value) => packedLinear(b, x, matrix)
    : PRODUCTS.get(matrix);
  if (!product) return ops.linear(b, x, matrix, addend);
  const y = product(x);
  return addend ? ops.add(b, y, addend) : y;
}

/** Declares a matrix as an input; answers the rows of the given ids, [...ids, columns]: only they are widened. */
export function matrixRows(
  b: GraphBuilder,
  spec: MatrixSpec,
  { ids, ...options }: PrecisionOptions & { readonly ids: Value },
): Value {
  return storedMatrix(b, spec, { ...options, table: true }).rows(ids);
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
  { table, ...options }: PrecisionOptions & {
    /** Whether it is the embedding, whose rows are read too. */
    readonly table: boolean;
  },
): LargeMatrix {
  const packed = options.storage?.quantization?.compute === "int8"
    ? b.input(`${spec.name}.packed`, PACKED, spec.shape)
    : undefined;
  if (packed && !table) {
    return {
      input: packed,
      linear: (x) => packedLinear(b, x, packed),
      backward: (dy) => packedLinearGradient(b, dy, packed),
    };
  }
  const stored = storedMatrix(b, spec, { ...options, table });
  const { input } = stored;
  const [rows, columns] = spec.shape;
  const most = Math.max(2, Math.floor(SLICE_ELEMENTS / columns));
  if (input.dtype === (options.precision ?? "float32") || rows <= most) {
    const value = stored.whole();
    return {
      input,
      linear: (x) =>
        packed ? packedLinear(b, x, packed) : stored.product?.(x) ?? ops.linear(b, x, value),
      backward: (dy) => ops.gemm(b, dy, value),
    };
  }
  return {
    input,
    linear: (x) => {
      if (packed) return packedLinear(b, x, packed);
      if (stored.product) return stored.product(x);
      const parts = cuts(rows, most, most).map(([start, end]) =>
        ops.linear(b, x, stored.slice(start, end))
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
        w: stored.slice(start, end),
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

/** A matrix as it is stored, and what of it is widened. */
interface Stored {
  /** The input; of a quantized matrix that of its numbers. */
  readonly input: Value;
  readonly whole: () => Value;
  /** Rows from start to before end. */
  readonly slice: (start: number, end: number) => Value;
  /** Rows by ids. */
  readonly rows: (ids: Value) => Value;
  /** x [n, columns] → x·Wᵀ [n, rows] of what is stored. @default the product of what is widened */
  readonly product?: (x: Value) => Value;
}

function storedMatrix(
  b: GraphBuilder,
  { name, shape }: MatrixSpec,
  { precision = "float32", storage = BASE_STORAGES.fp32, table = false }: PrecisionOptions & {
    readonly table?: boolean;
  },
): Stored {
  const { quantization, matrices = precision } = storage;
  const part = (x: Value, start: number, end: number): Value =>
    start === 0 && end === x.shape[0] ? x : ops.slice(b, x, { axis: 0, start, end });
  if (!quantization) {
    const input = b.input(name, matrices, shape);
    return {
      input,
      whole: () => ops.cast(b, input, precision),
      slice: (start, end) => ops.cast(b, part(input, start, end), precision),
      rows: (ids) => ops.cast(b, ops.gather(b, input, ids), precision),
    };
  }
  const { block, layout } = quantization;
  const bits = table ? 8 : quantization.bits;
  const [rows, columns] = shape;
  if (layout === "blocks") return blockedMatrix(b, { name, shape }, { precision, block, bits });
  const format = typeof columns === "number"
    ? numbersFormat(bits, columns)
    : { dtype: bits === 8 ? "int8" : "uint8", columns: "stored" } as const;
  const blocks: Dim = typeof columns === "number" ? blocksOf(columns, block) : "blocks";
  const numbers = b.input(name, format.dtype, [rows, format.columns]);
  const scales = b.input(scalesName(name), "float32", [rows, blocks]);
  const widened = (numbers: Value, scales: Value): Value =>
    bits === 8
      ? ops.dequantizeLinear(b, numbers, scales, { block })
      : ops.dequantizeHalves(b, numbers, scales, { block, columns });
  return {
    input: numbers,
    whole: () => widened(numbers, scales),
    slice: (start, end) => widened(part(numbers, start, end), part(scales, start, end)),
    rows: (ids) => widened(ops.gather(b, numbers, ids), ops.gather(b, scales, ids)),
  };
}

/** A matrix in whole blocks, of which rows are widened, and products taken as it is. */
function blockedMatrix(
  b: GraphBuilder,
  { name, shape: [rows, columns] }: MatrixSpec,
  { precision, block, bits }: {
    readonly precision: Precision;
    readonly block: number;
    readonly bits: 4 | 8;
  },
): Stored {
  if (typeof rows !== "number" || typeof columns !== "number") {
    throw new RangeError(
      `Cannot take rows of ${name} [${rows}, ${columns}] in whole blocks: its sizes must be numbers`,
    );
  }
  const blocks = blocksOf(columns, block);
  const data = b.input(name, "uint8", [rows, blocks, block * bits / 8]);
  const weights = {
    data,
    scales: b.input(scalesName(name), precision, [rows, blocks]),
    block,
    bits,
  };
  const rowsOf = (ids: Value): Value => {
    const width = blocks * block;
    const whole = ops.reshape(b, ops.gatherNBits(b, weights, ids), [...ids.shape, width]);
    if (width === columns) return whole;
    return ops.slice(b, whole, { axis: ids.shape.length, start: 0, end: columns });
  };
  const slice = (start: number, end: number): Value =>
    rowsOf(b.int64(Array.from({ length: end - start }, (_, i) => start + i)));
  return {
    input: data,
    whole: () => slice(0, rows),
    slice,
    rows: rowsOf,
    // Without rounding x, so that what comes out is the same product on every GPU.
    product: (x) => ops.matMulNBits(b, x, weights, { accuracyLevel: 0 }),
  };
}
