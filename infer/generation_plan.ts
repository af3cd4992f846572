/**
 * What a reply needs before its first token.
 *
 * In: options of a call and a model's defaults. Out: its sampler, its limit and its ends, checked.
 */

import { MersenneTwister } from "../tensor/mersenne_twister.ts";
import type { GenerationConfig } from "./generation_config.ts";
import type { GenerateOptions } from "./generator.ts";
import { createSampler, type Sampler, type SamplingOptions } from "./sampling.ts";

/** How one reply is made. */
export interface GenerationPlan {
  /** Most tokens it may have. */
  readonly limit: number;
  /** Tokens that end it. */
  readonly ends: ReadonlySet<number>;
  /** Chooses its tokens. */
  readonly sample: Sampler;
}

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
  const { maxNewTokens = 2048, eosTokenIds = generation.eosTokenIds } = options;
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new RangeError(
      `Cannot generate ${maxNewTokens} tokens: expected a whole number from 1`,
    );
  }
  const room = positions - promptLength;
  if (room < 1) {
    throw new RangeError(
      `Cannot generate: the prompt has ${promptLength} tokens and the model ` +
        `${positions} positions; shorten the prompt`,
    );
  }
  return {
    limit: Math.min(maxNewTokens, room),
    ends: new Set(eosTokenIds),
    sample: createSampler({
      ...withDefaults(options, generation.sampling),
      random: uniform(options.seed),
    }),
  };
}

/** An option that is not given, or `undefined`, is the default's. */
function withDefaults(options: SamplingOptions, defaults: SamplingOptions): SamplingOptions {
  const drawn = [options.temperature, options.topK, options.topP].some((each) =>
    each !== undefined
  );
  return {
    temperature: options.temperature ?? defaults.temperature,
    topK: options.topK ?? defaults.topK,
    topP: options.topP ?? defaults.topP,
    repetitionPenalty: options.repetitionPenalty ?? defaults.repetitionPenalty,
    // Who asks for a temperature wants draws, whatever the model's default.
    greedy: options.greedy ?? (!drawn && defaults.greedy),
  };
}

function uniform(seed: number | undefined): () => number {
  if (seed === undefined) return Math.random;
  const random = MersenneTwister.fromSeed(seed);
  return () => random.nextFloat53();
}
