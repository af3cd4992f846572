/**
 * Measures generation on the CPU with Qwen3-0.6B's shapes: tokens a second of prefill and decode,
 * and the bounds that reading the weights sets. Prints JSON. Needs about 3 GB of memory.
 *
 * A token reads every weight of the blocks and of the head once, 2.4 GB, and little else: decode can
 * be no faster than bandwidth ÷ those bytes. Bandwidth is measured between the tokens, since it
 * drifts on shared machines, over the weights themselves, with the same library and threads, twice:
 *
 * - `sum`, row sums: what the memory gives, a bound on any implementation;
 * - `gemv`, one Gemm of a single row with a weight as input: what ONNX Runtime makes of it, a bound
 *   on any graph of such Gemms.
 */

import { Decoder } from "../infer/generate/decoder.ts";
import { createSampler } from "../infer/sampling/sampling.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { median, QWEN3_06B, randomWeights, readers } from "./measure.ts";

const CONTEXT = 512;
const TOKENS = 32;

const runtime = new Runtime({ threads: Number(Deno.args[0] ?? 2) });
const config = QWEN3_06B;

/** Milliseconds of one call. */
async function time(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

const weights = randomWeights(runtime, config);
const bytesPerToken = modelParameters(config).reduce(
  (bytes, { shape }) => bytes + 4 * elementCount(shape),
  0,
);
const read = readers(runtime, weights);
using decoder = new Decoder(runtime, config, weights);
const prompt = Int32Array.from({ length: CONTEXT }, (_, i) => (i * 7919) % config.vocabSize);
await decoder.prefill(prompt.subarray(0, 64));
decoder.reset();
const prefill = await time(() => decoder.prefill(prompt));
const sample = createSampler({ temperature: 0.6, topK: 20, topP: 0.95 });
const milliseconds = { decode: [], sample: [], sum: [], gemv: [] } as Record<string, number[]>;
let logits = await decoder.decode(1);
for (let i = 0; i < TOKENS; i++) {
  if (i % 4 === 0) {
    milliseconds.sum.push(await time(read.sum));
    milliseconds.gemv.push(await time(read.gemv));
  }
  let id = 0;
  milliseconds.sample.push(await time(() => id = sample(logits)));
  milliseconds.decode.push(await time(async () => logits = await decoder.decode(id)));
}

const middle = Object.fromEntries(
  Object.entries(milliseconds).map(([name, each]) => [name, median(each)]),
);
const round = (value: number): number => Number(value.toPrecision(4));
console.log(JSON.stringify({
  onnxruntime: runtime.api.version,
  threads: runtime.threads,
  context: CONTEXT,
  prefillTokensPerSecond: round(CONTEXT / prefill * 1000),
  decodeTokensPerSecond: round(1000 / middle.decode),
  bytesPerToken,
  medianMilliseconds: Object.fromEntries(
    Object.entries(middle).map(([name, value]) => [name, round(value)]),
  ),
  gigabytesPerSecond: {
    decode: round(bytesPerToken / middle.decode / 1e6),
    sum: round(bytesPerToken / middle.sum / 1e6),
    gemv: round(bytesPerToken / middle.gemv / 1e6),
  },
  decodeOfBound: {
    sum: round(middle.sum / middle.decode),
    gemv: round(middle.gemv / middle.decode),
  },
}));
