/**
 * The run that precisions are compared on: a small Qwen3 on the quickstart's records, 50 updates of
 * two batches each.
 */

import { makeBatches } from "../../data/batches/batches.ts";
import type { Batch } from "../../data/batches/collator.ts";
import { readExamples } from "../../data/examples/read_examples.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { adaptModel } from "../../lora/load_adapter.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Precision } from "../../model/precision.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { quickstartConfig } from "../../examples/quickstart/quickstart_model.ts";
import { systemPrompt, trainRecords } from "../../examples/quickstart/records.ts";
import {
  quickstartTokenizerConfig,
  quickstartTokenizerJson,
} from "../../examples/quickstart/quickstart_tokenizer.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { roundToBfloat16 } from "../../ort/tensor/half.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import { STATE_TYPES, type StateFormat } from "../../train/optimizers/state_format.ts";
import { assembleTrainer } from "../../train/trainers/assemble_trainer.ts";
import { loadTrainingKernels } from "../../train/trainers/training_kernels.ts";
import { writeNumbers } from "./numbers.ts";
import { tempFolder } from "./temp_folder.ts";

const PEAK = 3e-3;
const WARMUP = 5;
const MAX_NORM = 1;
/** Updates of the run. */
export const UPDATES = 50;
const BATCHES = 2;

/** config.json: heads of 32, whose scale 2^−2.5 no bfloat16 holds. */
export const runConfigJson: Readonly<Record<string, unknown>> = {
  ...quickstartConfig,
  hidden_size: 64,
  intermediate_size: 192,
  num_hidden_layers: 3,
};

/** Weights, batches and learning rates of the run. */
export interface RunPlan {
  readonly config: ModelConfig;
  /** Numbers that bfloat16 holds, so that all precisions start at the same ones. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly windows: readonly (readonly Batch[])[];
  readonly learningRates: readonly number[];
}

/** Makes the run, perhaps of another model. */
export async function planRun(
  json: Readonly<Record<string, unknown>> = runConfigJson,
): Promise<RunPlan> {
  const config = parseConfig(json);
  const random = new TorchGenerator(1);
  const weights = new Map(
    modelParameters(config).map(({ name, shape }) => {
      const values = new Float32Array(elementCount(shape)).fill(1);
      if (shape.length > 1) random.normal(values, 0, 0.05);
      return [name, values.map(roundToBfloat16)];
    }),
  );
  const tokenizer = createTokenizer({
    tokenizerJson: quickstartTokenizerJson(),
    tokenizerConfig: quickstartTokenizerConfig(),
  });
  await using folder = await tempFolder();
  const path = `${folder.path}/train.jsonl`;
  await Deno.writeTextFile(path, trainRecords.map((each) => `${JSON.stringify(each)}\n`).join(""));
  const { examples } = await readExamples(path, {
    tokenizer,
    maxLength: 512,
    system: systemPrompt,
  });
  const batches: Batch[] = [];
  for (let epoch = 0; batches.length < UPDATES * BATCHES; epoch++) {
    batches.push(...makeBatches(examples, { batchSize: 2, padId: 0, seed: 42, epoch }));
  }
  const windows = Array.from(
    { length: UPDATES },
    (_, i) => batches.slice(i * BATCHES, (i + 1) * BATCHES),
  );
  const learningRates = windows.map((_, i) =>
    PEAK * Math.min(1, (i + 1) / WARMUP) * 0.5 * (1 + Math.cos(Math.PI * i / UPDATES))
  );
  return { config, weights, windows, learningRates };
}

/** The numbers in tensors of a precision. */
export function storeOf(
  runtime: Runtime,
  { config, weights }: Pick<RunPlan, "config" | "weights">,
  dtype: Precision,
): ParameterStore {
  const store = new ParameterStore(runtime, layoutParameters(modelParameters(config)), { dtype });
  for (const [name, numbers] of weights) writeNumbers(store.tensor(name), numbers);
  return store;
}

/** How a {@linkcode RunPlan} is run. */
export interface CurveOptions {
  /** Runs its kernels. @default graphs alone */
  readonly gpu?: Gpu;
  /** Trains an adapter, in float32, on frozen weights. @default all weights are trained */
  readonly lora?: LoraOptions;
}

/** The run's loss at each update, as a device makes it. */
export async function runCurve(
  runtime: Runtime,
  plan: RunPlan,
  format: StateFormat,
  { gpu, lora }: CurveOptions = {},
): Promise<number[]> {
  const { config } = plan;
  const precision = format === "float32" ? "float32" : "bfloat16";
  const base = storeOf(runtime, plan, precision);
  const master = STATE_TYPES[format].parameters === "master" && !lora
    ? storeOf(runtime, plan, "float32")
    : undefined;
  const adapted = lora && adaptModel(runtime, { config, base, lora });
  if (adapted) {
    // As PEFT begins: A at random, B zero.
    const random = new TorchGenerator(2);
    for (const name of adapted.trained.names()) {
      const numbers = adapted.trained.tensor(name).float32();
      if (name.includes("lora_A")) random.normal(numbers, 0, 0.1);
      else numbers.fill(0);
    }
  }
  const trained = lora ? "float32" : format;
  const adapter = adapted?.block;
  const kernels = gpu &&
    await loadTrainingKernels(gpu, { config, format: trained, precision, adapter });
  await using trainer = await assembleTrainer({
    method: lora ? "lora" : "full",
    config,
    store: adapted?.trained ?? master ?? base,
    rounded: master && base,
    weights: adapted?.weights ?? base,
    adapter: adapted && { block: adapted.block, weights: adapted.weights },
    save: () => Promise.resolve([]),
    load: () => Promise.resolve(),
    [Symbol.dispose]() {
      for (const each of [adapted, master, base]) each?.[Symbol.dispose]();
    },
  }, { runtime, graphsOnly: true, maxGradNorm: MAX_NORM, format: trained, kernels });
  const losses: number[] = [];
  for (const [i, window] of plan.windows.entries()) {
    const { loss } = await trainer.trainStep(window, { learningRate: plan.learningRates[i] });
    losses.push(loss);
  }
  return losses;
}
