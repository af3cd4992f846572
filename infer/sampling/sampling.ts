/**
 * Chooses the next token.
 *
 * In: logits [vocab] in float32, the sequence so far. Out: a token id. Options, their order and
 * their arithmetic are those of Hugging Face's generate(); what changes logits by the sequence
 * stands in {@linkcode LogitsProcessorOptions}.
 *
 * @module
 */

import { drawFrom } from "./candidates.ts";
import { createDistribution } from "./distribution.ts";
import type { LogitsProcessorContext, LogitsProcessorOptions } from "./logits_processors.ts";
import { SAMPLING_RULES } from "./sampling_rules.ts";
import type { TokenSequence } from "./token_sequence.ts";

/** How tokens are chosen. */
export interface SamplingOptions extends LogitsProcessorOptions {
  /**
   * Divides the logits: below 1 likelier tokens become likelier still.
   * @default {1}
   */
  readonly temperature?: number;
  /**
   * Draws only among this many likeliest tokens (more where some are equally likely); 0 is off.
   * @default {0}
   */
  readonly topK?: number;
  /**
   * Draws only among the smallest set of tokens whose probabilities reach this sum; 1 is off.
   * Holtzman et al. 2019, https://arxiv.org/abs/1904.09751.
   * @default {1}
   */
  readonly topP?: number;
  /**
   * Draws only among tokens with at least this share of the likeliest one's probability; 0 is off.
   * Nguyen et al. 2024, https://arxiv.org/abs/2407.01082.
   * @default {0}
   */
  readonly minP?: number;
  /**
   * Draws only among tokens whose information is nearest to the entropy, up to this sum of their
   * probabilities; 1 is off. Meister et al. 2022, https://arxiv.org/abs/2202.00666.
   * @default {1}
   */
  readonly typicalP?: number;
  /**
   * Draws only among tokens with at least this probability; 0 is off.
   * Hewitt et al. 2022, https://arxiv.org/abs/2210.15191.
   * @default {0}
   */
  readonly epsilonCutoff?: number;
  /** The same with a limit that falls with the entropy; 0 is off. @default {0} */
  readonly etaCutoff?: number;
  /**
   * Draws only among the likeliest tokens that make up this share of the entropy.
   * https://arxiv.org/abs/2509.02510.
   * @default {off}
   */
  readonly topH?: number;
  /**
   * Takes the likeliest token; of the other options only those of
   * {@linkcode LogitsProcessorOptions} count.
   * @default {false}
   */
  readonly greedy?: boolean;
}

/** Options of {@linkcode createSampler}. */
export interface SamplerOptions extends SamplingOptions, LogitsProcessorContext {
  /**
   * Uniform draws from [0, 1), one a token; a seeded stream makes the same choices again.
   * @default {Math.random}
   */
  readonly random?: () => number;
}

/**
 * Chooses a token from logits [vocab] after a sequence. A sampler may keep what it knows of a
 * sequence: give it one sequence that grows, not two by turns.
 */
export type Sampler = (logits: Float32Array, sequence?: TokenSequence) => number;

/**
 * Makes a sampler.
 *
 * @example
 * ```ts
 * import { createSampler } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * const logits = Float32Array.of(0, 3, 2, 1);
 * assert.equal(createSampler({ greedy: true })(logits), 1);
 * const second = createSampler({ topK: 2, random: () => 0.9 });
 * assert.equal(second(logits), 2);
 * ```
 *
 * @throws {RangeError} where an option is outside its range
 */
export function createSampler(options: SamplerOptions = {}): Sampler {
  const { greedy = false, random = Math.random } = options;
  assertSampling(options);
  const distribution = createDistribution(options);
  if (greedy) return distribution.best;
  return (logits, sequence) => drawFrom(distribution.candidates(logits, sequence), random());
}

/**
 * Checks options, so that a mistake shows before the model is run.
 *
 * @example
 * ```ts
 * import { assertSampling } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * assertSampling({ temperature: 0.6, topP: 0.95 });
 * assert.throws(() => assertSampling({ temperature: 0 }), RangeError);
 * ```
 *
 * @throws {RangeError} naming the option and its range
 */
export function assertSampling(options: SamplingOptions): void {
  const fail = (name: string, value: unknown, expected: string): never => {
    throw new RangeError(`Cannot sample with ${name} ${show(value)}: expected ${expected}`);
  };
  for (const [name, { holds, expected }] of Object.entries(SAMPLING_RULES)) {
    const value = options[name as keyof SamplingOptions];
    if (value !== undefined && !holds(value)) fail(name, value, expected);
  }
}

function show(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value).slice(0, 100) : String(value);
}
