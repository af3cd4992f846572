/**
 * A short run from PiSSA on a model of the fixtures. In: a folder. Out: in it, what a checkpoint holds of the adapter.
 *
 *     deno run -A tests/support/pissa_run.ts FOLDER        # as tests/fixtures/pissa/make.py does
 */

import { collate } from "../../data/batches/collator.ts";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import type { PissaProgress } from "../../lora/pissa.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import { fixturePath } from "./parity_fixture.ts";
import { fixtureExamples } from "./series.ts";

const UPDATES = 4;
const LEARNING_RATE = 3e-3;

/** Trains the adapter and saves it; answers what was told of its singular values. */
export async function runPissa(runtime: Runtime, folder: string): Promise<PissaProgress[]> {
  const told: PissaProgress[] = [];
  const examples = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);
  await using trainer = await createLoraTrainer(fixturePath("qwen3"), {
    runtime,
    lora: { ...DEFAULT_LORA, rank: 2, alpha: 16, dropout: 0 },
    initLoraWeights: "pissa",
    onPissa: (progress) => told.push(progress),
  });
  for (let update = 0; update < UPDATES; update++) {
    const batch = collate([examples[update]], { padId: 0 });
    await trainer.trainStep([batch], { learningRate: LEARNING_RATE });
  }
  await trainer.save(folder);
  return told;
}

if (import.meta.main) {
  using runtime = new Runtime({ threads: 1 });
  await runPissa(runtime, Deno.args[0]);
}
