/**
 * Opens a model folder as Hugging Face lays it out.
 *
 * In: a path. Out: its config and its weights as a lazy source.
 *
 * @module
 */

import { openSafetensorsFolder } from "../../ort/tensor/safetensors_sharded.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { type ModelConfig, parseConfig } from "../config.ts";
import { fitWeights } from "./fit_weights.ts";
import { readJson } from "../../internal/json/read_json.ts";
import { isAbsent } from "../../internal/regular_file.ts";
import { assertTiedHead } from "./tied_head.ts";

/** An opened model folder. */
export interface Model extends AsyncDisposable {
  /** The folder, as given. */
  readonly directory: string;
  /** Its config.json. */
  readonly config: ModelConfig;
  /** Its weights, read from the files when asked for. */
  readonly weights: TensorSource;
}

/**
 * Reads config.json of a model folder, and compares it with the names and shapes of its weights
 * where there are any: nothing is laid out for sizes that the files do not have.
 *
 * @example
 * ```ts
 * import { readConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const json = { model_type: "qwen3", hidden_size: 16, intermediate_size: 32, vocab_size: 261,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 };
 * await writeFile(`${folder}/config.json`, JSON.stringify(json));
 * assert.equal((await readConfig(folder)).layers, 1);
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {Error} where the folder or the file is missing, a field is wrong, or the weights have
 *   other sizes
 */
export async function readConfig(directory: string): Promise<ModelConfig> {
  const config = await parseConfigFile(directory);
  let weights;
  try {
    weights = await openSafetensorsFolder(directory);
  } catch (cause) {
    // Exports have other weights, and those who need these will say that they are missing.
    if (isAbsent(cause)) return config;
    throw cause;
  }
  await using file = weights;
  const { notes } = fitWeights(config, file, directory);
  return withNotes(config, notes);
}

function withNotes(config: ModelConfig, notes: readonly string[]): ModelConfig {
  return notes.length === 0 ? config : { ...config, notes: [...config.notes, ...notes] };
}

async function parseConfigFile(directory: string): Promise<ModelConfig> {
  const path = `${directory}/config.json`;
  const json = await readJson(path, "copy it again from the base model");
  if (json === undefined) {
    throw new Error(
      `Cannot open model ${directory}: there is no ${path}; give the folder of a model in Hugging ` +
        "Face's layout (config.json, tokenizer.json, model.safetensors)",
    );
  }
  const modules = `${directory}/modules.json`;
  if (await readJson(modules, "copy it again from the base model") !== undefined) {
    throw new Error(
      `Cannot open model ${directory}: it is a model of embeddings, as ${modules} of ` +
        "sentence-transformers says: no text comes out of it; use the causal language model that it " +
        "was made of, such as Qwen/Qwen3-0.6B for Qwen3-Embedding-0.6B",
    );
  }
  return parseConfig(json, path);
}

/**
 * Opens a model folder; dispose of it when its weights have been read.
 *
 * @example
 * ```ts
 * import { openModel, parseConfig, Runtime, writeSafetensors } from "@ortune/ortune";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const json = { model_type: "qwen3", hidden_size: 16, intermediate_size: 32, vocab_size: 261,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 };
 * using runtime = new Runtime({ threads: 1 });
 * using random = new ParameterStore(runtime, layoutParameters(modelParameters(parseConfig(json))));
 * new TorchGenerator(42).normal(random.flat.float32(), 0, 0.1);
 * await writeFile(`${folder}/config.json`, JSON.stringify(json));
 * await writeSafetensors(`${folder}/model.safetensors`, random);
 *
 * await using model = await openModel(folder);
 * assert.equal(model.config.hiddenSize, 16);
 * assert.deepEqual(model.weights.info("model.norm.weight"), { dtype: "float32", shape: [16] });
 * await rm(folder, { recursive: true });
 * ```
 */
export async function openModel(directory: string): Promise<Model> {
  const config = await parseConfigFile(directory);
  await using resources = new AsyncDisposableStack();
  const file = resources.use(await openSafetensorsFolder(directory));
  const { source, notes, tied } = fitWeights(config, file, directory);
  if (tied) await assertTiedHead(file, { ...tied, from: directory });
  const opened = resources.move();
  return {
    directory,
    config: withNotes(config, notes),
    weights: source,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
