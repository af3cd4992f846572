/**
 * Opens a model folder as Hugging Face lays it out.
 *
 * In: a path. Out: its config and its weights as a lazy source.
 *
 * @module
 */

import { openSafetensorsFolder } from "../tensor/safetensors_sharded.ts";
import type { TensorSource } from "../tensor/tensor_source.ts";
import { type ModelConfig, parseConfig } from "./config.ts";
import { readJson } from "../json/read_json.ts";

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
 * Reads config.json of a model folder.
 *
 * @throws {Error} where the folder or the file is missing, or a field is wrong
 */
export async function readConfig(directory: string): Promise<ModelConfig> {
  const path = `${directory}/config.json`;
  const json = await readJson(path, "copy it again from the base model");
  if (json === undefined) {
    throw new Error(
      `Cannot open model ${directory}: there is no ${path}; give the folder of a model in Hugging ` +
        "Face's layout (config.json, tokenizer.json, model.safetensors)",
    );
  }
  return parseConfig(json, path);
}

/**
 * Opens a model folder; dispose of it when its weights have been read.
 *
 * @example
 * ```ts
 * import {
 *   layoutParameters, modelParameters, openModel, ParameterStore, parseConfig, Runtime,
 *   TorchGenerator, writeSafetensors,
 * } from "@ortune/ortune";
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
  const config = await readConfig(directory);
  const weights = await openSafetensorsFolder(directory);
  return {
    directory,
    config,
    weights,
    [Symbol.asyncDispose]: () => weights[Symbol.asyncDispose](),
  };
}
