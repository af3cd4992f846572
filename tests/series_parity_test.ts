/**
 * Whole runs against Hugging Face Trainer in float64: loss, grad_norm, learning rate and eval_loss
 * of every update, and the final weights. From records and tokenizer files on, so tokenization,
 * masks, order, accumulation, clipping, schedule and optimizer are all in it.
 *
 * Measured worst over the four runs, relative: loss 9.7e-7, grad_norm 1.9e-5, eval_loss 5.7e-7.
 */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { readAll, readFloat32, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import {
  fixturePath,
  readFixtureJson,
  recipeTensors,
  withFixtureFile,
} from "./support/parity_fixture.ts";
import { qwen3Tokenizer } from "./support/qwen3_tokenizer.ts";
import {
  argument,
  assertRelativeL2,
  fixtureExamples,
  followSeries,
  type Series,
} from "./support/series.ts";

const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 3.8e-6

interface TokenRow {
  readonly input_ids: readonly number[];
  readonly labels: readonly number[];
}

const byteLevel = {
  maxLength: 160,
  tokenizer: () => loadTokenizer(fixturePath("tokenizer")),
};
const real = { maxLength: 64, tokenizer: qwen3Tokenizer };

for (
  const [tokens, { maxLength, tokenizer }] of [
    ["tokens.json", byteLevel],
    ["qwen3-vocab/tokens.json", real],
  ] as const
) {
  Deno.test(`${tokens}: ids and labels are those of transformers, row for row`, async () => {
    const expected = await readFixtureJson<TokenRow[]>(tokens);
    const examples = await fixtureExamples(await tokenizer(), maxLength);
    assert.equal(examples.length, expected.length);
    examples.forEach(({ inputIds, labels }, row) => {
      assert.deepEqual([...inputIds], expected[row].input_ids, `row ${row}`);
      assert.deepEqual([...labels], expected[row].labels, `row ${row}`);
    });
  });
}

const runtime = new Runtime({ threads: 2 });

for (const name of await withFixtureFile("series.json")) {
  Deno.test(`${name}: a whole run follows Hugging Face Trainer`, async () => {
    const series = await readFixtureJson<Series>(`${name}/series.json`);
    const { maxLength, tokenizer } = name === "qwen3-vocab" ? real : byteLevel;
    const examples = await fixtureExamples(await tokenizer(), maxLength);

    const folder = await Deno.makeTempDir();
    if (name === "qwen3-vocab") {
      await Deno.copyFile(fixturePath(`${name}/config.json`), `${folder}/config.json`);
      const weights = tensorSourceFromMap(await recipeTensors(name));
      await writeSafetensors(`${folder}/model.safetensors`, weights);
    }
    const model = name === "qwen3-vocab" ? folder : fixturePath(name);
    await using trainer = await createFullTrainer(model, {
      runtime,
      optimizer: { weightDecay: argument(series, "weight_decay") },
      maxGradNorm: argument(series, "max_grad_norm"),
    });
    const errors = await followSeries(trainer, examples, series);

    await using final = await openSafetensors(fixturePath(`${name}/final.safetensors`));
    let worst = 0;
    for (const parameter of trainer.weights.names()) {
      const width = trainer.config.hiddenSize;
      let got = await readFloat32(trainer.weights, parameter);
      const wanted = await readFloat32(final, parameter);
      if (wanted.length !== got.length) {
        const rows = new BigInt64Array((await readAll(final, "final_rows")).buffer);
        const all = got;
        got = Float32Array.from(
          wanted,
          (_, i) => all[Number(rows[Math.floor(i / width)]) * width + i % width],
        );
      }
      const limits = { limit: FINAL_WEIGHTS, label: parameter };
      worst = Math.max(worst, assertRelativeL2(got, wanted, limits));
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, errors, "weights", worst);
    await Deno.remove(folder, { recursive: true });
  });
}
