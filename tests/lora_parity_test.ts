/**
 * LoRA against PEFT in float64: logits and gradients of A and B, whole runs of Hugging Face Trainer
 * from the same initial adapter, greedy tokens with the adapter beside the base and merged into it,
 * and PEFT's files. Fixtures: `tests/fixtures/lora/make.py`.
 *
 * Measured worst of both models: the runs' loss 6.1e-8, grad_norm 1.5e-6, eval_loss 4.9e-8, relative.
 */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/tokenizer.ts";
import { loadModel } from "../engine/load_model.ts";
import { ParameterStore } from "../engine/parameter_store.ts";
import { TrainingEngine } from "../engine/training_engine.ts";
import { createGenerator } from "../infer/generator.ts";
import { loadAdapter } from "../lora/load_adapter.ts";
import { mergeAdapter } from "../lora/merge_adapter.ts";
import { fromPeft } from "../lora/peft_source.ts";
import { Runtime } from "../ort/runtime.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { openSafetensors } from "../tensor/safetensors_file.ts";
import { readFloat32 } from "../tensor/tensor_source.ts";
import { createLoraTrainer } from "../train/lora_trainer.ts";
import { expectedBatch, fixturePath } from "./support/parity_fixture.ts";
import {
  argument,
  fixtureExamples,
  followSeries,
  type Series,
  worstRelativeL2,
} from "./support/series.ts";

const LOGITS_ABSOLUTE = 1e-4; // measured 1.8e-5
const GRADIENT_RELATIVE = 1e-4; // of the tensor's largest, measured 5.1e-6
const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 4.7e-6

const runtime = new Runtime({ threads: 2 });
const lora = (path: string) => fixturePath(`../lora/${path}`);

for (const name of ["qwen3", "llama"]) {
  Deno.test(`${name}: logits and gradients with an adapter are PEFT's`, async () => {
    const { config, weights: base } = await loadModel(runtime, fixturePath(name));
    using adapted = await loadAdapter(runtime, lora(`${name}/trained_adapter`), { config, base });
    using gradients = new ParameterStore(runtime, adapted.trained.layout);
    using engine = new TrainingEngine(runtime, config, base, gradients, {
      headChunk: 50,
      adapter: { block: { ...adapted.block, dropout: 0 }, weights: adapted.trained },
    });
    await using expected = await openSafetensors(lora(`${name}/expected.safetensors`));
    const batch = await expectedBatch(expected);
    const real = Int32Array.from(batch.segmentIds.keys()).filter((i) => batch.segmentIds[i] > 0);
    const logits = await engine.logits(batch, real);
    const wanted = await readFloat32(expected, "logits");
    const reference = Float32Array.from(
      logits,
      (_, i) =>
        wanted[real[Math.floor(i / config.vocabSize)] * config.vocabSize + i % config.vocabSize],
    );
    const { maxAbsolute } = assertClose(logits, reference, {
      absolute: LOGITS_ABSOLUTE,
      label: "logits",
    });

    const supervised = batch.targets.filter((target) => target >= 0).length;
    gradients.flat.float32().fill(7);
    for (const first of [true, false]) {
      await engine.forwardBackward(batch, { scale: 0.5 / supervised, first });
    }
    let worst = 0;
    for (const parameter of gradients.names()) {
      const reference = await readFloat32(expected, `grad.base_model.model.${parameter}`);
      const { maxAbsolute } = assertClose(gradients.tensor(parameter).float32(), reference, {
        relativeToMax: GRADIENT_RELATIVE,
        label: parameter,
      });
      const largest = reference.reduce((max, each) => Math.max(max, Math.abs(each)), 0);
      worst = Math.max(worst, maxAbsolute / largest);
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, { logits: maxAbsolute, gradient: worst });
    base[Symbol.dispose]();
  });

  Deno.test(`${name}: a whole LoRA run follows Hugging Face Trainer with PEFT`, async () => {
    const series = JSON.parse(
      await Deno.readTextFile(lora(`${name}/series.json`)),
    ) as Series;
    const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
    const examples = await fixtureExamples(tokenizer, 160);
    await using trainer = await createLoraTrainer(fixturePath(name), {
      runtime,
      initAdapter: lora(`${name}/initial_adapter`),
      optimizer: { weightDecay: argument(series, "weight_decay") },
      maxGradNorm: argument(series, "max_grad_norm"),
    });
    const errors = await followSeries(trainer, examples, series);
    await using file = await openSafetensors(lora(`${name}/final_adapter.safetensors`));
    const worst = await worstRelativeL2(trainer.weights, fromPeft(file), FINAL_WEIGHTS);
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, errors, "weights", worst);
  });

  Deno.test(`${name}: greedy tokens with the adapter, beside the base and merged, are PEFT's`, async () => {
    const { rows } = JSON.parse(await Deno.readTextFile(lora(`${name}/generate.json`))) as {
      rows: { prompt_ids: number[]; new_ids: number[] }[];
    };
    const { config, weights: base } = await loadModel(runtime, fixturePath(name));
    using adapted = await loadAdapter(runtime, lora(`${name}/trained_adapter`), { config, base });
    const greedy = async (options: Parameters<typeof createGenerator>[0]) => {
      using generator = createGenerator(options);
      for (const { prompt_ids, new_ids } of rows) {
        const ids = await Array.fromAsync(
          generator.generate(prompt_ids, { greedy: true, maxNewTokens: new_ids.length }),
        );
        assert.deepEqual(ids, new_ids.slice(0, ids.length));
        assert.ok(ids.length >= new_ids.length - 1);
      }
    };
    await greedy({ runtime, config, weights: adapted.weights, graph: adapted.decodeGraph });
    mergeAdapter(runtime, { config, base, adapted });
    await greedy({ runtime, config, weights: base });
    base[Symbol.dispose]();
  });
}

Deno.test("an adapter with what ortune lacks is refused, naming the field", async () => {
  const { config, weights: base } = await loadModel(runtime, fixturePath("qwen3"));
  await assert.rejects(
    loadAdapter(runtime, lora("dora/trained_adapter"), { config, base }),
    /adapter_config\.json: use_dora is true, ortune supports only false; merge the adapter/,
  );
  base[Symbol.dispose]();
});
