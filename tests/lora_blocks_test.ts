/**
 * Adapters that differ by block, of which all blocks share one graph: what fills them up stays zero and
 * is not saved, and a block's scale is its own.
 */

import assert from "node:assert/strict";
import { makeBatches } from "../data/batches/batches.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { ADAPTER_WEIGHTS } from "../lora/adapter_config.ts";
import { createLoraAdapter, loraA, loraB } from "../lora/block_adapter.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../lora/lora_options.ts";
import { loraTargets } from "../lora/lora_targets.ts";
import { fromPeft } from "../lora/peft_source.ts";
import { layerName } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { draws } from "./support/random.ts";
import { fixtureExamples } from "./support/series.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { randomExamples, randomWeights, tinyBatch, tinyConfig } from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });
const LOSSES = 1e-5; // measured 1.5e-6
const GRADIENTS = 1e-5; // of a tensor's largest, measured 2.1e-6
const DIFFERENT = "ranks or scales that differ";

const BY_BLOCK: LoraOptions = {
  ...{ ...DEFAULT_LORA, rank: 3, alpha: 12, dropout: 0.2 },
  targetModules: ["q_proj", "v_proj", "down_proj"],
  layersToTransform: [0, 2],
  rankPattern: { "layers.0.self_attn.q_proj": 5, v_proj: 1 },
  alphaPattern: { "layers.2.*": 4 },
};

async function fixtureBatches() {
  const examples = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);
  return [...makeBatches(examples, { batchSize: 2, padId: 0, seed: 1, epoch: 0 })];
}

for (const [kind, lora] of Object.entries({ LoRA: BY_BLOCK, DoRA: { ...BY_BLOCK, dora: true } })) {
  for (const graphsOnly of [false, true]) {
    const where = graphsOnly ? ", all on graphs" : "";
    Deno.test(`a new ${kind} adapter trains the blocks that have one, and nothing else${where}`, async () => {
      await using trainer = await createLoraTrainer(fixturePath("qwen3"), {
        ...{ runtime, lora, graphsOnly },
        optimizer: { weightDecay: 0.1 },
      });
      const names = trainer.weights.names().filter((name) => /\.lora_(?:A|B|mag)/.test(name));
      assert.equal(names.length, 3 * 3 * (lora.dora ? 3 : 2));
      const before = new Map<string, Float32Array>();
      for (const name of names) before.set(name, await readFloat32(trainer.weights, name));
      const batches = await fixtureBatches();
      for (let i = 0; i < 3; i++) {
        const { skipped } = await trainer.trainStep(batches, { learningRate: 1e-2 });
        assert.equal(skipped, false);
      }
      await using folder = await tempFolder();
      await trainer.save(folder.path);
      await using file = await openSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`);
      const saved = fromPeft(file);
      const targets = loraTargets(trainer.config, lora);
      assert.equal(targets.length, 6);
      assert.equal(saved.names().length, targets.length * (lora.dora ? 3 : 2));
      for (const { layer, name, rank } of targets) {
        const [a, b] = [loraA(name), loraB(name)].map((each) => layerName(layer, each));
        assert.equal(saved.info(a).shape[0], rank);
        assert.equal(saved.info(b).shape[1], rank);
        // A is drawn, and both are trained.
        const drawn = before.get(a)!.filter((value) => value !== 0).length;
        assert.equal(drawn, rank * saved.info(a).shape[1]);
        assert.ok((await readFloat32(saved, b)).every((value) => value !== 0), b);
      }
      let numbers = 0;
      for (const name of names) {
        const values = await readFloat32(trainer.weights, name);
        const own = saved.names().includes(name) ? await readFloat32(saved, name) : [];
        numbers += own.length;
        const filled = (of: Float32Array) => of.filter((value) => value !== 0).length;
        assert.ok(filled(values) <= own.length, name);
        assert.notEqual(filled(values) === 0, own.length > 0, name);
      }
      assert.equal(trainer.trainableParameters, numbers);
    });
  }
}

Deno.test("a block's own scale is as the scale of all blocks with B scaled, under dropout too", async () => {
  const config = tinyConfig();
  using base = randomWeights(runtime, config);
  const uniform = { ...DEFAULT_LORA, rank: 4, alpha: 16, dropout: 0.3 };
  const examples = randomExamples([9, 12], config.vocabSize);
  const batch = tinyBatch(examples.map((each) => [each]), 12);
  const run = async (lora: LoraOptions, factor: number) => {
    using adapted = adaptModel(runtime, { config, base, lora });
    const draw = draws(3);
    for (const name of adapted.trained.names()) {
      const values = adapted.trained.tensor(name).float32();
      const scaled = name.startsWith("model.layers.0.") && name.endsWith(loraB(""));
      for (let i = 0; i < values.length; i++) values[i] = draw(-0.3, 0.3) * (scaled ? factor : 1);
    }
    using gradients = new ParameterStore(runtime, adapted.trained.layout);
    using engine = new TrainingEngine(runtime, config, base, gradients, { adapter: adapted });
    const { losses } = await engine.forwardBackward(batch, {
      ...{ scale: 1, first: true, dropoutSeed: 5 },
    });
    const read = gradients.names().map((name) => [name, gradients.tensor(name).float32().slice()]);
    return { losses: losses.slice(), gradients: new Map(read as [string, Float32Array][]) };
  };
  const byBlock = await run({ ...uniform, alphaPattern: { "layers.0.*": 6 } }, 1);
  const scaled = await run(uniform, 6 / 16);
  const { maxAbsolute } = assertClose(byBlock.losses, scaled.losses, {
    absolute: LOSSES,
    label: "losses",
  });
  let worst = 0;
  for (const [name, values] of scaled.gradients) {
    const ofB = name.startsWith("model.layers.0.") && name.endsWith(loraB(""));
    const wanted = ofB ? values.map((value) => value * 6 / 16) : values;
    const error = assertClose(byBlock.gradients.get(name)!, wanted, {
      relativeToMax: GRADIENTS,
      label: name,
    });
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    worst = Math.max(worst, error.maxAbsolute / largest);
  }
  if (Deno.env.get("ORTUNE_REPORT")) console.log({ losses: maxAbsolute, gradients: worst });
});

Deno.test("kernels take adapters of one rank and scale, on some blocks too, and leave others to operators", () => {
  const config = tinyConfig();
  const of = (change: Partial<LoraOptions>) => {
    const { products, noProducts } = createLoraAdapter(config, { ...DEFAULT_LORA, ...change });
    return products?.rank ?? noProducts;
  };
  assert.equal(of({}), 8);
  assert.equal(of({ layersToTransform: 1, excludeModules: ["q_proj"] }), 8);
  assert.equal(of({ rankPattern: { q_proj: 16 }, alphaPattern: { q_proj: 64 } }), DIFFERENT);
  assert.equal(of({ alphaPattern: { q_proj: 64 } }), DIFFERENT);
  assert.equal(of({ alphaPattern: { "0.self_attn.q_proj": 64 } }), DIFFERENT);
  assert.equal(of({ dora: true }), "DoRA");
});
