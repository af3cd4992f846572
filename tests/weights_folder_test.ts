/** Model folders whose weights are named, shaped or linked otherwise: read, or refused by what they are. */

import assert from "node:assert/strict";
import { sequenceGrid } from "../model/engine/batch.ts";
import { loadModel } from "../model/engine/load_model.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { openModel, readConfig } from "../model/weights/open_model.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { readAll, type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { configFixturePath, readConfigFixture } from "./support/config_fixture.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { processorSeconds } from "./support/processor_seconds.ts";

type Json = Readonly<Record<string, unknown>>;
type Tensors = Map<string, TensorData>;

const runtime = new Runtime({ threads: 2 });
const ropes = await readConfigFixture<{
  readonly ids: { readonly long: readonly number[] };
  readonly cases: readonly { readonly config: Json }[];
}>("ropes.json");
const { losses } = await readConfigFixture<{ readonly losses: Readonly<Record<string, number>> }>(
  "heads.json",
);
const names = await readConfigFixture<Readonly<Record<string, readonly string[]>>>("names.json");
// Measured: 4.8e-7.
const LOSS_ABSOLUTE = 5e-6;

/** The first case: a tied Qwen3 with default rotary embeddings. */
const [{ config: CONFIG }] = ropes.cases;
const EMBEDDING = "model.embed_tokens.weight";

async function weightsOf(): Promise<Tensors> {
  await using file = await openSafetensors(configFixturePath("qwen3.safetensors"));
  const tensors: Tensors = new Map();
  for (const name of file.names()) {
    tensors.set(name, { ...file.info(name), data: await readAll(file, name) });
  }
  return tensors;
}

/** The embedding, its rows in the reverse order: make.py's other head. */
function otherHead(tensors: Tensors): TensorData {
  const { dtype, shape, data } = tensors.get(EMBEDDING)!;
  const [rows, width] = [shape[0], data.byteLength / shape[0]];
  const flipped = new Uint8Array(data.byteLength);
  for (let row = 0; row < rows; row++) {
    flipped.set(data.subarray(row * width, (row + 1) * width), (rows - 1 - row) * width);
  }
  return { dtype, shape, data: flipped };
}

async function writeModel(folder: string, tensors: Tensors, config: Json = CONFIG): Promise<void> {
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  await writeSafetensors(`${folder}/model.safetensors`, tensorSourceFromMap(tensors));
}

async function lossOf(folder: string): Promise<number> {
  const { config, weights } = await loadModel(runtime, folder);
  using _weights = weights;
  using gradients = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
  using engine = new TrainingEngine(runtime, config, weights, gradients);
  const ids = ropes.ids.long;
  const { losses } = await engine.evaluate(sequenceGrid(ids));
  return losses.reduce((sum, each) => sum + each, 0) / (ids.length - 1);
}

function assertLoss(actual: number, wanted: number, label: string): void {
  assertClose([actual], [wanted], { absolute: LOSS_ABSOLUTE, label });
}

// ---------------------------------------------------------------- heads

Deno.test("a tied model's own head is read as transformers 5.24.0 reads it, or refused", async () => {
  const tensors = await weightsOf();
  const embedding = tensors.get(EMBEDDING)!;
  const untied = { ...CONFIG, tie_word_embeddings: false };
  const alone = new Map(tensors).set("lm_head.weight", embedding);
  alone.delete(EMBEDDING);
  const variants: readonly (readonly [string, Tensors, Json, number])[] = [
    ["tied", tensors, CONFIG, 0],
    ["tied_same_head", new Map(tensors).set("lm_head.weight", embedding), CONFIG, 0],
    ["untied", new Map(tensors).set("lm_head.weight", otherHead(tensors)), untied, 0],
    ["only_head", alone, CONFIG, 1],
  ];
  for (const [name, each, config, notes] of variants) {
    await using folder = await tempFolder();
    await writeModel(folder.path, each, config);
    assertLoss(await lossOf(folder.path), losses[name], name);
    assert.equal((await readConfig(folder.path)).notes.length, notes, name);
  }
  await using folder = await tempFolder();
  await writeModel(folder.path, new Map(tensors).set("lm_head.weight", otherHead(tensors)));
  const refused =
    /^RangeError: Cannot load weights from .*: tie_word_embeddings is true in config\.json, but "lm_head\.weight" is not "model\.embed_tokens\.weight" \(they differ from row 0 on\), .* 4\.57\.6 the embedding, 5\.24\.0 the other\. Set tie_word_embeddings to false/;
  for (const open of [openModel, lossOf]) await assert.rejects(open(folder.path), refused);
  await assert.rejects(createFullTrainer(folder.path, { runtime }), refused);
});

// ---------------------------------------------------------------- names

/** A tool's names for the fixture's tensors; what only an adapter has gets numbers of its own. */
function named(tensors: Tensors, list: readonly string[]): Tensors {
  const own = [...tensors].toSorted(([a], [b]) => b.length - a.length);
  return new Map(list.map((name) => {
    const plain = name.replaceAll(/_orig_mod\.|base_layer\./g, "");
    const found = plain.endsWith("lm_head.weight")
      ? tensors.get(EMBEDDING)
      : own.find(([known]) => `.model.${plain}`.endsWith(`.${known}`))?.[1];
    const extra = { dtype: "float32", shape: [2], data: new Uint8Array(8) } as const;
    return [name, found ?? extra];
  }));
}

for (const [tool, list] of Object.entries(names)) {
  if (tool === "PEFT") continue;
  Deno.test(`weights named as by ${tool} are read, and a note says so`, async () => {
    await using folder = await tempFolder();
    await writeModel(folder.path, named(await weightsOf(), list));
    assertLoss(await lossOf(folder.path), losses.tied, tool);
    const { notes } = await readConfig(folder.path);
    assert.equal(notes.length, 1);
    assert.match(notes[0], /: its tensors are named as ".*"; it is read as model\./);
    const model = await openModel(folder.path);
    assert.deepEqual(model.config.notes, notes);
    assert.ok(model.weights.names().every((name) => name.startsWith("model.")));
    await model[Symbol.asyncDispose]();
  });
}

Deno.test("a prefix that does not make everything fit is no way to read a file", async () => {
  const tensors = named(await weightsOf(), names.DataParallel);
  tensors.delete("module.model.norm.weight");
  await using folder = await tempFolder();
  await writeModel(folder.path, tensors);
  await assert.rejects(
    readConfig(folder.path),
    /^Error: Cannot load weights from .*: they do not fit its config\.json\n {2}missing: "model\.norm\.weight"\n/,
  );
});

/** Names of another kind of file, in place of the first tensor or beside all, and what it is called. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", /names of an adapter/],
  ["model.layers.0.self_attn.q_proj.qweight", /weights of a quantized model/],
  ["model.layers.0.self_attn.q_proj.weight_scale", /weights of a quantized model/],
  ["model.layers.0.mlp.down_proj.weight.absmax", /weights of a quantized model/],
  ["model.layers.0.mlp.experts.0.up_proj.weight", /names of a mixture of experts/],
  ["model.visual.blocks.0.attn.qkv.weight", /names of a model of images or sound/],
  ["layers.0.attention.wq.weight", /names of Meta's own files/],
  ["blk.0.attn_q.weight", /names of a GGUF file/],
  ["transformer.h.0.attn.c_attn.weight", /names of another architecture/],
  ["score.weight", /names of a classifier or reward model/],
  ["model.layers.0.self_attn.qkv_proj.weight", /projections are fused/],
  ["model.layers.0.self_attn.q_proj.bias", /set attention_bias to true/],
];

Deno.test("what is not part of the model is named, with what the file is by its names", async () => {
  const tensors = await weightsOf();
  const extra: TensorData = { dtype: "float32", shape: [1], data: new Uint8Array(4) };
  for (const [name, kind] of KINDS) {
    await using folder = await tempFolder();
    await writeModel(folder.path, new Map(tensors).set(name, extra));
    await assert.rejects(readConfig(folder.path), (error: Error) => {
      assert.ok(error.message.includes(`not part of the model: ${JSON.stringify(name)}`), name);
      assert.match(error.message, kind);
      assert.doesNotMatch(error.message, /Take both from the same model$/);
      return true;
    });
  }
  await using folder = await tempFolder();
  await writeModel(folder.path, named(tensors, names.PEFT));
  await assert.rejects(
    readConfig(folder.path),
    /names of a model that is wrapped for LoRA training/,
  );
});

Deno.test("rotary tables of older versions are passed over", async () => {
  const tensors = await weightsOf();
  const table: TensorData = { dtype: "float32", shape: [8], data: new Uint8Array(32) };
  tensors.set("model.layers.0.self_attn.rotary_emb.inv_freq", table);
  tensors.set("model.rotary_emb.inv_freq", table);
  await using folder = await tempFolder();
  await writeModel(folder.path, tensors);
  assertLoss(await lossOf(folder.path), losses.tied, "with tables");
});

Deno.test("integers in place of weights are a quantized model's", async () => {
  const tensors = await weightsOf();
  const name = "model.layers.0.mlp.up_proj.weight";
  tensors.set(name, { dtype: "int8", shape: [48, 32], data: new Uint8Array(48 * 32) });
  await using folder = await tempFolder();
  await writeModel(folder.path, tensors);
  await assert.rejects(
    readConfig(folder.path),
    /up_proj\.weight is int8: .*\nThese are the weights of a quantized model/,
  );
});

Deno.test("NaN in a file is told by its tensor when it is loaded, for training too", async () => {
  const tensors = await weightsOf();
  const name = "model.layers.1.mlp.down_proj.weight";
  const spoiled = tensors.get(name)!.data.slice();
  new Float32Array(spoiled.buffer)[48 * 3 + 5] = NaN;
  tensors.set(name, { ...tensors.get(name)!, data: spoiled });
  await using folder = await tempFolder();
  await writeModel(folder.path, tensors);
  const message = new RegExp(`"${name}" holds NaN or infinity \\(element 149, in row 3\\)`);
  await assert.rejects(loadModel(runtime, folder.path), message);
  await assert.rejects(createFullTrainer(folder.path, { runtime }), message);
});

// ---------------------------------------------------------------- sizes

const WRONG: readonly (readonly [Json, string])[] = [
  [{ num_hidden_layers: 1024 }, "num_hidden_layers is 1024 in config.json, but 2 by the weights"],
  [{ num_hidden_layers: 1 }, "num_hidden_layers is 1 in config.json, but 2 by the weights"],
  [{ vocab_size: 2 ** 24 }, "vocab_size is 16777216 in config.json, but 96 by the weights"],
  [{ hidden_size: 2 ** 24 }, "hidden_size is 16777216 in config.json, but 32 by the weights"],
  [
    { intermediate_size: 2 ** 24 },
    "intermediate_size is 16777216 in config.json, but 48 by the weights",
  ],
  [{ head_dim: 2 ** 24 }, "head_dim is 16777216 in config.json, but 16 by the weights"],
  [
    { num_attention_heads: 2 ** 24 },
    "num_attention_heads 16777216 · head_dim 16 is 268435456 in config.json, but 64 by the weights",
  ],
  [
    { num_key_value_heads: 4 },
    "num_key_value_heads 4 · head_dim 16 is 64 in config.json, but 32 by the weights",
  ],
];

Deno.test("sizes that the weights do not have are named by field before anything is laid out", async () => {
  await using folder = await tempFolder();
  await writeModel(folder.path, await weightsOf());
  for (const [change, line] of WRONG) {
    await Deno.writeTextFile(
      `${folder.path}/config.json`,
      JSON.stringify({ ...CONFIG, ...change }),
    );
    for (
      const open of [readConfig, lossOf, (path: string) => createFullTrainer(path, { runtime })]
    ) {
      const began = processorSeconds();
      await assert.rejects(open(folder.path), (error: Error) => {
        assert.ok(error.message.includes(`\n  ${line}\n`), error.message);
        assert.ok(error.message.endsWith("Correct config.json, or take both from the same model"));
        assert.ok(error.message.length < 4000, String(error.message.length));
        return true;
      });
      assert.ok(processorSeconds() - began < 1);
    }
  }
});

// ---------------------------------------------------------------- links

Deno.test("a snapshot of Hugging Face's cache is read through its links, and no other link is", async () => {
  await using folder = await tempFolder();
  const cache = `${folder.path}/models--owner--name`;
  const snapshot = `${cache}/snapshots/0123abcd`;
  await Deno.mkdir(`${cache}/blobs`, { recursive: true });
  await Deno.mkdir(snapshot, { recursive: true });
  await writeModel(`${cache}/blobs`, await weightsOf());
  for (const [blob, name] of [["c0", "config.json"], ["d1", "model.safetensors"]]) {
    await Deno.rename(`${cache}/blobs/${name}`, `${cache}/blobs/${blob}`);
    await Deno.symlink(`../../blobs/${blob}`, `${snapshot}/${name}`);
  }
  assertLoss(await lossOf(snapshot), losses.tied, "through links");
  await Deno.symlink(cache, `${folder.path}/elsewhere`);
  assertLoss(await lossOf(`${folder.path}/elsewhere/snapshots/0123abcd`), losses.tied, "twice");

  const outside = `${folder.path}/outside.safetensors`;
  await Deno.copyFile(`${cache}/blobs/d1`, outside);
  for (
    const target of [
      outside,
      "../../../outside.safetensors",
      "../../blobs/../../outside.safetensors",
      "../../blobs/out",
      "../../blobs/sub/d1",
    ]
  ) {
    await Deno.mkdir(`${cache}/blobs/sub`, { recursive: true });
    await Deno.copyFile(`${cache}/blobs/d1`, `${cache}/blobs/sub/d1`);
    await Deno.remove(`${cache}/blobs/out`).catch(() => {});
    await Deno.symlink(outside, `${cache}/blobs/out`);
    await Deno.remove(`${snapshot}/model.safetensors`);
    await Deno.symlink(target, `${snapshot}/model.safetensors`);
    await assert.rejects(
      lossOf(snapshot),
      /"model\.safetensors" is a link to a file outside of its folder\. /,
      target,
    );
  }
  await Deno.remove(`${snapshot}/model.safetensors`);
  await Deno.symlink("../../blobs/none", `${snapshot}/model.safetensors`);
  await assert.rejects(lossOf(snapshot), /"model\.safetensors" is a link to nothing/);
});
