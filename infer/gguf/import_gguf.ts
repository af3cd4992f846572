/**
 * Makes a Hugging Face folder of a GGUF file, as of llama.cpp and Ollama, so that it can be trained.
 *
 * In: the file. Out: config.json, generation_config.json, tokenizer.json, tokenizer_config.json and weights.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bitsOf, type GgmlType, type GgufFile, openGguf } from "../../gguf/mod.ts";
import { parseConfig } from "../../model/config.ts";
import { formatConfig } from "../../model/format_config.ts";
import { tensorBytes } from "../../ort/tensor/tensor_source.ts";
import { writeSafetensorsSharded } from "../../ort/tensor/safetensors_writer.ts";
import { importedConfig } from "./imported_config.ts";
import { importedTokenizer } from "./imported_tokenizer.ts";
import { type ImportedDtype, importedWeights } from "./imported_weights.ts";
import { metadataReader } from "./metadata_reader.ts";

/** How {@linkcode importGguf} writes. */
export interface ImportGgufOptions {
  /** What weights are stored as. @default {"float32", which loses nothing} */
  readonly dtype?: ImportedDtype;
  /** The Jinja source of a chat template, in place of the file's own. @default {the file's} */
  readonly chatTemplate?: string;
  /** Called with the bytes of weights written so far and in all. */
  readonly onBytes?: (written: number, total: number) => void;
  /** Stops between two runs of rows; the folder is then not whole. */
  readonly signal?: AbortSignal;
}

/** A model that was imported. */
export interface ImportedModel {
  /** Of config.json. */
  readonly modelType: string;
  /** Numbers of the model. */
  readonly parameters: number;
  /** Tokens of the tokenizer. */
  readonly tokens: number;
  /** What was lost and what is missing: a sentence each. */
  readonly notes: readonly string[];
}

/**
 * Writes the folder's files. Weights come last, so that a folder with weights is a whole one.
 *
 * @param folder an empty folder
 *
 * @example
 * ```ts
 * import { importGguf } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * const importing = importGguf("models/none.gguf", folder, { dtype: "bfloat16" });
 * await assert.rejects(importing, /Cannot read GGUF "models\/none\.gguf": there is no such file/);
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {RangeError} on a file that is damaged, an architecture that ortune does not train, or a tokenizer that it
 * does not know
 */
export async function importGguf(
  path: string,
  folder: string,
  { dtype = "float32", chatTemplate, onBytes, signal }: ImportGgufOptions = {},
): Promise<ImportedModel> {
  await using file = await openGguf(path);
  const reader = metadataReader(file.metadata, path);
  const parts = reader.whole("split.count", 1);
  if (parts > 1) {
    reader.fail("split.count", `is ${parts}: join the parts with llama-gguf-split --merge first`);
  }
  const raw = await importedConfig(file, reader);
  const maxLength = raw.max_position_embeddings as number;
  const { tokenizerJson, tokenizerConfig, ids, eosTokenIds } = importedTokenizer(reader, {
    maxLength,
    chatTemplate,
  });
  const json = { ...raw, ...ids, torch_dtype: dtype };
  const config = parseConfig(json, `${path} as config.json`);
  const { source, types } = importedWeights(file, config, dtype);
  const write = (name: string, text: string): Promise<void> =>
    writeFile(join(folder, name), text, { signal });
  const ends = eosTokenIds.length > 0 ? { eos_token_id: eosTokenIds } : {};
  await write("config.json", formatConfig(json));
  await write("generation_config.json", formatConfig({ ...ids, ...ends }));
  await write("tokenizer.json", JSON.stringify(tokenizerJson) + "\n");
  await write("tokenizer_config.json", JSON.stringify(tokenizerConfig, null, 2) + "\n");
  const sizes = source.names().map((name) => tensorBytes(source.info(name)));
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  let [before, last] = [0, 0];
  await writeSafetensorsSharded(folder, source, {
    onBytes: (written) => {
      // Counted a file each.
      if (written < last) before += last;
      last = written;
      onBytes?.(Math.min(before + written, total), total);
    },
    signal,
  });
  const tokens = reader.texts("tokenizer.ggml.tokens").length;
  return {
    modelType: config.modelType,
    parameters: [...types.values()].reduce((sum, numbers) => sum + numbers, 0),
    tokens,
    notes: [
      ...lossNotes(file, types),
      ...tokenizerConfig.chat_template === undefined
        ? ["it has no chat template, as a base model has none: give one with --chat-template"]
        : [],
      ...config.notes,
    ],
  };
}

/** What the file's numbers are, in words. */
function lossNotes({ path }: GgufFile, types: ReadonlyMap<GgmlType, number>): readonly string[] {
  const all = [...types.values()].reduce((sum, numbers) => sum + numbers, 0);
  const few = [...types].filter(([type]) => bitsOf(type) < 16)
    .sort(([, a], [, b]) => b - a);
  if (few.length === 0) return [];
  const shares = few.map(([type, numbers]) =>
    `${(100 * numbers / all).toFixed(0)} % in ${bitsOf(type)} bits (${type})`
  );
  return [
    `${path} holds of its numbers ${
      shares.join(", ")
    }: what quantizing lost stays lost, so results are near the published ` +
    "model's, not equal",
  ];
}
