/**
 * Times ortune's own CUDA kernels at a model's shapes, beside the time that their bytes would take.
 *
 * In: a GPU, NVRTC. Out: a table of milliseconds. `deno run -A bench/kernels.ts` (ORTUNE_NVRTC_LIB
 * names libnvrtc where the loader does not find it). Nothing else may run on the GPU meanwhile.
 */

import { ADAMW_CONTROL_BYTES, AdamWKernels, NORM_PARTIALS } from "../ort/kernels/adamw_kernels.ts";
import { AttentionKernels, type HeadDim, segmentBounds } from "../ort/kernels/attention_kernels.ts";
import { PARTIAL_BLOCKS } from "../ort/kernels/column_sums.ts";
import { CrossEntropyKernel } from "../ort/kernels/cross_entropy_kernels.ts";
import { type Gpu, openGpu } from "../ort/kernels/gpu.ts";
import { Out } from "../ort/kernels/open_library.ts";
import { HeadsKernels } from "../ort/kernels/heads_kernels.ts";
import { LORA_PARTS, LoraKernels } from "../ort/kernels/lora_kernels.ts";
import { RmsNormGradientKernel } from "../ort/kernels/rms_norm_kernels.ts";
import { SwigluKernels } from "../ort/kernels/swiglu_kernels.ts";

/** What is timed. */
export interface KernelBenchSizes {
  readonly parameters: number;
  readonly tokens: number;
  /** Tokens a segment. */
  readonly segment: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly vocabulary: number;
  /** Rows of logits at a time. */
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: HeadDim;
  /** Launches timed together. */
  readonly repeats: number;
}

/** Qwen3-1.7B. */
export const QWEN3_1_7B: KernelBenchSizes = {
  parameters: 1_720_574_976,
  tokens: 8192,
  segment: 1024,
  hidden: 2048,
  intermediate: 6144,
  vocabulary: 151936,
  rows: 4096,
  heads: 16,
  kvHeads: 8,
  headDim: 128,
  repeats: 20,
};

/** One kernel's time, and the bytes or FLOP it stands for. */
export interface KernelTime {
  readonly name: string;
  readonly milliseconds: number;
  /** Bytes that must be read and written. */
  readonly bytes?: number;
  /** FLOP of products. */
  readonly flop?: number;
}

/** What is sent to a device. */
type Uploaded = Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

const SYMBOLS = {
  cuMemAlloc_v2: { parameters: ["buffer", "usize"], result: "i32" },
  cuMemFree_v2: { parameters: ["u64"], result: "i32" },
  cuMemcpyHtoD_v2: { parameters: ["u64", "buffer", "usize"], result: "i32" },
  cuMemsetD16_v2: { parameters: ["u64", "u16", "usize"], result: "i32" },
  cuEventCreate: { parameters: ["buffer", "u32"], result: "i32" },
  cuEventRecord: { parameters: ["pointer", "pointer"], result: "i32" },
  cuEventSynchronize: { parameters: ["pointer"], result: "i32" },
  cuEventElapsedTime: { parameters: ["buffer", "pointer", "pointer"], result: "i32" },
  cuEventDestroy_v2: { parameters: ["pointer"], result: "i32" },
} as const;

// Sixteen bits that are 1/64 as bfloat16 and, twice, about as much as float32.
const FILL = 0x3c80;
const STREAM = 0n;

function check(status: number): void {
  if (status !== 0) throw new Error(`Cannot go on with the bench: CUDA error ${status}`);
}

/** Times each kernel in turn; memory is freed between them. */
export async function benchKernels(
  gpu: Gpu,
  driverLibrary: string,
  sizes: KernelBenchSizes,
): Promise<KernelTime[]> {
  const library = Deno.dlopen(driverLibrary, SYMBOLS);
  const cuda = library.symbols;
  let held: bigint[] = [];
  const allocate = (bytes: number): bigint => {
    const pointer = new Out();
    check(cuda.cuMemAlloc_v2(pointer.bytes, BigInt(bytes)));
    held.push(pointer.bytes[0]);
    check(cuda.cuMemsetD16_v2(pointer.bytes[0], FILL, BigInt(Math.floor(bytes / 2))));
    return pointer.bytes[0];
  };
  const upload = (data: Uploaded): bigint => {
    const pointer = allocate(data.byteLength);
    check(cuda.cuMemcpyHtoD_v2(pointer, data, BigInt(data.byteLength)));
    return pointer;
  };
  const event = (): Deno.PointerValue => {
    const made = new Out();
    check(cuda.cuEventCreate(made.bytes, 0));
    return made.pointer;
  };
  // Loading makes the device's context this thread's, which allocations need.
  await SwigluKernels.load(gpu, "bfloat16");
  const times: KernelTime[] = [];
  const time = (
    name: string,
    work: { readonly bytes?: number; readonly flop?: number },
    launch: () => void,
  ): void => {
    launch();
    const [start, end] = [event(), event()];
    check(cuda.cuEventRecord(start, null));
    for (let i = 0; i < sizes.repeats; i++) launch();
    check(cuda.cuEventRecord(end, null));
    check(cuda.cuEventSynchronize(end));
    const elapsed = new Float32Array(1);
    check(cuda.cuEventElapsedTime(elapsed, start, end));
    for (const each of [start, end]) cuda.cuEventDestroy_v2(each);
    times.push({ name, milliseconds: elapsed[0] / sizes.repeats, ...work });
  };
  const free = (): void => {
    for (const pointer of held) cuda.cuMemFree_v2(pointer);
    held = [];
  };
  try {
    for (const part of [adamW, crossEntropy, elementwise, lora, attention]) {
      await part({ gpu, sizes, allocate, upload, time });
      free();
    }
    return times;
  } finally {
    free();
    library.close();
  }
}

interface Bench {
  readonly gpu: Gpu;
  readonly sizes: KernelBenchSizes;
  readonly allocate: (bytes: number) => bigint;
  readonly upload: (data: Uploaded) => bigint;
  readonly time: (
    name: string,
    work: { readonly bytes?: number; readonly flop?: number },
    launch: () => void,
  ) => void;
}

async function adamW({ gpu, sizes, allocate, upload, time }: Bench): Promise<void> {
  const count = sizes.parameters;
  const constants = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
  const control = upload(
    Float32Array.from({ length: ADAMW_CONTROL_BYTES / 4 }, (_, i) => [1e-5, 1, 1][i] ?? 0),
  );
  const partials = allocate(4 * NORM_PARTIALS);
  const [parameters, gradients] = [allocate(2 * count), allocate(2 * count)];
  const [master, m, v] = [allocate(4 * count), allocate(4 * count), allocate(4 * count)];
  const [mScales, vScales] = [allocate(count / 64), allocate(count / 64)];
  let normed = false;
  for (
    const [kind, moments, rounding, bytes] of [
      ["master", "float32", "nearest", 28],
      ["master", "bfloat16", "stochastic", 20],
      ["bfloat16", "bfloat16", "stochastic", 14],
      ["bfloat16", "int8", "stochastic", 10 + 4 * 4 / 256],
    ] as const
  ) {
    const kernels = await AdamWKernels.load(
      gpu,
      { parameters: kind, gradients: "bfloat16", moments, rounding },
      constants,
    );
    const norm = (): void => {
      kernels.sumOfSquares(STREAM, { gradients, partials }, count);
      kernels.decide(STREAM, { partials, control }, NORM_PARTIALS);
    };
    if (!normed) time("gradient norm", { bytes: 2 * count }, norm);
    else norm();
    normed = true;
    const pointers = { parameters, gradients, master, m, v, mScales, vScales, control };
    time(
      `AdamW, ${kind} with ${moments} moments`,
      { bytes: bytes * count },
      () => kernels.update(STREAM, pointers, { count, decaying: count }),
    );
  }
}

async function crossEntropy({ gpu, sizes, allocate, upload, time }: Bench): Promise<void> {
  const { rows, vocabulary } = sizes;
  const kernel = await CrossEntropyKernel.load(gpu, "bfloat16");
  const pointers = {
    logits: allocate(2 * rows * vocabulary),
    targets: upload(Int32Array.from({ length: rows }, (_, i) => i * 31 % vocabulary)),
    factor: upload(Float32Array.of(1 / rows)),
    losses: allocate(4 * rows),
  };
  time(
    "cross-entropy, read twice and written",
    { bytes: 6 * rows * vocabulary },
    () => kernel.launch(STREAM, pointers, { rows, vocabulary, targets: "int32" }),
  );
}

async function elementwise({ gpu, sizes, allocate, upload, time }: Bench): Promise<void> {
  const { tokens, hidden, intermediate, heads, kvHeads, headDim } = sizes;
  const format = { elements: "bfloat16", weights: "bfloat16", weightGradients: "float32" } as const;
  const norms = await RmsNormGradientKernel.load(gpu, format);
  const [x, dy, past, dx] = Array.from({ length: 4 }, () => allocate(2 * tokens * hidden));
  const [weight, dWeight] = [allocate(2 * hidden), allocate(4 * hidden)];
  const invStd = allocate(4 * tokens);
  const partials = allocate(4 * PARTIAL_BLOCKS * hidden);
  const size = { rows: tokens, width: hidden };
  const pass = 2 * tokens * hidden;
  time(
    "RMSNorm backward with residual",
    { bytes: 4 * pass },
    () =>
      norms.launch(STREAM, {
        x,
        dy,
        weight,
        invStd,
        past,
        dx,
        weightGradient: { partials, dWeight },
      }, size),
  );

  const turning = await HeadsKernels.load(gpu, headDim, "bfloat16");
  const every = (heads + 2 * kvHeads) * headDim;
  const stack = { q: allocate(2 * tokens * every) };
  const gradients = { q: allocate(2 * tokens * every) };
  const [q, k, v] = [heads, kvHeads, kvHeads].map((n) => allocate(2 * tokens * n * headDim));
  const tables = {
    positions: upload(BigInt64Array.from({ length: tokens }, (_, i) => BigInt(i % sizes.segment))),
    cos: allocate(sizes.segment * headDim),
    sin: allocate(sizes.segment * headDim),
  };
  const headNorms = {
    qWeight: allocate(2 * headDim),
    kWeight: allocate(2 * headDim),
    invStd: allocate(4 * tokens * (heads + kvHeads)),
    epsilon: 1e-6,
  };
  const weightGradients = {
    partials: allocate(4 * PARTIAL_BLOCKS * 2 * headDim),
    qWeight: allocate(2 * headDim),
    kWeight: allocate(2 * headDim),
    accumulate: true,
  };
  const ofHeads = { tokens, heads, kvHeads, stacked: true };
  time(
    "heads of a stacked projection, normed and turned",
    { bytes: 4 * tokens * every },
    () =>
      turning.forward(STREAM, { from: stack, to: { q, k, v }, tables, norms: headNorms }, ofHeads),
  );
  const read = (heads + kvHeads) * headDim;
  time(
    "the same backward",
    { bytes: 2 * tokens * (2 * every + read) },
    () =>
      turning.backward(STREAM, {
        from: stack,
        gradients: { q, k, v },
        to: gradients,
        tables,
        norms: headNorms,
        weightGradients,
      }, ofHeads),
  );

  const swiglu = await SwigluKernels.load(gpu, "bfloat16");
  const both = allocate(4 * tokens * intermediate);
  const product = allocate(2 * tokens * intermediate);
  const parts = { gate: both, up: both + BigInt(2 * intermediate) };
  const halves = { rows: tokens, width: intermediate, stride: 2 * intermediate };
  const operand = 2 * tokens * intermediate;
  time(
    "SwiGLU",
    { bytes: 3 * operand },
    () => swiglu.forward(STREAM, { ...parts, product }, halves),
  );
  time("SwiGLU backward", { bytes: 5 * operand }, () =>
    swiglu.backward(STREAM, {
      ...parts,
      dProduct: product,
      dGate: parts.gate,
      dUp: parts.up,
    }, halves));
}

async function lora({ gpu, sizes, allocate, upload, time }: Bench): Promise<void> {
  const { tokens, hidden: width, intermediate } = sizes;
  const [rank, parts] = [8, 2];
  const kernels = await LoraKernels.load(gpu, rank);
  // Gate and up.
  const up = { tokens, widths: [intermediate, intermediate] };
  const both = parts * intermediate;
  const [x, past, dX] = [0, 1, 2].map(() => allocate(2 * tokens * width));
  const [base, y] = [0, 1].map(() => allocate(2 * tokens * both));
  const hidden = allocate(2 * tokens * parts * rank);
  const weights = (columns: number): bigint[] =>
    Array.from({ length: parts }, () => allocate(4 * rank * columns));
  const [a, b, dA, dB] = [width, intermediate, width, intermediate].map(weights);
  const partials = allocate(4 * LORA_PARTS * rank * both);
  const odd = (length: number): bigint =>
    upload(Int32Array.from({ length }, (_, i) => Math.imul(i, 0x9e3779b1) | 1));
  const dropout = {
    rows: odd(tokens),
    columns: [odd(width), odd(width)],
    above: Math.round(0.1 * 2 ** 32) - 2 ** 31 - 1,
  };
  const down = { tokens, width, parts, scale: 4, dropout };
  const [narrow, wide] = [2 * tokens * width, 2 * tokens * both];
  time(
    "LoRA: A of gate and up, dropout on the way",
    { bytes: narrow },
    () => kernels.down(STREAM, { x, a, hidden }, down),
  );
  time(
    "LoRA: gradient of their input, added",
    { bytes: 2 * narrow },
    () => kernels.downInput(STREAM, { dHidden: hidden, a, past, dX }, down),
  );
  time(
    "LoRA: gradients of A",
    { bytes: narrow },
    () =>
      kernels.downWeight(STREAM, { x, dHidden: hidden, partials, to: dA, accumulate: true }, down),
  );
  time(
    "LoRA: B, added",
    { bytes: 2 * wide },
    () => kernels.up(STREAM, { hidden, b, past: base, y }, up),
  );
  time(
    "LoRA: gradient of B's input",
    { bytes: wide },
    () => kernels.upHidden(STREAM, { dy: base, b, dHidden: hidden }, up),
  );
  time(
    "LoRA: gradients of B",
    { bytes: wide },
    () => kernels.upWeight(STREAM, { hidden, dy: base, partials, to: dB, accumulate: true }, up),
  );
}

async function attention({ gpu, sizes, allocate, upload, time }: Bench): Promise<void> {
  const { tokens, heads, kvHeads, headDim } = sizes;
  const kernels = await AttentionKernels.load(gpu, headDim);
  const wide = (): bigint => allocate(2 * tokens * heads * headDim);
  const narrow = (): bigint => allocate(2 * tokens * kvHeads * headDim);
  const pointers = {
    q: wide(),
    k: narrow(),
    v: narrow(),
    mixed: wide(),
    dMixed: wide(),
    dQ: wide(),
    dK: narrow(),
    dV: narrow(),
    sums: allocate(4 * tokens * heads),
    dots: allocate(4 * tokens * heads),
  };
  for (const segment of [sizes.segment, tokens]) {
    const { starts, ends } = segmentBounds(
      Int32Array.from({ length: tokens }, (_, i) => 1 + Math.floor(i / segment)),
      tokens,
    );
    const bounds = { starts: upload(starts), ends: upload(ends) };
    // Half of the scores are looked at; two products forwards, seven backwards.
    const flop = 2 * tokens * segment / 2 * heads * headDim;
    time(
      `attention, segments of ${segment}`,
      { flop: 2 * flop },
      () => kernels.forward(STREAM, { ...pointers, ...bounds }, sizes),
    );
    time(
      `attention backward, segments of ${segment}`,
      { flop: 7 * flop },
      () => kernels.backward(STREAM, { ...pointers, ...bounds }, sizes),
    );
  }
}

/** A table for the terminal. */
export function showTimes(times: readonly KernelTime[]): string {
  return times.map(({ name, milliseconds, bytes, flop }) => {
    const rate = bytes !== undefined
      ? `${(bytes / milliseconds / 1e9).toFixed(2)} TB/s`
      : `${(flop! / milliseconds / 1e9).toFixed(0)} TFLOP/s`;
    return `${name.padEnd(48)} ${milliseconds.toFixed(4).padStart(9)} ms  ${rate.padStart(13)}`;
  }).join("\n");
}

if (import.meta.main) {
  using gpu = openGpu({ nvrtcLibrary: Deno.env.get("ORTUNE_NVRTC_LIB") });
  console.log(showTimes(await benchKernels(gpu, "libcuda.so.1", QWEN3_1_7B)));
}
