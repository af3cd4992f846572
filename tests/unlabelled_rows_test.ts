/** A row whose prompt fills its whole length adds nothing to its update, as in Hugging Face's Trainer. */

import assert from "node:assert/strict";
import { collate } from "../data/batches/collator.ts";
import type { Example } from "../data/examples/example.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { readAll } from "../ort/tensor/tensor_source.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";

const prompt = Int32Array.from({ length: 24 }, (_, i) => 300 + i);
const options = { maxLength: 24, terminated: true };
const answered = joinExample(prompt.subarray(0, 8), Int32Array.of(40, 41, 42, 1021), options);
const filled = joinExample(prompt, Int32Array.of(40, 1021), options);

async function weightsAfter(
  windows: readonly (readonly Example[])[],
): Promise<{ loss: number; gradNorm: number; skipped: boolean; bytes: Uint8Array }> {
  await using folder = await quickstartFolder();
  using runtime = new Runtime({ threads: THREADS });
  await using trainer = await createFullTrainer(`${folder.path}/models/tiny`, { runtime });
  const batches = windows.map((examples) => collate(examples, { padId: 1019 }));
  const result = await trainer.trainStep(batches, { learningRate: 1e-3 });
  return { ...result, bytes: await readAll(trainer.weights, "model.embed_tokens.weight") };
}

Deno.test("a row without an answer left changes no update, in a batch of its own or in another's", async () => {
  assert.deepEqual([filled.supervised, filled.inputIds.length], [0, 24]);
  const alone = await weightsAfter([[answered]]);
  for (const windows of [[[answered], [filled]], [[filled], [answered]]]) {
    const { loss, gradNorm, skipped, bytes } = await weightsAfter(windows);
    assert.deepEqual([loss, gradNorm, skipped], [alone.loss, alone.gradNorm, false]);
    assert.deepEqual(bytes, alone.bytes);
  }
  const together = await weightsAfter([[answered, filled]]);
  // Another shape of the products: measured 1.2e-7 of the loss.
  assert.ok(Math.abs(together.loss - alone.loss) < 1e-6 * alone.loss);
});

Deno.test("an update of such rows alone is skipped", async () => {
  const { loss, skipped } = await weightsAfter([[filled]]);
  assert.deepEqual([loss, skipped], [NaN, true]);
});
