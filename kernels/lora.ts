/**
 * The products of a LoRA adapter, y = base + scale · B·A·dropout(x), forwards and backwards.
 *
 * In: activations in bfloat16, [tokens, width] and [tokens, rank], A [rank, in] and B [out, rank] in
 * float32. Out: activations in bfloat16, gradients of A and B in float32.
 *
 * Each product has one operand that is wide and long and is read, or written, once; with the other one,
 * of a rank's width, it is bound by memory. Dropout is applied on the way, so what it leaves is never
 * stored, and A and B are rounded to bfloat16 on the way, so they are never cast. Three kernels, each for
 * A and for B: from width to rank, a block 16 tokens, each warp its part of the width; from rank to width,
 * a warp 32 columns of 64 tokens; and a weight's gradient, a block 64 columns of its part of the tokens,
 * whose sums a second kernel adds up in a fixed order.
 *
 * The order of a product's inner index is free: it is chosen so that a thread's piece of every operand is
 * eight neighbours in memory, read at once, and so is a thread's piece of the result.
 *
 * Calculated for Qwen3-1.7B's 7 layers a block, rank 8: 24.6 KB a token forwards for A where dropout and
 * product of ONNX Runtime's operators move 109, and 41 for B where they move 82; a block's launches for
 * the adapter fall from 49 to 14 forwards, and from 101 to 42 with recomputing backwards.
 *
 * Hu et al. 2021, https://arxiv.org/abs/2106.09685.
 */

import { ColumnSumsKernel } from "./column_sums.ts";
import type { CudaKernel } from "./driver.ts";
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
const TOKENS_UP = 64;

const CODE = String.raw`
constexpr i32 THREADS = 256, WARPS = THREADS / WARP, EIGHTHS = RANK / 8, STEPS = (RANK + 15) / 16;

// Which elements of x are zeros: those whose row's and column's number have a product, modulo 2^32 and
// taken as signed, that is not above the threshold.
struct Dropout {
  const i32* rows;
  const i32* columns;
  i32 above;
};

__device__ inline i32 smaller(i32 a, i32 b) { return a < b ? a : b; }

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

// to [tokens, RANK] = scale · dropout(x) [tokens, width] · weight; sums [WARPS, 16, RANK]
template <bool OF_A, bool DROPS>
__device__ inline void toRank(const bf16* x, const float* weight, Dropout dropout, bf16* to,
                              i32 tokens, i32 width, i32 stride, float scale, float* sums) {
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, quad = lane % 4;
  i32 first = blockIdx.x * 16;
  const bf16* from[2];
  u32 draws[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    // Past the end the last row again, for nobody.
    i32 row = smaller(first + group + 8 * i, tokens - 1);
    from[i] = x + static_cast<i64>(row) * stride;
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
    if (first + i / RANK < tokens) {
      *reinterpret_cast<u32*>(to + static_cast<i64>(first) * RANK + i) =
          packBf16(pair[0] * scale, pair[1] * scale);
    }
  }
}

// to [tokens, width] = past + dropout(scale · hidden [tokens, RANK] · weight)
template <bool OF_A, bool DROPS, bool PASSES>
__device__ inline void toWidth(const bf16* hidden, const float* weight, Dropout dropout,
                               const bf16* past, bf16* to, i32 tokens, i32 width, i32 stride,
                               float scale) {
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, quad = lane % 4;
  i32 column = (blockIdx.x * WARPS + warp) * 32;
  if (column >= width) return;
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
  for (i32 tile = 0; tile < TOKENS_UP; tile += 16) {
    // Past the end the last row again, for nobody.
    i32 first = blockIdx.y * TOKENS_UP + tile, rows[2];
    float before[2][8] = {};
#pragma unroll
    for (int i = 0; i < 2; i++) {
      rows[i] = smaller(first + group + 8 * i, tokens - 1);
      if (PASSES) load8(past + static_cast<i64>(rows[i]) * stride + column + 8 * quad, before[i]);
    }
    float c[1][4][4];
    clear(c);
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      u32 left[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        i32 rank = 16 * s + i / 2 * 8;
        left[i] = rank < RANK ? *reinterpret_cast<const u32*>(
                                    hidden + static_cast<i64>(rows[i % 2]) * RANK + rank + 2 * quad)
                              : 0;
      }
#pragma unroll
      for (int t = 0; t < 4; t++) multiplyAdd(c[0][t], left, right[s][t][0], right[s][t][1]);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      u32 draw = DROPS ? static_cast<u32>(dropout.rows[rows[half]]) : 0;
      float values[8];
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float value = c[0][i / 2][2 * half + i % 2] * scale;
        if (DROPS && dropped(draw, factors[i], dropout.above)) value = 0;
        values[i] = before[half][i] + value;
      }
      i32 row = first + group + 8 * half;
      if (row < tokens) {
        storeWords(to + static_cast<i64>(row) * stride + column + 8 * quad,
                   packBf16(values[0], values[1]), packBf16(values[2], values[3]),
                   packBf16(values[4], values[5]), packBf16(values[6], values[7]));
      }
    }
  }
}

// partials [part, of the weight] = scale · the part's share of hidden^T · dropout(x); sums [64, PITCH]
constexpr i32 PITCH = RANK + 1;
template <bool OF_A, bool DROPS>
__device__ inline void ofWeight(const bf16* hidden, const bf16* x, Dropout dropout, float* partials,
                                i32 tokens, i32 width, i32 stride, float scale, float* sums) {
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, group = lane / 4, quad = lane % 4;
  i32 firstColumn = blockIdx.x * 64, column = firstColumn + 8 * group;
  float c[4][EIGHTHS][4];
  clear(c);
  u32 factors[8];
  if (DROPS) loadFactors(dropout.columns + column, factors);
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
      load8<DROPS>(x + static_cast<i64>(inside) * stride + column, draw, factors, dropout.above,
                   rows[i]);
#pragma unroll
      for (int n = 0; n < EIGHTHS; n++) {
        u32 bits = hidden[static_cast<i64>(inside) * RANK + 8 * n + group].bits;
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
  partials += static_cast<i64>(blockIdx.y) * width * RANK;
  for (i32 i = threadIdx.x; i < 64 * RANK; i += THREADS) {
    i32 at = OF_A ? i % 64 : i / RANK, rank = OF_A ? i / 64 : i % RANK;
    partials[weightAt<OF_A>(firstColumn + at, rank, width)] = sums[at * PITCH + rank] * scale;
  }
}

extern "C" __global__ void __launch_bounds__(256, 1)
loraDown(const bf16* __restrict__ x, const float* __restrict__ a, const i32* __restrict__ rows,
         const i32* __restrict__ columns, i32 above, bf16* __restrict__ hidden, i32 tokens,
         i32 width, i32 stride, float scale) {
  __shared__ float sums[WARPS * 16 * RANK];
  Dropout dropout{rows, columns, above};
  if (rows) toRank<true, true>(x, a, dropout, hidden, tokens, width, stride, scale, sums);
  else toRank<true, false>(x, a, dropout, hidden, tokens, width, stride, scale, sums);
}

extern "C" __global__ void __launch_bounds__(256, 1)
loraDownInput(const bf16* __restrict__ dHidden, const float* __restrict__ a,
              const i32* __restrict__ rows, const i32* __restrict__ columns, i32 above,
              const bf16* past, bf16* dX, i32 tokens, i32 width, i32 stride, float scale) {
  Dropout dropout{rows, columns, above};
  if (rows) {
    if (past) toWidth<true, true, true>(dHidden, a, dropout, past, dX, tokens, width, stride, scale);
    else toWidth<true, true, false>(dHidden, a, dropout, past, dX, tokens, width, stride, scale);
  } else {
    if (past) toWidth<true, false, true>(dHidden, a, dropout, past, dX, tokens, width, stride, scale);
    else toWidth<true, false, false>(dHidden, a, dropout, past, dX, tokens, width, stride, scale);
  }
}

extern "C" __global__ void __launch_bounds__(256, 1)
loraDownWeight(const bf16* __restrict__ dHidden, const bf16* __restrict__ x,
               const i32* __restrict__ rows, const i32* __restrict__ columns, i32 above,
               float* __restrict__ partials, i32 tokens, i32 width, i32 stride, float scale) {
  __shared__ float sums[64 * PITCH];
  Dropout dropout{rows, columns, above};
  if (rows) ofWeight<true, true>(dHidden, x, dropout, partials, tokens, width, stride, scale, sums);
  else ofWeight<true, false>(dHidden, x, dropout, partials, tokens, width, stride, scale, sums);
}

extern "C" __global__ void __launch_bounds__(256, 1)
loraUp(const bf16* __restrict__ hidden, const float* __restrict__ b, const bf16* past, bf16* y,
       i32 tokens, i32 width, i32 stride) {
  if (past) toWidth<false, false, true>(hidden, b, {}, past, y, tokens, width, stride, 1);
  else toWidth<false, false, false>(hidden, b, {}, past, y, tokens, width, stride, 1);
}

extern "C" __global__ void __launch_bounds__(256, 1)
loraUpHidden(const bf16* __restrict__ dy, const float* __restrict__ b, bf16* __restrict__ dHidden,
             i32 tokens, i32 width, i32 stride) {
  __shared__ float sums[WARPS * 16 * RANK];
  toRank<false, false>(dy, b, {}, dHidden, tokens, width, stride, 1, sums);
}

extern "C" __global__ void __launch_bounds__(256, 1)
loraUpWeight(const bf16* __restrict__ hidden, const bf16* __restrict__ dy,
             float* __restrict__ partials, i32 tokens, i32 width, i32 stride) {
  __shared__ float sums[64 * PITCH];
  ofWeight<false, false>(hidden, dy, {}, partials, tokens, width, stride, 1, sums);
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
  /** int32 [width], odd. */
  readonly columns: bigint;
  /** Products of the two above it are kept, as signed 32-bit numbers. */
  readonly above: number;
}

/** Sizes of a call. */
export interface LoraSizes {
  readonly tokens: number;
  /** Of x with A, of y with B. */
  readonly width: number;
  /** Elements from token to token of what is that wide. @default width */
  readonly stride?: number;
}

/** What a call on the side of A takes besides. */
export interface LoraDownOptions extends LoraSizes {
  /** Factor on A·x. */
  readonly scale: number;
  /** @default nothing is dropped */
  readonly dropout?: LoraDropout;
}

/** Where a weight's gradient goes. */
export interface LoraWeightGradient {
  /** float32 [{@linkcode LORA_PARTS}, rank · width], for the time of the call. */
  readonly partials: bigint;
  /** float32, as the weight. */
  readonly to: bigint;
  /** Whether it is added to what is there. */
  readonly accumulate: boolean;
}

const POINTER = "pointer";
const DROPOUT = [POINTER, POINTER, "i32"] as const;
const SIZES = ["i32", "i32", "i32"] as const;

/** A LoRA adapter's products for one rank. */
export class LoraKernels {
  readonly #rank: number;
  readonly #kernels: Readonly<Record<string, CudaKernel>>;
  readonly #columnSums: ColumnSumsKernel;

  private constructor(
    rank: number,
    kernels: Readonly<Record<string, CudaKernel>>,
    columnSums: ColumnSumsKernel,
  ) {
    this.#rank = rank;
    this.#kernels = kernels;
    this.#columnSums = columnSums;
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
    const two = [POINTER, POINTER] as const;
    return new LoraKernels(rank, {
      down: module.kernel("loraDown", [...two, ...DROPOUT, POINTER, ...SIZES, "f32"]),
      downInput: module.kernel("loraDownInput", [...two, ...DROPOUT, ...two, ...SIZES, "f32"]),
      downWeight: module.kernel("loraDownWeight", [...two, ...DROPOUT, POINTER, ...SIZES, "f32"]),
      up: module.kernel("loraUp", [...two, ...two, ...SIZES]),
      upHidden: module.kernel("loraUpHidden", [...two, POINTER, ...SIZES]),
      upWeight: module.kernel("loraUpWeight", [...two, POINTER, ...SIZES]),
    }, await ColumnSumsKernel.load(gpu, "float32"));
  }

  /** hidden [tokens, rank] = scale · dropout(x) · Aᵀ. */
  down(
    stream: bigint,
    pointers: { readonly x: bigint; readonly a: bigint; readonly hidden: bigint },
    { scale, dropout, ...sizes }: LoraDownOptions,
  ): void {
    const { x, a, hidden } = pointers;
    this.#kernels.down.launch(
      { stream, grid: [Math.ceil(sizes.tokens / TOKENS_DOWN)], block: THREADS },
      [x, a, ...dropoutValues(dropout), hidden, ...sizeValues(sizes), scale],
    );
  }

  /** dX [tokens, width] = past + dropout(scale · dHidden · A). */
  downInput(
    stream: bigint,
    pointers: {
      readonly dHidden: bigint;
      readonly a: bigint;
      /** May be dX. @default zeros */
      readonly past?: bigint;
      readonly dX: bigint;
    },
    { scale, dropout, ...sizes }: LoraDownOptions,
  ): void {
    const { dHidden, a, past = 0n, dX } = pointers;
    this.#kernels.downInput.launch(
      { stream, grid: wideGrid(sizes), block: THREADS },
      [dHidden, a, ...dropoutValues(dropout), past, dX, ...sizeValues(sizes), scale],
    );
  }

  /** A's gradient, scale · dHiddenᵀ · dropout(x). */
  downWeight(
    stream: bigint,
    pointers: { readonly x: bigint; readonly dHidden: bigint } & LoraWeightGradient,
    { scale, dropout, ...sizes }: LoraDownOptions,
  ): void {
    const { x, dHidden, partials } = pointers;
    this.#kernels.downWeight.launch(
      { stream, grid: [sizes.width / COLUMNS, LORA_PARTS], block: THREADS },
      [dHidden, x, ...dropoutValues(dropout), partials, ...sizeValues(sizes), scale],
    );
    this.#addUp(stream, pointers, sizes);
  }

  /** y [tokens, width] = past + hidden · Bᵀ. */
  up(
    stream: bigint,
    pointers: {
      readonly hidden: bigint;
      readonly b: bigint;
      /** May be y. @default zeros */
      readonly past?: bigint;
      readonly y: bigint;
    },
    sizes: LoraSizes,
  ): void {
    const { hidden, b, past = 0n, y } = pointers;
    this.#kernels.up.launch(
      { stream, grid: wideGrid(sizes), block: THREADS },
      [hidden, b, past, y, ...sizeValues(sizes)],
    );
  }

  /** dHidden [tokens, rank] = dy · B. */
  upHidden(
    stream: bigint,
    pointers: { readonly dy: bigint; readonly b: bigint; readonly dHidden: bigint },
    sizes: LoraSizes,
  ): void {
    const { dy, b, dHidden } = pointers;
    this.#kernels.upHidden.launch(
      { stream, grid: [Math.ceil(sizes.tokens / TOKENS_DOWN)], block: THREADS },
      [dy, b, dHidden, ...sizeValues(sizes)],
    );
  }

  /** B's gradient, dyᵀ · hidden. */
  upWeight(
    stream: bigint,
    pointers: { readonly hidden: bigint; readonly dy: bigint } & LoraWeightGradient,
    sizes: LoraSizes,
  ): void {
    const { hidden, dy, partials } = pointers;
    this.#kernels.upWeight.launch(
      { stream, grid: [sizes.width / COLUMNS, LORA_PARTS], block: THREADS },
      [hidden, dy, partials, ...sizeValues(sizes)],
    );
    this.#addUp(stream, pointers, sizes);
  }

  #addUp(
    stream: bigint,
    { partials, to, accumulate }: LoraWeightGradient,
    { width }: LoraSizes,
  ): void {
    const sizes = { blocks: LORA_PARTS, width: this.#rank * width, accumulate };
    this.#columnSums.launch(stream, { partials, to }, sizes);
  }
}

function dropoutValues(dropout: LoraDropout | undefined): (bigint | number)[] {
  return dropout ? [dropout.rows, dropout.columns, dropout.above] : [0n, 0n, 0];
}

function sizeValues({ tokens, width, stride = width }: LoraSizes): number[] {
  if (width <= 0 || width % COLUMNS !== 0 || stride % 8 !== 0) {
    throw new RangeError(
      `Cannot adapt a layer of width ${width} in rows of ${stride}: a width must be a multiple of ` +
        `${COLUMNS}, and a row's of 8`,
    );
  }
  return [tokens, width, stride];
}

/** A warp takes 32 columns of some tokens. */
function wideGrid({ tokens, width }: LoraSizes): [number, number] {
  return [Math.ceil(width / (THREADS / 32 * 32)), Math.ceil(tokens / TOKENS_UP)];
}
