/**
 * Softmax cross-entropy and its gradient, in place on the logits.
 *
 * In: logits [rows, vocabulary], targets [rows], a factor on the device. Out: the loss of each row,
 * float32 [rows], and the logits replaced by (softmax − onehot)·factor. A row whose target is
 * negative (−100) has loss 0 and gradient 0.
 *
 * One block a row, two passes: the first keeps a running maximum and sum (Milakov and Gimelshein
 * 2018, https://arxiv.org/abs/1805.02867), the second reads again and writes. A thread has four
 * loads under way, 64 KB a block, and needs more than 32 registers: a multiprocessor then holds one
 * block of 1024 threads, so the rows in work on an H200 are
 * 132 × 304 KB = 40 MB at vocabulary 151936 in bfloat16, inside its 50 MB of L2: the second read
 * should mostly come from there. Calculated for 4096 rows at 4.3 TB/s: 2 × 1.24 GB over device
 * memory = 0.58 ms where it does, 0.87 ms where it does not; the three matrix products of the same
 * rows (hidden 2048) take 9.7 ms at 790 TFLOP/s.
 */

import type { CudaKernel } from "./driver.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { elementName, type ElementType } from "./element.ts";
import { PRELUDE } from "./prelude.ts";

const CODE = String.raw`
constexpr i32 THREADS = 1024;
// Loads of 16 bytes (bfloat16) that a thread has under way.
constexpr int AHEAD = 4;

// A sum of e^(x − max) and the max it is relative to.
struct Sum { float max, sum; };

__device__ inline Sum join(Sum a, Sum b) {
  float max = fmaxf(a.max, b.max);
  // Both empty: their difference from −infinity would be no number.
  if (max == -INFINITY) return {max, 0};
  return {max, a.sum * fastPower2((a.max - max) * LOG2_E) +
                   b.sum * fastPower2((b.max - max) * LOG2_E)};
}

template <int COUNT>
__device__ inline void add(Sum& sum, const float* x) {
  float max = sum.max;
#pragma unroll
  for (int i = 0; i < COUNT; i++) max = fmaxf(max, x[i]);
  if (max == -INFINITY) return;
  float total = sum.sum * fastPower2((sum.max - max) * LOG2_E);
#pragma unroll
  for (int i = 0; i < COUNT; i++) total += fastPower2((x[i] - max) * LOG2_E);
  sum = {max, total};
}

extern "C" __global__ void __launch_bounds__(THREADS)
crossEntropy(Element* __restrict__ logits, const void* __restrict__ targets,
             const float* __restrict__ factor, float* __restrict__ losses, i32 vocabulary,
             i64 stride, i32 wideTargets, i32 withGradient) {
  SHARED(Sum, sums, [THREADS / WARP]);
  i64 row = blockIdx.x;
  Element* x = logits + row * stride;
  i64 target = wideTargets ? static_cast<const i64*>(targets)[row]
                           : static_cast<const i32*>(targets)[row];
  // A row's first element is aligned where the stride is; else one element at a time.
  bool aligned = stride % 8 == 0;
  i32 eights = aligned ? vocabulary / 8 : 0, rest = eights * 8;
  float zeros[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  if (target < 0) {
    if (threadIdx.x == 0) losses[row] = 0;
    if (!withGradient) return;
    for (i32 i = threadIdx.x; i < eights; i += THREADS) store8(zeros, x + 8 * i);
    for (i32 i = rest + threadIdx.x; i < vocabulary; i += THREADS) fromFloat(0, x[i]);
    return;
  }
  Sum sum = {-INFINITY, 0};
  for (i32 start = threadIdx.x; start < eights; start += AHEAD * THREADS) {
    float values[AHEAD][8];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      i32 i = start + k * THREADS;
      if (i < eights) {
        load8(x + 8 * i, values[k]);
      } else {
#pragma unroll
        for (int j = 0; j < 8; j++) values[k][j] = -INFINITY;
      }
    }
    add<AHEAD * 8>(sum, values[0]);
  }
  for (i32 i = rest + threadIdx.x; i < vocabulary; i += THREADS) {
    float value = toFloat(x[i]);
    add<1>(sum, &value);
  }
  for (u32 offset = WARP / 2; offset > 0; offset /= 2) {
    Sum other = {__shfl_xor_sync(ALL_LANES, sum.max, offset),
                 __shfl_xor_sync(ALL_LANES, sum.sum, offset)};
    sum = join(sum, other);
  }
  if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = sum;
  // Read before anybody overwrites it.
  float ofTarget = toFloat(x[target]);
  __syncthreads();
  sum = sums[0];
  for (u32 i = 1; i < THREADS / WARP; i++) sum = join(sum, sums[i]);
  if (threadIdx.x == 0) losses[row] = logf(sum.sum) + (sum.max - ofTarget);
  if (!withGradient) return;
  float scale = *factor, share = scale / sum.sum;
  for (i32 start = threadIdx.x; start < eights; start += AHEAD * THREADS) {
    float values[AHEAD][8];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      i32 i = start + k * THREADS;
      if (i < eights) load8(x + 8 * i, values[k]);
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      i32 i = start + k * THREADS;
      if (i >= eights) break;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        values[k][j] = fastPower2((values[k][j] - sum.max) * LOG2_E) * share;
        if (8 * i + j == target) values[k][j] -= scale;
      }
      store8(values[k], x + 8 * i);
    }
  }
  for (i32 i = rest + threadIdx.x; i < vocabulary; i += THREADS) {
    float value = fastPower2((toFloat(x[i]) - sum.max) * LOG2_E) * share;
    if (i == target) value -= scale;
    fromFloat(value, x[i]);
  }
}
`;

/** The source for logits of one type, with kernel `crossEntropy`. */
export function crossEntropySource(logits: ElementType): KernelSource {
  return {
    name: `cross_entropy_${logits}`,
    code: `${PRELUDE}typedef ${elementName(logits)} Element;\n${CODE}`,
  };
}

/** The loss and the gradient of logits. */
export class CrossEntropyKernel {
  readonly #kernel: CudaKernel;

  private constructor(kernel: CudaKernel) {
    this.#kernel = kernel;
  }

  /** Compiles and loads the kernel for logits of that type. */
  static async load(gpu: Gpu, logits: ElementType): Promise<CrossEntropyKernel> {
    const module = await gpu.load(crossEntropySource(logits));
    const kernel = module.kernel("crossEntropy", [
      ...Array(4).fill("pointer" as const),
      "i32",
      "i64",
      "i32",
      "i32",
    ]);
    return new CrossEntropyKernel(kernel);
  }

  /**
   * Writes losses and, unless `gradient` is false, the gradient over the logits. Fast where the
   * logits are aligned to 16 bytes and rows are a multiple of 8 elements apart.
   *
   * @throws {RangeError} where rows overlap or the logits are not aligned
   */
  launch(
    stream: bigint,
    pointers: {
      /** [rows, stride] */
      readonly logits: bigint;
      /** [rows], each below vocabulary; negative for none. */
      readonly targets: bigint;
      /** float32: what the gradient is multiplied by, such as 1 / tokens. */
      readonly factor: bigint;
      /** float32 [rows] */
      readonly losses: bigint;
    },
    { rows, vocabulary, stride = vocabulary, targets, gradient = true }: {
      readonly rows: number;
      readonly vocabulary: number;
      /** Elements from row to row. @default vocabulary */
      readonly stride?: number;
      readonly targets: "int32" | "int64";
      /** @default true */
      readonly gradient?: boolean;
    },
  ): void {
    if (stride < vocabulary || pointers.logits % 16n !== 0n) {
      throw new RangeError(
        `Cannot take the cross-entropy of rows ${stride} apart at ${pointers.logits}: rows hold ` +
          `${vocabulary} logits, and the first must be aligned to 16 bytes`,
      );
    }
    this.#kernel.launch({ stream, grid: [rows], block: 1024 }, [
      pointers.logits,
      pointers.targets,
      pointers.factor,
      pointers.losses,
      vocabulary,
      stride,
      targets === "int64" ? 1 : 0,
      gradient ? 1 : 0,
    ]);
  }
}
