/**
 * Measures what a batch gains on the CPU, with Qwen3-0.6B's shapes: `deno run -A bench/batch.ts [threads]`.
 * Out: JSON: tokens a second by rows, as factors of one row's, and prefill by chunk. Needs 6 GB of memory.
 */

import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { BatchCache } from "../infer/generate/batch_cache.ts";
import { BatchDecoder } from "../infer/generate/batch_decoder.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { median, QWEN3_06B } from "./measure.ts";

const CONTEXT = 256;
const MOST_ROWS = 16;
const STEPS = 5;

using runtime = new Runtime({ threads: Number(Deno.args[0] ?? 2) });
const config = QWEN3_06B;
using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
const elements = weights.flat.float32();
for (let i = 0; i < elements.length; i++) {
  elements[i] = (((i * 2654435761) >>> 0) * 2 ** -32 - 0.5) * 0.05;
}
using cache = new BatchCache(runtime, config, MOST_ROWS * 2 * CONTEXT);
using decoder = new BatchDecoder(runtime, config, { slots: [{ weights }], cache });
cache.reserve(MOST_ROWS, 2 * CONTEXT);

async function milliseconds(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

const decode: Record<number, number> = {};
for (const rows of [1, 2, 4, 8, MOST_ROWS]) {
  const ids = new Int32Array(rows).fill(5);
  const times: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    for (let row = 0; row < rows; row++) cache.setLength(row, CONTEXT);
    times.push(await milliseconds(() => decoder.decode(0, { start: 0, rows, ids })));
  }
  decode[rows] = 1000 * rows / median(times);
}
const prefill: Record<number, number> = {};
for (const length of [16, 32, 64, 128, 256]) {
  const ids = new Int32Array(length).fill(5);
  const times: number[] = [];
  for (let step = 0; step < 3; step++) {
    cache.setLength(0, 0);
    times.push(await milliseconds(() => decoder.prefill(0, { start: 0, ids })));
  }
  prefill[length] = 1000 * length / median(times);
}
const round = (each: number): number => Number(each.toFixed(2));
const gain = Object.fromEntries(
  Object.entries(decode).map(([rows, rate]) => [rows, round(rate / decode[1])]),
);
console.log(
  JSON.stringify({ decodeTokensPerSecond: decode, gain, prefillTokensPerSecond: prefill }),
);
