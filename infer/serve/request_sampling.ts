/**
 * How a request wants its tokens chosen, and how many.
 *
 * In: a request's body. Out: options of generation; what is left out is the model's default.
 */

import { defined } from "../../internal/json/defined.ts";
import type { GenerateOptions } from "../generate/generation.ts";
import { assertSampling } from "../sampling/sampling.ts";
import { ApiError } from "./api_error.ts";
import {
  type Fields,
  invalid,
  isInteger,
  optional,
  optionalBoolean,
  optionalCount,
  optionalIds,
  optionalNumber,
} from "./request_values.ts";

/** OpenAI's own limit; beyond it is noise. */
const MAX_TEMPERATURE = 2;
/** Most ids of a list: each is looked at for each token. */
const MAX_IDS = 1024;

/** Names of options that have another in requests. */
const NAMES: readonly (readonly [keyof GenerateOptions, string])[] = [
  ["topP", "top_p"],
  ["topK", "top_k"],
  ["minP", "min_p"],
  ["typicalP", "typical_p"],
  ["topH", "top_h"],
  ["epsilonCutoff", "epsilon_cutoff"],
  ["etaCutoff", "eta_cutoff"],
  ["repetitionPenalty", "repetition_penalty"],
];

/** Reads and checks them; `leastTokens` is the smallest limit of tokens that may be asked for. */
export function parseSampling(
  body: Fields,
  { leastTokens = 1 }: { readonly leastTokens?: number } = {},
): GenerateOptions {
  const up: readonly [number, number] = [leastTokens, Infinity];
  const limit = optionalCount(body, "max_completion_tokens", up) ??
    optionalCount(body, "max_tokens", up);
  const least = optionalCount(body, "min_tokens", [0, Infinity]);
  if (least !== undefined && limit !== undefined && least > limit) {
    throw invalid(`min_tokens ${least} must not exceed the limit of ${limit} tokens`, "min_tokens");
  }
  const temperature = optionalNumber(body, "temperature", [0, MAX_TEMPERATURE]);
  const topK = optional(body, "top_k", isTopK, "a whole number; 0 or -1 for no limit");
  const seed = optional(body, "seed", isInteger, "a whole number");
  const options: GenerateOptions = defined({
    maxNewTokens: limit,
    minNewTokens: least,
    // The likeliest token is the limit of ever lower temperatures.
    temperature: temperature === 0 ? undefined : temperature,
    greedy: temperature === 0 ? true : undefined,
    topP: optionalNumber(body, "top_p", [0, 1]),
    topK: topK === undefined ? undefined : Math.max(0, topK),
    minP: optionalNumber(body, "min_p", [0, 1]),
    typicalP: optionalNumber(body, "typical_p", [0, 1]),
    topH: optionalNumber(body, "top_h", [0, 1]),
    epsilonCutoff: optionalNumber(body, "epsilon_cutoff", [0, 1]),
    etaCutoff: optionalNumber(body, "eta_cutoff", [0, 1]),
    repetitionPenalty: optionalNumber(body, "repetition_penalty", [0, 10]),
    noRepeatNgramSize: optionalCount(body, "no_repeat_ngram_size", [0, Infinity]),
    suppressTokens: optionalIds(body, "suppress_tokens", MAX_IDS),
    stopTokenIds: optionalIds(body, "stop_token_ids", MAX_IDS),
    ignoreEos: optionalBoolean(body, "ignore_eos"),
    seed: seed === undefined ? undefined : toSeed(seed),
  });
  try {
    assertSampling(options);
  } catch (cause) {
    const { message } = cause as Error;
    // `Cannot sample with topP 0: …`: the request calls it top_p.
    const [, param] = NAMES.find(([name]) => message.includes(`with ${name} `)) ?? [];
    throw new ApiError(400, message, { code: "invalid_value", param, cause });
  }
  return options;
}

/** Any whole number as one of 32 bits, as generators of random numbers take it. */
export function toSeed(value: number): number {
  return Number(BigInt.asUintN(32, BigInt(value)));
}

function isTopK(value: unknown): value is number {
  return isInteger(value) && value >= -1;
}
