import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { readAll, type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { openModel, readConfig } from "./open_model.ts";

const config = tinyConfig();
const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** All tensors of the tiny model. */
async function tensors(): Promise<Map<string, TensorData>> {
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  const all = new Map<string, TensorData>();
  for (const name of weights.names()) {
    all.set(name, { ...weights.info(name), data: await readAll(weights, name) });
  }
  return all;
}

/** A folder with a config.json, and with weights where there are some. */
async function folderOf(weights?: ReadonlyMap<string, TensorData>): Promise<TempFolder> {
  const folder = await tempFolder();
  await folder.write("config.json", JSON.stringify(config.raw));
  if (weights) {
    await writeSafetensors(`${folder.path}/model.safetensors`, tensorSourceFromMap(weights));
  }
  return folder;
}

Deno.test("a model folder is its config and its weights under their own names", async () => {
  const all = await tensors();
  await using folder = await folderOf(all);
  await using model = await openModel(folder.path);
  assert.equal(model.directory, folder.path);
  assert.deepEqual(model.config, config);
  assert.deepEqual(new Set(model.weights.names()), new Set(all.keys()));
  assert.deepEqual(await readAll(model.weights, EMBEDDING), all.get(EMBEDDING)!.data);
  assert.deepEqual(await readConfig(folder.path), config);
});

Deno.test("a config.json is read alone where there are no weights, and a model is not", async () => {
  await using folder = await folderOf();
  assert.deepEqual(await readConfig(folder.path), config);
  await assert.rejects(openModel(folder.path), /model\.safetensors/);
  // What is there and no safetensors file is no such folder.
  await folder.write("model.safetensors", "{}");
  await assert.rejects(readConfig(folder.path), /model\.safetensors/);
});

Deno.test("a folder without config.json, or of a model of embeddings, is refused with what to take", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  for (const open of [openModel, readConfig]) {
    await assert.rejects(open(path), {
      message:
        `Cannot open model ${path}: there is no ${path}/config.json; give the folder of a model ` +
        "in Hugging Face's layout (config.json, tokenizer.json, model.safetensors)",
    });
  }
  await folder.write("config.json", JSON.stringify(config.raw));
  await folder.write("modules.json", "[]");
  for (const open of [openModel, readConfig]) {
    await assert.rejects(open(path), {
      message:
        `Cannot open model ${path}: it is a model of embeddings, as ${path}/modules.json of ` +
        "sentence-transformers says: no text comes out of it; use the causal language model that it was " +
        "made of, such as Qwen/Qwen3-0.6B for Qwen3-Embedding-0.6B",
    });
  }
});

Deno.test("names that are seen through are noted, and weights of other sizes refused", async () => {
  const all = await tensors();
  const wrapped = new Map([...all].map(([name, tensor]) => [`module.${name}`, tensor]));
  await using folder = await folderOf(wrapped);
  const note =
    `${folder.path}: its tensors are named as "module.${EMBEDDING}"; it is read as ${EMBEDDING}`;
  await using model = await openModel(folder.path);
  assert.deepEqual(model.config.notes, [note]);
  assert.deepEqual((await readConfig(folder.path)).notes, [note]);
  await folder.write("config.json", JSON.stringify({ ...config.raw, vocab_size: 65 }));
  for (const open of [openModel, readConfig]) {
    await assert.rejects(
      open(folder.path),
      /vocab_size is 65 in config\.json, but 64 by the weights/,
    );
  }
});

Deno.test("a tied model's own head is compared when its weights are opened", async () => {
  const all = await tensors();
  const embedding = all.get(EMBEDDING)!;
  {
    await using folder = await folderOf(new Map([...all, [HEAD, embedding]]));
    await using model = await openModel(folder.path);
    assert.ok(!model.weights.names().includes(HEAD));
  }
  const data = embedding.data.slice();
  data[5] ^= 1;
  await using folder = await folderOf(new Map([...all, [HEAD, { ...embedding, data }]]));
  await assert.rejects(openModel(folder.path), {
    name: "RangeError",
    message: /"lm_head\.weight" is not "model\.embed_tokens\.weight" \(they differ from row 0 on\)/,
  });
});
