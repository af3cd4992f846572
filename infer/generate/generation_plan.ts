/**
 * What a reply needs before its first token.
 *
 * In: options of a call and a model's defaults. Out: its sampler, its limit and its ends, checked.
 */

import { defined } from "../../internal/json/defined.ts";
import { isCount } from "../../internal/json/is_count.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import type { GenerateOptions } from "./generation.ts";
import { DRAWING_OPTIONS, type GenerationConfig } from "./generation_config.ts";
import { createSampler, type Sampler } from "../sampling/sampling.ts";
import type { SamplingOptions } from "../sampling/sampling_options.ts";
import type { TokenConstraint } from "../sampling/token_constraint.ts";
import { LogprobList } from "../sampling/token_logprobs.ts";
import type { StopTexts } from "./stop_texts.ts";

/** How one reply is made. */
export interface GenerationPlan {
  /** Most tokens it may have; 0 where only the prompt is read. */
  readonly limit: number;
  /** Tokens that end it. */
  readonly ends: ReadonlySet<number>;
  /** Chooses its tokens. */
  readonly sample: Sampler;
  /** Holds it to a format. */
  readonly constraint: TokenConstraint | undefined;
  /** Collects log probabilities, where they are asked for. */
  readonly logprobs: LogprobList | undefined;
  /** Collects those of the prompt's tokens, where they are asked for. */
  readonly promptLogprobs: LogprobList | undefined;
  /** Texts that end it. */
  readonly stopTexts: StopTexts | undefined;
  /** Seconds after which it ends. */
  readonly maxSeconds: number;
}

/** Tokens of a reply where nothing says how many. */
const DEFAULT_NEW_TOKENS = 2048;

/**
 * Checks a call's options and fills them up with the model's defaults.
 *
 * @throws {RangeError} where the prompt leaves no position of `positions` or an option is outside
 *   its range
 */
export function planGeneration(options: GenerateOptions, { promptLength, positions, generation }: {
  readonly promptLength: number;
  /** Positions that there are for prompt and reply. */
  readonly positions: number;
  readonly generation: GenerationConfig;
}): GenerationPlan {
  const { maxNewTokens, atMostNewTokens, eosTokenIds, ignoreEos = false, stopTokenIds = [] } =
    options;
  const { seed, topLogprobs, promptLogprobs } = options;
  for (const [each, least] of [[maxNewTokens, 0], [atMostNewTokens, 1]] as const) {
    if (each === undefined || isCount(each) && each >= least) continue;
    throw new RangeError(`Cannot generate ${each} tokens: expected a whole number from ${least}`);
  }
  const room = positions - promptLength;
  if (room < Math.min(1, maxNewTokens ?? 1)) {
    throw new RangeError(
      `Cannot generate: the prompt has ${promptLength} tokens and the model ` +
        `${positions} positions; shorten the prompt`,
    );
  }
  const wanted = maxNewTokens ?? defaultLimit(generation, promptLength);
  const limit = Math.min(wanted, room, atMostNewTokens ?? Infinity);
  const eos = eosTokenIds ?? generation.eosTokenIds;
  const ends = new Set([...(ignoreEos ? [] : eos), ...stopTokenIds]);
  const constraint = options.constraint?.(ends);
  return {
    limit,
    ends,
    constraint,
    sample: createSampler({
      ...withDefaults(options, generation),
      endIds: [...new Set([...eos, ...stopTokenIds])],
      maxLength: promptLength + limit,
      random: uniform(seed),
      constraint,
    }),
    logprobs: logprobList(topLogprobs),
    promptLogprobs: logprobList(promptLogprobs),
    stopTexts: generation.stopTexts,
    maxSeconds: generation.maxSeconds ?? Infinity,
  };
}

/** Collects log probabilities, `count` beside each token's, where there is a count. */
function logprobList(count: number | undefined): LogprobList | undefined {
  if (count === undefined) return undefined;
  if (isCount(count)) return new LogprobList(count);
  throw new RangeError(
    `Cannot tell ${count} log probabilities a token: expected a whole number from 0`,
  );
}

/** What the model's generation_config.json says, which counts the prompt in `max_length`. */
function defaultLimit({ maxNewTokens, maxLength }: GenerationConfig, promptLength: number): number {
  if (maxNewTokens !== undefined) return maxNewTokens;
  if (maxLength === undefined) return DEFAULT_NEW_TOKENS;
  if (promptLength < maxLength) return maxLength - promptLength;
  throw new RangeError(
    `Cannot generate: the prompt has ${promptLength} tokens, and generation_config.json has ` +
      `max_length ${maxLength} for prompt and reply together; say how many new tokens are wanted, ` +
      "or write max_new_tokens there",
  );
}

/** An option that is not given, or `undefined`, is the model's. */
function withDefaults(
  options: SamplingOptions,
  { sampling, drawing }: GenerationConfig,
): SamplingOptions {
  const given = defined(options);
  // Who asks for a temperature wants draws, whatever the model's default.
  const drawn = given.greedy === false ||
    DRAWING_OPTIONS.some(([, name]) => given[name] !== undefined);
  const greedy = given.greedy ?? (!drawn && sampling.greedy);
  return { ...sampling, ...(drawn && !greedy ? drawing : {}), ...given, greedy };
}

function uniform(seed: number | undefined): () => number {
  if (seed === undefined) return Math.random;
  const random = MersenneTwister.fromSeed(seed);
  return () => random.nextFloat53();
}
