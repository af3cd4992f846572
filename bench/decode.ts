/**
 * Measures generation on the CPU with Qwen3-0.6B's shapes: tokens a second of prefill and decode,
 * and the bound that memory bandwidth sets. Prints JSON. Needs about 4 GB of memory.
 *
 * A token reads every weight of the blocks and of the head once, 2.4 GB, and little else; so decode
 * can be no faster than measured bandwidth ÷ those bytes. The bandwidth is taken in the same run,
 * with the same threads and library: matrix–vector products (ORT's MatMul of [1, K] and a stored
 * transpose-free [K, N]) and sums over a 2 GB buffer that no cache holds; the faster one counts.
 *
 *     deno run -A bench/decode.ts [--threads 2] [--context 512] [--tokens 32] [--layers 28]
 */

import { parseArgs } from "node:util";
import { CompiledGraph } from "../engine/compiled_graph.ts";
import { GraphBuilder } from "../graph/builder.ts";
import * as ops from "../graph/ops.ts";
import { Decoder } from "../infer/decoder.ts";
import { createSampler } from "../infer/sampling.ts";
import { parseConfig } from "../model/config.ts";
import { EMBEDDING, modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime.ts";
import { Tensor } from "../ort/tensor.ts";
import { elementCount } from "../tensor/dtype.ts";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    context: { type: "string", default: "512" },
    tokens: { type: "string", default: "32" },
    layers: { type: "string", default: "28" },
    chunk: { type: "string", default: "256" },
  },
});
const context = Number(values.context);
const tokens = Number(values.tokens);
const runtime = new Runtime({ threads: Number(values.threads) });
const config = parseConfig({
  model_type: "qwen3",
  hidden_size: 1024,
  intermediate_size: 3072,
  num_hidden_layers: Number(values.layers),
  num_attention_heads: 16,
  num_key_value_heads: 8,
  head_dim: 128,
  vocab_size: 151936,
  max_position_embeddings: 40960,
  rope_theta: 1e6,
  tie_word_embeddings: true,
});

/** Distinct values in each tensor at the speed of a copy: a window onto one stream of numbers. */
function randomWeights(): Map<string, Tensor> {
  const noise = new Float32Array(2 ** 22 + 4096);
  let state = 1;
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    noise[i] = (state * 2 ** -32 - 0.5) * 0.06;
  }
  return new Map(
    modelParameters(config).map(({ name, shape }, seed) => {
      const tensor = Tensor.allocate(runtime, "float32", shape);
      const elements = tensor.float32();
      const piece = noise.subarray(seed, seed + 2 ** 22);
      for (let at = 0; at < elements.length; at += piece.length) {
        elements.set(piece.subarray(0, Math.min(piece.length, elements.length - at)), at);
      }
      if (shape.length === 1) elements.fill(1);
      return [name, tensor];
    }),
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Milliseconds of one call. */
async function time(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Bytes a second that graphs read out of a 2 GB buffer: the best of some rounds. */
async function bandwidth(buffer: Tensor): Promise<Record<string, number>> {
  const width = 1024;
  const rows = buffer.byteLength / 4 / width;
  const gemv = new GraphBuilder("gemv");
  gemv.output(
    "y",
    ops.linear(
      gemv,
      gemv.input("x", "float32", [1, width]),
      gemv.input("w", "float32", [rows, width]),
    ),
  );
  const sum = new GraphBuilder("sum");
  sum.output("y", ops.reduceSum(sum, sum.input("w", "float32", [rows, width]), 1));
  const x = Tensor.from(runtime, "float32", [1, width], new Float32Array(width).fill(1));
  const result: Record<string, number> = {};
  for (const [builder, shape] of [[gemv, [1, rows]], [sum, [rows, 1]]] as const) {
    using graph = new CompiledGraph(runtime, builder.build());
    using y = Tensor.allocate(runtime, "float32", shape);
    const milliseconds: number[] = [];
    for (let round = 0; round < 5; round++) {
      milliseconds.push(await time(() => graph.run({ w: buffer, x, y })));
    }
    result[builder.name] = buffer.byteLength / Math.min(...milliseconds) / 1e6;
  }
  return result;
}

const weights = randomWeights();
const tensor = (name: string): Tensor => weights.get(name)!;
// All weights but the norms' are read once a token; a row of the embedding is nothing, its use as
// the head is everything.
const bytesPerToken = modelParameters(config).reduce(
  (bytes, { shape }) => bytes + 4 * elementCount(shape),
  0,
);

using decoder = new Decoder(runtime, config, { tensor }, { chunk: Number(values.chunk) });
const prompt = Int32Array.from({ length: context }, (_, i) => (i * 7919) % config.vocabSize);
await decoder.prefill(prompt.subarray(0, 64));
decoder.reset();
const prefill = await time(() => decoder.prefill(prompt));
const sample = createSampler({ temperature: 0.6, topK: 20, topP: 0.95 });
const steps: number[] = [];
const samples: number[] = [];
let logits = await decoder.decode(1);
for (let i = 0; i < tokens; i++) {
  let id = 0;
  samples.push(await time(() => id = sample(logits)));
  steps.push(await time(async () => logits = await decoder.decode(id)));
}

// The head's own memory is 622 MB; for the bound a buffer of 2 GB is read.
using buffer = Tensor.allocate(runtime, "float32", [2 ** 29]);
const elements = buffer.float32();
const table = tensor(EMBEDDING).float32();
for (let at = 0; at < elements.length; at += table.length) {
  elements.set(table.subarray(0, Math.min(table.length, elements.length - at)), at);
}
const gigabytesPerSecond = await bandwidth(buffer);
const best = Math.max(...Object.values(gigabytesPerSecond));
const bound = best * 1e9 / bytesPerToken;
const decoded = 1000 / median(steps);
const round = (value: number): number => Number(value.toPrecision(4));
console.log(JSON.stringify(
  {
    onnxruntime: runtime.api.version,
    threads: runtime.threads,
    context,
    prefillTokensPerSecond: round(context / prefill * 1000),
    decodeTokensPerSecond: round(decoded),
    decodeMilliseconds: { median: round(median(steps)), best: round(Math.min(...steps)) },
    samplingMilliseconds: round(median(samples)),
    bytesPerToken,
    gigabytesPerSecond: Object.fromEntries(
      Object.entries(gigabytesPerSecond).map(([name, value]) => [name, round(value)]),
    ),
    boundTokensPerSecond: round(bound),
    decodeOfBound: round(decoded / bound),
  },
  null,
  2,
));
