/**
 * The graphs of a training step at Qwen3-0.6B's shapes, T = 512, each against its own matrix
 * products alone; LoRA's backward against full fine-tuning's; AdamW a parameter. Prints JSON.
 */

import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { createLoraAdapter } from "../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  headGraph,
} from "../model/graphs/training_graphs.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { AdamW } from "../train/optimizers/adamw.ts";
import { compareWithProducts, fillRandom, inTurns, median, QWEN3_06B } from "./measure.ts";

const LENGTH = 512;
const HEAD_CHUNK = 256;
const ROUNDS = 7;
const HEAD_ROUNDS = 3;
const OPTIMIZER_ELEMENTS = 1 << 25;

const runtime = new Runtime({ threads: Number(Deno.args[0] ?? 2) });
const symbols = { rows: 1, length: LENGTH, positions: LENGTH, tokens: LENGTH, n: HEAD_CHUNK };
const config = QWEN3_06B;

const forward = compareWithProducts(runtime, blockForwardGraph(config), symbols, ROUNDS);
const backward = compareWithProducts(runtime, blockBackwardGraph(config), symbols, ROUNDS);
const head = compareWithProducts(runtime, headGraph(config), symbols, HEAD_ROUNDS);

const adapter = createLoraAdapter(config, DEFAULT_LORA);
const backwards = inTurns(runtime, {
  full: blockBackwardGraph(config),
  lora: blockBackwardGraph(config, { adapter }),
  lora_dropout: blockBackwardGraph(config, { adapter, dropout: true }),
}, { symbols, rounds: ROUNDS });

const layout = layoutParameters([
  { name: "w", shape: [OPTIMIZER_ELEMENTS / 1024, 1024], decays: true },
]);
const stores = [0, 1].map(() => new ParameterStore(runtime, layout));
for (const store of stores) fillRandom(store.flat.float32(), 0.05);
using adamw = new AdamW(runtime, stores[0], stores[1], { weightDecay: 0 });
const updates: number[] = [];
const norms: number[] = [];
for (let step = 1; step <= ROUNDS; step++) {
  let began = performance.now();
  await adamw.gradientNorm();
  norms.push(performance.now() - began);
  began = performance.now();
  await adamw.update({ learningRate: 1e-4, clip: 1, step });
  updates.push(performance.now() - began);
}
const nanoseconds = (times: number[]) => median(times) * 1e6 / OPTIMIZER_ELEMENTS;

console.log(JSON.stringify({
  forward_ms: forward.graph,
  forward_products_ms: forward.products,
  forward_ratio: forward.products / forward.graph,
  backward_ms: backward.graph,
  backward_products_ms: backward.products,
  backward_ratio: backward.products / backward.graph,
  head_ms_per_256_tokens: head.graph,
  head_products_ms: head.products,
  head_ratio: head.graph / head.products,
  lora_backward_ratio: backwards.lora / backwards.full,
  lora_dropout_backward_ratio: backwards.lora_dropout / backwards.full,
  adamw_ns_per_parameter: nanoseconds(updates),
  gradient_norm_ns_per_parameter: nanoseconds(norms),
}));
