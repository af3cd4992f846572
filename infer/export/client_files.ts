/**
 * What transformers.js reads beside the model: config.json, tokenizer and generation settings.
 *
 * In: the model's folder and what was exported. Out: the files, in the export's folder.
 *
 * @module
 */

import { CHAT_SETTINGS } from "../../data/text/chat_settings.ts";
import { CHAT_TEMPLATE, MAX_FILE_BYTES } from "../../data/text/tokenizer.ts";
import { isAbsent, readCapped, readCappedText } from "../../internal/regular_file.ts";
import { readJson } from "../../internal/json/read_json.ts";
import type { ModelConfig } from "../../model/config.ts";
import { formatConfig } from "../../model/format_config.ts";
import { FAMILIES } from "../../model/families/families.ts";
import type { Family } from "../../model/families/family.ts";
import { withEosTokenIds } from "../../model/eos_token_ids.ts";
import { EXPORT_FORMATS } from "./export_format.ts";
import type { ExportedModel } from "./export_model.ts";

/** How the model's files are read. */
const FILE = { maxBytes: MAX_FILE_BYTES, remedy: "copy it again from the base model" };
const GENERATION_CONFIG = "generation_config.json";

/** Options of {@linkcode exportClientFiles}. */
export interface ClientFilesOptions {
  /** The folder of the model, with tokenizer.json and tokenizer_config.json. */
  readonly model: string;
  /** Its config.json. */
  readonly config: ModelConfig;
  /** All models of the export's folder. */
  readonly exported: readonly ExportedModel[];
  /** Files of these names and texts, in place of the model's. @default none */
  readonly texts?: Readonly<Record<string, string>>;
  /** Ids that replies end with besides the model's own. @default none */
  readonly eosTokenIds?: readonly number[];
}

/**
 * Writes the files, config.json last: a folder cut short does not open.
 *
 * @throws {Error} where the model's folder has no tokenizer
 */
export async function exportClientFiles(
  directory: string,
  { model, config, exported, texts = {}, eosTokenIds = [] }: ClientFilesOptions,
): Promise<void> {
  const tokenizer = await readCapped(`${model}/tokenizer.json`, FILE);
  await Deno.writeFile(`${directory}/tokenizer.json`, tokenizer);
  const template = texts[CHAT_TEMPLATE] ?? await readIfThere(`${model}/${CHAT_TEMPLATE}`);
  await writeJson(`${directory}/tokenizer_config.json`, await tokenizerConfig(model, template));
  const generation = texts[GENERATION_CONFIG] !== undefined
    ? JSON.parse(texts[GENERATION_CONFIG])
    : await readJson(`${model}/${GENERATION_CONFIG}`, "copy it again");
  if (generation !== undefined) await writeJson(`${directory}/${GENERATION_CONFIG}`, generation);
  const settings = texts[CHAT_SETTINGS] ?? await readIfThere(`${model}/${CHAT_SETTINGS}`);
  if (settings !== undefined) await Deno.writeTextFile(`${directory}/${CHAT_SETTINGS}`, settings);
  const client = clientConfig(config, exported);
  const ends = withEosTokenIds(client.eos_token_id, eosTokenIds);
  await Deno.writeTextFile(
    `${directory}/config.json`,
    formatConfig(ends === client.eos_token_id ? client : { ...client, eos_token_id: ends }),
  );
}

/** config.json with the number of each model's files of weights, which a browser cannot list. */
export function clientConfig(
  { raw, modelType, layers, kvHeads, headDim }: ModelConfig,
  exported: readonly ExportedModel[],
): Record<string, unknown> {
  const nameOf = (path: string): string => path.slice(path.indexOf("/") + 1);
  const { clientFields }: Family = FAMILIES[modelType];
  return {
    ...raw,
    ...clientFields?.({ layers }),
    // transformers.js before 4.1 makes the empty cache from these, later ones from the model.
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    "transformers.js_config": {
      // Of the files that are there the first is loaded where a program names no format.
      ...exported.length === 0 ? {} : { dtype: exported[0].dtype },
      use_external_data_format: Object.fromEntries(
        exported.map(({ files }) => [nameOf(files.at(-1)!.path), files.length - 1]),
      ),
      kv_cache_dtype: Object.fromEntries(
        exported.filter(({ dtype }) => EXPORT_FORMATS[dtype].float === "float16").map((
          { dtype },
        ) => [dtype, "float16"]),
      ),
    },
  };
}

/** tokenizer_config.json with the chat template inside: transformers.js knows no .jinja file. */
async function tokenizerConfig(model: string, template: string | undefined): Promise<unknown> {
  const path = `${model}/tokenizer_config.json`;
  const config = await readJson(path, "copy it again from the base model");
  if (typeof config !== "object" || config === null) {
    throw new Error(`Cannot export ${model}: there is no object in ${path}; copy it again`);
  }
  return template === undefined ? config : { ...config, chat_template: template };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readCappedText(path, FILE);
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cause;
  }
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(value, null, 2) + "\n");
}
