/**
 * Causal attention over packed rows, forwards and backwards, without the matrix of scores.
 *
 * In: q [tokens, heads, headDim], k and v [tokens, kvHeads, headDim] in bfloat16, and where each
 * token's segment begins and ends. Out: the mixed values and each row's log-sum-exp; backwards dQ,
 * dK and dV. A token sees its own segment up to itself. Several rows of a grid are one row here:
 * segments keep them apart, and whole tiles outside a segment are never looked at.
 *
 * A block of four warps holds a tile of one operand's rows in shared memory and streams tiles of the others
 * through it, copying one while it computes with another. A warp computes with 32 rows: each piece that it
 * loads of a streamed tile serves two tensor-core products of 16 rows. The accumulators of one product are
 * the operand of the next without leaving registers. Sums in float32.
 *
 * Forwards a warp owns its 32 queries, so softmax needs no barrier. Backwards is two kernels, one that walks
 * the keys of a tile of queries and one that walks the queries of a tile of keys: seven products instead of
 * five, but every sum has one owner, so no atomics, no float32 copy of dQ, and the same bits every run.
 * Registers hold one result of 32 rows of 128 and no more, so there two warps share 32 rows. For dQ each takes
 * half of the keys, and at the end one adds both sums; for keys one has dV and the other dK. Warps pass over
 * tiles that none of their rows sees.
 *
 * Calculated for an H200, 132 × 1.75 GHz, by bench/gpu/attention_bounds.ts: forwards mma.sync's own 600
 * TFLOP/s are the bound, backwards shared memory's 473. Of its cycles loads, 4 for each 16×16 piece of an
 * operand, are five sixths in the kernel of queries and three quarters in that of keys; the rest are copies in
 * and what warps exchange. With 16 rows a warp it was 378, and backwards 315 and 344. A warp issues some 820
 * instructions for 256 products forwards, and backwards 570 for 192 and 420 for 128 (sm_90, heads of 128, tiles
 * without a mask), which is less than either. Registers, 252 to 254, let a multiprocessor hold two blocks.
 * Qwen3-1.7B (28 layers, 16 heads of 128), per token: at 1k context 0.12 GFLOP forwards and 0.41 backwards,
 * 1.1 µs against 16 µs of all other products; at 8k 0.94 and 3.3, 8.5 µs.
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

const THREADS = 128;
/** Rows that a block holds: of queries forwards, of queries or keys backwards. */
const FORWARD_TILE = 128, BACKWARD_TILE = 64;
/** Keys that a tile of queries walks at a time. */
const STEP = 64;

const CODE = String.raw`
constexpr i32 THREADS = 128, EIGHTS = D / 8;
// Rows that a block holds, forwards and backwards.
constexpr i32 FORWARD_TILE = 128, BACKWARD_TILE = 64;
// A warp's rows: two times the 16 of a product, so that each piece loaded of the other operand serves both.
constexpr i32 HALVES = 2, WARP_ROWS = 16 * HALVES;
// 16 bytes more than a row, so that the eight rows of a matrix lie in different banks.
constexpr i32 PITCH = D + 8;

// Rows first to first + ROWS of a head of [tokens, stride]; zeros past the end.
template <int ROWS>
__device__ inline void fetch(bf16* tile, const bf16* from, i32 head, i32 stride, i32 first,
                             i32 tokens) {
  constexpr i32 AT_ONCE = THREADS / EIGHTS;
  i32 row = threadIdx.x / EIGHTS, column = threadIdx.x % EIGHTS * 8;
  tile += row * PITCH + column;
  from += static_cast<i64>(first + row) * stride + (head * D + column);
#pragma unroll
  for (i32 i = 0; i < ROWS; i += AT_ONCE) {
    copyAsync16(tile + i * PITCH, from, first + row + i < tokens);
    from += AT_ONCE * stride;
  }
}

// Where a lane's row of four matrices lies in 16 rows of 16, the second matrix below the first or beside it.
__device__ inline i32 below() {
  u32 lane = threadIdx.x % WARP, matrix = lane / 8;
  return (matrix % 2 * 8 + lane % 8) * PITCH + matrix / 2 * 8;
}

__device__ inline i32 beside() {
  u32 lane = threadIdx.x % WARP, matrix = lane / 8;
  return (matrix / 2 * 8 + lane % 8) * PITCH + matrix % 2 * 8;
}

template <int N>
__device__ inline void clear(float (&c)[HALVES][N][4]) {
#pragma unroll
  for (int m = 0; m < HALVES; m++) {
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) c[m][n][i] = 0;
    }
  }
}

// c[32, 8 N] = a[32, D] b[8 N, D]^T
template <int N>
__device__ inline void compare(float (&c)[HALVES][N][4], const bf16* a, const bf16* b) {
  a += below();
  b += beside();
  clear(c);
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    u32 left[HALVES][4];
#pragma unroll
    for (int m = 0; m < HALVES; m++) loadMatrices(left[m], a + 16 * m * PITCH + 16 * k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      u32 right[4];
      loadMatrices(right, b + 8 * n * PITCH + 16 * k);
#pragma unroll
      for (int m = 0; m < HALVES; m++) {
        multiplyAdd(c[m][n], left[m], right[0], right[1]);
        multiplyAdd(c[m][n + 1], left[m], right[2], right[3]);
      }
    }
  }
}

// What a product left, rounded to bfloat16, is the left operand of another one.
template <int N>
struct Packed {
  u32 words[HALVES][N / 2][4];
  __device__ inline void pack(const float (&c)[HALVES][N][4]) {
#pragma unroll
    for (int m = 0; m < HALVES; m++) {
#pragma unroll
      for (int i = 0; i < 2 * N; i++) {
        words[m][i / 4][i % 4] = packBf16(c[m][i / 2][i % 2 * 2], c[m][i / 2][i % 2 * 2 + 1]);
      }
    }
  }
};

// c[32, D] += a[32, 8 N] b[8 N, D]
template <int N>
__device__ inline void mix(float (&c)[HALVES][EIGHTS][4], const Packed<N>& a, const bf16* b) {
  b += below();
#pragma unroll
  for (int k = 0; k < N / 2; k++) {
#pragma unroll
    for (int n = 0; n < EIGHTS; n += 2) {
      u32 right[4];
      loadMatricesTransposed(right, b + 16 * k * PITCH + 8 * n);
#pragma unroll
      for (int m = 0; m < HALVES; m++) {
        multiplyAdd(c[m][n], a.words[m][k], right[0], right[1]);
        multiplyAdd(c[m][n + 1], a.words[m][k], right[2], right[3]);
      }
    }
  }
}

// A warp's floats for the same lanes of another one, which finds c[m][n] at (m * N + n) * WARP.
template <int N>
__device__ inline void send(const float (&c)[HALVES][N][4], float4* to) {
#pragma unroll
  for (int m = 0; m < HALVES; m++) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      to[(m * N + n) * WARP] = {c[m][n][0], c[m][n][1], c[m][n][2], c[m][n][3]};
    }
  }
}

// A warp's 32 rows, through its own rows of shared memory, in 16-byte stores.
__device__ inline void store(const float (&c)[HALVES][EIGHTS][4], const float (&factors)[4],
                             bf16* rows, bf16* to, i32 stride, i32 first, i32 tokens) {
  u32 lane = threadIdx.x % WARP;
  __syncwarp();
#pragma unroll
  for (int m = 0; m < HALVES; m++) {
#pragma unroll
    for (int n = 0; n < EIGHTS; n++) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float factor = factors[2 * m + i];
        *reinterpret_cast<u32*>(rows + (16 * m + 8 * i + lane / 4) * PITCH + 8 * n +
                                2 * (lane % 4)) =
            packBf16(c[m][n][2 * i] * factor, c[m][n][2 * i + 1] * factor);
      }
    }
  }
  __syncwarp();
  for (i32 i = lane; i < WARP_ROWS * EIGHTS; i += WARP) {
    i32 row = i / EIGHTS, column = i % EIGHTS * 8;
    if (first + row < tokens) {
      *reinterpret_cast<uint4*>(to + static_cast<i64>(first + row) * stride + column) =
          *reinterpret_cast<uint4*>(rows + row * PITCH + column);
    }
  }
}

// A warp's 32 queries, four of which a thread holds scores of, 8 apart.
struct Rows {
  const i32* starts;
  i32 tokens, first, firstBegin, lastBegin;
  __device__ inline Rows(i32 first, const i32* starts, i32 tokens)
      : starts(starts), tokens(tokens), first(first),
        firstBegin(first < tokens ? begin(first) : tokens), lastBegin(begin(first + WARP_ROWS - 1)) {}
  // Past the end, where nothing is kept, as the last one's.
  __device__ inline i32 begin(i32 row) const { return starts[smaller(row, tokens - 1)]; }
  __device__ inline i32 at(int i) const { return first + threadIdx.x % WARP / 4 + 8 * i; }
  // Whether any of them sees one of so many keys.
  __device__ inline bool see(i32 key, i32 count) const {
    return key < first + WARP_ROWS && key + count > firstBegin;
  }
  // Scores of keys from that one on that a row does not see become e^score = 0.
  template <int N>
  __device__ inline void hide(float (&scores)[HALVES][N][4], i32 key) const {
    // Below the diagonal and inside every row's segment there are none.
    if (key + 8 * N - 1 <= first && key >= lastBegin) return;
    key += 2 * (threadIdx.x % 4);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      i32 from = begin(at(i));
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int j = 0; j < 2; j++) {
          i32 of = key + 8 * n + j;
          if (of > at(i) || of < from) scores[i / 2][n][i % 2 * 2 + j] = -INFINITY;
        }
      }
    }
  }
};

// Keys that a tile of queries walks at a time.
constexpr i32 STEP = 64;

// Two operands of the keys that a tile of queries walks. One tile of each is enough: while it computes
// with either, the other one's next is under way.
struct Walk {
  const bf16 *leading, *following;
  bf16* tiles;
  i32 head, stride, from, until, tokens;
  __device__ inline Walk(const bf16* leading, const bf16* following, bf16* tiles, i32 head,
                         i32 stride, i32 from, i32 until, i32 tokens)
      : leading(leading), following(following), tiles(tiles), head(head), stride(stride),
        from(from), until(until), tokens(tokens) {
    fetch<STEP>(tiles, leading, head, stride, from, tokens);
    commitCopies();
  }
  __device__ inline const bf16* lead(i32 key) const {
    waitCopies<0>();
    __syncthreads();
    fetch<STEP>(tiles + STEP * PITCH, following, head, stride, key, tokens);
    commitCopies();
    return tiles;
  }
  __device__ inline const bf16* follow(i32 key) const {
    waitCopies<0>();
    __syncthreads();
    if (key + STEP < until) fetch<STEP>(tiles, leading, head, stride, key + STEP, tokens);
    commitCopies();
    return tiles + STEP * PITCH;
  }
};

// Before weights would pass 2^that, they are set against a greater maximum.
constexpr float HEADROOM = 8;

// sums holds log2 of each row's sum of e^score, [heads, tokens].
extern "C" __global__ void __launch_bounds__(THREADS, 2)
attentionForward(const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
                 const i32* __restrict__ starts, bf16* __restrict__ mixed, float* __restrict__ sums,
                 i32 tokens, i32 heads, i32 group, float scale) {
  DYNAMIC_SHARED(memory);
  constexpr i32 N = STEP / 8;
  bf16* own = reinterpret_cast<bf16*>(memory);
  i32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  i32 head = blockIdx.y, stride = heads * D;
  // The last tiles have most keys to look at: they begin first.
  i32 first = (gridDim.x - 1 - blockIdx.x) * FORWARD_TILE;
  fetch<FORWARD_TILE>(own, q, head, stride, first, tokens);
  Walk walk(k, v, own + FORWARD_TILE * PITCH, head / group, heads / group * D, starts[first],
            smaller(first + FORWARD_TILE, tokens), tokens);
  bf16* queries = own + WARP_ROWS * warp * PITCH;
  Rows rows(first + WARP_ROWS * warp, starts, tokens);
  // Weights are e^score / 2^base.
  float base[4], sum[4], factor = scale * LOG2_E;
#pragma unroll
  for (int i = 0; i < 4; i++) base[i] = -INFINITY, sum[i] = 0;
  float result[HALVES][EIGHTS][4];
  clear(result);
  for (i32 key = walk.from; key < walk.until; key += STEP) {
    float scores[HALVES][N][4];
    const bf16* keys = walk.lead(key);
    bool seen = rows.see(key, STEP);
    if (seen) compare(scores, queries, keys);
    const bf16* values = walk.follow(key);
    if (!seen) continue;
    rows.hide(scores, key);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float top = -INFINITY;
#pragma unroll
      for (int n = 0; n < N; n++) {
        const float(&pair)[4] = scores[i / 2][n];
        top = fmaxf(top, fmaxf(pair[i % 2 * 2], pair[i % 2 * 2 + 1]));
      }
      top = groupMax(top, 4) * factor;
      if (top > base[i] + HEADROOM) {
        float keep = fastPower2(base[i] - top);
        base[i] = top;
        sum[i] *= keep;
#pragma unroll
        for (int n = 0; n < EIGHTS; n++) {
          result[i / 2][n][i % 2 * 2] *= keep;
          result[i / 2][n][i % 2 * 2 + 1] *= keep;
        }
      }
      // The products that follow take a whole warp.
      __syncwarp();
      // Nothing seen yet: any finite number serves.
      float from = base[i] == -INFINITY ? 0 : base[i];
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int j = i % 2 * 2; j < i % 2 * 2 + 2; j++) {
          scores[i / 2][n][j] = fastPower2(scores[i / 2][n][j] * factor - from);
          sum[i] += scores[i / 2][n][j];
        }
      }
    }
    Packed<N> weights;
    weights.pack(scores);
    mix(result, weights, values);
  }
  float factors[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    sum[i] = groupSum(sum[i], 4);
    factors[i] = fastDivide(1, sum[i]);
    if (lane % 4 == 0 && rows.at(i) < tokens) {
      sums[static_cast<i64>(head) * tokens + rows.at(i)] = base[i] + log2f(sum[i]);
    }
  }
  store(result, factors, queries, mixed + head * D, stride, rows.first, tokens);
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

// dQ: 64 queries a block, walking their keys. Two warps share 32 queries: each takes half of a turn's keys,
// and at the end one adds what the other one has.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
attentionBackwardQueries(const bf16* __restrict__ q, const bf16* __restrict__ k,
                         const bf16* __restrict__ v, const bf16* __restrict__ dMixed,
                         const i32* __restrict__ starts, const float* __restrict__ sums,
                         const float* __restrict__ dots, bf16* __restrict__ dQ, i32 tokens,
                         i32 heads, i32 group, float scale) {
  DYNAMIC_SHARED(memory);
  constexpr i32 OWN = BACKWARD_TILE * PITCH, KEYS = STEP / 2, N = KEYS / 8;
  bf16* own = reinterpret_cast<bf16*>(memory);
  i32 lane = threadIdx.x % WARP, pair = threadIdx.x / WARP / 2, half = threadIdx.x / WARP % 2;
  i32 head = blockIdx.y, stride = heads * D;
  i32 first = (gridDim.x - 1 - blockIdx.x) * BACKWARD_TILE;
  fetch<BACKWARD_TILE>(own, q, head, stride, first, tokens);
  fetch<BACKWARD_TILE>(own + OWN, dMixed, head, stride, first, tokens);
  // The values first: keys are read until a turn's end.
  Walk walk(v, k, own + 2 * OWN, head / group, heads / group * D, starts[first],
            smaller(first + BACKWARD_TILE, tokens), tokens);
  bf16 *queries = own + WARP_ROWS * pair * PITCH, *gradients = queries + OWN;
  Rows rows(first + WARP_ROWS * pair, starts, tokens);
  float rowSums[4], rowDots[4], factor = scale * LOG2_E;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    bool inside = rows.at(i) < tokens;
    rowSums[i] = inside ? sums[static_cast<i64>(head) * tokens + rows.at(i)] : 0;
    rowDots[i] = inside ? dots[static_cast<i64>(head) * tokens + rows.at(i)] : 0;
  }
  float result[HALVES][EIGHTS][4];
  clear(result);
  for (i32 key = walk.from; key < walk.until; key += STEP) {
    float scores[HALVES][N][4], slopes[HALVES][N][4];
    const bf16* values = walk.lead(key) + half * KEYS * PITCH;
    i32 ofWarp = key + half * KEYS;
    bool seen = rows.see(ofWarp, KEYS);
    if (seen) compare(slopes, gradients, values);
    const bf16* keys = walk.follow(key) + half * KEYS * PITCH;
    if (!seen) continue;
    compare(scores, queries, keys);
    rows.hide(scores, ofWarp);
#pragma unroll
    for (int m = 0; m < HALVES; m++) {
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          float weight = fastPower2(scores[m][n][j] * factor - rowSums[2 * m + j / 2]);
          slopes[m][n][j] = weight * (slopes[m][n][j] - rowDots[2 * m + j / 2]);
        }
      }
    }
    Packed<N> left;
    left.pack(slopes);
    mix(result, left, keys);
  }
  __syncthreads();
  float4* sent = reinterpret_cast<float4*>(walk.tiles) + pair * (HALVES * EIGHTS * WARP) + lane;
  if (half == 1) send(result, sent);
  __syncthreads();
  if (half == 1) return;
#pragma unroll
  for (int m = 0; m < HALVES; m++) {
#pragma unroll
    for (int n = 0; n < EIGHTS; n++) {
      float4 other = sent[(m * EIGHTS + n) * WARP];
      result[m][n][0] += other.x, result[m][n][1] += other.y;
      result[m][n][2] += other.z, result[m][n][3] += other.w;
    }
  }
  store(result, {scale, scale, scale, scale}, queries, dQ + head * D, stride, rows.first, tokens);
}

// Queries that a tile of keys walks at a time: as many as registers hold a product of.
constexpr i32 BACK = D == 64 ? 64 : 32, BACK_N = BACK / 8;

// What a tile of queries is read with.
struct Queries {
  bf16 rows[BACK * PITCH], gradients[BACK * PITCH];
  i32 begins[BACK];
  float sums[BACK], dots[BACK];
};

// dK and dV: 64 keys a block, walking the queries that see them, of every head of the group. Scores are
// held transposed, keys by queries. Two warps share 32 keys: one computes weights and dV, the other one
// slopes and dK. It takes the weights from the first one: rounded to bfloat16, slopes would be off too far.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
attentionBackwardKeys(const bf16* __restrict__ q, const bf16* __restrict__ k,
                      const bf16* __restrict__ v, const bf16* __restrict__ dMixed,
                      const i32* __restrict__ starts, const i32* __restrict__ ends,
                      const float* __restrict__ sums, const float* __restrict__ dots,
                      bf16* __restrict__ dK, bf16* __restrict__ dV, i32 tokens, i32 heads,
                      i32 group, float scale) {
  DYNAMIC_SHARED(memory);
  constexpr i32 OWN = BACKWARD_TILE * PITCH;
  bf16* own = reinterpret_cast<bf16*>(memory);
  Queries* streamed = reinterpret_cast<Queries*>(own + 2 * OWN);
  i32 lane = threadIdx.x % WARP, pair = threadIdx.x / WARP / 2;
  bool ofValues = threadIdx.x / WARP % 2;
  float4* sent = reinterpret_cast<float4*>(streamed + 2) + pair * (HALVES * BACK_N * WARP) + lane;
  i32 kvHead = blockIdx.y, first = blockIdx.x * BACKWARD_TILE;
  i32 stride = heads * D, kvStride = heads / group * D;
  // No query before the first key sees any of them.
  i32 end = ends[smaller(first + BACKWARD_TILE, tokens) - 1];
  i32 turns = (end - first + BACK - 1) / BACK * group;
  i32 nextHead = kvHead * group, nextQuery = first;
  auto next = [&](i32 turn) {
    if (turn < turns) {
      Queries& tile = streamed[turn % 2];
      fetch<BACK>(tile.rows, q, nextHead, stride, nextQuery, tokens);
      fetch<BACK>(tile.gradients, dMixed, nextHead, stride, nextQuery, tokens);
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
  fetch<BACKWARD_TILE>(own, k, kvHead, kvStride, first, tokens);
  fetch<BACKWARD_TILE>(own + OWN, v, kvHead, kvStride, first, tokens);
  next(0);
  i32 firstKey = first + WARP_ROWS * pair;
  float factor = scale * LOG2_E;
  float result[HALVES][EIGHTS][4];
  clear(result);
  bf16* mine = own + WARP_ROWS * pair * PITCH + (ofValues ? 0 : OWN);
  i32 query = first;
  for (i32 turn = 0; turn < turns; turn++) {
    waitCopies<0>();
    __syncthreads();
    next(turn + 1);
    const Queries& tile = streamed[turn % 2];
    bool seen = query + BACK > firstKey && tile.begins[0] < firstKey + WARP_ROWS;
    float scores[HALVES][BACK_N][4];
    if (seen) {
      compare(scores, mine, ofValues ? tile.rows : tile.gradients);
      if (ofValues) {
        // Queries past the end are zeros, and add nothing wherever they seem to begin.
        if (query < firstKey + WARP_ROWS - 1 || query + BACK > tokens ||
            tile.begins[BACK - 1] > firstKey) {
#pragma unroll
          for (int n = 0; n < BACK_N; n++) {
            i32 of = 8 * n + 2 * (lane % 4), begins[2] = {tile.begins[of], tile.begins[of + 1]};
#pragma unroll
            for (int i = 0; i < 4; i++) {
              i32 key = firstKey + lane / 4 + 8 * i;
#pragma unroll
              for (int j = 0; j < 2; j++) {
                if (key > query + of + j || key < begins[j]) {
                  scores[i / 2][n][i % 2 * 2 + j] = -INFINITY;
                }
              }
            }
          }
        }
#pragma unroll
        for (int n = 0; n < BACK_N; n++) {
          float2 sum = *reinterpret_cast<const float2*>(tile.sums + 8 * n + 2 * (lane % 4));
#pragma unroll
          for (int i = 0; i < 4 * HALVES; i++) {
            float& score = scores[i / 4][n][i % 4];
            score = fastPower2(score * factor - (i % 2 ? sum.y : sum.x));
          }
        }
        send(scores, sent);
      }
    }
    __syncthreads();
    if (seen) {
      if (!ofValues) {
#pragma unroll
        for (int n = 0; n < BACK_N; n++) {
          float2 dot = *reinterpret_cast<const float2*>(tile.dots + 8 * n + 2 * (lane % 4));
#pragma unroll
          for (int m = 0; m < HALVES; m++) {
            float4 weights = sent[(m * BACK_N + n) * WARP];
            float(&slopes)[4] = scores[m][n];
            slopes[0] = weights.x * (slopes[0] - dot.x);
            slopes[1] = weights.y * (slopes[1] - dot.y);
            slopes[2] = weights.z * (slopes[2] - dot.x);
            slopes[3] = weights.w * (slopes[3] - dot.y);
          }
        }
      }
      Packed<BACK_N> left;
      left.pack(scores);
      mix(result, left, ofValues ? tile.gradients : tile.rows);
    }
    query += BACK;
    if (query >= end) query = first;
  }
  float last = ofValues ? 1 : scale;
  store(result, {last, last, last, last}, mine, (ofValues ? dV : dK) + kvHead * D, kvStride,
        firstKey, tokens);
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
 * Where each token's segment begins, and where it ends (exclusive): what attention reads. With a window
 * the first token that each sees, and after the last that sees it.
 *
 * @param segmentIds [rows · length] of a grid; 0 is padding, of which each token is its own segment
 * @param length tokens a row: no segment reaches over the end of one
 */
export function segmentBounds(
  segmentIds: Int32Array,
  length: number,
  { window = Infinity }: {
    /** How many tokens of its segment each sees, itself and those before it. @default all */
    readonly window?: number;
  } = {},
): { readonly starts: Int32Array<ArrayBuffer>; readonly ends: Int32Array<ArrayBuffer> } {
  const tokens = segmentIds.length;
  const [starts, ends] = [new Int32Array(tokens), new Int32Array(tokens)];
  const begins = (at: number): boolean =>
    at % length === 0 || segmentIds[at] === 0 || segmentIds[at] !== segmentIds[at - 1];
  for (let at = 0; at < tokens; at++) starts[at] = begins(at) ? at : starts[at - 1];
  for (let at = tokens - 1; at >= 0; at--) {
    ends[at] = at === tokens - 1 || begins(at + 1) ? at + 1 : ends[at + 1];
  }
  if (window < longestSegment({ starts })) {
    for (let at = 0; at < tokens; at++) {
      starts[at] = Math.max(starts[at], at - window + 1);
      ends[at] = Math.min(ends[at], at + window);
    }
  }
  return { starts, ends };
}

/** Tokens of the longest segment, by where those of all tokens begin. */
export function longestSegment({ starts }: { readonly starts: Int32Array }): number {
  return starts.reduce((most, start, at) => Math.max(most, at - start + 1), 0);
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
      this.#grid(stream, sizes, sizes.heads, FORWARD_TILE, FORWARD_TILE + 2 * STEP),
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
    const [tile, step] = [BACKWARD_TILE, this.#headDim === 64 ? 64 : 32];
    const blocks = Math.ceil(tokens * heads * this.#headDim / 8 / THREADS);
    this.#kernels.dots.launch(
      { stream, grid: [blocks], block: THREADS },
      [mixed, dMixed, dots, tokens, heads],
    );
    this.#kernels.queries.launch(
      this.#grid(stream, sizes, heads, tile, 2 * tile + 2 * STEP),
      [q, k, v, dMixed, starts, sums, dots, dQ, ...values],
    );
    // Three numbers of each query in either tile, and a weight for each key that goes from warp to warp.
    this.#kernels.keys.launch(
      this.#grid(stream, sizes, kvHeads, tile, 2 * tile + 4 * step, (6 + tile) * step),
      [q, k, v, dMixed, starts, ends, sums, dots, dK, dV, ...values],
    );
  }

  #grid(
    stream: bigint,
    { tokens }: AttentionSizes,
    heads: number,
    tile: number,
    /** Of headDim elements, and single numbers, in shared memory. */
    rows: number,
    numbers = 0,
  ): { stream: bigint; grid: [number, number]; block: number; sharedBytes: number } {
    const sharedBytes = rows * (this.#headDim + 8) * 2 + numbers * 4;
    return { stream, grid: [Math.ceil(tokens / tile), heads], block: THREADS, sharedBytes };
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
