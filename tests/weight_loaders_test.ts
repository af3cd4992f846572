/**
 * Programs that serve models take nothing but weights from the folders that ortune writes.
 *
 * Each loader is the file filter that it has in its source, over the names in a folder.
 */

import assert from "node:assert/strict";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { openSafetensorsFolder } from "../ort/tensor/safetensors_sharded.ts";
import { writeSafetensorsSharded } from "../ort/tensor/safetensors_writer.ts";
import { OLD_OPTIMIZER_STATE, OPTIMIZER_STATE } from "../train/checkpoints/optimizer_state.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { runTask } from "./support/run_task.ts";

/** Names that a loader takes for weights; `shards` are those of an index, where there is one. */
type Loader = (names: readonly string[], shards: ReadonlySet<string> | undefined) => string[];

/** The first pattern that any name fits decides; an index then chooses among safetensors. */
function firstThatFits(...endings: readonly string[]): Loader {
  return (names, shards) => {
    for (const ending of endings) {
      const found = names.filter((name) => name.endsWith(ending));
      if (found.length === 0) continue;
      return ending === ".safetensors" && shards ? found.filter((each) => shards.has(each)) : found;
    }
    return [];
  };
}

/** A name that is loaded by itself, or else the shards of an index. */
const byName = (single: string): Loader => (names, shards) =>
  names.includes(single) ? [single] : [...shards ?? []];

/** Loaders of whole models, with the source that each was taken from. */
const LOADERS: Readonly<Record<string, Loader>> = {
  // vllm-project/vllm at 00b5ad0, model_loader/default_loader.py, DefaultModelLoader._prepare_weights:
  // "*.safetensors", "*.bin", "*.pt" in turn, where no consolidated*.safetensors is there.
  vLLM: firstThatFits(".safetensors", ".bin", ".pt"),
  // A folder with one of these is read as Mistral's own format.
  "vLLM, Mistral's format": (names) =>
    names.filter((name) => /^consolidated.*\.safetensors$/.test(name)),
  // sgl-project/sglang at 005cbe0, srt/model_loader/loader.py, DefaultModelLoader._prepare_weights.
  SGLang: firstThatFits(".safetensors", ".bin", ".pt"),
  // ml-explore/mlx-lm at 003da2e, mlx_lm/utils.py, load_model: glob "model*.safetensors".
  "mlx-lm": (names) => names.filter((name) => /^model.*\.safetensors$/.test(name)),
  // huggingface/text-generation-inference at 0a6ea7f, server/text_generation_server/utils/hub.py,
  // _weight_files_from_dir.
  "Text Generation Inference": (names) =>
    names.filter((name) =>
      name.endsWith(".safetensors") && !/arguments|args|adapter|training/.test(name)
    ),
  // transformers 5.24.0, modeling_utils.py, _get_resolved_checkpoint_files.
  transformers: byName("model.safetensors"),
};

/** Loaders of adapters. */
const ADAPTER_LOADERS: Readonly<Record<string, Loader>> = {
  // srt/lora/lora.py reads an adapter by DefaultModelLoader too.
  SGLang: LOADERS.SGLang,
  // _adapter_weight_files_from_dir, of the same file as above.
  "Text Generation Inference": (names) =>
    names.filter((name) => name.endsWith(".safetensors") && !/arguments|args|training/.test(name)),
  // vllm/lora/lora_model.py and PEFT's utils/save_and_load.py open this file by its name.
  "vLLM, PEFT": byName("adapter_model.safetensors"),
};

const ADAPTER = ["adapter_model.safetensors"];
const MODEL = ["model.safetensors"];
const TRAIN = "--model models/tiny --max-length 512 --max-steps 2 --report-to none";

async function filesOf(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isFile } of Deno.readDir(directory)) if (isFile) files.push(name);
  return files.sort();
}

async function shardsOf(directory: string): Promise<ReadonlySet<string> | undefined> {
  try {
    const index = await Deno.readTextFile(`${directory}/model.safetensors.index.json`);
    return new Set(Object.values(JSON.parse(index).weight_map));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

Deno.test("loaders of weights take nothing else from what ortune writes", async (t) => {
  await using folder = await quickstartFolder();
  const run = async (name: string, args: string): Promise<string> => {
    const { code, stdout, stderr } = await runTask(name, folder.path, args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await run("train", `${TRAIN} --output-dir output/full`);
  await run("train:lora", `${TRAIN} --output-dir output/lora`);
  await run("merge", "--adapter output/lora --output-dir output/merged");
  await run("export", "--model output/full --output-dir output/onnx --dtype fp32,q4 --no-parity");
  await run("export", "--model output/full --output-dir output/hf --format hf --no-parity");
  const at = (name: string): string => `${folder.path}/output/${name}`;

  // As a checkpoint of a model that needs more than one file.
  const checkpoint = at("full/checkpoint-2");
  const sharded = at("sharded");
  await Deno.mkdir(sharded);
  {
    await using weights = await openSafetensorsFolder(checkpoint);
    await writeSafetensorsSharded(sharded, weights, { maxShardBytes: 40_000 });
  }
  for (const name of await filesOf(checkpoint)) {
    if (name !== "model.safetensors") {
      await Deno.copyFile(`${checkpoint}/${name}`, `${sharded}/${name}`);
    }
  }
  const shards = [...(await shardsOf(sharded))!].sort();
  assert.ok(shards.length > 1);

  const model = await (async () => {
    await using weights = await openSafetensors(`${checkpoint}/model.safetensors`);
    return weights.names().toSorted();
  })();
  const pushed = (name: string) =>
    run("push", `--model output/${name} --repo me/x --dry-run`).then((said) =>
      [...said.matchAll(/^(\S+) {2}\d+ bytes$/gm)].map(([, file]) => file)
    );

  const folders: Readonly<Record<string, readonly [readonly string[], readonly string[]]>> = {
    "a checkpoint": [await filesOf(checkpoint), MODEL],
    "a checkpoint in shards": [await filesOf(sharded), shards],
    "a merged model": [await filesOf(at("merged")), MODEL],
    "an export as a model folder": [await filesOf(at("hf")), MODEL],
    "a pushed model": [await pushed("full"), MODEL],
    "an export for ONNX Runtime": [await filesOf(at("onnx")), []],
    "the files of its folder onnx": [await filesOf(at("onnx/onnx")), []],
    "the output folder of a run": [await filesOf(at("full")), []],
  };
  for (const [what, [names, weights]] of Object.entries(folders)) {
    const index = weights === shards ? new Set(shards) : undefined;
    for (const [loader, take] of Object.entries(LOADERS)) {
      await t.step(`${loader} of ${what}`, () => {
        const wanted = loader.includes("Mistral") ? [] : weights;
        assert.deepEqual(take(names, index).sort(), wanted);
        // Without the index as well: it is not copied by everybody.
        if (loader !== "transformers") assert.deepEqual(take(names, undefined).sort(), wanted);
      });
    }
  }
  const adapters = {
    "an adapter's checkpoint": await filesOf(at("lora/checkpoint-2")),
    "a pushed adapter": await pushed("lora"),
  };
  for (const [what, names] of Object.entries(adapters)) {
    for (const [loader, take] of Object.entries(ADAPTER_LOADERS)) {
      await t.step(`${loader} of ${what}`, () => assert.deepEqual(take(names, undefined), ADAPTER));
    }
  }

  await t.step(
    "the files that are taken hold the model's weights and no other tensor",
    async () => {
      const held: string[] = [];
      for (const name of shards) {
        await using file = await openSafetensors(`${sharded}/${name}`);
        held.push(...file.names());
      }
      assert.deepEqual(held.sort(), model);
      assert.ok(model.every((name) => name.startsWith("model.") && name.endsWith(".weight")));
    },
  );

  await t.step("the filters see an optimizer's state under its old name", () => {
    const old = folders["a checkpoint"][0].map((name) =>
      name === OPTIMIZER_STATE ? OLD_OPTIMIZER_STATE : name
    );
    for (const loader of ["vLLM", "SGLang", "Text Generation Inference"]) {
      assert.ok(LOADERS[loader](old, undefined).includes(OLD_OPTIMIZER_STATE), loader);
    }
  });
});
