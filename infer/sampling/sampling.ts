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
import type { SamplerOptions, SamplingOptions } from "./sampling_options.ts";
import { SAMPLING_RULES } from "./sampling_rules.ts";
import type { TokenSequence } from "./token_sequence.ts";

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
