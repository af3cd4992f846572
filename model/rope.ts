/**
 * Cosine and sine tables of rotary position embeddings.
 *
 * In: a config and a number of positions. Out: two tables [positions, headDim/2] in float32.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";

/** The tables of {@linkcode ropeTables}. */
export interface RopeTables {
  /** [positions, headDim/2] */
  readonly cos: Float32Array<ArrayBuffer>;
  /** [positions, headDim/2] */
  readonly sin: Float32Array<ArrayBuffer>;
}

/**
 * Inverse frequencies `theta^(−2i/headDim)`, [headDim/2], with Llama 3's scaling where configured:
 * long wavelengths are divided by the factor, short ones kept, those between interpolated.
 * Float32 at each step, as Hugging Face computes them.
 */
export function inverseFrequencies(config: ModelConfig): Float32Array<ArrayBuffer> {
  const { headDim, ropeTheta, ropeScaling } = config;
  const frequencies = Float32Array.from(
    { length: headDim / 2 },
    (_, i) => 1 / Math.fround(ropeTheta ** Math.fround(2 * i / headDim)),
  );
  if (!ropeScaling) return frequencies;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = ropeScaling;
  return frequencies.map((frequency) => {
    const wavelength = 2 * Math.PI / frequency;
    if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
    if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
    const smooth = (originalMaxPositions / wavelength - lowFreqFactor) /
      (highFreqFactor - lowFreqFactor);
    return (1 - smooth) * frequency / factor + smooth * frequency;
  });
}

/**
 * Cosines and sines of the first `positions` positions.
 *
 * @example
 * ```ts
 * import { parseConfig, ropeTables } from "@ortune/ortune";
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
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      // The angle is rounded to float32 before the cosine is taken, as in the reference.
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
