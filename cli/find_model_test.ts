import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { findFolders } from "./find_model.ts";

const CONFIG = JSON.stringify({
  model_type: "qwen3",
  ...{ hidden_size: 16, intermediate_size: 32, vocab_size: 64, eos_token_id: 0 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8 },
});

/** A run that ended with a checkpoint of the model, and one that ended with an adapter on it. */
async function writeRuns(path: string): Promise<{ model: string; adapter: string }> {
  const [model, adapter] = [`${path}/full/checkpoint-8`, `${path}/lora/checkpoint-4`];
  await mkdir(model, { recursive: true });
  await mkdir(adapter, { recursive: true });
  await writeFile(`${model}/config.json`, CONFIG);
  const names = JSON.stringify({ base_model_name_or_path: model });
  await writeFile(`${adapter}/adapter_config.json`, names);
  return { model, adapter };
}

Deno.test("findFolders() takes runs for what they ended with, the base of an adapter too", async () => {
  await using folder = await tempFolder();
  const { model, adapter } = await writeRuns(folder.path);
  const [full, lora] = [`${folder.path}/full`, `${folder.path}/lora`];
  assert.deepEqual(await findFolders({ model: full }), { model, adapter: undefined });
  assert.deepEqual(await findFolders({ adapter: lora }), { model, adapter });
  assert.deepEqual(await findFolders({ model: full, adapter: lora }), { model, adapter });
});

Deno.test("findFolders() tells a folder that is not there, a file, and an adapter in a model's place", async () => {
  await using folder = await tempFolder();
  const { model, adapter } = await writeRuns(folder.path);
  const found = (model: string) => findFolders({ model });
  for (const none of [`${folder.path}/none`, `${model}/config.json`, folder.path]) {
    await assert.rejects(found(none), {
      message: `Cannot open model ${none}: there is no ${none}/config.json; give the folder of a ` +
        "model in Hugging Face's layout (config.json, tokenizer.json, model.safetensors)",
    });
  }
  await assert.rejects(found(`${folder.path}/lora`), {
    message: `Cannot open model ${adapter}: it holds an adapter; give it with --adapter (to ask ` +
      "it, use deno task inference:lora)",
  });
  await assert.rejects(findFolders({ model: `${folder.path}/lora` }, "merge it"), {
    message: `Cannot open model ${adapter}: it holds an adapter; merge it`,
  });
});
