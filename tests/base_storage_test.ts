/**
 * A frozen base in float16: what is computed on it is what a float32 base of the same rounded weights
 * gives, of every family, tied and not, by LoRA and DoRA.
 */

import assert from "node:assert/strict";
import { DEFAULT_LORA, type LoraOptions } from "../lora/lora_options.ts";
import { BASE_STORAGES, storedTypes } from "../model/base_storage.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadWeights } from "../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { openModel } from "../model/weights/open_model.ts";
import { modelParameters } from "../model/parameters.ts";
import { headGraph } from "../model/graphs/training_graphs.ts";
import { makeBatches } from "../data/batches/batches.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import type { Rounding } from "../model/engine/rounding_tally.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { readFloat32, type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { resolveTraining } from "../train/runs/resolve_training.ts";
import { runTraining } from "../train/runs/run_training.ts";
import { type AdapterCase, adapterPasses } from "./support/adapter_passes.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { fixturePath, withFixtureFile } from "./support/parity_fixture.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { fixtureExamples } from "./support/series.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { runGraph } from "./support/run_graph.ts";
import { dense } from "./support/reference_interpreter.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { draws } from "./support/random.ts";
import { emptyStore, randomWeights, tinyConfig } from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });

/** A base in float16, and one in float32 of the same numbers. */
async function bases(
  config: ModelConfig,
): Promise<readonly [stored: ParameterStore, rounded: ParameterStore]> {
  using source = randomWeights(runtime, config);
  const specs = modelParameters(config);
  const dtypes = storedTypes(specs, BASE_STORAGES.fp16);
  const stored = new ParameterStore(runtime, layoutParameters(specs), { dtypes });
  await loadWeights(runtime, stored, source);
  const rounded = emptyStore(runtime, config);
  for (const name of rounded.names()) {
    const values = source.tensor(name).float32();
    const halves = new Float16Array(values);
    rounded.tensor(name).float32().set(dtypes.has(name) ? halves : values);
    if (dtypes.has(name)) assert.ok(halves.some((half, i) => half !== values[i]), name);
  }
  return [stored, rounded];
}

const NO_DROPOUT: LoraOptions = { ...DEFAULT_LORA, dropout: 0 };
/** With biases, and heads of their own; the fixtures' models below are of all families. */
const MODELS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  qwen3: {},
  "qwen3, untied": { tie_word_embeddings: false },
  "llama with biases, untied": {
    model_type: "llama",
    attention_bias: true,
    tie_word_embeddings: false,
  },
};
const METHODS: Readonly<Record<string, Pick<AdapterCase, "lora" | "options">>> = {
  LoRA: { lora: NO_DROPOUT },
  "rsLoRA with dropout": { lora: { ...DEFAULT_LORA, rslora: true } },
  DoRA: { lora: { ...NO_DROPOUT, dora: true } },
  "DoRA with dropout, all on graphs": {
    lora: { ...DEFAULT_LORA, dora: true },
    options: { graphsOnly: true },
  },
  "LoRA with activations kept": {
    lora: NO_DROPOUT,
    options: { gradientCheckpointing: false },
  },
};

for (const [model, json] of Object.entries(MODELS)) {
  for (const [method, how] of Object.entries(METHODS)) {
    Deno.test(`${model}: ${method} on a float16 base is that on the rounded weights, to the bit`, async () => {
      const config = tinyConfig(json);
      const [stored, rounded] = await bases(config);
      const expected = await adapterPasses(runtime, rounded, { config, ...how });
      assert.ok(expected.losses.length > 200);
      assert.ok(expected.gradients.values().every((each) => each.some((value) => value !== 0)));
      assert.deepEqual(await adapterPasses(runtime, stored, { config, ...how }), expected);
      stored[Symbol.dispose]();
      rounded[Symbol.dispose]();
    });
  }
}

const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
const examples = (await fixtureExamples(tokenizer, 96)).slice(0, 4);

/** Families whose linear layers differ from others' as those of adapters with magnitudes see them. */
const WITH_MAGNITUDES = ["qwen3", "gemma3_text", "qwen3_5_text"];

/** Two updates of a new adapter; what is saved, the losses, and what was told of the base. */
async function train(model: string, options: { baseDtype?: "fp16"; lora: LoraOptions }) {
  let rounding: Rounding | undefined;
  await using trainer = await createLoraTrainer(model, {
    runtime,
    ...options,
    onRounding: (told) => rounding = told,
  });
  const batches = [...makeBatches(examples, { batchSize: 2, padId: 0, seed: 1, epoch: 0 })];
  const losses: number[] = [];
  for (let i = 0; i < 2; i++) {
    losses.push((await trainer.trainStep(batches, { learningRate: 1e-2 })).loss);
  }
  losses.push(...(await trainer.evaluate(batches[0])).losses);
  await using folder = await tempFolder();
  await trainer.save(folder.path);
  const { "adapter_model.safetensors": adapter } = await folderHashes(folder.path);
  return { losses, adapter, rounding };
}

for (const name of await withFixtureFile("model.safetensors")) {
  Deno.test(`${name}: an adapter on a float16 base is trained to the bytes that rounded weights give`, async () => {
    await using folder = await tempFolder();
    const model = fixturePath(name);
    await folder.write("config.json", await Deno.readTextFile(`${model}/config.json`));
    await using file = await openModel(model);
    const tensors = new Map<string, TensorData>();
    let [errors, squares, changed] = [0, 0, 0];
    let worst = 0;
    for (const tensor of file.weights.names()) {
      const values = await readFloat32(file.weights, tensor);
      const { shape } = file.weights.info(tensor);
      const kept = shape.length > 1 ? Float32Array.from(new Float16Array(values)) : values;
      [errors, squares] = [0, 0];
      values.forEach((value, i) => {
        errors += (value - kept[i]) ** 2;
        squares += value ** 2;
        if (value !== kept[i]) changed++;
      });
      worst = Math.max(worst, Math.sqrt(errors / squares));
      const data = new Uint8Array(kept.buffer);
      tensors.set(tensor, { dtype: "float32", shape, data });
    }
    await writeSafetensors(`${folder.path}/model.safetensors`, tensorSourceFromMap(tensors));
    const methods = [
      DEFAULT_LORA,
      ...WITH_MAGNITUDES.includes(name) ? [{ ...DEFAULT_LORA, dora: true }] : [],
    ];
    for (const lora of methods) {
      const { rounding, ...stored } = await train(model, { baseDtype: "fp16", lora });
      const { rounding: none, ...rounded } = await train(folder.path, { lora });
      assert.deepEqual(stored, rounded);
      assert.equal(none, undefined);
      assert.equal(rounding!.changed, changed);
      assertClose([rounding!.worst.error], [worst], { relative: 1e-6, label: "worst" });
      if (name !== "qwen3") continue;
      const again = await train(folder.path, { baseDtype: "fp16", lora });
      assert.deepEqual([again.losses, again.rounding!.changed], [rounded.losses, 0]);
    }
  });
}

Deno.test("a large head in float16 is widened in slices, to the same losses and gradient", () => {
  const config = tinyConfig({ vocab_size: 10_000, hidden_size: 1024 });
  const [stored, whole] = [BASE_STORAGES.fp16, BASE_STORAGES.fp32].map((storage) =>
    headGraph(config, { frozen: true, storage })
  );
  const count = (op: string): number => stored.nodes.filter((node) => node.op === op).length;
  // Two slices forwards and, cut elsewhere, two backwards, with as many of the logits' gradient.
  assert.deepEqual([count("Cast"), count("Slice")], [4, 6]);
  const draw = draws(3);
  const drawn = (...shape: number[]) => dense(shape, () => draw());
  // Whole numbers below 2^11, scaled by a power of 2: each is a float16.
  const head = dense([10_000, 1024], (i) => ((i * 7919) % 2039 - 1019) * 2 ** -14);
  const inputs = {
    x: drawn(7, 1024),
    "model.norm.weight": drawn(1024),
    token_ids: dense([5, 1], (i) => i + 1),
    targets: dense([5, 1], (i) => 1900 * i + 3),
    scale: dense([], () => 0.2),
    dx_before: drawn(7, 1024),
    lm_head: head,
  };
  const got = runGraph(runtime, stored, inputs, { n: 5, tokens: 7 });
  const wanted = runGraph(runtime, whole, inputs, { n: 5, tokens: 7 });
  assert.deepEqual(got.loss, wanted.loss);
  // The product's sum over the vocabulary is made in parts: measured 0.
  assertClose(got.dx.data, wanted.dx.data, { relativeToMax: 1e-6, label: "dx" });
});

Deno.test("train:lora --base-dtype fp16 says what it costs, is recorded, and resumes as itself alone", async () => {
  await using folder = await quickstartFolder();
  const lines: string[] = [];
  const run = async (outputDir: string, more: Record<string, unknown>) => {
    const { lora, ...others } = more as { lora?: object };
    await using run = await runTraining({
      model: `${folder.path}/models/tiny`,
      trainFile: `${folder.path}/data/train.jsonl`,
      outputDir: `${folder.path}/${outputDir}`,
      maxLength: 512,
      maxSteps: 2,
      saveSteps: 1,
      loggingSteps: 1,
      threads: THREADS,
      reportTo: [],
      lora: { baseDtype: "fp16", ...lora },
      ...others,
    }, { say: (line) => lines.push(line) });
    return await folderHashes(run.checkpoint);
  };
  const whole = await run("whole", {});
  const [base] = lines.filter((line) => line.startsWith("base: "));
  assert.match(
    base,
    /^base: matrices take 1\.\d+ MiB in float16 in place of 3\.\d+ MiB in float32; \d+ of \d+ weights are rounded from float32, 1 of them to 0; the largest relative error of a matrix, ‖W − float16\(W\)‖ ÷ ‖W‖, is 2\.1e-4 \(model\.\S+\)$/,
  );
  const manifest = JSON.parse(await Deno.readTextFile(`${folder.path}/whole/run.json`));
  assert.equal(manifest.arguments.lora.baseDtype, "fp16");
  await Deno.remove(`${folder.path}/whole/checkpoint-2`, { recursive: true });
  await assert.rejects(
    run("whole", { resumeFromCheckpoint: true, lora: { baseDtype: "fp32" } }),
    /Cannot resume from .*\n {2}base_dtype: "fp16" there, not set here\n/,
  );
  assert.deepEqual(await run("whole", { resumeFromCheckpoint: true }), whole);
});

Deno.test("a base dtype is refused on CUDA, which keeps the base in its precision, and by a wrong name", async () => {
  await using folder = await quickstartFolder();
  const options = {
    model: `${folder.path}/models/tiny`,
    trainFile: `${folder.path}/data/train.jsonl`,
  };
  await assert.rejects(
    resolveTraining({ ...options, device: "cuda", lora: { baseDtype: "fp16" } }),
    {
      name: "RangeError",
      message:
        "Cannot keep the base in fp16 on cuda:0: there it is kept in what --precision computes " +
        "in, by default bf16, which takes as much memory as fp16; leave out --base-dtype",
    },
  );
  await assert.rejects(
    resolveTraining({ ...options, lora: { baseDtype: "int1" as "fp16" } }),
    /^RangeError: Cannot find base dtype "int1": there are fp32, fp16, int8, int4$/,
  );
  const { storage } = await resolveTraining({ ...options, lora: { baseDtype: "fp16" } });
  assert.equal(storage.matrices, "float16");
});
