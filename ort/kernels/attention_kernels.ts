/**
 * Causal attention over packed rows, forwards and backwards, without the matrix of scores.
 *
 * In: q [tokens, heads, headDim], k and v [tokens, kvHeads, headDim] in bfloat16, and where each
 * token's segment begins and ends. Out: the mixed values and each row's log-sum-exp; backwards dQ,
 * dK and dV. A token sees its own segment up to itself. Several rows of a grid are one row here:
 * segments keep them apart, and whole tiles outside a segment are never looked at.
 *
 * A block of four warps holds 64 rows of one operand and streams tiles of the others through shared
 * memory, copying one while it computes with the last; a warp owns 16 rows, so softmax needs no
 * barrier, and the accumulators of one tensor-core product are the operand of the next without
 * leaving registers. Sums in float32. Backwards is two kernels, one that walks the queries of a
 * tile of keys and one that walks the keys of a tile of queries: seven products instead of five,
 * but every sum has one owner, so no atomics, no float32 copy of dQ, and the same bits every run.
 *
 * Calculated for an H200, 132 × 1.75 GHz: with 16 rows a warp, what bounds it is shared memory, 4
 * cycles for each 16×16 piece of an operand, of which forwards loads one for two products of 4096 FLOP
 * (470 TFLOP/s) and backwards four for six and five for eight (355); mma.sync alone gives about 600. A
 * warp issues some 500 instructions for 128 products forwards, and backwards 350 for 96 and 430 for
 * 128 (sm_90, heads of 128, tiles without a mask), which is less than either. Qwen3-1.7B (28 layers, 16
 * heads of 128), per token: at 1k context 0.12 GFLOP forwards and 0.41 backwards, 1.4 µs against 16 µs of
 * all other products; at 8k 0.94 and 3.3, 11 µs.
 *
 * Dao 2023, https://arxiv.org/abs/2307.08691.
 */

import type { CudaKernel } from "./driver.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** Head sizes that there are kernels for. */
export type HeadDim = 64 | 128;

/** Sizes of a call. */
export interface AttentionSizes {
  readonly tokens: number;
  readonly heads: number;
  /** Divides heads: that many neighbouring query heads share a key head. */
  readonly kvHeads: number;
  /** What scores are multiplied by. @default headDim ** -0.5 */
  readonly scale?: number;
}

const TILE = 64;
const THREADS = 128;

const CODE = String.raw`
constexpr i32 THREADS = 128, TILE = 64, EIGHTS = D / 8;
// 16 bytes more than a row, so that the eight rows of a matrix lie in different banks.
constexpr i32 PITCH = D + 8;
constexpr i32 OWN = TILE * PITCH;

// Rows first to first + ROWS of [tokens, D], a row every stride; zeros past the end.
template <int ROWS>
__device__ inline void fetch(bf16* tile, const bf16* from, i32 stride, i32 first, i32 tokens) {
  constexpr i32 AT_ONCE = THREADS / EIGHTS;
  i32 row = threadIdx.x / EIGHTS, column = threadIdx.x % EIGHTS * 8;
  tile += row * PITCH + column;
  from += static_cast<i64>(first + row) * stride + column;
#pragma unroll
  for (i32 i = 0; i < ROWS; i += AT_ONCE) {
    copyAsync16(tile + i * PITCH, from, first + row + i < tokens);
    from += AT_ONCE * stride;
  }
}

// The left operand of a product, 16 rows of D: read as it is needed, or held in registers.
struct SharedRows {
  const bf16* rows;
  __device__ inline void at(int k, u32 (&a)[4]) const {
    u32 lane = threadIdx.x % WARP, matrix = lane / 8;
    loadMatrices(a, rows + (matrix % 2 * 8 + lane % 8) * PITCH + 16 * k + matrix / 2 * 8);
  }
};

struct HeldRows {
  u32 held[D / 16][4];
  __device__ inline void hold(const bf16* rows) {
#pragma unroll
    for (int k = 0; k < D / 16; k++) SharedRows{rows}.at(k, held[k]);
  }
  __device__ inline void at(int k, u32 (&a)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = held[k][i];
  }
};

// c[16, 8 N] = a[16, D] b[8 N, D]^T
template <int N, class Rows>
__device__ inline void compare(float (&c)[N][4], const Rows& a, const bf16* b) {
  u32 lane = threadIdx.x % WARP, matrix = lane / 8;
  const bf16* from = b + (matrix / 2 * 8 + lane % 8) * PITCH + matrix % 2 * 8;
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) c[n][i] = 0;
  }
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    u32 left[4];
    a.at(k, left);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      u32 right[4];
      loadMatrices(right, from + 8 * n * PITCH + 16 * k);
      multiplyAdd(c[n], left, right[0], right[1]);
      multiplyAdd(c[n + 1], left, right[2], right[3]);
    }
  }
}

// c[16, D] += a[16, 8 N] b[8 N, D]; a as another product left it, rounded to bfloat16.
template <int N>
__device__ inline void mix(float (&c)[EIGHTS][4], const float (&a)[N][4], const bf16* b) {
  u32 lane = threadIdx.x % WARP, matrix = lane / 8;
  const bf16* from = b + (matrix % 2 * 8 + lane % 8) * PITCH + matrix / 2 * 8;
#pragma unroll
  for (int k = 0; k < N / 2; k++) {
    u32 left[4] = {packBf16(a[2 * k][0], a[2 * k][1]), packBf16(a[2 * k][2], a[2 * k][3]),
                   packBf16(a[2 * k + 1][0], a[2 * k + 1][1]),
                   packBf16(a[2 * k + 1][2], a[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < EIGHTS; n += 2) {
      u32 right[4];
      loadMatricesTransposed(right, from + 16 * k * PITCH + 8 * n);
      multiplyAdd(c[n], left, right[0], right[1]);
      multiplyAdd(c[n + 1], left, right[2], right[3]);
    }
  }
}

// A warp's rows times a factor each, through its own rows of shared memory, in 16-byte stores.
__device__ inline void store(const float (&c)[EIGHTS][4], float upper, float lower, bf16* rows,
                             bf16* to, i32 stride, i32 first, i32 tokens) {
  u32 lane = threadIdx.x % WARP;
  __syncwarp();
#pragma unroll
  for (int n = 0; n < EIGHTS; n++) {
    bf16* at = rows + lane / 4 * PITCH + 8 * n + 2 * (lane % 4);
    *reinterpret_cast<u32*>(at) = packBf16(c[n][0] * upper, c[n][1] * upper);
    *reinterpret_cast<u32*>(at + 8 * PITCH) = packBf16(c[n][2] * lower, c[n][3] * lower);
  }
  __syncwarp();
  for (i32 i = lane; i < 16 * EIGHTS; i += WARP) {
    i32 row = i / EIGHTS, column = i % EIGHTS * 8;
    if (first + row < tokens) {
      *reinterpret_cast<uint4*>(to + static_cast<i64>(first + row) * stride + column) =
          *reinterpret_cast<uint4*>(rows + row * PITCH + column);
    }
  }
}

__device__ inline void clear(float (&c)[EIGHTS][4]) {
#pragma unroll
  for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) c[n][i] = 0;
  }
}

// The two rows of a warp's 16 whose scores a thread holds, and where their segments begin.
struct Rows {
  i32 at[2], begins[2];
  __device__ inline Rows(i32 first, const i32* starts, i32 tokens) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      at[i] = first + threadIdx.x % WARP / 4 + 8 * i;
      begins[i] = at[i] < tokens ? starts[at[i]] : tokens;
    }
  }
  // Scores of keys from first on that a row does not see become e^score = 0.
  template <int N>
  __device__ inline void hide(float (&scores)[N][4], i32 first) const {
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        i32 key = first + 8 * n + 2 * (threadIdx.x % 4) + j % 2;
        if (key > at[j / 2] || key < begins[j / 2]) scores[n][j] = -INFINITY;
      }
    }
  }
};

// The keys and values that a tile of queries walks, STEP at a time: one tile of each to compute with, and
// one of each under way.
template <int STEP>
struct Walk {
  const bf16 *k, *v;
  bf16* tiles;
  i32 stride, from, until, tokens;
  __device__ inline Walk(const bf16* k, const bf16* v, const i32* starts, bf16* tiles, i32 first,
                         i32 tokens, i32 kvHead, i32 kvHeads)
      : k(k + kvHead * D), v(v + kvHead * D), tiles(tiles), stride(kvHeads * D),
        from(starts[first]), until(smaller(first + TILE, tokens)), tokens(tokens) {}
  // STEP rows of keys, and after them of values.
  __device__ inline bf16* at(i32 key) const {
    return tiles + (key - from) / STEP % 2 * (2 * STEP * PITCH);
  }
  __device__ inline void next(i32 key) const {
    if (key < until) {
      fetch<STEP>(at(key), k, stride, key, tokens);
      fetch<STEP>(at(key) + STEP * PITCH, v, stride, key, tokens);
    }
    commitCopies();
  }
};

// Before weights would pass 2^that, they are set against a greater maximum.
constexpr float HEADROOM = 8;

// sums holds log2 of each row's sum of e^score, [heads, tokens].
extern "C" __global__ void __launch_bounds__(THREADS, 3)
attentionForward(const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
                 const i32* __restrict__ starts, bf16* __restrict__ mixed, float* __restrict__ sums,
                 i32 tokens, i32 heads, i32 group, float scale) {
  DYNAMIC_SHARED(memory);
  constexpr i32 STEP = 64, N = STEP / 8;
  bf16* streamed = reinterpret_cast<bf16*>(memory);
  // Where the second tiles will lie once the queries are in registers: a third block finds room.
  bf16* own = streamed + 2 * STEP * PITCH;
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  i32 head = blockIdx.y, stride = heads * D;
  // The last tiles have most keys to look at: they begin first.
  i32 first = (gridDim.x - 1 - blockIdx.x) * TILE;
  Walk<STEP> walk(k, v, starts, streamed, first, tokens, head / group, heads / group);
  fetch<TILE>(own, q + head * D, stride, first, tokens);
  commitCopies();
  walk.next(walk.from);
  Rows rows(first + 16 * warp, starts, tokens);
  i32 lastBegin = starts[walk.until - 1];
  // Weights are e^score / 2^base.
  float base[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, factor = scale * LOG2_E;
  float result[EIGHTS][4];
  clear(result);
  waitCopies<1>();
  __syncthreads();
  HeldRows queries;
  queries.hold(own + 16 * warp * PITCH);
  __syncthreads();
  for (i32 key = walk.from; key < walk.until; key += STEP) {
    walk.next(key + STEP);
    waitCopies<1>();
    __syncthreads();
    const bf16* keys = walk.at(key);
    float scores[N][4];
    compare<N>(scores, queries, keys);
    // Tiles below the diagonal and inside every row's segment need no mask.
    if (key + STEP - 1 > first || key < lastBegin) rows.hide<N>(scores, key);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < N; n++) {
        top = fmaxf(top, fmaxf(scores[n][2 * i], scores[n][2 * i + 1]));
      }
      top = groupMax(top, 4) * factor;
      if (top > base[i] + HEADROOM) {
        float keep = fastPower2(base[i] - top);
        base[i] = top;
        sum[i] *= keep;
#pragma unroll
        for (int n = 0; n < EIGHTS; n++) {
          result[n][2 * i] *= keep;
          result[n][2 * i + 1] *= keep;
        }
      }
      // The products that follow take a whole warp.
      __syncwarp();
      // Nothing seen yet: any finite number serves.
      float from = base[i] == -INFINITY ? 0 : base[i];
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int j = 2 * i; j < 2 * i + 2; j++) {
          scores[n][j] = fastPower2(scores[n][j] * factor - from);
          sum[i] += scores[n][j];
        }
      }
    }
    mix<N>(result, scores, keys + STEP * PITCH);
    __syncthreads();
  }
  waitCopies<0>();
#pragma unroll
  for (int i = 0; i < 2; i++) {
    sum[i] = groupSum(sum[i], 4);
    if (lane % 4 == 0 && rows.at[i] < tokens) {
      sums[static_cast<i64>(head) * tokens + rows.at[i]] = base[i] + log2f(sum[i]);
    }
  }
  store(result, fastDivide(1, sum[0]), fastDivide(1, sum[1]), own + 16 * warp * PITCH,
        mixed + head * D, stride, first + 16 * warp, tokens);
}

// dots [heads, tokens]: the product of each mixed row with its gradient.
extern "C" __global__ void __launch_bounds__(THREADS)
attentionDots(const bf16* __restrict__ mixed, const bf16* __restrict__ dMixed,
              float* __restrict__ dots, i32 tokens, i32 heads) {
  i64 row = static_cast<i64>(blockIdx.x) * (THREADS / EIGHTS) + threadIdx.x / EIGHTS;
  bool inside = row < static_cast<i64>(tokens) * heads;
  i64 at = inside ? row * D + threadIdx.x % EIGHTS * 8 : 0;
  float a[8], b[8], dot = 0;
  load8(mixed + at, a);
  load8(dMixed + at, b);
#pragma unroll
  for (int i = 0; i < 8; i++) dot += a[i] * b[i];
  dot = groupSum(dot, EIGHTS);
  if (inside && threadIdx.x % EIGHTS == 0) dots[row % heads * tokens + row / heads] = dot;
}

// Rows of the streamed tiles backwards: as many as registers hold two products of.
constexpr i32 BACK = D == 64 ? 64 : 32, BACK_N = BACK / 8;

// dQ: 64 queries a block, walking their keys.
extern "C" __global__ void __launch_bounds__(THREADS)
attentionBackwardQueries(const bf16* __restrict__ q, const bf16* __restrict__ k,
                         const bf16* __restrict__ v, const bf16* __restrict__ dMixed,
                         const i32* __restrict__ starts, const float* __restrict__ sums,
                         const float* __restrict__ dots, bf16* __restrict__ dQ, i32 tokens,
                         i32 heads, i32 group, float scale) {
  DYNAMIC_SHARED(memory);
  bf16* own = reinterpret_cast<bf16*>(memory);
  u32 warp = threadIdx.x / WARP;
  i32 head = blockIdx.y, first = (gridDim.x - 1 - blockIdx.x) * TILE;
  i32 stride = heads * D;
  Walk<BACK> walk(k, v, starts, own + 2 * OWN, first, tokens, head / group, heads / group);
  fetch<TILE>(own, q + head * D, stride, first, tokens);
  fetch<TILE>(own + OWN, dMixed + head * D, stride, first, tokens);
  walk.next(walk.from);
  Rows rows(first + 16 * warp, starts, tokens);
  i32 lastBegin = starts[walk.until - 1];
  float rowSums[2], rowDots[2], factor = scale * LOG2_E;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    bool inside = rows.at[i] < tokens;
    rowSums[i] = inside ? sums[static_cast<i64>(head) * tokens + rows.at[i]] : 0;
    rowDots[i] = inside ? dots[static_cast<i64>(head) * tokens + rows.at[i]] : 0;
  }
  float result[EIGHTS][4];
  clear(result);
  SharedRows queries{own + 16 * warp * PITCH}, gradients{own + OWN + 16 * warp * PITCH};
  for (i32 key = walk.from; key < walk.until; key += BACK) {
    walk.next(key + BACK);
    waitCopies<1>();
    __syncthreads();
    const bf16* keys = walk.at(key);
    float scores[BACK_N][4], slopes[BACK_N][4];
    compare<BACK_N>(scores, queries, keys);
    compare<BACK_N>(slopes, gradients, keys + BACK * PITCH);
    if (key + BACK - 1 > first || key < lastBegin) rows.hide<BACK_N>(scores, key);
#pragma unroll
    for (int n = 0; n < BACK_N; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float weight = fastPower2(scores[n][j] * factor - rowSums[j / 2]);
        slopes[n][j] = weight * (slopes[n][j] - rowDots[j / 2]);
      }
    }
    mix<BACK_N>(result, slopes, keys);
    __syncthreads();
  }
  waitCopies<0>();
  store(result, scale, scale, own + 16 * warp * PITCH, dQ + head * D, stride, first + 16 * warp,
        tokens);
}

// What a tile of queries is read with.
struct Queries {
  bf16 rows[BACK * PITCH], gradients[BACK * PITCH];
  i32 begins[BACK];
  float sums[BACK], dots[BACK];
};

// dK and dV: 64 keys a block, walking the queries that see them, of every head of the group.
// Scores are held transposed, keys by queries.
extern "C" __global__ void __launch_bounds__(THREADS)
attentionBackwardKeys(const bf16* __restrict__ q, const bf16* __restrict__ k,
                      const bf16* __restrict__ v, const bf16* __restrict__ dMixed,
                      const i32* __restrict__ starts, const i32* __restrict__ ends,
                      const float* __restrict__ sums, const float* __restrict__ dots,
                      bf16* __restrict__ dK, bf16* __restrict__ dV, i32 tokens, i32 heads,
                      i32 group, float scale) {
  DYNAMIC_SHARED(memory);
  bf16* own = reinterpret_cast<bf16*>(memory);
  Queries* streamed = reinterpret_cast<Queries*>(own + 2 * OWN);
  u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  i32 kvHead = blockIdx.y, first = blockIdx.x * TILE;
  i32 stride = heads * D, kvStride = heads / group * D;
  // No query before the first key sees any of them.
  i32 end = ends[smaller(first + TILE, tokens) - 1];
  i32 turns = (end - first + BACK - 1) / BACK * group;
  i32 nextHead = kvHead * group, nextQuery = first;
  auto next = [&](i32 turn) {
    if (turn < turns) {
      Queries& tile = streamed[turn % 2];
      fetch<BACK>(tile.rows, q + nextHead * D, stride, nextQuery, tokens);
      fetch<BACK>(tile.gradients, dMixed + nextHead * D, stride, nextQuery, tokens);
      i64 row = static_cast<i64>(nextHead) * tokens;
#pragma unroll
      for (i32 turn = 0; turn < 3 * BACK; turn += THREADS) {
        i32 i = turn + threadIdx.x, query = nextQuery + i % BACK;
        const void* from = starts + query;
        if (i >= BACK) from = (i < 2 * BACK ? sums : dots) + row + query;
        if (i < 3 * BACK) copyAsync4(tile.begins + i, from, query < tokens);
      }
      nextQuery += BACK;
      if (nextQuery >= end) nextQuery = first, nextHead++;
    }
    commitCopies();
  };
  fetch<TILE>(own, k + kvHead * D, kvStride, first, tokens);
  fetch<TILE>(own + OWN, v + kvHead * D, kvStride, first, tokens);
  next(0);
  i32 keyOf[2] = {static_cast<i32>(first + 16 * warp + lane / 4),
                  static_cast<i32>(first + 16 * warp + lane / 4 + 8)};
  float factor = scale * LOG2_E;
  float ofKeys[EIGHTS][4], ofValues[EIGHTS][4];
  clear(ofKeys);
  clear(ofValues);
  SharedRows keys{own + 16 * warp * PITCH}, values{own + OWN + 16 * warp * PITCH};
  i32 query = first;
  for (i32 turn = 0; turn < turns; turn++) {
    next(turn + 1);
    waitCopies<1>();
    __syncthreads();
    const Queries& tile = streamed[turn % 2];
    float weights[BACK_N][4], slopes[BACK_N][4];
    compare<BACK_N>(weights, keys, tile.rows);
    compare<BACK_N>(slopes, values, tile.gradients);
    // Queries past the end are zeros, and add nothing wherever they seem to begin.
    if (query < first + TILE - 1 || query + BACK > tokens || tile.begins[BACK - 1] > first) {
#pragma unroll
      for (int n = 0; n < BACK_N; n++) {
        i32 of = 8 * n + 2 * (lane % 4), begins[2] = {tile.begins[of], tile.begins[of + 1]};
#pragma unroll
        for (int j = 0; j < 4; j++) {
          i32 key = keyOf[j / 2];
          if (key > query + of + j % 2 || key < begins[j % 2]) weights[n][j] = -INFINITY;
        }
      }
    }
#pragma unroll
    for (int n = 0; n < BACK_N; n++) {
      i32 of = 8 * n + 2 * (lane % 4);
      float2 sum = *reinterpret_cast<const float2*>(tile.sums + of);
      float2 dot = *reinterpret_cast<const float2*>(tile.dots + of);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        weights[n][j] = fastPower2(weights[n][j] * factor - (j % 2 ? sum.y : sum.x));
        slopes[n][j] = weights[n][j] * (slopes[n][j] - (j % 2 ? dot.y : dot.x));
      }
    }
    mix<BACK_N>(ofValues, weights, tile.gradients);
    mix<BACK_N>(ofKeys, slopes, tile.rows);
    query += BACK;
    if (query >= end) query = first;
    __syncthreads();
  }
  waitCopies<0>();
  bf16* rowsOfWarp = own + 16 * warp * PITCH;
  store(ofKeys, scale, scale, rowsOfWarp, dK + kvHead * D, kvStride, first + 16 * warp, tokens);
  store(ofValues, 1, 1, rowsOfWarp + OWN, dV + kvHead * D, kvStride, first + 16 * warp, tokens);
}
`;

/** The source for heads of one size. */
export function attentionSource(headDim: HeadDim): KernelSource {
  return {
    name: `attention_${headDim}`,
    code: `${PRELUDE}constexpr i32 D = ${headDim};\n${CODE}`,
  };
}

/**
 * Where each token's segment begins, and where it ends (exclusive): what attention reads.
 *
 * @param segmentIds [rows · length] of a grid; 0 is padding, of which each token is its own segment
 * @param length tokens a row: no segment reaches over the end of one
 */
export function segmentBounds(
  segmentIds: Int32Array,
  length: number,
): { readonly starts: Int32Array<ArrayBuffer>; readonly ends: Int32Array<ArrayBuffer> } {
  const tokens = segmentIds.length;
  const [starts, ends] = [new Int32Array(tokens), new Int32Array(tokens)];
  const begins = (at: number): boolean =>
    at % length === 0 || segmentIds[at] === 0 || segmentIds[at] !== segmentIds[at - 1];
  for (let at = 0; at < tokens; at++) starts[at] = begins(at) ? at : starts[at - 1];
  for (let at = tokens - 1; at >= 0; at--) {
    ends[at] = at === tokens - 1 || begins(at + 1) ? at + 1 : ends[at + 1];
  }
  return { starts, ends };
}

/** Attention forwards and backwards for heads of one size. */
export class AttentionKernels {
  readonly #headDim: HeadDim;
  readonly #kernels: Readonly<Record<"forward" | "dots" | "queries" | "keys", CudaKernel>>;

  private constructor(
    headDim: HeadDim,
    kernels: Readonly<Record<"forward" | "dots" | "queries" | "keys", CudaKernel>>,
  ) {
    this.#headDim = headDim;
    this.#kernels = kernels;
  }

  /** Compiles and loads the kernels for heads of that size. */
  static async load(gpu: Gpu, headDim: HeadDim): Promise<AttentionKernels> {
    const module = await gpu.load(attentionSource(headDim));
    const pointers = (count: number): "pointer"[] => Array(count).fill("pointer");
    const sizes = ["i32", "i32", "i32", "f32"] as const;
    return new AttentionKernels(headDim, {
      forward: module.kernel("attentionForward", [...pointers(6), ...sizes]),
      dots: module.kernel("attentionDots", [...pointers(3), "i32", "i32"]),
      queries: module.kernel("attentionBackwardQueries", [...pointers(8), ...sizes]),
      keys: module.kernel("attentionBackwardKeys", [...pointers(10), ...sizes]),
    });
  }

  /** mixed [tokens, heads, headDim] and what backwards needs of each row. */
  forward(
    stream: bigint,
    pointers: {
      readonly q: bigint;
      readonly k: bigint;
      readonly v: bigint;
      /** int32 [tokens], of {@linkcode segmentBounds}. */
      readonly starts: bigint;
      readonly mixed: bigint;
      /** float32 [heads, tokens]: log2 of the sum of e^score. */
      readonly sums: bigint;
    },
    sizes: AttentionSizes,
  ): void {
    const { q, k, v, starts, mixed, sums } = pointers;
    this.#kernels.forward.launch(
      this.#grid(stream, sizes, sizes.heads, 4 * TILE),
      [q, k, v, starts, mixed, sums, ...this.#values(sizes)],
    );
  }

  /** dQ [tokens, heads, headDim], dK and dV [tokens, kvHeads, headDim]. */
  backward(
    stream: bigint,
    pointers: {
      readonly q: bigint;
      readonly k: bigint;
      readonly v: bigint;
      readonly starts: bigint;
      readonly ends: bigint;
      readonly mixed: bigint;
      readonly sums: bigint;
      /** [tokens, heads, headDim] */
      readonly dMixed: bigint;
      /** float32 [heads, tokens], for the time of the call. */
      readonly dots: bigint;
      readonly dQ: bigint;
      readonly dK: bigint;
      readonly dV: bigint;
    },
    sizes: AttentionSizes,
  ): void {
    const { q, k, v, starts, ends, mixed, sums, dMixed, dots, dQ, dK, dV } = pointers;
    const { tokens, heads, kvHeads } = sizes;
    const values = this.#values(sizes);
    const step = this.#headDim === 64 ? 64 : 32;
    const blocks = Math.ceil(tokens * heads * this.#headDim / 8 / THREADS);
    this.#kernels.dots.launch(
      { stream, grid: [blocks], block: THREADS },
      [mixed, dMixed, dots, tokens, heads],
    );
    this.#kernels.queries.launch(
      this.#grid(stream, sizes, heads, 2 * TILE + 4 * step),
      [q, k, v, dMixed, starts, sums, dots, dQ, ...values],
    );
    this.#kernels.keys.launch(
      this.#grid(stream, sizes, kvHeads, 2 * TILE + 4 * step, 6 * step),
      [q, k, v, dMixed, starts, ends, sums, dots, dK, dV, ...values],
    );
  }

  #grid(
    stream: bigint,
    { tokens }: AttentionSizes,
    heads: number,
    /** Of headDim elements, and single numbers, in shared memory. */
    rows: number,
    numbers = 0,
  ): { stream: bigint; grid: [number, number]; block: number; sharedBytes: number } {
    const sharedBytes = rows * (this.#headDim + 8) * 2 + numbers * 4;
    return { stream, grid: [Math.ceil(tokens / TILE), heads], block: THREADS, sharedBytes };
  }

  #values(sizes: AttentionSizes): number[] {
    const { tokens, heads, kvHeads, scale = this.#headDim ** -0.5 } = sizes;
    if (heads % kvHeads !== 0) {
      throw new RangeError(
        `Cannot attend with ${heads} heads over ${kvHeads} key heads: key heads must divide heads`,
      );
    }
    return [tokens, heads, heads / kvHeads, scale];
  }
}
