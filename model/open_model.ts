/**
 * Opens a model folder as Hugging Face lays it out. In: a path. Out: its config and its weights as
 * a lazy source.
 */

import { openSafetensorsFolder } from "../tensor/safetensors_sharded.ts";
import type { TensorSource } from "../tensor/tensor_source.ts";
import { type ModelConfig, parseConfig } from "./config.ts";

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
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory)) {
      throw cause;
    }
    throw new Error(
      `Cannot open model ${directory}: there is no ${path}; give the folder of a model in Hugging ` +
        "Face's layout (config.json, tokenizer.json, model.safetensors)",
      { cause },
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  return parseConfig(json, path);
}

/** Opens a model folder; dispose of it when its weights have been read. */
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
