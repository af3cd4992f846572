/**
 * Runs on WebGPU against Hugging Face Trainer, as `tests/series_parity_test.ts` has them of the CPU: one whole, and
 * the first updates of the others, since a software adapter takes its time.
 */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { Trainer } from "../../train/trainer.ts";
import { createFullTrainer } from "../../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import { fixturePath, readFixtureJson, withFixtureFile } from "../support/parity_fixture.ts";
import {
  argument,
  fixtureExamples,
  followSeries,
  type Series,
  worstRelativeL2,
} from "../support/series.ts";
import { runtime as webgpu } from "../support/webgpu_runtime.ts";

// The limits are those of the CPU. Measured on lavapipe, relative: loss 3.3e-6, grad_norm 5.5e-5, eval_loss 1.1e-6.
const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 1.3e-5

const host = new Runtime({ threads: 2 });
const examples = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);
/** The model whose run is whole: it has what the others have, and norms of heads. */
const WHOLE = "qwen3";
/** Updates of the others: with two of them an optimizer's state has had its say. */
const FIRST = 4;
// The one with a real vocabulary has a test of its own on the CPU, and is slow on a software adapter.
const MODELS = (await withFixtureFile("series.json")).filter((name) => name !== "qwen3-vocab");

/** Follows a series on WebGPU; the first updates on the CPU too, whose weights stand for the final ones. */
async function follow(
  make: (runtime: Runtime) => Promise<Trainer>,
  series: Series,
  { label, updates, final }: {
    readonly label: string;
    readonly updates?: number;
    /** What a whole run ends in. */
    readonly final?: () => Promise<TensorSource & AsyncDisposable>;
  },
): Promise<void> {
  await using trainer = await make(webgpu);
  const errors = await followSeries(trainer, examples, series, { updates });
  let weights: number;
  if (updates === undefined) {
    await using expected = await final!();
    weights = await worstRelativeL2(trainer.weights, expected, FINAL_WEIGHTS);
  } else {
    await using reference = await make(host);
    await followSeries(reference, examples, series, { updates });
    weights = await worstRelativeL2(trainer.weights, reference.weights, FINAL_WEIGHTS);
  }
  if (Deno.env.get("ORTUNE_REPORT")) console.log(label, errors, "weights", weights);
}

function optionsOf(series: Series) {
  return {
    optimizer: { weightDecay: argument(series, "weight_decay") },
    maxGradNorm: argument(series, "max_grad_norm"),
  };
}

for (const name of MODELS) {
  const updates = name === WHOLE ? undefined : FIRST;
  const what = updates ? "the first updates" : "all updates";
  Deno.test(`${name}: ${what} on WebGPU are Hugging Face Trainer's`, async () => {
    const series = await readFixtureJson<Series>(`${name}/series.json`);
    const make = (runtime: Runtime) =>
      createFullTrainer(fixturePath(name), { runtime, ...optionsOf(series) });
    const final = () => openSafetensors(fixturePath(`${name}/final.safetensors`));
    await follow(make, series, { label: name, updates, final });
  });
}

// Of the adapters of the fixtures a second plain one would only take longer.
for (const name of ["llama", "dora"]) {
  Deno.test(`${name}: the first updates of an adapter are on WebGPU those of Hugging Face Trainer with PEFT`, async () => {
    const folder = `../lora/${name}`;
    const series = await readFixtureJson<Series>(`${folder}/series.json`);
    const make = (runtime: Runtime) =>
      createLoraTrainer(fixturePath(name === "dora" ? "qwen3" : name), {
        runtime,
        initAdapter: fixturePath(`${folder}/initial_adapter`),
        ...optionsOf(series),
      });
    await follow(make, series, { label: name, updates: FIRST });
  });
}
