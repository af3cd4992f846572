/**
 * A frozen base in 8 and 4 bits: what is computed on it in float32 is what a float32 base of the same
 * numbers gives; in products of whole numbers, how far that goes from it.
 */

import assert from "node:assert/strict";
import { Decoder } from "../infer/generate/decoder.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../lora/lora_options.ts";
import { BASE_STORAGES, type BaseStorage } from "../model/base_storage.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadQuantized } from "../model/engine/load_quantized.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import { type BaseMatrices, QuantizedStore } from "../model/engine/quantized_store.ts";
import { ParameterStore as Store } from "../model/engine/parameter_store.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../model/engine/training_engine.ts";
import { modelParameters } from "../model/parameters.ts";
import { type Quantization, storedMatrices } from "../model/quantization.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { dequantizeBlocks, quantizeBlocks } from "../ort/tensor/quantize_blocks.ts";
import { draws } from "./support/random.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
} from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });

const [a, b, c, d] = randomExamples([40, 33, 17, 60], 64);
const BATCHES = [tinyBatch([[a, c], [d]], 60), tinyBatch([[b], [c, c]], 40)];
/** Rows of which no length is whole blocks of 32. */
const SIZES = { hidden_size: 48, intermediate_size: 80 };

function storageOf(bits: 4 | 8, more: Partial<Quantization>): BaseStorage {
  const storage = BASE_STORAGES[bits === 4 ? "int4" : "int8"];
  return { ...storage, quantization: { ...storage.quantization!, block: 32, ...more } };
}

/** A base in few bits, and one in float32 of the same numbers. */
async function bases(
  config: ModelConfig,
  storage: BaseStorage,
): Promise<readonly [QuantizedStore, ParameterStore]> {
  using source = randomWeights(runtime, config);
  const specs = modelParameters(config);
  const stored = new QuantizedStore(runtime, specs, { dtype: "float32", storage });
  await loadQuantized(runtime, stored, source, { specs });
  const plain = emptyStore(runtime, config);
  const matrices = storedMatrices(specs, storage.quantization!);
  for (const { name, shape } of specs) {
    const values = source.tensor(name).float32();
    const matrix = matrices.get(name);
    const into = plain.tensor(name).float32();
    if (!matrix) into.set(values);
    else {into.set(
        rounded(values, shape[1], { bits: matrix.bits, block: storage.quantization!.block }),
      );}
  }
  return [stored, plain];
}

/** What rows become, each padded to whole blocks. */
function rounded(
  values: Float32Array,
  columns: number,
  { bits, block }: { readonly bits: 4 | 8; readonly block: number },
): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += columns) {
    const row = new Float32Array(Math.ceil(columns / block) * block);
    row.set(values.subarray(start, start + columns));
    const quantized = quantizeBlocks(row, { bits, block, scaleDtype: "float32" });
    out.set(dequantizeBlocks(quantized, { bits, block }).subarray(0, columns), start);
  }
  return out;
}

interface Result {
  readonly losses: readonly number[];
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly logits: readonly number[];
}

interface Case {
  readonly config: ModelConfig;
  readonly lora: LoraOptions;
  readonly options?: TrainingEngineOptions;
}

async function passes(
  base: ParameterStore & BaseMatrices,
  { config, lora, options }: Case,
): Promise<Result> {
  using adapted = adaptModel(runtime, { config, base, lora });
  const draw = draws(5);
  for (const { name } of adapted.trained.layout.specs) {
    const values = adapted.trained.tensor(name).float32();
    const magnitude = name.endsWith("magnitude_vector");
    for (let i = 0; i < values.length; i++) {
      values[i] = magnitude ? draw(0.5, 1.5) : draw(-0.2, 0.2);
    }
  }
  await adapted.refresh();
  using gradients = new Store(runtime, adapted.trained.layout);
  const { block, weights, linear } = adapted;
  using engine = new TrainingEngine(runtime, config, weights, gradients, {
    headChunk: 24,
    adapter: { block, weights },
    ...options,
  });
  const losses: number[] = [];
  for (const [i, batch] of BATCHES.entries()) {
    const how = { scale: 0.1, first: i === 0, dropoutSeed: i + 1 };
    losses.push(...(await engine.forwardBackward(batch, how)).losses);
    losses.push(...(await engine.evaluate(batch)).losses);
  }
  using decoder = new Decoder(runtime, config, weights, { linear });
  const logits = [...await decoder.prefill(a.ids.slice(0, 9))];
  for (const id of a.ids.slice(9, 12)) logits.push(...await decoder.decode(id));
  return {
    losses,
    gradients: new Map(
      gradients.names().map((name) => [name, gradients.tensor(name).float32().slice()]),
    ),
    logits,
  };
}

const NO_DROPOUT: LoraOptions = { ...DEFAULT_LORA, dropout: 0 };
const EXACT: Readonly<Record<string, { json: object; bits: 4 | 8 } & Omit<Case, "config">>> = {
  "int8, tied, rsLoRA with dropout": {
    json: {},
    bits: 8,
    lora: { ...DEFAULT_LORA, rslora: true },
  },
  "int4, untied, LoRA with activations kept": {
    json: { tie_word_embeddings: false },
    bits: 4,
    lora: NO_DROPOUT,
    options: { gradientCheckpointing: false },
  },
  "int4, with biases, DoRA": {
    json: { model_type: "llama", attention_bias: true },
    bits: 4,
    lora: { ...NO_DROPOUT, dora: true },
  },
};

for (const [name, { json, bits, ...how }] of Object.entries(EXACT)) {
  Deno.test(`${name}: computed in float32, a base in few bits is that of its numbers, to the bit`, async () => {
    const config = tinyConfig({ ...SIZES, ...json });
    const [stored, plain] = await bases(config, storageOf(bits, { compute: "fp32" }));
    const expected = await passes(plain, { config, ...how });
    assert.ok(expected.losses.length > 200);
    assert.ok(expected.gradients.values().every((each) => each.some((value) => value !== 0)));
    assert.deepEqual(await passes(stored, { config, ...how }), expected);
    stored[Symbol.dispose]();
    plain[Symbol.dispose]();
  });
}

/** ‖actual − expected‖ ÷ ‖expected‖. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [errors, squares] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    errors += (actual[i] - expected[i]) ** 2;
    squares += expected[i] ** 2;
  }
  return Math.sqrt(errors / squares);
}

for (const bits of [8, 4] as const) {
  for (const tied of [true, false]) {
    Deno.test(`int${bits}, ${tied ? "tied" : "untied"}: products of whole numbers`, async () => {
      const config = tinyConfig({ ...SIZES, tie_word_embeddings: tied });
      const [stored, plain] = await bases(config, storageOf(bits, { compute: "int8" }));
      const lora = DEFAULT_LORA;
      const expected = await passes(plain, { config, lora });
      const actual = await passes(stored, { config, lora });
      const all = ({ gradients }: Result) => [...gradients.values()].flatMap((each) => [...each]);
      console.log({
        losses: distance(actual.losses, expected.losses),
        gradients: distance(all(actual), all(expected)),
        logits: distance(actual.logits, expected.logits),
      });
      stored[Symbol.dispose]();
      plain[Symbol.dispose]();
    });
  }
}
