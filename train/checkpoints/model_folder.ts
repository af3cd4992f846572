/** Writes a model folder in Hugging Face's layout. In: weights. Out: the folder's files. */

import { basename } from "node:path";
import type { ModelConfig } from "../../model/config.ts";
import { writeSafetensorsSharded, type WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { savedConfig } from "./saved_config.ts";
import { companionFiles } from "./model_files.ts";

/** What a folder is made of. */
export interface ModelFolderOptions {
  /** The folder whose tokenizer and settings go along. */
  readonly model: string;
  /** Its config.json. */
  readonly config: ModelConfig;
  /** Files of these names and texts, in place of the model's. @default none */
  readonly texts?: Readonly<Record<string, string>>;
  /** Ids that replies end with besides the model's own. @default none */
  readonly eosTokenIds?: readonly number[];
  /** All weights in float32. */
  readonly weights: TensorSource;
  readonly onBytes?: (written: number) => void;
  readonly signal?: AbortSignal;
}

/** Writes the folder's files into a folder that is there. */
export async function writeModelFolder(
  directory: string,
  { model, config, texts = {}, eosTokenIds, weights, onBytes, signal }: ModelFolderOptions,
): Promise<WrittenFile[]> {
  for (const path of await companionFiles(model)) {
    const name = basename(path);
    if (!Object.hasOwn(texts, name)) await Deno.copyFile(path, `${directory}/${name}`);
  }
  for (const [name, text] of Object.entries(texts)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  const files = await writeSafetensorsSharded(directory, weights, { onBytes, signal });
  // Last, so that a folder cut short does not open.
  await Deno.writeTextFile(`${directory}/config.json`, savedConfig(config, eosTokenIds));
  return files;
}
