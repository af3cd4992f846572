/**
 * The first updates of runs on WebGPU against Hugging Face Trainer's, whose whole runs the CPU follows
 * (`tests/series_parity_test.ts`), and against the CPU's weights: a software adapter takes its time.
 */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { Trainer } from "../../train/trainer.ts";
import { createFullTrainer } from "../../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import { followPairs, PAIR_RUNS, pairObjectiveOf } from "../support/pair_series.ts";
import { fixturePath, readFixtureJson, withFixtureFile } from "../support/parity_fixture.ts";
import {
  argument,
  fixtureExamples,
  followSeries,
  type Series,
  worstRelativeL2,
} from "../support/series.ts";
import { REFUSED_MODELS, runtime as webgpu } from "../support/webgpu_runtime.ts";

// The limits are those of the CPU. Measured on lavapipe, relative: loss 3.3e-6, grad_norm 5.5e-5.
const WEIGHTS = 1e-4; // L2 a tensor, measured 1.6e-5

/** Updates that are made: with two of them an optimizer's state has had its say. */
const UPDATES = 2;
/** And of one model, past its first evaluation. */
const MORE = { qwen3: 8 };

const host = new Runtime({ threads: 2 });
const examples = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);
// The one with a real vocabulary has a test of its own on the CPU, and is slow on a software adapter; the others' parts
// are those of llama and ministral3, and of granite and phi3.
const LEFT_OUT: readonly string[] = [
  "qwen3-vocab",
  "mistral",
  "granitemoehybrid",
  ...REFUSED_MODELS,
];
const MODELS = (await withFixtureFile("series.json")).filter((name) => !LEFT_OUT.includes(name));

/** Follows the first updates of a series on WebGPU, and on the CPU. */
async function follow(
  make: (runtime: Runtime) => Promise<Trainer>,
  series: Series,
  { label, updates }: { readonly label: string; readonly updates: number },
): Promise<void> {
  await using trainer = await make(webgpu);
  await using reference = await make(host);
  const errors = await followSeries(trainer, examples, series, { updates });
  await followSeries(reference, examples, series, { updates });
  const weights = await worstRelativeL2(trainer.weights, reference.weights, WEIGHTS);
  if (Deno.env.get("ORTUNE_REPORT")) console.log(label, errors, "weights", weights);
}

function optionsOf(series: Series) {
  return {
    optimizer: { weightDecay: argument(series, "weight_decay") },
    maxGradNorm: argument(series, "max_grad_norm"),
  };
}

for (const name of MODELS) {
  const { [name]: updates = UPDATES }: Readonly<Record<string, number>> = MORE;
  Deno.test(`${name}: the first ${updates} updates on WebGPU are Hugging Face Trainer's`, async () => {
    const series = await readFixtureJson<Series>(`${name}/series.json`);
    const make = (runtime: Runtime) =>
      createFullTrainer(fixturePath(name), { runtime, ...optionsOf(series) });
    await follow(make, series, { label: name, updates });
  });
}

// Of the adapters of the fixtures a second plain one would only take longer.
for (const name of ["llama", "dora"]) {
  Deno.test(`${name}: the first ${UPDATES} updates of an adapter on WebGPU are those of Trainer with PEFT`, async () => {
    const folder = `../lora/${name}`;
    const series = await readFixtureJson<Series>(`${folder}/series.json`);
    const make = (runtime: Runtime) =>
      createLoraTrainer(fixturePath(name === "dora" ? "qwen3" : name), {
        runtime,
        initAdapter: fixturePath(`${folder}/initial_adapter`),
        ...optionsOf(series),
      });
    await follow(make, series, { label: name, updates: UPDATES });
  });
}

for (const name of ["DPO of a trained adapter", "ORPO"]) {
  Deno.test(`${name}: the first ${UPDATES} updates on WebGPU are TRL's`, async () => {
    const series = PAIR_RUNS[name];
    const options = { runtime: webgpu, pairs: pairObjectiveOf(series) };
    const { adapter } = series.args;
    await using trainer = await (adapter === undefined
      ? createFullTrainer(fixturePath("qwen3"), options)
      : createLoraTrainer(fixturePath("qwen3"), {
        ...options,
        initAdapter: fixturePath(`../lora/qwen3/${adapter}`),
      }));
    const errors = await followPairs(trainer, series, { updates: UPDATES });
    if (Deno.env.get("ORTUNE_REPORT")) {
      console.log(name, errors);
    }
  });
}
