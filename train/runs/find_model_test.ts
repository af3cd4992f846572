import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { findFolders, type ModelFolders } from "./find_model.ts";

const CONFIG = JSON.stringify({
  model_type: "qwen3",
  ...{ hidden_size: 16, intermediate_size: 32, vocab_size: 64, eos_token_id: 0 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8 },
});

/** The folders that are found for names. */
async function foldersOf(named: Partial<ModelFolders>): Promise<ModelFolders> {
  const { model, adapter } = await findFolders(named);
  return { model, adapter };
}

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
  assert.deepEqual(await foldersOf({ model: full }), { model, adapter: undefined });
  assert.deepEqual(await foldersOf({ adapter: lora }), { model, adapter });
  assert.deepEqual(await foldersOf({ model: full, adapter: lora }), { model, adapter });
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

/** Runs in a folder that has `models` and `output`. */
async function inHouse(run: (path: string) => Promise<void>): Promise<void> {
  await using folder = await tempFolder();
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    await run(folder.path);
  } finally {
    Deno.chdir(before);
  }
}

async function writeModel(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  await writeFile(`${path}/config.json`, CONFIG);
  return path;
}

async function writeAdapter(path: string, base: unknown): Promise<string> {
  await mkdir(path, { recursive: true });
  await writeFile(
    `${path}/adapter_config.json`,
    JSON.stringify({ base_model_name_or_path: base }),
  );
  return path;
}

Deno.test("an adapter's base is looked for below models/, by its id, its name or its path in a hub's cache", async () => {
  await inHouse(async (path) => {
    const model = await writeModel("models/Qwen/Qwen3-0.6B");
    for (
      const base of [
        "Qwen/Qwen3-0.6B",
        "Qwen/Qwen3-0.6B/",
        "Qwen3-0.6B",
        "models/Qwen/Qwen3-0.6B",
        "./models/Qwen/Qwen3-0.6B",
        "/root/.cache/huggingface/hub/models--Qwen--Qwen3-0.6B/snapshots/c1899de289a0",
        "models--Qwen--Qwen3-0.6B",
        `${path}/models/Qwen/Qwen3-0.6B`,
      ]
    ) {
      const adapter = await writeAdapter("output/ad", base);
      const found = await foldersOf({ adapter: "ad" });
      assert.equal(await Deno.realPath(found.model), await Deno.realPath(model), base);
      assert.equal(found.adapter, adapter);
    }
  });
});

Deno.test("the folder that a run was started on comes before any that its adapter's id may mean", async () => {
  await inHouse(async () => {
    const [trainedOn, other] = [
      await writeModel("elsewhere/Smol"),
      await writeModel("models/acme/Smol"),
    ];
    const adapter = await writeAdapter("output/run/checkpoint-4", "acme/Smol");
    assert.equal((await foldersOf({ adapter })).model, other);
    const manifest = { format: 1, arguments: { model: trainedOn }, versions: {}, files: [] };
    await writeFile("output/run/run.json", JSON.stringify({ ...manifest, earlier: [] }));
    assert.equal((await foldersOf({ adapter })).model, trainedOn);
    await Deno.remove(trainedOn, { recursive: true });
    assert.equal((await foldersOf({ adapter })).model, other);
  });
});

Deno.test("a base model that is not here is told with where it was looked for, and how to get it", async () => {
  await inHouse(async () => {
    await writeModel("models/Qwen/Qwen3-0.6B");
    await writeFile("models/file", "no folder");
    const cases: readonly (readonly [unknown, string])[] = [
      [
        "Qwen/Qwen3-4B",
        'names "Qwen/Qwen3-4B", and there is no folder models/Qwen/Qwen3-4B or Qwen/Qwen3-4B; fetch it ' +
        "with deno task fetch --model Qwen/Qwen3-4B, or give its folder with --model",
      ],
      [
        "/data/models/Qwen3-0.6B",
        'names "/data/models/Qwen3-0.6B", and there is no folder /data/models/Qwen3-0.6B; if it is ' +
        "models/Qwen/Qwen3-0.6B, give --model models/Qwen/Qwen3-0.6B",
      ],
      [
        "../no/base",
        'names "../no/base", and there is no folder ../no/base; give its folder with --model',
      ],
      [
        "./models/file",
        'names "./models/file", and there is no folder ./models/file; give its folder with --model',
      ],
      [null, "names none; give --model"],
      ["", "names none; give --model"],
      [7, "names none; give --model"],
    ];
    for (const [base, message] of cases) {
      const adapter = await writeAdapter("output/ad", base);
      await assert.rejects(findFolders({ adapter }), {
        message: `Cannot find the base model of output/ad: its adapter_config.json ${message}`,
      });
    }
  });
});

Deno.test("a model of a hub's path that is not here is told with how to fetch it; a run is found by its name", async () => {
  await inHouse(async () => {
    for (const model of ["models/Qwen/Qwen3-0.6B", "models/Qwen/Qwen3-0.6B/"]) {
      await assert.rejects(findFolders({ model }), {
        message:
          `Cannot find model ${model}: there is no such folder; fetch it with deno task fetch ` +
          "--model Qwen/Qwen3-0.6B, or give a model's folder with --model",
      });
    }
    const checkpoint = await writeModel("output/my-run/checkpoint-4");
    assert.equal((await findFolders({ model: "my-run" })).model, checkpoint);
    assert.equal((await findFolders({ model: "my-run/checkpoint-4" })).model, checkpoint);
  });
});

Deno.test("a model's name alone is looked for below models/, and one of several is not guessed", async () => {
  await inHouse(async () => {
    const model = await writeModel("models/Qwen/Qwen3-0.6B");
    assert.equal((await findFolders({ model: "Qwen3-0.6B" })).model, model);
    const tiny = await writeModel("models/tiny");
    assert.equal((await findFolders({ model: "tiny" })).model, tiny);
    await writeModel("models/other/Qwen3-0.6B");
    await assert.rejects(findFolders({ model: "Qwen3-0.6B" }), {
      message: "Cannot tell which model Qwen3-0.6B is: there are models/Qwen/Qwen3-0.6B and " +
        "models/other/Qwen3-0.6B; give one of these with --model",
    });
    await assert.rejects(findFolders({ model: "Qwen3-8B" }), {
      message:
        "Cannot find model Qwen3-8B: there is no folder models/Qwen3-8B or models/*/Qwen3-8B; " +
        "fetch it with deno task fetch --model OWNER/Qwen3-8B, or give a model's folder with --model",
    });
    await assert.rejects(findFolders({ model: "tiny", adapter: "ad" }), {
      message: "Cannot find adapter ad: there is no folder output/ad or models/ad or ad; give an " +
        "adapter's folder, or the output folder of a run, with --adapter",
    });
  });
});
