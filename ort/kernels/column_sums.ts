/**
 * Sums of columns: the second stage of a weight's gradient.
 *
 * In: float32 partial sums, a row from each block of the first stage. Out: their sums in a fixed order,
 * written or added to a gradient in its own type.
 */

import type { CudaKernel } from "./driver.ts";
import { elementName, type ElementType } from "./element.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** Blocks of a first stage on every device, so that all sum in one order. */
export const PARTIAL_BLOCKS = 256;

const THREADS = 256;

const CODE = String.raw`
// to [width] (+)= the sum of partials [blocks, pitch]: 32 columns a block, 8 threads a column.
extern "C" __global__ void __launch_bounds__(256)
columnSums(const float* __restrict__ partials, Gradient* __restrict__ to, i32 blocks, i32 pitch,
           i32 width, i32 accumulate) {
  SHARED(float, sums, [8][32]);
  u32 part = threadIdx.x / 32, along = threadIdx.x % 32;
  i32 column = blockIdx.x * 32 + along;
  float sum = 0;
  if (column < width) {
#pragma unroll 8
    for (i32 i = part; i < blocks; i += 8) sum += partials[static_cast<i64>(i) * pitch + column];
  }
  sums[part][along] = sum;
  __syncthreads();
  if (part != 0 || column >= width) return;
  for (int i = 1; i < 8; i++) sum += sums[i][along];
  if (accumulate) sum += toFloat(to[column]);
  fromFloat(sum, to[column]);
}
`;

/** The source for gradients of one type, with kernel `columnSums`. */
export function columnSumsSource(gradients: ElementType): KernelSource {
  return {
    name: `column_sums_${gradients}`,
    code: `${PRELUDE}typedef ${elementName(gradients)} Gradient;\n${CODE}`,
  };
}

/** The second stage. */
export class ColumnSumsKernel {
  readonly #kernel: CudaKernel;

  private constructor(kernel: CudaKernel) {
    this.#kernel = kernel;
  }

  /** Compiles and loads the kernel for gradients of that type. */
  static async load(gpu: Gpu, gradients: ElementType): Promise<ColumnSumsKernel> {
    const module = await gpu.load(columnSumsSource(gradients));
    const parameters = ["pointer", "pointer", "i32", "i32", "i32", "i32"] as const;
    return new ColumnSumsKernel(module.kernel("columnSums", parameters));
  }

  /** to [width] becomes, or grows by, the sum of the first `blocks` rows of the partial sums. */
  launch(
    stream: bigint,
    pointers: {
      /** float32 [blocks, pitch], from the first column that is summed. */
      readonly partials: bigint;
      readonly to: bigint;
    },
    { blocks, width, pitch = width, accumulate }: {
      readonly blocks: number;
      readonly width: number;
      /** Floats from row to row. @default width */
      readonly pitch?: number;
      /** Whether it is added to what is there. */
      readonly accumulate: boolean;
    },
  ): void {
    this.#kernel.launch({ stream, grid: [Math.ceil(width / 32)], block: THREADS }, [
      pointers.partials,
      pointers.to,
      blocks,
      pitch,
      width,
      accumulate ? 1 : 0,
    ]);
  }
}
