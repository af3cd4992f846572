/**
 * Cosine and sine tables of rotary position embeddings.
 *
 * In: what turns a kind of layers, and a number of positions. Out: two tables [positions, width/2] in
 * float32, where width is how much of a head is turned.
 *
 * @module
 */

import type { LayerKind, QueryGrowth } from "./parts/layer_kind.ts";
import type { Llama3RopeScaling, Rope, YarnRopeScaling } from "./parts/rope_settings.ts";

/** The name of the graphs' input that queries are multiplied by, [positions, 1]. */
export const QUERY_SCALE = "query_scale";

/** The tables of {@linkcode ropeTables}. */
export interface RopeTables {
  /** [positions, width/2] */
  readonly cos: Float32Array<ArrayBuffer>;
  /** [positions, width/2] */
  readonly sin: Float32Array<ArrayBuffer>;
}

/**
 * Inverse frequencies `theta^(−2i/width)`, [width/2], scaled as the config asks.
 * Float32 at each step, as Hugging Face computes them.
 */
export function inverseFrequencies(rope: Rope): Float32Array<ArrayBuffer> {
  const { theta, scaling } = rope;
  switch (scaling?.type) {
    case undefined:
    // Of sequences of up to `max_position_embeddings` dynamic scaling takes the config's θ.
    case "dynamic":
      return powers(rope, theta).map((power) => 1 / power);
    case "linear": {
      const factor = Math.fround(scaling.factor);
      return powers(rope, theta).map((power) => Math.fround(1 / power) / factor);
    }
    case "yarn":
      return yarnFrequencies(rope, scaling);
    case "llama3":
      return llama3Frequencies(rope, scaling);
    case "longrope":
      return powers(rope, theta).map((power, i) =>
        1 / Math.fround(Math.fround(scaling.shortFactors[i]) * power)
      );
  }
}

/** `theta^(2i/width)`. */
function powers({ width }: Rope, theta: number): Float32Array<ArrayBuffer> {
  const base = Math.fround(theta);
  return Float32Array.from({ length: width / 2 }, (_, i) => base ** Math.fround(2 * i / width));
}

/** Long wavelengths are divided by the factor, short ones kept, those between interpolated. */
function llama3Frequencies(
  rope: Rope,
  { factor, lowFreqFactor, highFreqFactor, originalMaxPositions }: Llama3RopeScaling,
): Float32Array<ArrayBuffer> {
  return powers(rope, rope.theta).map((power) => 1 / power).map((frequency) => {
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
  rope: Rope,
  { factor, betaFast, betaSlow, truncate, originalMaxPositions }: YarnRopeScaling,
): Float32Array<ArrayBuffer> {
  const { width: turned, theta } = rope;
  /** The dimension whose frequency turns so often over the original positions. */
  const dimension = (turns: number): number =>
    turned * Math.log(originalMaxPositions / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  let [low, high] = [dimension(betaFast), dimension(betaSlow)];
  if (truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  [low, high] = [Math.max(low, 0), Math.min(high, turned - 1)];
  if (low === high) high += 0.001;
  const [first, width] = [Math.fround(low), Math.fround(high - low)];
  return powers(rope, theta).map((power, i) => {
    const ramp = Math.min(Math.max(Math.fround(Math.fround(i - first) / width), 0), 1);
    const kept = Math.fround(1 - ramp);
    const divided = Math.fround(1 / Math.fround(Math.fround(factor) * power));
    return Math.fround(divided * Math.fround(1 - kept)) +
      Math.fround(Math.fround(1 / power) * kept);
  });
}

/** What cosines and sines are multiplied by: YaRN's or LongRoPE's scale of attention, or 1. */
export function attentionFactor({ scaling }: Rope): number {
  return scaling?.type === "yarn" || scaling?.type === "longrope" ? scaling.attentionFactor : 1;
}

/**
 * Cosines and sines of the first `positions` positions.
 *
 * @example
 * ```ts
 * import { ropeTables } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const { cos, sin } = ropeTables({ theta: 10000, width: 8, maxPositions: 512 }, 2);
 * assert.deepEqual([cos.length, sin.length], [2 * 4, 2 * 4]);
 * assert.deepEqual([cos[0], sin[0]], [1, 0]); // position 0 is not turned
 * assert.equal(cos[4], Math.fround(Math.cos(1))); // position 1, frequency 1
 * ```
 */
export function ropeTables(rope: Rope, positions: number): RopeTables {
  const frequencies = inverseFrequencies(rope);
  const scale = Math.fround(attentionFactor(rope));
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

/** A table with a row a position. */
export interface PositionTable {
  /** Numbers a row. */
  readonly width: number;
  /** [positions, width] */
  readonly data: Float32Array<ArrayBuffer>;
}

/**
 * What the layers of a kind take of the first `positions` positions, by the names of their graphs' inputs:
 * none where nothing is turned.
 *
 * @param unturned the width of heads, for kernels that always turn them: where nothing is to be turned they
 *   are given tables that turn nothing
 *
 * @example
 * ```ts
 * import { positionTables } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const { cos } = positionTables({
 *   name: "full_attention",
 *   rope: { theta: 10000, width: 8, maxPositions: 512 },
 * }, 2);
 * assert.deepEqual([cos.width, cos.data.length], [4, 8]);
 * assert.deepEqual(positionTables({ name: "unturned" }, 2), {});
 * ```
 */
export function positionTables(
  { rope, queryGrowth }: LayerKind,
  positions: number,
  { unturned }: { readonly unturned?: number } = {},
): Readonly<Record<string, PositionTable>> {
  const table = (data: Float32Array<ArrayBuffer>): PositionTable => ({
    width: data.length / positions,
    data,
  });
  if (rope) {
    const { cos, sin } = ropeTables(rope, positions);
    const growth = queryGrowth && table(queryScales(queryGrowth, positions));
    return { cos: table(cos), sin: table(sin), ...growth ? { [QUERY_SCALE]: growth } : {} };
  }
  if (unturned === undefined) return {};
  const size = positions * unturned / 2;
  return { cos: table(new Float32Array(size).fill(1)), sin: table(new Float32Array(size)) };
}

/** What queries are multiplied by at the first `positions` positions, [positions, 1]. */
function queryScales({ beta, span }: QueryGrowth, positions: number): Float32Array<ArrayBuffer> {
  // In float32 at each step, as Hugging Face computes them.
  const growth = Math.fround(beta);
  return Float32Array.from({ length: positions }, (_, position) => {
    const whole = Math.floor(Math.fround(position / span));
    return 1 + Math.fround(growth * Math.fround(Math.log(1 + whole)));
  });
}
