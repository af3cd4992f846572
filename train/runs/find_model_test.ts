import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { parseConfig } from "../../model/config.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import {
  checkAdapter,
  findAdapter,
  findFolders,
  findModel,
  findTrained,
  type ModelFolders,
} from "./find_model.ts";

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

Deno.test("a path of a hub's cache is looked for by the last part of its id too, and a lone name that is nowhere is told so", async () => {
  await inHouse(async () => {
    const model = await writeModel("models/Smol");
    await writeAdapter("output/ad", "/cache/hub/models--acme--Smol/snapshots/c1899de289a0");
    assert.equal((await foldersOf({ adapter: "ad" })).model, model);
    await writeAdapter("output/ad", "Large");
    await assert.rejects(findFolders({ adapter: "ad" }), {
      message:
        'Cannot find the base model of output/ad: its adapter_config.json names "Large", and ' +
        "there is no folder models/Large or Large; give its folder with --model",
    });
    // A path stands for itself, and is looked at by who opens it.
    assert.equal(await findModel("./none/here"), "./none/here");
    assert.equal(await findAdapter("./none/here"), "./none/here");
    await assert.rejects(findAdapter("none", "--init-adapter"), {
      message:
        "Cannot find adapter none: there is no folder output/none or models/none or none; give " +
        "an adapter's folder, or the output folder of a run, with --init-adapter",
    });
    await assert.rejects(findModel("acme/Large"), {
      message:
        "Cannot find model acme/Large: there is no folder models/acme/Large; fetch it with deno " +
        "task fetch --model acme/Large, or give a model's folder with --model",
    });
  });
});

Deno.test("a run's weights are those of the checkpoint that it ended with, or else of the newest", async () => {
  await using folder = await tempFolder();
  const path = folder.path;
  assert.equal(await findTrained(path, "config.json"), path);
  for (const step of [2, 4, 10]) await writeModel(`${path}/checkpoint-${step}`);
  const older = { format: 1, arguments: {}, versions: {}, files: [], earlier: [] };
  const found = async (checkpoint?: string | null) => {
    if (checkpoint !== undefined) {
      await writeFile(`${path}/run.json`, JSON.stringify({ ...older, checkpoint }));
    }
    return (await findTrained(path, "config.json")).slice(path.length);
  };
  assert.equal(await found(), "/checkpoint-10");
  await writeFile(`${path}/run.json`, JSON.stringify(older));
  assert.equal(await found(), "/checkpoint-10");
  assert.equal(await found(null), "/checkpoint-10");
  assert.equal(await found("elsewhere/checkpoint-4"), "/checkpoint-4");
  assert.equal(await found("checkpoint-2"), "/checkpoint-2");
  // One that was removed since.
  assert.equal(await found("checkpoint-7"), "/checkpoint-10");
  await writeFile(`${path}/config.json`, CONFIG);
  assert.equal(await found("checkpoint-4"), "");
});

Deno.test("a run that names no model says nothing of its adapter's base", async () => {
  await inHouse(async () => {
    const model = await writeModel("models/acme/Smol");
    const adapter = await writeAdapter("output/run/checkpoint-4", "acme/Smol");
    for (const named of ["", 7, null]) {
      const manifest = { format: 1, arguments: { model: named }, versions: {}, files: [] };
      await writeFile("output/run/run.json", JSON.stringify({ ...manifest, earlier: [] }));
      assert.equal((await foldersOf({ adapter })).model, model, `${named}`);
    }
  });
});

Deno.test("checkAdapter() tells what of an adapter is not honoured, and a base in fewer bits that it was trained on", async () => {
  await using folder = await tempFolder();
  const settings = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
  await folder.write("adapter_config.json", JSON.stringify(settings));
  const name = "base_model.model.model.layers.0.self_attn.q_proj";
  const tensor = (shape: readonly number[]) => ({
    ...{ dtype: "float32" as const, shape, data: new Uint8Array(4 * 2 * 16) },
  });
  const tensors = new Map([
    [`${name}.lora_A.weight`, tensor([2, 16])],
    [`${name}.lora_B.weight`, tensor([16, 2])],
  ]);
  await writeSafetensors(
    `${folder.path}/adapter_model.safetensors`,
    tensorSourceFromMap(tensors),
  );
  const check = () => checkAdapter(folder.path, parseConfig(JSON.parse(CONFIG)));
  assert.deepEqual(await check(), []);
  const facts = { base_dtype: "int4", base_block_size: 64, base_compute: "int8" };
  await folder.write("training_args.json", JSON.stringify(facts));
  const base =
    `${folder.path} was trained on a base in int4: the base's weights are rounded as they were then`;
  assert.deepEqual(await check(), [base]);
  await folder.write("adapter_config.json", JSON.stringify({ ...settings, layer_gates: 3 }));
  const [note, ...rest] = await check();
  assert.match(note, /layer_gates/);
  assert.deepEqual(rest, [base]);
  const wide = parseConfig({ ...JSON.parse(CONFIG), hidden_size: 32 });
  await assert.rejects(checkAdapter(folder.path, wide), /q_proj/);
});
