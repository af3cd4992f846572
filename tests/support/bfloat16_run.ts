/**
 * The run that precisions are compared on: a small Qwen3 on the quickstart's records, 50 updates of
 * two batches each.
 */

import { makeBatches } from "../../data/batches.ts";
import type { Batch } from "../../data/collator.ts";
import { readExamples } from "../../data/read_examples.ts";
import { createTokenizer } from "../../data/tokenizer.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Runtime } from "../../ort/runtime.ts";
import { quickstartConfig } from "../../quickstart/model.ts";
import { systemPrompt, trainRecords } from "../../quickstart/records.ts";
import { quickstartTokenizerConfig, quickstartTokenizerJson } from "../../quickstart/tokenizer.ts";
import { elementCount } from "../../tensor/dtype.ts";
import { roundToBfloat16 } from "../../tensor/half.ts";
import { TorchGenerator } from "../../tensor/torch_random.ts";
import type { AdamWKind } from "../../train/adamw_graph.ts";
import { GraphTraining } from "./graph_training.ts";
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

/** Makes the run. */
export async function planRun(): Promise<RunPlan> {
  const config = parseConfig(runConfigJson);
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

/** The run's loss at each update. */
export function runCurve(
  runtime: Runtime,
  { config, weights, windows, learningRates }: RunPlan,
  kind: AdamWKind,
): number[] {
  using training = new GraphTraining(runtime, { config, weights, kind });
  return windows.map((window, i) => {
    const supervised = window.reduce((sum, batch) => sum + batch.supervised, 0);
    const losses = window.map((batch, at) =>
      training.forwardBackward(batch, 1 / supervised, at === 0).reduce((sum, x) => sum + x, 0)
    );
    training.update(learningRates[i], MAX_NORM);
    return losses.reduce((sum, x) => sum + x, 0) / supervised;
  });
}
