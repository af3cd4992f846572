/**
 * How a model wants to be sampled and where its replies end.
 *
 * In: generation_config.json of a model folder, if there is one. Out: `GenerationConfig`, with
 * Hugging Face's defaults for what is missing.
 *
 * @module
 */

import { join } from "node:path";
import type { ModelConfig } from "../model/config.ts";
import { readJson } from "../json/read_json.ts";
import { assertSampling, type SamplingOptions } from "./sampling.ts";

/** Defaults of generation. */
export interface GenerationConfig {
  /** Each of these ends a reply; Qwen3 has two. */
  readonly eosTokenIds: readonly number[];
  /** How tokens are chosen unless a call says otherwise. */
  readonly sampling: SamplingOptions;
}

/** What stands in where generation_config.json does not say. */
export interface GenerationFallbacks {
  /** The model's config, whose eos_token_id counts where generation_config.json has none. */
  readonly config: ModelConfig;
  /** The tokenizer's end of a reply, where neither file has one. */
  readonly tokenizer?: { readonly eosTokenId: number | undefined };
}

/** Most ids that may end a reply: Llama 3.1 has three. */
const MAX_EOS_IDS = 1024;
/** Hugging Face's default, which applies wherever sampling is on and top_k is not written. */
const DEFAULT_TOP_K = 50;

/**
 * Reads generation_config.json of a model folder; a folder without one gets the defaults.
 *
 * Needs `--allow-read` for the folder.
 *
 * @throws {Error} where the file is not JSON, a field is wrong, or no file says where replies end
 */
export async function readGenerationConfig(
  directory: string,
  fallbacks: GenerationFallbacks,
): Promise<GenerationConfig> {
  const path = join(directory, "generation_config.json");
  const json = await readJson(path, "copy it again from the base model, or delete it");
  return parseGenerationConfig(json === undefined ? {} : json, { ...fallbacks, path });
}

/**
 * Checks a parsed generation_config.json. As in Hugging Face, generation is greedy unless
 * `do_sample` is true.
 *
 * @example
 * ```ts
 * import { parseConfig, parseGenerationConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const { eosTokenIds, sampling } = parseGenerationConfig(
 *   { do_sample: true, temperature: 0.6, top_k: 20, top_p: 0.95 },
 *   { config },
 * );
 * assert.deepEqual(eosTokenIds, [258]); // from config.json
 * assert.equal(sampling.topK, 20);
 * ```
 *
 * @throws {RangeError} naming the file, the field and the value
 */
export function parseGenerationConfig(
  json: unknown,
  { config, tokenizer, path = "generation_config.json" }: GenerationFallbacks & {
    /** The file's path, for errors. @default {"generation_config.json"} */
    readonly path?: string;
  },
): GenerationConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new RangeError(`Cannot read ${path}: expected a JSON object`);
  }
  const fields = json as Record<string, unknown>;
  const number = (field: string, fallback: number): number => {
    const value = fields[field] ?? fallback;
    if (typeof value === "number") return value;
    throw new RangeError(
      `Cannot read ${path}: ${field} must be a number, got ${JSON.stringify(value)}`,
    );
  };
  const doSample = fields.do_sample ?? false;
  if (typeof doSample !== "boolean") {
    throw new RangeError(
      `Cannot read ${path}: do_sample must be true or false, got ${JSON.stringify(doSample)}`,
    );
  }
  const repetitionPenalty = number("repetition_penalty", 1);
  const sampling: SamplingOptions = doSample
    ? {
      temperature: number("temperature", 1),
      topK: number("top_k", DEFAULT_TOP_K),
      topP: number("top_p", 1),
      repetitionPenalty,
    }
    // What Hugging Face ignores here, such as a temperature of 0, need not be valid.
    : { greedy: true, repetitionPenalty };
  try {
    assertSampling(sampling);
  } catch (cause) {
    throw new RangeError(`Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  return { eosTokenIds: eosTokenIds(fields, { config, tokenizer, path }), sampling };
}

function eosTokenIds(
  fields: Record<string, unknown>,
  { config, tokenizer, path }: GenerationFallbacks & { readonly path: string },
): readonly number[] {
  const [value, place] = fields.eos_token_id != null
    ? [fields.eos_token_id, path]
    : [config.raw.eos_token_id, "config.json"];
  if (value == null) {
    if (tokenizer?.eosTokenId !== undefined) return [tokenizer.eosTokenId];
    throw new RangeError(
      `Cannot tell where a reply ends: neither ${path} nor config.json nor the tokenizer has an ` +
        "eos token; write eos_token_id into generation_config.json",
    );
  }
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isId = (id: unknown): boolean =>
    Number.isSafeInteger(id) && Number(id) >= 0 && Number(id) < config.vocabSize;
  if (ids.length === 0 || ids.length > MAX_EOS_IDS || !ids.every(isId)) {
    throw new RangeError(
      `Cannot read ${place}: eos_token_id must be one or several ids below ${config.vocabSize}, ` +
        `got ${JSON.stringify(value).slice(0, 100)}`,
    );
  }
  return ids as readonly number[];
}
