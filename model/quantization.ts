/**
 * What a base in 8 or 4 bits consists of.
 *
 * In: parameters and a quantization. Out: for each matrix the tensors and products that it is kept as, and
 * their bytes.
 *
 * @module
 */

import type { DType } from "../ort/tensor/dtype.ts";
import { EMBEDDING, LM_HEAD } from "./parameters.ts";
import type { ParameterSpec } from "./parts/parameter_spec.ts";

/** The embedding's numbers, and those of a head tied to it: with 4 bits they harm as much as all layers. */
const TABLE_BITS = 8;
const SCALE_BYTES = 4;

/** What products with matrices of small whole numbers are computed in. */
export type BaseCompute = "int8" | "fp32";

/** All of them. */
export const BASE_COMPUTES: readonly BaseCompute[] = ["int8", "fp32"];

/** How many numbers of a row may share a scale. */
export const BASE_BLOCK_SIZES: readonly number[] = [32, 64, 128];

/** Matrices as small whole numbers, in blocks that share a float32 scale, symmetric about 0. */
export interface Quantization {
  /** Bits of a number of a linear layer or of a head of its own; the embedding's always have 8. */
  readonly bits: 4 | 8;
  /** Numbers of a row that share a scale. */
  readonly block: number;
  /**
   * `int8`: activations are rounded to 8 bits too, and products are those of whole numbers; there are two
   * copies of a matrix, one for each direction, in the order in which the kernel reads them.
   * `fp32`: one copy, dequantized before each product: exact for the quantized weights.
   */
  readonly compute: BaseCompute;
  /**
   * How the numbers of a matrix that is dequantized lie in its tensor. `rows`: as DequantizeLinear reads them on
   * the CPU. `blocks`: as MatMulNBits and GatherBlockQuantized read them, which are the kernels that WebGPU and CUDA have.
   * @default "rows"
   */
  readonly layout?: "rows" | "blocks";
}

/** How one matrix W [rows, columns] is kept. */
export interface StoredMatrix {
  /** Bits of a number. */
  readonly bits: 4 | 8;
  /** Its numbers and their scales as tensors, which graphs dequantize; none where nothing reads them so. */
  readonly tensors: readonly StoredTensor[];
  /** Copies for products of whole numbers: x·Wᵀ, and dy·W of the transposed one. */
  readonly products: readonly ProductDirection[];
}

/** Which of a linear layer's products. */
export type ProductDirection = "forward" | "backward";

/** A tensor of a matrix. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** @default the model's precision */
  readonly dtype?: DType;
}

/** The name of a matrix's scales, [rows, blocks of columns]. */
export function scalesName(matrix: string): string {
  return `${matrix}.scales`;
}

/** Blocks that a row takes; the last one may be a part. */
export function blocksOf(width: number, block: number): number {
  return Math.ceil(width / block);
}

/**
 * The type of a matrix's numbers in a tensor and the columns of that: in 8 bits int8 as they are; in 4 bits
 * two to a byte, of which the low halves are the row's first half of columns.
 *
 * @throws {RangeError} on an odd number of columns in 4 bits
 */
export function numbersFormat(
  bits: 4 | 8,
  columns: number,
): { readonly dtype: "int8" | "uint8"; readonly columns: number } {
  if (bits === 8) return { dtype: "int8", columns };
  if (columns % 2 === 0) return { dtype: "uint8", columns: columns / 2 };
  throw new RangeError(
    `Cannot keep a matrix of ${columns} columns in 4 bits: two share a byte; take --base-dtype int8`,
  );
}

/** A matrix's numbers in rows. */
function numbersIn(
  name: string,
  bits: 4 | 8,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): StoredTensor {
  const format = numbersFormat(bits, columns);
  return { name, shape: [rows, format.columns], dtype: format.dtype };
}

/** How each matrix among the parameters is kept, by its name. */
export function storedMatrices(
  specs: readonly ParameterSpec[],
  { bits, block, compute, layout = "rows" }: Quantization,
): ReadonlyMap<string, StoredMatrix> {
  const tied = !specs.some(({ name }) => name === LM_HEAD);
  return new Map(
    specs.filter(({ shape }) => shape.length > 1).map(({ name, shape }): [string, StoredMatrix] => {
      const isTable = name === EMBEDDING;
      const own = isTable ? TABLE_BITS : bits;
      const [rows, columns] = shape;
      const blocks = blocksOf(columns, block);
      const tensors: StoredTensor[] = [
        layout === "blocks"
          ? { name, shape: [rows, blocks, block * own / 8], dtype: "uint8" }
          : numbersIn(name, own, { rows, columns }),
        // MatMulNBits takes scales of its input's type.
        {
          name: scalesName(name),
          shape: [rows, blocks],
          ...layout === "rows" ? { dtype: "float32" } : {},
        },
      ];
      if (compute === "fp32") return [name, { bits: own, tensors, products: [] }];
      // Rows are gathered from tensors; a tied head's gradient goes back through the same ones.
      if (isTable) return [name, { bits: own, tensors, products: tied ? ["forward"] : [] }];
      return [name, { bits: own, tensors: [], products: ["forward", "backward"] }];
    }),
  );
}

/** Bytes of a matrix's copies for products, in whole blocks. */
export function productBytes(
  { bits, products }: Pick<StoredMatrix, "bits" | "products">,
  shape: readonly number[],
  block: number,
): number {
  const [rows, columns] = shape;
  return products.reduce((sum, direction) => {
    const [outputs, inputs] = direction === "forward" ? [rows, columns] : [columns, rows];
    const blocks = outputs * blocksOf(inputs, block);
    // The kernel keeps scales, and of each block the sum that a product with rounded inputs needs.
    return sum + blocks * (block * bits / 8 + 2 * SCALE_BYTES);
  }, 0);
}
