/**
 * Cosine and sine tables of rotary position embeddings.
 *
 * In: a config and a number of positions. Out: two tables [positions, headDim/2] in float32.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";
import type { DynamicRopeScaling, Llama3RopeScaling, YarnRopeScaling } from "./rope_scaling.ts";

/** The tables of {@linkcode ropeTables}. */
export interface RopeTables {
  /** [positions, headDim/2] */
  readonly cos: Float32Array<ArrayBuffer>;
  /** [positions, headDim/2] */
  readonly sin: Float32Array<ArrayBuffer>;
}

/**
 * Inverse frequencies `theta^(−2i/headDim)`, [headDim/2], scaled as the config asks.
 * Float32 at each step, as Hugging Face computes them.
 */
export function inverseFrequencies(config: ModelConfig): Float32Array<ArrayBuffer> {
  const { ropeScaling } = config;
  switch (ropeScaling?.type) {
    case undefined:
      return powers(config, config.ropeTheta).map((power) => 1 / power);
    case "linear": {
      const factor = Math.fround(ropeScaling.factor);
      return powers(config, config.ropeTheta).map((power) => Math.fround(1 / power) / factor);
    }
    case "dynamic":
      return powers(config, dynamicTheta(config, ropeScaling)).map((power) => 1 / power);
    case "yarn":
      return yarnFrequencies(config, ropeScaling);
    case "llama3":
      return llama3Frequencies(config, ropeScaling);
  }
}

/** `theta^(2i/headDim)`. */
function powers({ headDim }: ModelConfig, theta: number): Float32Array<ArrayBuffer> {
  const base = Math.fround(theta);
  return Float32Array.from(
    { length: headDim / 2 },
    (_, i) => base ** Math.fround(2 * i / headDim),
  );
}

/** θ of sequences of up to `max_position_embeddings`: the config's, but for the last bits. */
function dynamicTheta(
  { ropeTheta, maxPositions, headDim }: ModelConfig,
  { factor }: DynamicRopeScaling,
): number {
  const stretch = factor * maxPositions / maxPositions - (factor - 1);
  return ropeTheta * stretch ** (headDim / (headDim - 2));
}

/** Long wavelengths are divided by the factor, short ones kept, those between interpolated. */
function llama3Frequencies(
  config: ModelConfig,
  { factor, lowFreqFactor, highFreqFactor, originalMaxPositions }: Llama3RopeScaling,
): Float32Array<ArrayBuffer> {
  return powers(config, config.ropeTheta).map((power) => 1 / power).map((frequency) => {
    const wavelength = 2 * Math.PI / frequency;
    if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
    if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
    const smooth = (originalMaxPositions / wavelength - lowFreqFactor) /
      (highFreqFactor - lowFreqFactor);
    return (1 - smooth) * frequency / factor + smooth * frequency;
  });
}

/** A ramp over the dimensions leads from the kept frequencies to the divided ones. */
function yarnFrequencies(
  config: ModelConfig,
  { factor, betaFast, betaSlow, truncate, originalMaxPositions }: YarnRopeScaling,
): Float32Array<ArrayBuffer> {
  const { headDim, ropeTheta } = config;
  /** The dimension whose frequency turns so often over the original positions. */
  const dimension = (turns: number): number =>
    headDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI)) / (2 * Math.log(ropeTheta));
  let [low, high] = [dimension(betaFast), dimension(betaSlow)];
  if (truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  [low, high] = [Math.max(low, 0), Math.min(high, headDim - 1)];
  if (low === high) high += 0.001;
  const [first, width] = [Math.fround(low), Math.fround(high - low)];
  return powers(config, ropeTheta).map((power, i) => {
    const ramp = Math.min(Math.max(Math.fround(Math.fround(i - first) / width), 0), 1);
    const kept = Math.fround(1 - ramp);
    const divided = Math.fround(1 / Math.fround(Math.fround(factor) * power));
    return Math.fround(divided * Math.fround(1 - kept)) +
      Math.fround(Math.fround(1 / power) * kept);
  });
}

/** What cosines and sines are multiplied by: YaRN's scale of attention, or 1. */
export function attentionFactor({ ropeScaling }: ModelConfig): number {
  return ropeScaling?.type === "yarn" ? ropeScaling.attentionFactor : 1;
}

/**
 * Cosines and sines of the first `positions` positions.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { ropeTables } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const { cos, sin } = ropeTables(config, 2);
 * assert.deepEqual([cos.length, sin.length], [2 * 4, 2 * 4]);
 * assert.deepEqual([cos[0], sin[0]], [1, 0]); // position 0 is not turned
 * assert.equal(cos[4], Math.fround(Math.cos(1))); // position 1, frequency 1
 * ```
 */
export function ropeTables(config: ModelConfig, positions: number): RopeTables {
  const frequencies = inverseFrequencies(config);
  const scale = Math.fround(attentionFactor(config));
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      // The angle is rounded to float32 before the cosine is taken, as in the reference.
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = Math.fround(Math.cos(angle)) * scale;
      sin[position * half + i] = Math.fround(Math.sin(angle)) * scale;
    }
  }
  return { cos, sin };
}
