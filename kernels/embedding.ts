/**
 * The embedding table's gradient: each token's gradient added to its id's row, in a fixed order.
 *
 * In: dx [tokens, width] and the tokens grouped by id. Out: rows of dTable [vocabulary, width] added
 * to. Stock ScatterND adds in float32 only, by atomics, whose order differs from run to run.
 *
 * A block owns up to 2048 columns of one id's row and walks its tokens, four loads in flight. The
 * host groups them, since it has the ids anyway. Calculated for 8192 tokens of width 2048 in
 * bfloat16 at 4.3 TB/s: 34 MB read and at most 2 × 34 MB of rows, 23 µs, unless the walk of the most
 * frequent id takes longer.
 */

import type { CudaKernel } from "./driver.ts";
import { elementName, type ElementType } from "./element.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

const CODE = String.raw`
extern "C" __global__ void __launch_bounds__(256)
embeddingGradient(const Element* __restrict__ dx, const i32* __restrict__ ids,
                  const i32* __restrict__ offsets, const i32* __restrict__ tokens,
                  Gradient* __restrict__ dTable, i32 width) {
  i32 column = (blockIdx.y * 256 + threadIdx.x) * 8;
  if (column >= width) return;
  Gradient* to = dTable + static_cast<i64>(ids[blockIdx.x]) * width + column;
  float sum[8];
  load8(to, sum);
#pragma unroll 4
  for (i32 i = offsets[blockIdx.x]; i < offsets[blockIdx.x + 1]; i++) {
    float values[8];
    load8(dx + static_cast<i64>(tokens[i]) * width + column, values);
#pragma unroll
    for (int j = 0; j < 8; j++) sum[j] += values[j];
  }
  store8(sum, to);
}
`;

/** Tokens grouped by id, each id's in their order. */
export interface TokensById {
  /** int32 [distinct]: the ids that occur. */
  readonly ids: Int32Array<ArrayBuffer>;
  /** int32 [distinct + 1]: where each id's tokens begin in {@linkcode TokensById.tokens}. */
  readonly offsets: Int32Array<ArrayBuffer>;
  /** int32: indices of tokens. */
  readonly tokens: Int32Array<ArrayBuffer>;
}

/**
 * Groups a grid's tokens by id, padding left out.
 *
 * @param inputIds [rows · length]
 * @param segmentIds [rows · length], 0 for padding
 */
export function tokensById(inputIds: BigInt64Array, segmentIds: Int32Array): TokensById {
  const byId = new Map<number, number[]>();
  for (let token = 0; token < inputIds.length; token++) {
    if (segmentIds[token] === 0) continue;
    const id = Number(inputIds[token]);
    const known = byId.get(id);
    if (known) known.push(token);
    else byId.set(id, [token]);
  }
  const groups = [...byId.values()];
  let end = 0;
  return {
    ids: Int32Array.from(byId.keys()),
    offsets: Int32Array.of(0, ...groups.map(({ length }) => end += length)),
    tokens: Int32Array.from(groups.flat()),
  };
}

/** The source for types of dx and dTable, with kernel `embeddingGradient`. */
export function embeddingSource(elements: ElementType, gradients: ElementType): KernelSource {
  return {
    name: `embedding_${elements}_${gradients}`,
    code: `${PRELUDE}typedef ${elementName(elements)} Element;
typedef ${elementName(gradients)} Gradient;
${CODE}`,
  };
}

/** Adds to an embedding table's gradient. */
export class EmbeddingKernel {
  readonly #kernel: CudaKernel;

  private constructor(kernel: CudaKernel) {
    this.#kernel = kernel;
  }

  /** Compiles and loads the kernel for types of dx and dTable. */
  static async load(
    gpu: Gpu,
    elements: ElementType,
    gradients: ElementType,
  ): Promise<EmbeddingKernel> {
    const module = await gpu.load(embeddingSource(elements, gradients));
    return new EmbeddingKernel(
      module.kernel("embeddingGradient", [...Array(5).fill("pointer" as const), "i32"]),
    );
  }

  /**
   * Adds dx to dTable.
   *
   * @throws {RangeError} where width is no multiple of 8
   */
  launch(
    stream: bigint,
    pointers: {
      /** [tokens, width] */
      readonly dx: bigint;
      /** [vocabulary, width] */
      readonly dTable: bigint;
      /** {@linkcode TokensById}'s three arrays on the device. */
      readonly ids: bigint;
      readonly offsets: bigint;
      readonly tokens: bigint;
    },
    { distinct, width }: {
      /** Length of ids. */
      readonly distinct: number;
      readonly width: number;
    },
  ): void {
    if (width <= 0 || width % 8 !== 0) {
      throw new RangeError(
        `Cannot add to embedding rows of ${width}: the width must be a multiple of 8`,
      );
    }
    const { dx, ids, offsets, tokens, dTable } = pointers;
    this.#kernel.launch(
      { stream, grid: [distinct, Math.ceil(width / 2048)], block: 256 },
      [dx, ids, offsets, tokens, dTable, width],
    );
  }
}
