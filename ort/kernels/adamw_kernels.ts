/**
 * AdamW over flat buffers in one pass, with clipping by the global norm, decided on the device.
 *
 * In: gradients, parameters and moments [count], one control buffer. Out: parameters and moments
 * updated in place. Three launches a step: sum the squares, take the decisions, update.
 *
 * Bandwidth, calculated for Qwen3-1.7B (1.72e9 parameters) at the 4.3 TB/s measured on an H200.
 * Bytes a parameter: the norm reads the gradient, the update reads and writes all but the gradient.
 *
 * | parameters | moments | norm + update | time |
 * |---|---|---|---|
 * | bf16 with float32 master | float32 | 2 + 28 | 12.0 ms |
 * | bf16 with float32 master | bfloat16 | 2 + 20 | 8.8 ms |
 * | bf16 | bfloat16 | 2 + 14 | 6.4 ms |
 * | bf16 with float32 master | int8 | 2 + 16.1 | 7.2 ms (see below) |
 * | bf16 | int8 | 2 + 10.1 | 4.8 ms (see below) |
 *
 * A thread takes 8 neighbours, up to seven independent 16-byte loads in flight, without shared
 * memory. 40 to 48 registers leave 1280 to 1536 threads a multiprocessor, over 80 KB in flight,
 * where latency times bandwidth asks for 33 KB (at 1 µs). 24 to 63 instructions an element with
 * float32 and bfloat16 moments would take 1.4 to 3.8 ms alone.
 *
 * Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101, with train/optimizers/adamw_graph.ts's order
 * of operations. Stochastic rounding: a value is rounded up with the probability of its distance
 * to the neighbour below, so that updates far below the spacing of bfloat16 are kept on average.
 * The random bits are a hash of (element, step), no state.
 *
 * 8-bit moments in blocks of 256 after Dettmers et al. 2022, https://arxiv.org/abs/2110.02861, with
 * codes of their own: m = s·(q/127)⁴·max|m|, v = (q/255)⁸·max v, rounded stochastically. To nearest,
 * a moment that moves by less than half a step at a time (v does, at β2 = 0.999) stands still; and
 * q of v is at least 1, so that no update is divided by epsilon alone. Mean error of an update as
 * a part of its size, simulated over 200 steps, where gradients in a block differ by 1, 2 or 4 powers
 * of ten: 0.049, 0.065, 0.12 (dynamic codes rounded to nearest: 0.040, 0.065, 8.6, for some v become
 * 0). 1128 instructions a thread, so issuing bounds it: some 8 ms, whatever the memory could do.
 */

import type { CudaKernel } from "./driver.ts";
import type { Gpu } from "./gpu.ts";
import type { KernelSource } from "./nvrtc.ts";
import { PRELUDE } from "./prelude.ts";

/** Blocks of the first stage of the norm, and floats of its result, whatever the count. */
export const NORM_PARTIALS = 1024;
/** Elements that a block of the first stage takes at a time. */
export const NORM_ELEMENTS = 2048;

/** Bytes of the control buffer. */
export const ADAMW_CONTROL_BYTES = 64;

/**
 * The control buffer's 4-byte words. The host sets the first four; the device answers in the rest.
 * Fill it with zeros before the first step.
 */
export const ADAMW_CONTROL = {
  /** float32: this step's learning rate. */
  learningRate: 0,
  /** float32: the norm that gradients are clipped to, 0 for never. */
  maxNorm: 1,
  /** float32: factor on all gradients, before norm and clipping. */
  gradientScale: 2,
  /** uint32: which random numbers stochastic rounding takes. */
  seed: 3,
  /** uint32: updates made so far, this one included; a step with a bad gradient makes none. */
  step: 4,
  /** uint32: steps left out because norm or loss was infinite or no number. */
  skipped: 5,
  /** float32: the norm of the scaled gradients, before clipping. */
  norm: 6,
  /** uint32: 1 where the update is made, 0 where it is left out. */
  finite: 7,
} as const;

/** How AdamW stores things. */
export interface AdamWFormat {
  /** `master`: bfloat16 with a float32 copy that is updated. */
  readonly parameters: "float32" | "bfloat16" | "master";
  /** The type of gradients. */
  readonly gradients: "float32" | "bfloat16";
  /** The type of both moments. */
  readonly moments: "float32" | "bfloat16" | "int8";
  /**
   * How bfloat16 moments, and parameters without a master, are rounded. 8-bit moments always
   * round stochastically.
   */
  readonly rounding: "nearest" | "stochastic";
}

/** AdamW's constants. */
export interface AdamWConstants {
  /** Decay of the first moment. */
  readonly beta1: number;
  /** Decay of the second moment. */
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** Decoupled weight decay. */
  readonly weightDecay: number;
}

/** Device addresses of the buffers, each a multiple of 16. */
export interface AdamWPointers {
  /** [count], float32 or bfloat16. */
  readonly parameters: bigint;
  /** float32 [count], with `master` only. */
  readonly master?: bigint;
  /** [count] */
  readonly gradients: bigint;
  /** [count] */
  readonly m: bigint;
  /** [count] */
  readonly v: bigint;
  /** float32 [count / 256], the largest |m| of each block, with int8 moments only. */
  readonly mScales?: bigint;
  /** float32 [count / 256] */
  readonly vScales?: bigint;
  /** {@linkcode ADAMW_CONTROL_BYTES} bytes. */
  readonly control: bigint;
}

const PARAMETERS = { float32: 0, bfloat16: 1, master: 2 } as const;
const MOMENTS = { float32: 0, bfloat16: 1, int8: 2 } as const;

const NORM_CODE = String.raw`
constexpr u32 NORM_THREADS = 256;

// The sum over a block of 256 threads, in thread 0.
__device__ inline float blockSum(float value) {
  SHARED(float, warps, [NORM_THREADS / WARP]);
  value = groupSum(value, WARP);
  if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = value;
  __syncthreads();
  float sum = 0;
  if (threadIdx.x == 0) {
    for (u32 i = 0; i < NORM_THREADS / WARP; i++) sum += warps[i];
  }
  return sum;
}

// One float a block, the same on every run for the same grid.
extern "C" __global__ void __launch_bounds__(NORM_THREADS)
sumOfSquares(const Gradient* __restrict__ gradients, float* __restrict__ partials, i64 count) {
  float sum = 0;
  if (static_cast<i64>(blockIdx.x) * NORM_THREADS * 8 >= count) {
    if (threadIdx.x == 0) partials[blockIdx.x] = 0;
    return;
  }
  i64 stride = static_cast<i64>(gridDim.x) * NORM_THREADS * 8;
  for (i64 at = (static_cast<i64>(blockIdx.x) * NORM_THREADS + threadIdx.x) * 8; at < count;
       at += stride) {
    float g[8];
    load8(gradients + at, g);
    float eight = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) eight += g[i] * g[i];
    sum += eight;
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
`;

const UPDATE_CODE = String.raw`
struct Control {
  float learningRate, maxNorm, gradientScale;
  u32 seed, step, skipped;
  float norm;
  u32 finite;
  // What the update needs, worked out once.
  float factor, stepSize, epsilon, decay;
  u32 random;
};

// Murmur3's finalizer: every bit of the input moves every bit of the result.
__device__ inline u32 mix(u32 x) {
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  x ^= x >> 16;
  return x;
}

extern "C" __global__ void __launch_bounds__(256)
decide(const float* __restrict__ partials, const float* __restrict__ loss, Control* control,
       float* __restrict__ result, i32 count, double beta1, double beta2, double epsilon,
       double weightDecay) {
  SHARED(double, sums, [256]);
  double sum = 0;
  for (i32 i = threadIdx.x; i < count; i += 256) sum += partials[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < 256; i++) sum += sums[i];
  float scale = control->gradientScale;
  float norm = static_cast<float>(sqrt(sum)) * fabsf(scale);
  float lost = loss ? *loss : 0;
  bool finite = fabsf(lost + norm) <= 3.402823466e38f;  // false for infinities and NaN
  if (result) {
    result[0] = lost;
    result[1] = norm;
  }
  control->norm = norm;
  control->finite = finite;
  if (!finite) {
    control->skipped++;
    return;
  }
  u32 step = ++control->step;
  // torch.nn.utils.clip_grad_norm_'s factor.
  float clip = control->maxNorm > 0 ? control->maxNorm / (norm + 1e-6f) : 1;
  double correction = sqrt(1 - pow(beta2, static_cast<double>(step)));
  double rate = control->learningRate;
  control->factor = scale * (clip < 1 ? clip : 1);
  control->stepSize =
      static_cast<float>(rate * correction / (1 - pow(beta1, static_cast<double>(step))));
  control->epsilon = static_cast<float>(epsilon * correction);
  control->decay = static_cast<float>(1 - rate * weightDecay);
  control->random = mix(control->seed ^ mix(step));
}

// 32 random bits for each of eight neighbours from at on; which tells several for one apart.
__device__ inline u32 randomKey(u32 random, i64 at, u32 which) {
  return mix(random + static_cast<u32>(static_cast<u64>(at) >> 32) * 0x9e3779b9u + which);
}
__device__ inline u32 randomBits(u32 key, i64 at, int i) {
  return mix((static_cast<u32>(at) + i) ^ key);
}

// bfloat16 with 16 random bits added below its last place, then cut off.
__device__ inline float roundStochastically(float x, u32 random16) {
  u32 bits = __float_as_uint(x);
  bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return finite ? __uint_as_float((bits + random16) & 0xffff0000u) : x;
}

template <bool STOCHASTIC>
__device__ inline void storeMoments(float (&m)[8], float (&v)[8], float* toM, float* toV, float*,
                                    float*, i64 at, i64, u32) {
  store8(m, toM + at);
  store8(v, toV + at);
}

template <bool STOCHASTIC>
__device__ inline void storeMoments(float (&m)[8], float (&v)[8], bf16* toM, bf16* toV, float*,
                                    float*, i64 at, i64 place, u32 random) {
  if (STOCHASTIC) {
    u32 key = randomKey(random, place, 0);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      u32 bits = randomBits(key, place, i);
      m[i] = roundStochastically(m[i], bits & 0xffffu);
      v[i] = roundStochastically(v[i], bits >> 16);
    }
  }
  store8(m, toM + at);
  store8(v, toV + at);
}

__device__ inline float square(float x) { return x * x; }
constexpr float M_STEP = 1.0f / 127, V_STEP = 1.0f / 255;

// A code q stands for (q * step)^4, or ^8: fine near zero, where most of a block is.
__device__ inline float decode(float code, float step, bool eighth) {
  float fourth = square(square(code * step));
  return eighth ? square(fourth) : fourth;
}

// Of the two codes around a share of the largest value, the upper one with the probability of the
// distance to the lower.
__device__ inline u32 encode(float share, float last, float step, bool eighth, u32 random16) {
  float root = fastRoot(fastRoot(share));
  if (eighth) root = fastRoot(root);
  float below = fminf(floorf(root * last), last - 1);
  float low = decode(below, step, eighth), high = decode(below + 1, step, eighth);
  bool up = (share - low) * 65536 > (high - low) * static_cast<float>(random16);
  return static_cast<u32>(below) + up;
}

// A warp holds the 256 elements of a block of the code.
template <bool STOCHASTIC>
__device__ inline void storeMoments(float (&m)[8], float (&v)[8], u8* toM, u8* toV,
                                    float* mScales, float* vScales, i64 at, i64 place,
                                    u32 random) {
  float mMax = 0, vMax = 0;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    mMax = fmaxf(mMax, fabsf(m[i]));
    vMax = fmaxf(vMax, v[i]);
  }
  mMax = groupMax(mMax, WARP);
  vMax = groupMax(vMax, WARP);
  float mInverse = mMax > 0 ? 1 / mMax : 0, vInverse = vMax > 0 ? 1 / vMax : 0;
  u32 key = randomKey(random, place, 0);
  u32 mCodes[2] = {0, 0}, vCodes[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < 8; i++) {
    u32 bits = randomBits(key, place, i);
    float share = fminf(fabsf(m[i]) * mInverse, 1);
    u32 code = encode(share, 127, M_STEP, false, bits & 0xffffu);
    if (m[i] < 0) code |= 0x80;
    mCodes[i / 4] |= code << (8 * (i % 4));
    share = fminf(v[i] * vInverse, 1);
    code = encode(share, 255, V_STEP, true, bits >> 16);
    if (code == 0) code = 1;
    vCodes[i / 4] |= code << (8 * (i % 4));
  }
  *reinterpret_cast<uint2*>(toM + at) = {mCodes[0], mCodes[1]};
  *reinterpret_cast<uint2*>(toV + at) = {vCodes[0], vCodes[1]};
  if (threadIdx.x % WARP == 0) {
    mScales[at / 256] = mMax;
    vScales[at / 256] = vMax;
  }
}

template <class T>
__device__ inline void loadMoments(float (&m)[8], float (&v)[8], const T* fromM, const T* fromV,
                                   const float*, const float*, i64 at) {
  load8(fromM + at, m);
  load8(fromV + at, v);
}

__device__ inline void loadMoments(float (&m)[8], float (&v)[8], const u8* fromM, const u8* fromV,
                                   const float* mScales, const float* vScales, i64 at) {
  uint2 mRaw = *reinterpret_cast<const uint2*>(fromM + at);
  uint2 vRaw = *reinterpret_cast<const uint2*>(fromV + at);
  float mScale = mScales[at / 256], vScale = vScales[at / 256];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    u32 code = (i < 4 ? mRaw.x : mRaw.y) >> (8 * (i % 4)) & 0xff;
    float size = decode(static_cast<float>(code & 0x7f), M_STEP, false) * mScale;
    m[i] = code & 0x80 ? -size : size;
    code = (i < 4 ? vRaw.x : vRaw.y) >> (8 * (i % 4)) & 0xff;
    v[i] = decode(static_cast<float>(code), V_STEP, true) * vScale;
  }
}

extern "C" __global__ void __launch_bounds__(256)
update(Parameter* __restrict__ parameters, float* __restrict__ master,
       const Gradient* __restrict__ gradients, Moment* __restrict__ momentsM,
       Moment* __restrict__ momentsV, float* __restrict__ mScales, float* __restrict__ vScales,
       const Control* __restrict__ control, i64 count, i64 decaying, i64 first, float beta1, float rest1,
       float beta2, float rest2) {
  if (!control->finite) return;
  i64 at = (static_cast<i64>(blockIdx.x) * 256 + threadIdx.x) * 8;
  if (at >= count) return;
  float p[8], g[8], m[8], v[8];
  if (MASTER) load8(master + at, p);
  else load8(parameters + at, p);
  load8(gradients + at, g);
  loadMoments(m, v, momentsM, momentsV, mScales, vScales, at);
  float factor = control->factor, stepSize = control->stepSize, epsilon = control->epsilon;
  float decay = at < decaying ? control->decay : 1;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    float clipped = g[i] * factor;
    m[i] = beta1 * m[i] + rest1 * clipped;
    v[i] = beta2 * v[i] + rest2 * (clipped * clipped);
    p[i] = decay * p[i] - fastDivide(stepSize * m[i], fastRoot(v[i]) + epsilon);
  }
  storeMoments<STOCHASTIC>(m, v, momentsM, momentsV, mScales, vScales, at, first + at,
                           control->random);
  if (MASTER) store8(p, master + at);
  if (STOCHASTIC && !MASTER && sizeof(Parameter) == 2) {
    u32 key = randomKey(control->random, first + at, 1);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      p[i] = roundStochastically(p[i], randomBits(key, first + at, i) & 0xffffu);
    }
  }
  store8(p, parameters + at);
}
`;

/** The source for one way of storing things, with kernels `sumOfSquares`, `decide` and `update`. */
export function adamWSource(format: AdamWFormat): KernelSource {
  const { parameters, gradients, moments, rounding } = format;
  const type = { float32: "float", bfloat16: "bf16", master: "bf16", int8: "u8" } as const;
  const code = `${PRELUDE}
typedef ${type[parameters]} Parameter;
typedef ${type[gradients]} Gradient;
typedef ${type[moments]} Moment;
constexpr bool MASTER = ${parameters === "master"};
constexpr bool STOCHASTIC = ${rounding === "stochastic"};
${NORM_CODE}${UPDATE_CODE}`;
  const variant = [PARAMETERS[parameters], gradients === "bfloat16" ? 1 : 0, MOMENTS[moments]];
  return { name: `adamw_${variant.join("")}${rounding[0]}`, code };
}

/** AdamW's three launches. */
export class AdamWKernels {
  readonly #constants: AdamWConstants;
  readonly #format: AdamWFormat;
  readonly #kernels: Readonly<Record<"sumOfSquares" | "decide" | "update", CudaKernel>>;

  private constructor(
    constants: AdamWConstants,
    format: AdamWFormat,
    kernels: Readonly<Record<"sumOfSquares" | "decide" | "update", CudaKernel>>,
  ) {
    this.#constants = constants;
    this.#format = format;
    this.#kernels = kernels;
  }

  /** Compiles and loads the kernels for a format. */
  static async load(
    gpu: Gpu,
    format: AdamWFormat,
    constants: AdamWConstants,
  ): Promise<AdamWKernels> {
    const module = await gpu.load(adamWSource(format));
    return new AdamWKernels(constants, format, {
      sumOfSquares: module.kernel("sumOfSquares", ["pointer", "pointer", "i64"]),
      decide: module.kernel("decide", [
        ...Array(4).fill("pointer" as const),
        "i32",
        ...Array(4).fill("f64" as const),
      ]),
      update: module.kernel("update", [
        ...Array(8).fill("pointer" as const),
        "i64",
        "i64",
        "i64",
        ...Array(4).fill("f32" as const),
      ]),
    });
  }

  /**
   * Sums squares of gradients [count] into float32 partials [blocks]. Where gradients lie in several
   * buffers, give each its own partials, one after another.
   *
   * @param blocks how many sums there are; more than one a {@linkcode NORM_ELEMENTS} elements are 0
   */
  sumOfSquares(
    stream: bigint,
    { gradients, partials }: { readonly gradients: bigint; readonly partials: bigint },
    count: number,
    blocks: number = NORM_PARTIALS,
  ): void {
    assertWhole("sum squares", count, 8);
    const launch = { stream, grid: [blocks] as const, block: 256 };
    this.#kernels.sumOfSquares.launch(launch, [gradients, partials, count]);
  }

  /**
   * Takes the step's decisions: norm, clip factor, whether to update at all, bias corrections.
   *
   * @param count partials in all
   */
  decide(
    stream: bigint,
    { partials, control, loss = 0n, result = 0n }: {
      readonly partials: bigint;
      readonly control: bigint;
      /** float32: no update is made where its sum with the norm is not finite either. */
      readonly loss?: bigint;
      /** float32 [2], where loss and norm are told. */
      readonly result?: bigint;
    },
    count: number,
  ): void {
    const { beta1, beta2, epsilon, weightDecay } = this.#constants;
    this.#kernels.decide.launch({ stream, grid: [1], block: 256 }, [
      partials,
      loss,
      control,
      result,
      count,
      beta1,
      beta2,
      epsilon,
      weightDecay,
    ]);
  }

  /**
   * Updates parameters and moments [count] in place, or leaves all alone after a bad gradient.
   *
   * @throws {RangeError} where count or decaying is no multiple of 8 (256 with int8 moments), or a
   *   buffer that the format needs is not given
   */
  update(
    stream: bigint,
    pointers: AdamWPointers,
    { count, decaying, first = 0 }: {
      readonly count: number;
      /** The first so many elements shrink by weight decay. */
      readonly decaying: number;
      /** Place of the first element among all, by which random numbers are drawn. @default 0 */
      readonly first?: number;
    },
  ): void {
    const { parameters, moments } = this.#format;
    const { beta1, beta2 } = this.#constants;
    assertWhole("update parameters", count, moments === "int8" ? 256 : 8);
    assertWhole("decay parameters", decaying, 8);
    const required = (name: "master" | "mScales" | "vScales", when: boolean): bigint => {
      const pointer = pointers[name];
      if (!when) return 0n;
      if (pointer !== undefined) return pointer;
      throw new RangeError(
        `Cannot update parameters: ${parameters} parameters with ${moments} moments need ${name}`,
      );
    };
    this.#kernels.update.launch({ stream, grid: [Math.ceil(count / 2048)], block: 256 }, [
      pointers.parameters,
      required("master", parameters === "master"),
      pointers.gradients,
      pointers.m,
      pointers.v,
      required("mScales", moments === "int8"),
      required("vScales", moments === "int8"),
      pointers.control,
      count,
      decaying,
      first,
      // 1 − β from the double: 1 − 0.999 in float32 is off by 5e-5 of itself.
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
    ]);
  }
}

function assertWhole(what: string, count: number, of: number): void {
  if (Number.isSafeInteger(count) && count >= 0 && count % of === 0) return;
  throw new RangeError(`Cannot ${what}: ${count} elements are no multiple of ${of}. Pad them`);
}
