/** What training an adapter leaves alone, what dropout does, and adapters that do not fit. */

import assert from "node:assert/strict";
import { makeBatches } from "../data/batches/batches.ts";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { loadModel } from "../model/engine/load_model.ts";
import { ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "../lora/adapter_config.ts";
import { loadAdapter } from "../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { EMBEDDING } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readAll } from "../ort/tensor/tensor_source.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { tempFolder } from "./support/temp_folder.ts";

const runtime = new Runtime({ threads: 2 });

async function quickstartBatches(path: string) {
  const tokenizer = await loadTokenizer(`${path}/models/tiny`);
  const { examples } = await readExamples(`${path}/data/train.jsonl`, {
    tokenizer,
    maxLength: 512,
    limit: 4,
  });
  const options = { batchSize: 2, padId: tokenizer.padTokenId!, seed: 1, epoch: 0 };
  return [...makeBatches(examples, options)];
}

const KINDS = { LoRA: DEFAULT_LORA, DoRA: { ...DEFAULT_LORA, dora: true } };

for (const [kind, lora] of Object.entries(KINDS)) {
  Deno.test(`training with ${kind} changes every adapter tensor and no byte of the base`, async () => {
    await using folder = await quickstartFolder();
    const model = `${folder.path}/models/tiny`;
    const batches = await quickstartBatches(folder.path);
    await using trainer = await createLoraTrainer(model, { runtime, lora });
    await using base = await openSafetensors(`${model}/model.safetensors`);
    const adapterNames = trainer.weights.names().filter((name) => name.includes("lora_"));
    assert.equal(adapterNames.length, 4 * 7 * (kind === "DoRA" ? 4 : 2));
    const before = await Promise.all(adapterNames.map((name) => readAll(trainer.weights, name)));
    for (let step = 0; step < 2; step++) {
      const { skipped } = await trainer.trainStep(batches, { learningRate: 1e-3 });
      assert.equal(skipped, false);
    }
    for (const name of base.names()) {
      assert.deepEqual(await readAll(trainer.weights, name), await readAll(base, name), name);
    }
    for (const [i, name] of adapterNames.entries()) {
      assert.notDeepEqual(await readAll(trainer.weights, name), before[i], name);
    }
    assert.ok(!adapterNames.includes(EMBEDDING));
  });

  Deno.test(`${kind}: dropout draws anew for every seed, the same for the same, and none in evaluation`, async () => {
    await using folder = await quickstartFolder();
    const [batch] = await quickstartBatches(folder.path);
    const { config, weights: base } = await loadModel(runtime, `${folder.path}/models/tiny`);
    await using trainer = await createLoraTrainer(`${folder.path}/models/tiny`, {
      runtime,
      lora: { ...lora, dropout: 0.5 },
    });
    // With B at zero dropout changes nothing: one update first.
    await trainer.trainStep([batch], { learningRate: 1e-2 });
    await Deno.mkdir(`${folder.path}/adapter`);
    await trainer.save(`${folder.path}/adapter`);
    using adapted = await loadAdapter(runtime, `${folder.path}/adapter`, { config, base });
    const adapter = { block: adapted.block, weights: adapted.weights };
    const losses: number[][] = [];
    const gradientBytes: Uint8Array[] = [];
    for (const keep of [true, false]) {
      using gradients = new ParameterStore(runtime, adapted.trained.layout);
      using engine = new TrainingEngine(runtime, config, base, gradients, {
        adapter,
        gradientCheckpointing: keep,
      });
      for (const dropoutSeed of [1, 2, 1]) {
        const { losses: each } = await engine.forwardBackward(batch, {
          scale: 1,
          first: true,
          dropoutSeed,
        });
        losses.push([...each]);
        gradientBytes.push(gradients.flat.bytes().slice());
      }
      const evaluated = (await engine.evaluate(batch)).losses;
      assert.notDeepEqual([...evaluated], losses[0]);
      assert.deepEqual((await engine.evaluate(batch)).losses, evaluated);
    }
    const [one, two, again, ...kept] = losses;
    assert.notDeepEqual(two, one);
    assert.deepEqual(again, one);
    assert.deepEqual(kept, [one, two, one]);
    assert.deepEqual(gradientBytes.slice(3), gradientBytes.slice(0, 3));
    base[Symbol.dispose]();
  });
}

Deno.test("an adapter that does not fit is refused with all its faults", async () => {
  const { config, weights: base } = await loadModel(runtime, fixturePath("qwen3"));
  await using folder = await tempFolder();
  const source = fixturePath("../lora/qwen3/trained_adapter");
  const load = () => loadAdapter(runtime, folder.path, { config, base });
  await assert.rejects(load(), /there is no .*adapter_config\.json; give a folder that PEFT or/);

  const json = JSON.parse(await Deno.readTextFile(`${source}/${ADAPTER_CONFIG}`));
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ r: 0 }, /r must be a whole number above 0, got 0/],
    [{ lora_alpha: "8" }, /lora_alpha must be a number above 0, got "8"/],
    [{ lora_dropout: 1 }, /lora_dropout must be from 0 to below 1, got 1/],
    [
      { target_modules: 7 },
      /target_modules must be a list of names or a regular expression, got 7/,
    ],
    [{ target_modules: ["q_proj", "lm_head"] }, /Cannot adapt lm_head: the linear layers are q_/],
    [{ use_dora: "yes" }, /use_dora must be true or false, got "yes"/],
    [{ peft_type: "IA3" }, /peft_type is "IA3", ortune supports only "LORA"/],
    [
      { rank_pattern: { q_proj: 0 } },
      /rank_pattern must hold whole numbers above 0, got 0 for "q_pr/,
    ],
    [
      { modules_to_save: ["lm_head"] },
      /modules_to_save is \["lm_head"\]: modules of the base model/,
    ],
  ];
  for (const [change, message] of cases) {
    await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...json, ...change }));
    await assert.rejects(load(), message);
  }
  await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...json, r: 5 }));
  await Deno.copyFile(`${source}/${ADAPTER_WEIGHTS}`, `${folder.path}/${ADAPTER_WEIGHTS}`);
  await assert.rejects(load(), (error: Error) => {
    assert.match(error.message, /Cannot load weights from .*: they do not fit/);
    assert.ok(error.message.split("\n").length > 10, error.message);
    return true;
  });
  await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...json, use_dora: true }));
  await assert.rejects(load(), /missing: .*q_proj\.lora_magnitude_vector/);
  base[Symbol.dispose]();
});
