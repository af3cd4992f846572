/**
 * RMSNorm's gradients.
 *
 * In: x [rows, width], weight [width], invStd [rows], the gradient of x · invStd · weight, and perhaps one
 * that reaches x past the norm. Out: dx with the latter added, dWeight.
 *
 * A row belongs to a group of up to 32 neighbouring lanes, so there is no barrier; each lane reads
 * its 16 bytes twice, the second time from L1 (a block of 8 rows of 2048 in bfloat16 is 32 KB).
 * dWeight is summed in two stages in a fixed order: each block keeps float32 sums of its rows in
 * shared memory (64 KB at width 2048: the 256 blocks lie two on a multiprocessor, 16 warps with
 * several loads in flight each), then a second kernel adds the blocks. Calculated for 8192 tokens of width 2048 in bfloat16 at 4.3 TB/s, with what
 * passes by: 4 × 33.6 MB + 2 × 2.1 MB of partial sums = 32 µs. ONNX Runtime's operators take a dozen
 * passes in float32.
 *
 * Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
 */

import { ColumnSumsKernel, PARTIAL_BLOCKS } from "./column_sums.ts";
import type { CudaKernel } from "./driver.ts";
import { elementName, type ElementType } from "./element.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** What is stored how. */
export interface RmsNormFormat {
  /** x and gradients of values. */
  readonly elements: ElementType;
  readonly weights: ElementType;
  /** dWeight. */
  readonly weightGradients: ElementType;
}

/** Rows and their width. */
export interface RmsNormSizes {
  readonly rows: number;
  /** A multiple of 8. */
  readonly width: number;
}

const THREADS = 256;
// What a block may have on every GPU since Ampere (99 KiB on compute capability 8.6).
const MAX_SHARED = 96 << 10;

const CODE = String.raw`
constexpr u32 THREADS = 256;

// dx = (g - xhat * mean(g * xhat)) / rms + past, with xhat = x / rms and g = dy * weight.
// dx may lie over dy, x or past.
extern "C" __global__ void __launch_bounds__(THREADS)
rmsNormBackward(const Element* x, const Element* dy, const Weight* __restrict__ weight,
                const float* __restrict__ invStd, const Element* past, Element* dx,
                float* __restrict__ partials, i64 rows, i32 width, u32 group) {
  DYNAMIC_SHARED(memory);
  float* sums = reinterpret_cast<float*>(memory);
  u32 stripes = blockDim.x / group, stripe = threadIdx.x / group, lane = threadIdx.x % group;
  i32 eights = width / 8, turns = (eights + group - 1) / group, padded = 8 * turns * group;
  // A lane's own columns lie a group apart, so that a warp's accesses spread over the banks.
  float* own = sums + stripe * padded + lane;
  // Without partials, of a weight that is not trained, there is no shared memory either.
  for (i32 i = 0; partials && i < 8 * turns; i++) own[i * group] = 0;
  for (i64 base = static_cast<i64>(blockIdx.x) * stripes; base < rows;
       base += static_cast<i64>(gridDim.x) * stripes) {
    i64 row = base + stripe;
    bool inside = row < rows;
    i64 start = inside ? row * width : 0;
    float inverse = inside ? invStd[row] : 0;
    float product = 0;
    for (i32 c = 8 * lane; c < width; c += 8 * group) {
      float values[8], gradients[8], weights[8];
      load8(x + start + c, values);
      load8(dy + start + c, gradients);
      load8(weight + c, weights);
#pragma unroll
      for (int i = 0; i < 8; i++) product += gradients[i] * weights[i] * values[i];
    }
    float mean = groupSum(product, group) * inverse / width;
    if (!inside) continue;
    i32 turn = 0;
    for (i32 c = 8 * lane; c < width; c += 8 * group, turn++) {
      float values[8], gradients[8], weights[8], result[8] = {0, 0, 0, 0, 0, 0, 0, 0};
      load8(x + start + c, values);
      load8(dy + start + c, gradients);
      load8(weight + c, weights);
      if (past) load8(past + start + c, result);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float normed = values[i] * inverse;
        result[i] += inverse * (gradients[i] * weights[i] - normed * mean);
        if (partials) own[(8 * turn + i) * group] += gradients[i] * normed;
      }
      store8(result, dx + start + c);
    }
  }
  if (!partials) return;
  __syncthreads();
  for (i32 c = threadIdx.x; c < width; c += blockDim.x) {
    i32 at = (c / 8 / group * 8 + c % 8) * group + c / 8 % group;
    float sum = 0;
    for (u32 i = 0; i < stripes; i++) sum += sums[i * padded + at];
    partials[static_cast<i64>(blockIdx.x) * width + c] = sum;
  }
}
`;

/** The source for x, gradients of values and weights of these types, with kernel `rmsNormBackward`. */
export function rmsNormSource(
  { elements, weights }: Omit<RmsNormFormat, "weightGradients">,
): KernelSource {
  const types = [["Element", elements], ["Weight", weights]];
  return {
    name: `rms_norm_${types.map(([, type]) => type === "float32" ? "f" : "b").join("")}`,
    code: PRELUDE +
      types.map(([name, type]) => `typedef ${elementName(type as ElementType)} ${name};\n`)
        .join("") +
      CODE,
  };
}

/** Neighbouring lanes that share a row: the most that each have 8 columns, a power of two. */
function lanesOf(width: number): number {
  let lanes = 32;
  while (lanes > 1 && lanes * 8 > width) lanes /= 2;
  return lanes;
}

/** RMSNorm backwards. */
export class RmsNormGradientKernel {
  readonly #backward: CudaKernel;
  readonly #weight: ColumnSumsKernel;

  private constructor(backward: CudaKernel, weight: ColumnSumsKernel) {
    this.#backward = backward;
    this.#weight = weight;
  }

  /** Compiles and loads the kernels for a format. */
  static async load(gpu: Gpu, format: RmsNormFormat): Promise<RmsNormGradientKernel> {
    const module = await gpu.load(rmsNormSource(format));
    const pointers = (count: number): "pointer"[] => Array(count).fill("pointer");
    return new RmsNormGradientKernel(
      module.kernel("rmsNormBackward", [...pointers(7), "i64", "i32", "u32"]),
      await ColumnSumsKernel.load(gpu, format.weightGradients),
    );
  }

  /** dx, and dWeight written or added to, unless the weight is not trained. */
  launch(
    stream: bigint,
    pointers: {
      /** What was normed. */
      readonly x: bigint;
      readonly dy: bigint;
      readonly weight: bigint;
      readonly invStd: bigint;
      /** A gradient that reaches x past the norm, added to dx. */
      readonly past?: bigint;
      /** May be dy, x or past. */
      readonly dx: bigint;
      readonly weightGradient?: {
        /** float32 [{@linkcode PARTIAL_BLOCKS}, width], for the time of the call. */
        readonly partials: bigint;
        /** [width] */
        readonly dWeight: bigint;
      };
    },
    { rows, width, accumulate = false }: RmsNormSizes & {
      /** Adds to dWeight. @default false */
      readonly accumulate?: boolean;
    },
  ): void {
    assertWidth(width);
    const group = lanesOf(width);
    const padded = 8 * group * Math.ceil(width / 8 / group);
    // Fewer warps where a block's sums would not fit.
    let block = THREADS;
    const { weightGradient } = pointers;
    const sharedBy = (threads: number): number => weightGradient ? 4 * padded * threads / group : 0;
    while (block > 32 && sharedBy(block) > MAX_SHARED) block /= 2;
    const sharedBytes = sharedBy(block);
    if (sharedBytes > MAX_SHARED) {
      throw new RangeError(`Cannot take RMSNorm's gradient: rows of ${width} exceed 24576`);
    }
    const blocks = Math.min(PARTIAL_BLOCKS, Math.ceil(rows * group / block));
    this.#backward.launch({ stream, grid: [blocks], block, sharedBytes }, [
      pointers.x,
      pointers.dy,
      pointers.weight,
      pointers.invStd,
      pointers.past ?? 0n,
      pointers.dx,
      weightGradient?.partials ?? 0n,
      rows,
      width,
      group,
    ]);
    if (!weightGradient) return;
    const { partials, dWeight } = weightGradient;
    this.#weight.launch(stream, { partials, to: dWeight }, { blocks, width, accumulate });
  }
}

function assertWidth(width: number): void {
  if (width > 0 && width % 8 === 0) return;
  throw new RangeError(`Cannot norm rows of ${width}: the width must be a multiple of 8`);
}
