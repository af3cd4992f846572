/**
 * How a model wants to be sampled and where its replies end.
 *
 * In: generation_config.json of a model folder, if there is one. Out: `GenerationConfig`, with
 * Hugging Face's defaults for what is missing and a note on each field that is not honoured.
 *
 * @module
 */

import { join } from "node:path";
import { defined } from "../../internal/json/defined.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { ModelConfig } from "../../model/config.ts";
import { readJson } from "../../internal/json/read_json.ts";
import { GENERATION_FIELDS, generationNotes } from "./generation_fields.ts";
import { GenerationReader } from "./generation_reader.ts";
import { assertSampling } from "../sampling/sampling.ts";
import type { SamplingOptions } from "../sampling/sampling_options.ts";
import { SAMPLING_RULES } from "../sampling/sampling_rules.ts";
import type { StopTexts } from "./stop_texts.ts";

/** Defaults of generation. */
export interface GenerationConfig {
  /** Each of these ends a reply; Qwen3 has two. */
  readonly eosTokenIds: readonly number[];
  /** How tokens are chosen unless a call says otherwise. */
  readonly sampling: SamplingOptions;
  /** The same for calls that ask for draws of a model that is greedy by itself. */
  readonly drawing?: SamplingOptions;
  /** Most tokens of a reply, unless a call says otherwise. */
  readonly maxNewTokens?: number;
  /** Most tokens of prompt and reply together, where nothing says how many new ones. */
  readonly maxLength?: number;
  /** Seconds after which a reply ends. */
  readonly maxSeconds?: number;
  /** Texts that end a reply and are a part of it. */
  readonly stopTexts?: StopTexts;
  /** What the file asks for and is not done, a sentence each. */
  readonly notes: readonly string[];
}

/** What stands in where generation_config.json does not say. */
export interface GenerationFallbacks {
  /** The model's config, whose eos_token_id counts where generation_config.json has none. */
  readonly config: ModelConfig;
  /** The tokenizer's end of a reply, where neither file has one, and its texts of tokens. */
  readonly tokenizer?: {
    readonly eosTokenId: number | undefined;
    readonly tokenBytes?: (id: number) => Uint8Array;
  };
}

/** Most ids that may end a reply: Llama 3.1 has three. */
const MAX_EOS_IDS = 1024;
/** Hugging Face's default, which applies wherever sampling is on and top_k is not written. */
const DEFAULT_TOP_K = 50;
/** Most stop strings: each is compared at each token. */
const MAX_STOP_STRINGS = 1024;

/**
 * Reads generation_config.json of a model folder; for a folder without one the same fields of
 * config.json count, and then the defaults.
 *
 * Needs `--allow-read` for the folder.
 *
 * @example
 * ```ts
 * import {
 *   byteTokenizerFiles, createTokenizer, parseConfig, readGenerationConfig,
 * } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * await writeFile(`${folder}/generation_config.json`, '{"do_sample":true,"temperature":0.6,"eos_token_id":258}');
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   vocab_size: 261, num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 });
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const { eosTokenIds, sampling } = await readGenerationConfig(folder, { config, tokenizer });
 * assert.deepEqual([eosTokenIds, sampling.temperature], [[258], 0.6]);
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {Error} where the file is not JSON, a field is wrong, or no file says where replies end
 */
export async function readGenerationConfig(
  directory: string,
  fallbacks: GenerationFallbacks,
): Promise<GenerationConfig> {
  const path = join(directory, "generation_config.json");
  const json = await readJson(path, "copy it again from the base model, or delete it");
  if (json !== undefined) return parseGenerationConfig(json, { ...fallbacks, path });
  // As in Hugging Face, config.json has them where models are older than generation_config.json.
  const legacy = Object.entries(fallbacks.config.raw).filter(([name]) =>
    GENERATION_FIELDS.knows(name)
  );
  return parseGenerationConfig(Object.fromEntries(legacy), {
    ...fallbacks,
    path: join(directory, "config.json"),
  });
}

/**
 * Checks a parsed generation_config.json. As in Hugging Face, generation is greedy unless
 * `do_sample` is true.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { parseGenerationConfig } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const { eosTokenIds, sampling, notes } = parseGenerationConfig(
 *   { do_sample: true, temperature: 0.6, top_k: 20, top_p: 0.95, num_beams: 4 },
 *   { config },
 * );
 * assert.deepEqual(eosTokenIds, [258]); // from config.json
 * assert.equal(sampling.topK, 20);
 * assert.match(notes[0], /num_beams is 4/);
 * ```
 *
 * @throws {RangeError} naming the file, the field and the value
 */
export function parseGenerationConfig(
  json: unknown,
  { config, tokenizer, path = "generation_config.json" }: GenerationFallbacks & {
    /** The file's path, for errors and notes. @default {"generation_config.json"} */
    readonly path?: string;
  },
): GenerationConfig {
  if (!isRecord(json)) throw new RangeError(`Cannot read ${path}: expected a JSON object`);
  const read = new GenerationReader(json, { path, vocabSize: config.vocabSize });
  const sampling = defined({ ...choosing(read), ...processing(read) });
  try {
    assertSampling(sampling);
  } catch (cause) {
    throw new RangeError(`Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  return defined({
    eosTokenIds: eosTokenIds(json, { config, tokenizer, path }),
    sampling,
    drawing: sampling.greedy ? drawing(json) : undefined,
    maxNewTokens: read.count("max_new_tokens", 1),
    maxLength: read.count("max_length", 1),
    maxSeconds: read.number("max_time"),
    stopTexts: stopTexts(read, tokenizer),
    notes: generationNotes(json, path),
  });
}

/** How the next token is drawn, or that it is not. */
function choosing(read: GenerationReader): SamplingOptions {
  // What Hugging Face ignores here, such as a temperature of 0, need not be valid.
  if (!read.boolean("do_sample")) return { greedy: true };
  const topP = read.number("top_p") ?? 1;
  /** Outside this range Hugging Face leaves a cutoff out. */
  const cutoff = (value = 0): number | undefined => value > 0 && value < 1 ? value : undefined;
  const typicalP = read.number("typical_p") ?? 1;
  return {
    temperature: read.number("temperature") ?? 1,
    topK: read.number("top_k") ?? DEFAULT_TOP_K,
    // Of a sum of 0 Hugging Face keeps the likeliest token.
    topP: topP === 0 ? Number.MIN_VALUE : topP,
    minP: read.number("min_p"),
    topH: read.number("top_h"),
    typicalP: typicalP < 1 ? typicalP : undefined,
    epsilonCutoff: cutoff(read.number("epsilon_cutoff")),
    etaCutoff: cutoff(read.number("eta_cutoff")),
  };
}

/** Fields of sampling in a file without do_sample; there they need not be valid. */
function drawing(json: Readonly<Record<string, unknown>>): SamplingOptions | undefined {
  const given = DRAWING_OPTIONS.flatMap(([field, option]) => {
    const value = json[field];
    return value != null && SAMPLING_RULES[option]!.holds(value) ? [[option, value]] : [];
  });
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

/** Options that ask for draws, whatever the model's default, by their names in the file. */
export const DRAWING_OPTIONS: readonly (readonly [string, keyof SamplingOptions])[] = [
  ["temperature", "temperature"],
  ["top_k", "topK"],
  ["top_p", "topP"],
  ["min_p", "minP"],
  ["top_h", "topH"],
  ["typical_p", "typicalP"],
  ["epsilon_cutoff", "epsilonCutoff"],
  ["eta_cutoff", "etaCutoff"],
];

/** What changes logits, whether tokens are drawn or not. */
function processing(read: GenerationReader): SamplingOptions {
  return {
    repetitionPenalty: read.number("repetition_penalty") ?? 1,
    encoderRepetitionPenalty: read.number("encoder_repetition_penalty"),
    noRepeatNgramSize: read.count("no_repeat_ngram_size"),
    encoderNoRepeatNgramSize: read.count("encoder_no_repeat_ngram_size"),
    sequenceBias: read.biases("sequence_bias"),
    badWordsIds: read.sequences("bad_words_ids"),
    minLength: read.count("min_length"),
    minNewTokens: read.count("min_new_tokens"),
    forcedBosTokenId: read.ids("forced_bos_token_id", { inVocabulary: true, one: true })?.[0],
    forcedEosTokenIds: read.ids("forced_eos_token_id", { inVocabulary: true }),
    removeInvalidValues: read.boolean("remove_invalid_values") || undefined,
    exponentialDecayLengthPenalty: read.decay("exponential_decay_length_penalty"),
    suppressTokens: read.ids("suppress_tokens"),
    beginSuppressTokens: read.ids("begin_suppress_tokens"),
  };
}

function stopTexts(
  read: GenerationReader,
  tokenizer: GenerationFallbacks["tokenizer"],
): StopTexts | undefined {
  const texts = read.texts("stop_strings", MAX_STOP_STRINGS);
  if (texts === undefined || texts.length === 0) return undefined;
  if (!tokenizer?.tokenBytes) {
    throw read.error("stop_strings", "needs the tokenizer, which tells the texts of tokens");
  }
  const { tokenBytes } = tokenizer;
  // A tokenizer that cannot tell shows it now.
  tokenBytes(0);
  return { texts, tokenBytes: (id) => tokenBytes(id) };
}

function eosTokenIds(
  fields: Readonly<Record<string, unknown>>,
  { config, tokenizer, path }: GenerationFallbacks & { readonly path: string },
): readonly number[] {
  const [value, place] = fields.eos_token_id != null
    ? [fields.eos_token_id, path]
    : [config.raw.eos_token_id, "config.json"];
  if (value == null) {
    if (tokenizer?.eosTokenId !== undefined) return [tokenizer.eosTokenId];
    throw new RangeError(
      `Cannot tell where a reply ends: neither generation_config.json nor config.json nor the ` +
        "tokenizer has an eos token; write eos_token_id into generation_config.json",
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
