/**
 * The products of a LoRA adapter, y = base + scale · B·A·dropout(x), forwards and backwards.
 *
 * In: activations in bfloat16, A [rank, in] and B [out, rank] in float32. Out: activations in bfloat16,
 * gradients of A and B in float32.
 *
 * Each product has one operand that is wide and long and is read, or written, once; with the other one,
 * of a rank's width, it is bound by memory. Dropout is applied on the way, so what it leaves is never
 * stored, and A and B are rounded to bfloat16 on the way, so they are never cast. Layers that read one x,
 * such as the projections to queries, keys and values, go together, their results side by side: hidden is
 * [tokens, parts, rank]. Three kernels, each for A and for B: from width to rank, a block 16 tokens, each
 * warp its part of the width; from rank to width, a warp 32 columns of 32 tokens; and weights' gradients, a
 * block 64 columns of its part of the tokens, whose sums another kernel adds up in a fixed order.
 *
 * The order of a product's inner index is free: it is chosen so that a thread's piece of every operand is
 * eight neighbours in memory, read at once, and so is a thread's piece of the result.
 *
 * Calculated for Qwen3-1.7B's 7 layers a block, rank 8: 24.6 KB a token forwards for A where dropout and
 * product of ONNX Runtime's operators move 109, and 82 for B where theirs move 164; a block's launches
 * for the adapter are 8 forwards and 31 with recomputing backwards, where operators take 42 and 100.
 *
 * Hu et al. 2021, https://arxiv.org/abs/2106.09685.
 */

import type { CudaKernel, ParameterType } from "./driver.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** Parts that tokens are taken in for a weight's gradient, on every device. */
export const LORA_PARTS = 8;

/** Columns that a block, or a warp, takes at least. */
const COLUMNS = 64;
/** Ranks that registers have room for. */
const LARGEST_RANK = 64;
const THREADS = 256;
const TOKENS_DOWN = 16;
const TOKENS_UP = 32;

const CODE = String.raw`
constexpr i32 THREADS = 256, WARPS = THREADS / WARP, EIGHTHS = RANK / 8, STEPS = (RANK + 15) / 16;

// Which elements of x are zeros: those whose row's and column's number have a product, modulo 2^32 and
// taken as signed, that is not above the threshold.
struct Dropout {
  const i32* rows;
  const i32* columns;
  i32 above;
};

// Eight neighbours' numbers in the hash.
__device__ inline void loadFactors(const i32* columns, u32 (&to)[8]) {
  uint4 low = reinterpret_cast<const uint4*>(columns)[0];
  uint4 high = reinterpret_cast<const uint4*>(columns)[1];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ inline bool dropped(u32 row, u32 column, i32 above) {
  return static_cast<i32>(row * column) <= above;
}

// Eight neighbours of a row, dropped or as they are.
template <bool DROPS>
__device__ inline void load8(const bf16* from, u32 row, const u32 (&columns)[8], i32 above,
                             u32 (&to)[4]) {
  uint4 raw = *reinterpret_cast<const uint4*>(from);
  to[0] = raw.x, to[1] = raw.y, to[2] = raw.z, to[3] = raw.w;
  if (!DROPS) return;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (dropped(row, columns[2 * i], above)) to[i] &= 0xffff0000u;
    if (dropped(row, columns[2 * i + 1], above)) to[i] &= 0x0000ffffu;
  }
}

template <int N, int M>
__device__ inline void clear(float (&c)[N][M][4]) {
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int i = 0; i < 4; i++) c[n][m][i] = 0;
    }
  }
}

// Where the weight of a column and a rank lies: A is [rank, width], B [width, rank].
template <bool OF_A>
__device__ inline i64 weightAt(i32 column, i32 rank, i32 width) {
  return OF_A ? static_cast<i64>(rank) * width + column : static_cast<i64>(column) * RANK + rank;
}

template <class T>
__device__ inline T pick(i32 part, T a, T b, T c) {
  return part == 0 ? a : part == 1 ? b : c;
}

// Columns of layers side by side: where each but the last one's end.
struct Columns {
  i32 end0, end1, all;
  __device__ inline i32 partOf(i32 column) const { return (column >= end0) + (column >= end1); }
  __device__ inline i32 begin(i32 part) const { return pick(part, 0, end0, end1); }
  __device__ inline i32 end(i32 part) const { return pick(part, end0, end1, all); }
};

// to [tokens, RANK] = scale · dropout(x) [tokens, width] · weight; sums [WARPS, 16, RANK]. Rows of x and of to
// are xStride and toStride apart.
template <bool OF_A, bool DROPS>
__device__ inline void toRank(const bf16* x, i32 xStride, const float* weight, Dropout dropout,
                              bf16* to, i32 toStride, i32 tokens, i32 width, float scale,
                              float* sums) {
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, quad = lane % 4;
  i32 first = blockIdx.x * 16;
  const bf16* from[2];
  u32 draws[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    // Past the end the last row again, for nobody.
    i32 row = smaller(first + group + 8 * i, tokens - 1);
    from[i] = x + static_cast<i64>(row) * xStride;
    draws[i] = DROPS ? static_cast<u32>(dropout.rows[row]) : 0;
  }
  float c[1][EIGHTHS][4];
  clear(c);
#pragma unroll 4
  for (i32 column = 32 * warp + 8 * quad; column < width; column += 32 * WARPS) {
    u32 factors[8], rows[2][4];
    if (DROPS) loadFactors(dropout.columns + column, factors);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      load8<DROPS>(from[i] + column, draws[i], factors, dropout.above, rows[i]);
    }
#pragma unroll
    for (int n = 0; n < EIGHTHS; n++) {
      float numbers[8];
      if (OF_A) {
        load8(weight + weightAt<true>(column, 8 * n + group, width), numbers);
      } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
          numbers[i] = weight[weightAt<false>(column + i, 8 * n + group, width)];
        }
      }
      // A product's inner indices 2q, 2q + 1 and 2q + 8, 2q + 9 are columns 8q + 4s to 8q + 4s + 3.
#pragma unroll
      for (int s = 0; s < 2; s++) {
        u32 left[4] = {rows[0][2 * s], rows[1][2 * s], rows[0][2 * s + 1], rows[1][2 * s + 1]};
        multiplyAdd(c[0][n], left, packBf16(numbers[4 * s], numbers[4 * s + 1]),
                    packBf16(numbers[4 * s + 2], numbers[4 * s + 3]));
      }
    }
  }
#pragma unroll
  for (int n = 0; n < EIGHTHS; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      sums[(16 * warp + group + i / 2 * 8) * RANK + 8 * n + 2 * quad + i % 2] = c[0][n][i];
    }
  }
  __syncthreads();
  for (i32 i = 2 * threadIdx.x; i < 16 * RANK; i += 2 * THREADS) {
    float pair[2] = {0, 0};
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      pair[0] += sums[16 * RANK * w + i];
      pair[1] += sums[16 * RANK * w + i + 1];
    }
    i32 row = first + i / RANK;
    if (row < tokens) {
      *reinterpret_cast<u32*>(to + static_cast<i64>(row) * toStride + i % RANK) =
          packBf16(pair[0] * scale, pair[1] * scale);
    }
  }
}

// Blocks a multiprocessor whose registers suffice.
constexpr i32 BLOCKS = RANK > 32 ? 1 : 2;

// A thread's columns of TOKENS_UP rows of one of the wide operands: eight neighbours of two rows a product.
constexpr i32 TILES = TOKENS_UP / 16;
struct Wide {
  float values[TILES][2][8];
  i32 rows[TILES][2];

  // What was there, or zeros. Past the end the last row again, for nobody.
  __device__ inline Wide(const bf16* past, i32 stride, i32 column, i32 tokens) {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        i32 row = blockIdx.y * TOKENS_UP + 16 * tile + threadIdx.x % WARP / 4 + 8 * half;
        rows[tile][half] = smaller(row, tokens - 1);
#pragma unroll
        for (int i = 0; i < 8; i++) values[tile][half][i] = 0;
        if (past) {
          load8(past + static_cast<i64>(rows[tile][half]) * stride + column, values[tile][half]);
        }
      }
    }
  }

  __device__ inline void store(bf16* to, i32 stride, i32 column, i32 tokens) const {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float(&v)[8] = values[tile][half];
        i32 row = blockIdx.y * TOKENS_UP + 16 * tile + threadIdx.x % WARP / 4 + 8 * half;
        if (row < tokens) {
          storeWords(to + static_cast<i64>(row) * stride + column, packBf16(v[0], v[1]),
                     packBf16(v[2], v[3]), packBf16(v[4], v[5]), packBf16(v[6], v[7]));
        }
      }
    }
  }
};

// wide [tokens, 32 columns from column on] += dropout(scale · hidden [tokens, RANK] · weight). Rows of hidden
// are hiddenStride apart.
template <bool OF_A, bool DROPS>
__device__ inline void addProduct(Wide& wide, const bf16* hidden, i32 hiddenStride,
                                  const float* weight, Dropout dropout, i32 column, i32 width,
                                  float scale) {
  u32 lane = threadIdx.x % WARP, group = lane / 4, quad = lane % 4;
  // Column 2q + e of product t is 8q + 2t + e: a thread's columns of four products are neighbours.
  u32 right[STEPS][4][2];
#pragma unroll
  for (int s = 0; s < STEPS; s++) {
#pragma unroll
    for (int t = 0; t < 4; t++) {
      i32 at = column + 8 * (group / 2) + 2 * t + group % 2;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        i32 rank = 16 * s + 8 * half + 2 * quad;
        right[s][t][half] =
            16 * s + 8 * half < RANK
                ? packBf16(weight[weightAt<OF_A>(at, rank, width)],
                           weight[weightAt<OF_A>(at, rank + 1, width)])
                : 0;
      }
    }
  }
  u32 factors[8];
  if (DROPS) loadFactors(dropout.columns + column + 8 * quad, factors);
#pragma unroll
  for (int tile = 0; tile < TILES; tile++) {
    const i32(&rows)[2] = wide.rows[tile];
    float c[1][4][4];
    clear(c);
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      u32 left[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        i32 rank = 16 * s + i / 2 * 8;
        left[i] = rank < RANK
                      ? *reinterpret_cast<const u32*>(
                            hidden + static_cast<i64>(rows[i % 2]) * hiddenStride + rank + 2 * quad)
                      : 0;
      }
#pragma unroll
      for (int t = 0; t < 4; t++) multiplyAdd(c[0][t], left, right[s][t][0], right[s][t][1]);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      u32 draw = DROPS ? static_cast<u32>(dropout.rows[rows[half]]) : 0;
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float value = c[0][i / 2][2 * half + i % 2] * scale;
        if (DROPS && dropped(draw, factors[i], dropout.above)) value = 0;
        wide.values[tile][half][i] += value;
      }
    }
  }
}

// partials of the weight = scale · a part of the tokens' hidden^T · dropout(x); sums [64, PITCH]. x from the
// block's 64 columns on, which are column to column + 64 of the weight.
constexpr i32 PITCH = RANK + 1;
template <bool OF_A, bool DROPS>
__device__ inline void ofWeight(const bf16* hidden, i32 hiddenStride, const bf16* x, i32 xStride,
                                Dropout dropout, float* partials, i32 tokens, i32 firstColumn,
                                i32 width, float scale, float* sums) {
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, quad = lane % 4;
  float c[4][EIGHTHS][4];
  clear(c);
  u32 factors[8];
  if (DROPS) loadFactors(dropout.columns + firstColumn + 8 * group, factors);
#pragma unroll 2
  for (i32 first = 16 * (blockIdx.y * WARPS + warp); first < tokens;
       first += 16 * WARPS * gridDim.y) {
    // Inner indices 2q, 2q + 1 and 2q + 8, 2q + 9 are tokens 4q to 4q + 3; past the end hidden is 0.
    u32 rows[4][4], right[EIGHTHS][2];
#pragma unroll
    for (int n = 0; n < EIGHTHS; n++) right[n][0] = right[n][1] = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      i32 row = first + 4 * quad + i, inside = smaller(row, tokens - 1);
      u32 draw = DROPS ? static_cast<u32>(dropout.rows[inside]) : 0;
      load8<DROPS>(x + static_cast<i64>(inside) * xStride + 8 * group, draw, factors, dropout.above,
                   rows[i]);
#pragma unroll
      for (int n = 0; n < EIGHTHS; n++) {
        u32 bits = hidden[static_cast<i64>(inside) * hiddenStride + 8 * n + group].bits;
        if (row < tokens) right[n][i / 2] |= bits << (i % 2 * 16);
      }
    }
    // Rows g and g + 8 of product t are columns 8g + 2t and 8g + 2t + 1.
#pragma unroll
    for (int t = 0; t < 4; t++) {
      u32 left[4] = {(rows[0][t] & 0xffffu) | rows[1][t] << 16,
                     rows[0][t] >> 16 | (rows[1][t] & 0xffff0000u),
                     (rows[2][t] & 0xffffu) | rows[3][t] << 16,
                     rows[2][t] >> 16 | (rows[3][t] & 0xffff0000u)};
#pragma unroll
      for (int n = 0; n < EIGHTHS; n++) multiplyAdd(c[t][n], left, right[n][0], right[n][1]);
    }
  }
  // One warp after the other, so that the order is always the same.
  for (u32 turn = 0; turn < WARPS; turn++) {
    if (turn == warp) {
#pragma unroll
      for (int t = 0; t < 4; t++) {
#pragma unroll
        for (int n = 0; n < EIGHTHS; n++) {
#pragma unroll
          for (int i = 0; i < 4; i++) {
            float& sum = sums[(8 * group + 2 * t + i / 2) * PITCH + 8 * n + 2 * quad + i % 2];
            sum = turn == 0 ? c[t][n][i] : sum + c[t][n][i];
          }
        }
      }
    }
    __syncthreads();
  }
  for (i32 i = threadIdx.x; i < 64 * RANK; i += THREADS) {
    i32 at = OF_A ? i % 64 : i / RANK, rank = OF_A ? i / 64 : i % RANK;
    partials[weightAt<OF_A>(firstColumn + at, rank, width)] = sums[at * PITCH + rank] * scale;
  }
}

// hidden [tokens, parts, RANK] of up to three A on one x; gridDim.y parts.
extern "C" __global__ void __launch_bounds__(256, 1)
loraDown(const bf16* __restrict__ x, const float* __restrict__ a0, const float* __restrict__ a1,
         const float* __restrict__ a2, const i32* __restrict__ rows,
         const i32* __restrict__ columns0, const i32* __restrict__ columns1,
         const i32* __restrict__ columns2, i32 above, bf16* __restrict__ hidden, i32 tokens,
         i32 width, float scale) {
  SHARED(float, sums, [WARPS * 16 * RANK]);
  i32 part = blockIdx.y, stride = gridDim.y * RANK;
  const float* a = pick(part, a0, a1, a2);
  Dropout dropout{rows, pick(part, columns0, columns1, columns2), above};
  bf16* to = hidden + part * RANK;
  if (rows) toRank<true, true>(x, width, a, dropout, to, stride, tokens, width, scale, sums);
  else toRank<true, false>(x, width, a, dropout, to, stride, tokens, width, scale, sums);
}

// dX [tokens, width] = past + what all parts give.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
loraDownInput(const bf16* __restrict__ dHidden, const float* __restrict__ a0,
              const float* __restrict__ a1, const float* __restrict__ a2,
              const i32* __restrict__ rows, const i32* __restrict__ columns0,
              const i32* __restrict__ columns1, const i32* __restrict__ columns2, i32 above,
              const bf16* past, bf16* dX, i32 tokens, i32 width, i32 parts, float scale) {
  i32 column = (blockIdx.x * WARPS + threadIdx.x / WARP) * 32, own = threadIdx.x % 4 * 8;
  if (column >= width) return;
  Wide wide(past, width, column + own, tokens);
#pragma unroll 1
  for (i32 part = 0; part < parts; part++) {
    const float* a = pick(part, a0, a1, a2);
    Dropout dropout{rows, pick(part, columns0, columns1, columns2), above};
    const bf16* from = dHidden + part * RANK;
    i32 stride = parts * RANK;
    if (rows) addProduct<true, true>(wide, from, stride, a, dropout, column, width, scale);
    else addProduct<true, false>(wide, from, stride, a, dropout, column, width, scale);
  }
  wide.store(dX, width, column + own, tokens);
}

// partials [gridDim.y, parts, RANK, width]; gridDim.z parts.
extern "C" __global__ void __launch_bounds__(256, 1)
loraDownWeight(const bf16* __restrict__ dHidden, const bf16* __restrict__ x,
               const i32* __restrict__ rows, const i32* __restrict__ columns0,
               const i32* __restrict__ columns1, const i32* __restrict__ columns2, i32 above,
               float* __restrict__ partials, i32 tokens, i32 width, float scale) {
  SHARED(float, sums, [64 * PITCH]);
  i32 part = blockIdx.z, stride = gridDim.z * RANK, first = blockIdx.x * 64;
  Dropout dropout{rows, pick(part, columns0, columns1, columns2), above};
  const bf16* from = dHidden + part * RANK;
  float* to = partials + (static_cast<i64>(blockIdx.y) * gridDim.z + part) * RANK * width;
  if (rows) {
    ofWeight<true, true>(from, stride, x + first, width, dropout, to, tokens, first, width, scale,
                         sums);
  } else {
    ofWeight<true, false>(from, stride, x + first, width, dropout, to, tokens, first, width, scale,
                          sums);
  }
}

// y [tokens, all columns] = past + hidden · B^T, each part in its columns.
extern "C" __global__ void __launch_bounds__(256, BLOCKS)
loraUp(const bf16* __restrict__ hidden, const float* __restrict__ b0, const float* __restrict__ b1,
       const float* __restrict__ b2, const bf16* past, bf16* y, i32 tokens, i32 end0, i32 end1,
       i32 width, i32 parts) {
  i32 column = (blockIdx.x * WARPS + threadIdx.x / WARP) * 32, own = threadIdx.x % 4 * 8;
  if (column >= width) return;
  Columns columns{end0, end1, width};
  i32 part = columns.partOf(column), begin = columns.begin(part);
  Wide wide(past, width, column + own, tokens);
  addProduct<false, false>(wide, hidden + part * RANK, parts * RANK, pick(part, b0, b1, b2), {},
                           column - begin, columns.end(part) - begin, 1);
  wide.store(y, width, column + own, tokens);
}

// dHidden [tokens, parts, RANK]; gridDim.y parts.
extern "C" __global__ void __launch_bounds__(256, 1)
loraUpHidden(const bf16* __restrict__ dy, const float* __restrict__ b0,
             const float* __restrict__ b1, const float* __restrict__ b2,
             bf16* __restrict__ dHidden, i32 tokens, i32 end0, i32 end1, i32 width) {
  SHARED(float, sums, [WARPS * 16 * RANK]);
  Columns columns{end0, end1, width};
  i32 part = blockIdx.y, begin = columns.begin(part);
  toRank<false, false>(dy + begin, width, pick(part, b0, b1, b2), {}, dHidden + part * RANK,
                       gridDim.y * RANK, tokens, columns.end(part) - begin, 1, sums);
}

// partials [gridDim.y, all columns, RANK]
extern "C" __global__ void __launch_bounds__(256, 1)
loraUpWeight(const bf16* __restrict__ hidden, const bf16* __restrict__ dy,
             float* __restrict__ partials, i32 tokens, i32 end0, i32 end1, i32 width, i32 parts) {
  SHARED(float, sums, [64 * PITCH]);
  i32 first = blockIdx.x * 64, part = Columns{end0, end1, width}.partOf(first);
  ofWeight<false, false>(hidden + part * RANK, parts * RANK, dy + first, width, {},
                         partials + static_cast<i64>(blockIdx.y) * width * RANK, tokens, first,
                         width, 1, sums);
}

// The gradients of up to three weights, one after the other, (+)= the sum of rows of partials.
extern "C" __global__ void __launch_bounds__(256)
loraSums(const float* __restrict__ partials, float* __restrict__ to0, float* __restrict__ to1,
         float* __restrict__ to2, i32 end0, i32 end1, i32 all, i32 rows, i32 accumulate) {
  i32 i = blockIdx.x * THREADS + threadIdx.x;
  if (i >= all) return;
  float sum = 0;
#pragma unroll 8
  for (i32 row = 0; row < rows; row++) sum += partials[static_cast<i64>(row) * all + i];
  Columns weights{end0, end1, all};
  i32 part = weights.partOf(i);
  float* to = pick(part, to0, to1, to2) + (i - weights.begin(part));
  *to = accumulate ? *to + sum : sum;
}
`;

/** The source for one rank. */
export function loraSource(rank: number): KernelSource {
  return {
    name: `lora_${rank}`,
    code: `${PRELUDE}constexpr i32 RANK = ${rank}, TOKENS_UP = ${TOKENS_UP};\n${CODE}`,
  };
}

/** Which inputs of A are zeroes; nothing is scaled. */
export interface LoraDropout {
  /** int32 [tokens], odd. */
  readonly rows: bigint;
  /** int32 [width] of each A, odd. */
  readonly columns: readonly bigint[];
  /** Products of the two above it are kept, as signed 32-bit numbers. */
  readonly above: number;
}

/** Sizes of a call on the side of A. */
export interface LoraDownOptions {
  readonly tokens: number;
  /** Of x. */
  readonly width: number;
  /** Layers that read x, up to three. */
  readonly parts: number;
  /** Factor on A·x. */
  readonly scale: number;
  /** @default nothing is dropped */
  readonly dropout?: LoraDropout;
}

/** Sizes of a call on the side of B. */
export interface LoraUpSizes {
  readonly tokens: number;
  /** Columns of each layer, which lie side by side: up to three. */
  readonly widths: readonly number[];
}

/** Where weights' gradients go. */
export interface LoraWeightGradients {
  /** float32 [{@linkcode LORA_PARTS}, of all weights], for the time of the call. */
  readonly partials: bigint;
  /** float32, as the weights. */
  readonly to: readonly bigint[];
  /** Whether they are added to what is there. */
  readonly accumulate: boolean;
}

const POINTER = "pointer";
const THREE = [POINTER, POINTER, POINTER] as const;
const DROPOUT = [POINTER, ...THREE, "i32"] as const;

/** A LoRA adapter's products for one rank, of up to three layers that read one x at a time. */
export class LoraKernels {
  readonly #rank: number;
  readonly #kernels: Readonly<Record<string, CudaKernel>>;

  private constructor(rank: number, kernels: Readonly<Record<string, CudaKernel>>) {
    this.#rank = rank;
    this.#kernels = kernels;
  }

  /**
   * Compiles and loads the kernels for that rank.
   *
   * @throws {RangeError} where it is no multiple of 8 up to 64
   */
  static async load(gpu: Gpu, rank: number): Promise<LoraKernels> {
    if (rank <= 0 || rank > LARGEST_RANK || rank % 8 !== 0) {
      throw new RangeError(
        `Cannot load kernels for LoRA of rank ${rank}: it must be a multiple of 8 up to ${LARGEST_RANK}`,
      );
    }
    const module = await gpu.load(loraSource(rank));
    const ints = (count: number): "i32"[] => Array(count).fill("i32");
    const of = (name: string, parameters: readonly ParameterType[]): CudaKernel =>
      module.kernel(`lora${name}`, parameters);
    return new LoraKernels(rank, {
      down: of("Down", [POINTER, ...THREE, ...DROPOUT, POINTER, ...ints(2), "f32"]),
      downInput: of("DownInput", [
        ...[POINTER, ...THREE, ...DROPOUT, POINTER, POINTER] as const,
        ...ints(3),
        "f32",
      ]),
      downWeight: of("DownWeight", [POINTER, POINTER, ...DROPOUT, POINTER, ...ints(2), "f32"]),
      up: of("Up", [POINTER, ...THREE, POINTER, POINTER, ...ints(5)]),
      upHidden: of("UpHidden", [POINTER, ...THREE, POINTER, ...ints(4)]),
      upWeight: of("UpWeight", [POINTER, POINTER, POINTER, ...ints(5)]),
      sums: of("Sums", [POINTER, ...THREE, ...ints(5)]),
    });
  }

  /** hidden [tokens, parts, rank] = scale · dropout(x) · Aᵀ of each part. */
  down(
    stream: bigint,
    pointers: { readonly x: bigint; readonly a: readonly bigint[]; readonly hidden: bigint },
    { tokens, width, parts, scale, dropout }: LoraDownOptions,
  ): void {
    assertColumns([width]);
    const { x, a, hidden } = pointers;
    this.#kernels.down.launch(
      { stream, grid: [Math.ceil(tokens / TOKENS_DOWN), parts], block: THREADS },
      [x, ...three(a, 0n), ...dropoutValues(dropout), hidden, tokens, width, scale],
    );
  }

  /** dX [tokens, width] = past + dropout(scale · dHidden · A), of all parts. */
  downInput(
    stream: bigint,
    pointers: {
      readonly dHidden: bigint;
      readonly a: readonly bigint[];
      /** May be dX. @default zeros */
      readonly past?: bigint;
      readonly dX: bigint;
    },
    { tokens, width, parts, scale, dropout }: LoraDownOptions,
  ): void {
    assertColumns([width]);
    const { dHidden, a, past = 0n, dX } = pointers;
    const drops = dropoutValues(dropout);
    this.#kernels.downInput.launch(
      { stream, grid: wideGrid(tokens, width), block: THREADS },
      [dHidden, ...three(a, 0n), ...drops, past, dX, tokens, width, parts, scale],
    );
  }

  /** The gradient of each A, scale · dHiddenᵀ · dropout(x). */
  downWeight(
    stream: bigint,
    pointers: { readonly x: bigint; readonly dHidden: bigint } & LoraWeightGradients,
    { tokens, width, parts, scale, dropout }: LoraDownOptions,
  ): void {
    assertColumns([width]);
    const { x, dHidden, partials } = pointers;
    this.#kernels.downWeight.launch(
      { stream, grid: [width / COLUMNS, LORA_PARTS, parts], block: THREADS },
      [dHidden, x, ...dropoutValues(dropout), partials, tokens, width, scale],
    );
    this.#addUp(stream, pointers, Array(parts).fill(width));
  }

  /** y [tokens, all columns] = past + hidden [tokens, parts, rank] · Bᵀ, each part in its columns. */
  up(
    stream: bigint,
    pointers: {
      readonly hidden: bigint;
      readonly b: readonly bigint[];
      /** May be y. @default zeros */
      readonly past?: bigint;
      readonly y: bigint;
    },
    { tokens, widths }: LoraUpSizes,
  ): void {
    const ends = columnEnds(widths);
    const { hidden, b, past = 0n, y } = pointers;
    this.#kernels.up.launch(
      { stream, grid: wideGrid(tokens, ends[2]), block: THREADS },
      [hidden, ...three(b, 0n), past, y, tokens, ...ends, widths.length],
    );
  }

  /** dHidden [tokens, parts, rank] = dy · B of each part. */
  upHidden(
    stream: bigint,
    pointers: { readonly dy: bigint; readonly b: readonly bigint[]; readonly dHidden: bigint },
    { tokens, widths }: LoraUpSizes,
  ): void {
    const { dy, b, dHidden } = pointers;
    this.#kernels.upHidden.launch(
      { stream, grid: [Math.ceil(tokens / TOKENS_DOWN), widths.length], block: THREADS },
      [dy, ...three(b, 0n), dHidden, tokens, ...columnEnds(widths)],
    );
  }

  /** The gradient of each B, dyᵀ · hidden. */
  upWeight(
    stream: bigint,
    pointers: { readonly hidden: bigint; readonly dy: bigint } & LoraWeightGradients,
    { tokens, widths }: LoraUpSizes,
  ): void {
    const ends = columnEnds(widths);
    const { hidden, dy, partials } = pointers;
    this.#kernels.upWeight.launch(
      { stream, grid: [ends[2] / COLUMNS, LORA_PARTS], block: THREADS },
      [hidden, dy, partials, tokens, ...ends, widths.length],
    );
    this.#addUp(stream, pointers, widths);
  }

  #addUp(
    stream: bigint,
    { partials, to, accumulate }: LoraWeightGradients,
    widths: readonly number[],
  ): void {
    const ends = columnEnds(widths).map((end) => this.#rank * end);
    this.#kernels.sums.launch(
      { stream, grid: [Math.ceil(ends[2] / THREADS)], block: THREADS },
      [partials, ...three(to, 0n), ...ends, LORA_PARTS, accumulate ? 1 : 0],
    );
  }
}

/** Of up to three parts, and what stands for those that are not there. */
function three<T>(parts: readonly T[], none: T): T[] {
  return [...parts, none, none, none].slice(0, 3);
}

function dropoutValues(dropout: LoraDropout | undefined): (bigint | number)[] {
  const { rows, columns, above }: LoraDropout = dropout ?? { rows: 0n, columns: [], above: 0 };
  return [rows, ...three(columns, 0n), above];
}

function assertColumns(widths: readonly number[]): void {
  if (widths.every((width) => width > 0 && width % COLUMNS === 0)) return;
  throw new RangeError(
    `Cannot adapt layers of widths ${widths.join(", ")}: they must be multiples of ${COLUMNS}`,
  );
}

/** Where the columns of the first two layers end, and all do. */
function columnEnds(widths: readonly number[]): number[] {
  assertColumns(widths);
  const all = widths.reduce((sum, each) => sum + each, 0);
  const [first, second = all - first] = widths;
  return [first, first + second, all];
}

/** A warp takes 32 columns of some tokens. */
function wideGrid(tokens: number, width: number): [number, number] {
  return [Math.ceil(width / THREADS), Math.ceil(tokens / TOKENS_UP)];
}
