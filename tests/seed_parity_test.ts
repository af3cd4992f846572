/**
 * `--compat seed`: the seed's own encoding, order and count of updates, against its whole run in
 * Hugging Face Trainer under both rules (`tests/fixtures/seed`; the floor rule's was repeated with
 * transformers 4.51.3 itself, difference 0).
 *
 * Measured worst, relative: loss 1.9e-8, grad_norm 1.8e-7, eval_loss 1.8e-8.
 */

import assert from "node:assert/strict";
import { readExamples } from "../data/examples/read_examples.ts";
import { toSeedExample } from "../data/examples/seed_example.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { fromPeft } from "../lora/peft_source.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { fixturePath, readFixtureJson } from "./support/parity_fixture.ts";
import { followSeries, type Series, SYSTEM, worstRelativeL2 } from "./support/series.ts";

const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 1.5e-6, of LoRA 2.3e-5
const MAX_LENGTH = 160;

const runtime = new Runtime({ threads: 2 });

async function seedExamples() {
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const { examples } = await readExamples(fixturePath("records.jsonl"), {
    tokenizer,
    maxLength: MAX_LENGTH,
    encode: (record) => [
      toSeedExample(record, { tokenizer, maxLength: MAX_LENGTH, system: SYSTEM }),
    ],
  });
  return examples;
}

Deno.test("the seed's encoding gives its ids and labels, row for row", async () => {
  const expected = await readFixtureJson<{ seed_input_ids: number[]; seed_labels: number[] }[]>(
    "tokens.json",
  );
  const examples = await seedExamples();
  assert.equal(examples.length, expected.length);
  examples.forEach(({ inputIds, labels }, row) => {
    assert.deepEqual([...inputIds], expected[row].seed_input_ids, `row ${row}`);
    assert.deepEqual([...labels], expected[row].seed_labels, `row ${row}`);
  });
});

for (const rule of ["ceil", "floor"]) {
  Deno.test(`the seed's whole run is followed with updates counted by ${rule}`, async () => {
    const folder = fixturePath(`../seed/${rule}`);
    const series = JSON.parse(await Deno.readTextFile(`${folder}/series.json`)) as Series & {
      total_steps: number;
    };
    await using trainer = await createFullTrainer(fixturePath("qwen3"), { runtime });
    const errors = await followSeries(trainer, await seedExamples(), series);
    assert.equal(trainer.step, series.total_steps);
    await using final = await openSafetensors(`${folder}/final.safetensors`);
    const worst = await worstRelativeL2(trainer.weights, final, FINAL_WEIGHTS);
    if (Deno.env.get("ORTUNE_REPORT")) console.log(rule, errors, "weights", worst);
  });
}

Deno.test("the seed's whole LoRA run is followed: rank 8, alpha 32, the same initial A, no dropout", async () => {
  const folder = fixturePath("../seed/lora");
  const series = JSON.parse(await Deno.readTextFile(`${folder}/series.json`)) as Series;
  await using trainer = await createLoraTrainer(fixturePath("qwen3"), {
    runtime,
    initAdapter: `${folder}/initial_adapter`,
  });
  const errors = await followSeries(trainer, await seedExamples(), series);
  await using file = await openSafetensors(`${folder}/final_adapter.safetensors`);
  const worst = await worstRelativeL2(trainer.weights, fromPeft(file), FINAL_WEIGHTS);
  if (Deno.env.get("ORTUNE_REPORT")) console.log("lora", errors, "weights", worst);
});
