/**
 * From projections to what attention takes, and back: RMSNorm of each query's and key's head, where the
 * model has it, and rotary position embedding by half rotation, in one pass.
 *
 * In: q, k and v of each token, [tokens, heads · D], apart or side by side in one product of the stacked
 * weights; positions [tokens], cos and sin [positions, D / 2]. Out: queries and keys normed and turned, and
 * where they lie side by side the values too, dense each. Backwards the gradients of the projections, and
 * of the norms' weights.
 *
 * A block a token; D / 16 neighbouring lanes a head, each with eight pairs: two 16-byte loads and stores.
 * Backwards 256 blocks walk the tokens, so that each keeps its sums of the norms' gradients in registers.
 * Calculated for 8192 tokens of Qwen3-1.7B (16 query and 8 key heads of 128) in bfloat16 at 4.3 TB/s:
 * forward 134 MB, 31 µs; backward 185 MB, 43 µs. ONNX Runtime's operators take a split, two norms of many
 * rows of 128 and two rotations, three passes more.
 *
 * Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467; Su et al. 2021, https://arxiv.org/abs/2104.09864.
 */

import type { HeadDim } from "./attention_kernels.ts";
import { ColumnSumsKernel, PARTIAL_BLOCKS } from "./column_sums.ts";
import type { CudaKernel } from "./driver.ts";
import { elementName, type ElementType } from "./element.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** Sizes of a call. */
export interface HeadsSizes {
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  /**
   * Whether the projections lie side by side, a token's queries before its keys before its values.
   * @default false: they lie apart, and values stay where they are
   */
  readonly stacked?: boolean;
}

/** Where the projections, or their gradients, lie. */
export interface HeadPointers {
  /** [tokens, heads · D]; all of the projections where they are stacked. */
  readonly q: bigint;
  /** [tokens, kvHeads · D], where they lie apart. */
  readonly k?: bigint;
}

/** What both ways read besides. */
export interface HeadTables {
  /** int64 [tokens], each below the tables' length. */
  readonly positions: bigint;
  /** [positions, D / 2] */
  readonly cos: bigint;
  /** [positions, D / 2] */
  readonly sin: bigint;
}

/** Norms of queries and keys. */
export interface HeadNorms {
  /** [D] */
  readonly qWeight: bigint;
  /** [D] */
  readonly kWeight: bigint;
  /** float32 [tokens, heads + kvHeads]: written forwards, read backwards. */
  readonly invStd: bigint;
}

const THREADS = 256;

const CODE = String.raw`
constexpr i32 THREADS = 256, HALF = D / 2;
constexpr u32 LANES = D / 16;
constexpr i32 GROUPS = THREADS / LANES;

// Where a head of a token lies among heads of one kind, stride elements from token to token.
struct Place {
  i32 kind, head;  // of queries, keys, values; past them nothing
  __device__ inline Place(i32 slot, i32 heads, i32 kvHeads) {
    kind = slot < heads ? 0 : slot < heads + kvHeads ? 1 : slot < heads + 2 * kvHeads ? 2 : 3;
    head = kind == 0 ? slot : kind == 1 ? slot - heads : slot - heads - kvHeads;
  }
  template <class T>
  __device__ inline T* among(T* q, T* k, T* v, i64 token, i64 qStride, i64 kvStride) const {
    return (kind == 0 ? q : kind == 1 ? k : v) + token * (kind == 0 ? qStride : kvStride) + head * D +
           threadIdx.x % LANES * 8;
  }
};

__device__ inline void scale(float (&x)[8], float by, const Element* weight) {
  float weights[8];
  load8(weight, weights);
#pragma unroll
  for (int i = 0; i < 8; i++) x[i] *= by * weights[i];
}

extern "C" __global__ void __launch_bounds__(THREADS)
headsForward(const Element* __restrict__ q, const Element* __restrict__ k,
             const Element* __restrict__ v, const i64* __restrict__ positions,
             const Element* __restrict__ cos, const Element* __restrict__ sin,
             const Element* __restrict__ qWeight, const Element* __restrict__ kWeight,
             Element* __restrict__ toQ, Element* __restrict__ toK, Element* __restrict__ toV,
             float* __restrict__ invStd, i32 heads, i32 kvHeads, i64 qStride, i64 kvStride,
             float epsilon) {
  i64 token = blockIdx.x, table = positions[token] * HALF + threadIdx.x % LANES * 8;
  i32 turned = heads + kvHeads, all = turned + (v ? kvHeads : 0);
  float c[8], s[8];
  load8(cos + table, c);
  load8(sin + table, s);
  for (i32 base = 0; base < all; base += GROUPS) {
    i32 slot = base + threadIdx.x / LANES;
    Place place(slot, heads, kvHeads);
    float a[8] = {0, 0, 0, 0, 0, 0, 0, 0}, b[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    if (slot < all) {
      const Element* from = place.among(q, k, v, token, qStride, kvStride);
      load8(from, a);
      load8(from + HALF, b);
    }
    if (qWeight) {
      float squares = 0;
#pragma unroll
      for (int i = 0; i < 8; i++) squares += a[i] * a[i] + b[i] * b[i];
      float inverse = rsqrtf(groupSum(squares, LANES) / D + epsilon);
      if (slot < turned) {
        const Element* weight = (place.kind == 0 ? qWeight : kWeight) + threadIdx.x % LANES * 8;
        scale(a, inverse, weight);
        scale(b, inverse, weight + HALF);
        if (threadIdx.x % LANES == 0) invStd[token * turned + slot] = inverse;
      }
    }
    if (slot >= all) continue;
    if (slot < turned) {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float first = a[i];
        a[i] = first * c[i] - b[i] * s[i];
        b[i] = b[i] * c[i] + first * s[i];
      }
    }
    Element* to = place.among(toQ, toK, toV, token, static_cast<i64>(heads) * D,
                              static_cast<i64>(kvHeads) * D);
    store8(a, to);
    store8(b, to + HALF);
  }
}

// g = the gradient turned back, y = x / rms: dx = (g * weight - y * mean(g * weight * y)) / rms, and
// dWeight the sum of g * y. Without norms dx = g.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
headsBackward(const Element* __restrict__ q, const Element* __restrict__ k,
              const i64* __restrict__ positions, const Element* __restrict__ cos,
              const Element* __restrict__ sin, const Element* __restrict__ qWeight,
              const Element* __restrict__ kWeight, const float* __restrict__ invStd,
              const Element* __restrict__ dQ, const Element* __restrict__ dK,
              const Element* __restrict__ dV, Element* __restrict__ toQ, Element* __restrict__ toK,
              Element* __restrict__ toV, float* __restrict__ partials, i32 tokens, i32 heads,
              i32 kvHeads, i64 qStride, i64 kvStride) {
  DYNAMIC_SHARED(memory);
  u32 lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
  i32 turned = heads + kvHeads, all = turned + (dV ? kvHeads : 0);
  float ofQ[16] = {}, ofK[16] = {};
  for (i64 token = blockIdx.x; token < tokens; token += gridDim.x) {
    i64 table = positions[token] * HALF + lane * 8;
    float c[8], s[8];
    load8(cos + table, c);
    load8(sin + table, s);
    for (i32 base = 0; base < all; base += GROUPS) {
      i32 slot = base + group;
      Place place(slot, heads, kvHeads);
      float a[8] = {0, 0, 0, 0, 0, 0, 0, 0}, b[8] = {0, 0, 0, 0, 0, 0, 0, 0};
      if (slot < all) {
        const Element* from = place.among(dQ, dK, dV, token, static_cast<i64>(heads) * D,
                                          static_cast<i64>(kvHeads) * D);
        load8(from, a);
        load8(from + HALF, b);
      }
      if (slot < turned) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
          float first = a[i];
          a[i] = first * c[i] + b[i] * s[i];
          b[i] = b[i] * c[i] - first * s[i];
        }
      }
      if (qWeight) {
        float y[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, inverse = 0, product = 0;
        if (slot < turned) {
          const Element* from = place.among(q, k, k, token, qStride, kvStride);
          const Element* weight = (place.kind == 0 ? qWeight : kWeight) + lane * 8;
          float low[8], high[8], weights[8];
          load8(from, low);
          load8(from + HALF, high);
          inverse = invStd[token * turned + slot];
#pragma unroll
          for (int i = 0; i < 8; i++) {
            y[i] = low[i] * inverse;
            y[8 + i] = high[i] * inverse;
            // Not by a chosen pointer: the sums are to stay in registers.
            ofQ[i] += place.kind == 0 ? a[i] * y[i] : 0;
            ofQ[8 + i] += place.kind == 0 ? b[i] * y[8 + i] : 0;
            ofK[i] += place.kind == 1 ? a[i] * y[i] : 0;
            ofK[8 + i] += place.kind == 1 ? b[i] * y[8 + i] : 0;
          }
          load8(weight, weights);
#pragma unroll
          for (int i = 0; i < 8; i++) a[i] *= weights[i];
          load8(weight + HALF, weights);
#pragma unroll
          for (int i = 0; i < 8; i++) {
            b[i] *= weights[i];
            product += a[i] * y[i] + b[i] * y[8 + i];
          }
        }
        float mean = groupSum(product, LANES) / D;
        if (slot < turned) {
#pragma unroll
          for (int i = 0; i < 8; i++) {
            a[i] = inverse * (a[i] - y[i] * mean);
            b[i] = inverse * (b[i] - y[8 + i] * mean);
          }
        }
      }
      if (slot >= all) continue;
      Element* to = place.among(toQ, toK, toV, token, qStride, kvStride);
      store8(a, to);
      store8(b, to + HALF);
    }
  }
  if (!partials) return;
  float* sums = reinterpret_cast<float*>(memory);
#pragma unroll
  for (int i = 0; i < 16; i++) {
    float* own = sums + group * 2 * D + i / 8 * HALF + lane * 8 + i % 8;
    own[0] = ofQ[i];
    own[D] = ofK[i];
  }
  __syncthreads();
  for (i32 column = threadIdx.x; column < 2 * D; column += THREADS) {
    float sum = 0;
    for (i32 i = 0; i < GROUPS; i++) sum += sums[i * 2 * D + column];
    partials[static_cast<i64>(blockIdx.x) * 2 * D + column] = sum;
  }
}
`;

/** The source for heads of one size and one type, with kernels `headsForward` and `headsBackward`. */
export function headsSource(headDim: HeadDim, elements: ElementType): KernelSource {
  return {
    name: `heads_${headDim}_${elements}`,
    code: `${PRELUDE}typedef ${elementName(elements)} Element;\n` +
      `constexpr i32 D = ${headDim};\n${CODE}`,
  };
}

/** Projections to heads and back, for heads of one size. */
export class HeadsKernels {
  readonly #headDim: HeadDim;
  /** Bytes of an element. */
  readonly #width: number;
  readonly #kernels: {
    readonly forward: CudaKernel;
    readonly backward: CudaKernel;
    readonly sums: ColumnSumsKernel;
  };

  private constructor(
    headDim: HeadDim,
    width: number,
    kernels: { forward: CudaKernel; backward: CudaKernel; sums: ColumnSumsKernel },
  ) {
    this.#headDim = headDim;
    this.#width = width;
    this.#kernels = kernels;
  }

  /** Compiles and loads the kernels for heads of that size and elements of that type. */
  static async load(gpu: Gpu, headDim: HeadDim, elements: ElementType): Promise<HeadsKernels> {
    const module = await gpu.load(headsSource(headDim, elements));
    const pointers = (count: number): "pointer"[] => Array(count).fill("pointer");
    return new HeadsKernels(headDim, elements === "float32" ? 4 : 2, {
      forward: module.kernel("headsForward", [
        ...pointers(12),
        ...["i32", "i32", "i64", "i64", "f32"] as const,
      ]),
      backward: module.kernel("headsBackward", [
        ...pointers(15),
        ...["i32", "i32", "i32", "i64", "i64"] as const,
      ]),
      sums: await ColumnSumsKernel.load(gpu, elements),
    });
  }

  /** Dense queries [tokens, heads, D] and keys [tokens, kvHeads, D], and of stacked projections values. */
  forward(
    stream: bigint,
    { from, to, tables, norms }: {
      readonly from: HeadPointers;
      readonly to: { readonly q: bigint; readonly k: bigint; readonly v?: bigint };
      readonly tables: HeadTables;
      readonly norms?: HeadNorms & { readonly epsilon: number };
    },
    sizes: HeadsSizes,
  ): void {
    const { q, k, v, qStride, kvStride } = this.#places(from, sizes);
    const { tokens, heads, kvHeads } = sizes;
    this.#kernels.forward.launch({ stream, grid: [tokens], block: THREADS }, [
      q,
      k,
      v,
      tables.positions,
      tables.cos,
      tables.sin,
      norms?.qWeight ?? 0n,
      norms?.kWeight ?? 0n,
      to.q,
      to.k,
      to.v ?? 0n,
      norms?.invStd ?? 0n,
      heads,
      kvHeads,
      qStride,
      kvStride,
      norms?.epsilon ?? 0,
    ]);
  }

  /** Gradients of the projections, as they lie, and of the norms' weights where these are trained. */
  backward(
    stream: bigint,
    { from, gradients, to, tables, norms, weightGradients }: {
      /** What forward was given; read where there are norms. */
      readonly from: HeadPointers;
      /** Dense: of queries and keys, and of stacked projections of values. */
      readonly gradients: { readonly q: bigint; readonly k: bigint; readonly v?: bigint };
      /** As `from` lies. */
      readonly to: HeadPointers;
      readonly tables: HeadTables;
      readonly norms?: HeadNorms;
      readonly weightGradients?: {
        /** float32 [{@linkcode PARTIAL_BLOCKS}, 2 · D], for the time of the call. */
        readonly partials: bigint;
        /** [D] */
        readonly qWeight: bigint;
        /** [D] */
        readonly kWeight: bigint;
        /** Whether the norms' gradients are added to. */
        readonly accumulate: boolean;
      };
    },
    sizes: HeadsSizes,
  ): void {
    const { tokens, heads, kvHeads } = sizes;
    const x = this.#places(from, sizes);
    const dx = this.#places(to, sizes);
    const columns = 2 * this.#headDim;
    // Who keeps no sums needs no few blocks.
    const blocks = weightGradients ? Math.min(PARTIAL_BLOCKS, tokens) : tokens;
    const groups = THREADS / (this.#headDim / 16);
    const sharedBytes = weightGradients ? 4 * groups * columns : 0;
    this.#kernels.backward.launch({ stream, grid: [blocks], block: THREADS, sharedBytes }, [
      x.q,
      x.k,
      tables.positions,
      tables.cos,
      tables.sin,
      norms?.qWeight ?? 0n,
      norms?.kWeight ?? 0n,
      norms?.invStd ?? 0n,
      gradients.q,
      gradients.k,
      gradients.v ?? 0n,
      dx.q,
      dx.k,
      dx.v,
      weightGradients?.partials ?? 0n,
      tokens,
      heads,
      kvHeads,
      x.qStride,
      x.kvStride,
    ]);
    if (!weightGradients) return;
    const { partials, qWeight, kWeight, accumulate } = weightGradients;
    const width = this.#headDim;
    const sums = { blocks, width, pitch: columns, accumulate };
    this.#kernels.sums.launch(stream, { partials, to: qWeight }, sums);
    const ofKeys = partials + BigInt(4 * width);
    this.#kernels.sums.launch(stream, { partials: ofKeys, to: kWeight }, sums);
  }

  /** The three kinds of heads, and how far it is from token to token. */
  #places(
    { q, k }: HeadPointers,
    { heads, kvHeads, stacked = false }: HeadsSizes,
  ): { q: bigint; k: bigint; v: bigint; qStride: number; kvStride: number } {
    const [queries, keys] = [heads * this.#headDim, kvHeads * this.#headDim];
    if (!stacked) return { q, k: k!, v: 0n, qStride: queries, kvStride: keys };
    const at = (elements: number): bigint => q + BigInt(this.#width * elements);
    const stride = queries + 2 * keys;
    return { q, k: at(queries), v: at(queries + keys), qStride: stride, kvStride: stride };
  }
}
