/** Whole runs on WebGPU against Hugging Face Trainer, as `tests/series_parity_test.ts` has them of the CPU. */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { fromPeft } from "../../lora/peft_source.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
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
import { runtime } from "../support/webgpu_runtime.ts";

// The limits are those of the CPU. Measured on lavapipe, relative: loss 3.3e-6, grad_norm 5.5e-5, eval_loss 1.1e-6.
const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 1.3e-5

const examples = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);
// The one with a real vocabulary has a test of its own on the CPU, and is slow on a software adapter.
const MODELS = (await withFixtureFile("series.json")).filter((name) => name !== "qwen3-vocab");

for (const name of MODELS) {
  Deno.test(`${name}: a whole run on WebGPU follows Hugging Face Trainer`, async () => {
    const series = await readFixtureJson<Series>(`${name}/series.json`);
    await using trainer = await createFullTrainer(fixturePath(name), {
      runtime,
      optimizer: { weightDecay: argument(series, "weight_decay") },
      maxGradNorm: argument(series, "max_grad_norm"),
    });
    const errors = await followSeries(trainer, examples, series);
    await using final = await openSafetensors(fixturePath(`${name}/final.safetensors`));
    const weights = await worstRelativeL2(trainer.weights, final, FINAL_WEIGHTS);
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, errors, "weights", weights);
  });
}

// Of the adapters of the fixtures a second plain one would only take longer.
for (const name of ["llama", "dora"]) {
  Deno.test(`${name}: a whole run of an adapter on WebGPU follows Hugging Face Trainer with PEFT`, async () => {
    const folder = `../lora/${name}`;
    const series = await readFixtureJson<Series>(`${folder}/series.json`);
    await using trainer = await createLoraTrainer(fixturePath(name === "dora" ? "qwen3" : name), {
      runtime,
      initAdapter: fixturePath(`${folder}/initial_adapter`),
      optimizer: { weightDecay: argument(series, "weight_decay") },
      maxGradNorm: argument(series, "max_grad_norm"),
    });
    const errors = await followSeries(trainer, examples, series);
    await using file = await openSafetensors(fixturePath(`${folder}/final_adapter.safetensors`));
    const weights = await worstRelativeL2(trainer.weights, fromPeft(file), FINAL_WEIGHTS);
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, errors, "weights", weights);
  });
}
