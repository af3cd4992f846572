/**
 * Arithmetic on what was measured. In: shapes, tokens, seconds, losses. Out: FLOP, MFU, agreement,
 * memory.
 */

import type { ModelShape, Row } from "./workload.ts";

/** Dense bf16 peak of an H100 and H200, FLOP/s. */
export const PEAK_FLOPS = 989e12;

const LORA_RANK = 8;

/** Weights of the matrix products of a token's way through the model, the (tied) head among them. */
function productWeights(shape: ModelShape): { model: number; adapter: number } {
  const { hidden_size: hidden, intermediate_size: inner, head_dim: dim } = shape;
  const query = shape.num_attention_heads * dim;
  const key = shape.num_key_value_heads * dim;
  const linears = [
    [hidden, query],
    [hidden, key],
    [hidden, key],
    [query, hidden],
    [hidden, inner],
    [hidden, inner],
    [inner, hidden],
  ];
  const layers = shape.num_hidden_layers;
  return {
    model: layers * linears.reduce((sum, [from, to]) => sum + from * to, 0) +
      shape.vocab_size * hidden,
    adapter: layers * linears.reduce((sum, [from, to]) => sum + LORA_RANK * (from + to), 0),
  };
}

/**
 * FLOP that training on the rows takes, as MFU counts them: products forward and backward, causal
 * attention within each row, nothing recomputed, the head for every token. LoRA computes no
 * gradients of frozen weights.
 */
export function trainingFlop(shape: ModelShape, rows: readonly Row[], lora: boolean): number {
  const { model, adapter } = productWeights(shape);
  const perToken = lora ? 4 * model + 6 * adapter : 6 * model;
  const width = shape.num_attention_heads * shape.head_dim;
  // Forward QKᵀ and PV are 4·width·length² without the causal mask, half with it; three times that
  // with backward.
  const perSquare = 6 * width * shape.num_hidden_layers;
  return rows.reduce(
    (sum, { ids: { length } }) => sum + perToken * length + perSquare * length ** 2,
    0,
  );
}

/** Share of the device's peak. */
export function mfu(flop: number, seconds: number): number {
  return flop / seconds / PEAK_FLOPS;
}

/** Largest difference of two loss curves over the updates both made; NaN where there is none. */
export function lossDifference(one: readonly number[], other: readonly number[]): number {
  const count = Math.min(one.length, other.length);
  if (count === 0) return NaN;
  return Math.max(...one.slice(0, count).map((loss, i) => Math.abs(loss - other[i])));
}

/**
 * What one contender takes of a device that others hold memory of too: only one runs at a time, so
 * what the device's use grows by meanwhile is the runner's.
 */
export class DeviceShare {
  #held = 0;
  /** The most that was held, in the unit of the samples; NaN before there was one. */
  peak = NaN;

  /** Takes samples of one turn of the device's use, the first of them from before the turn. */
  turn(samples: readonly number[]): void {
    if (samples.length === 0) return;
    const before = samples[0];
    const most = this.#held + Math.max(...samples) - before;
    this.peak = Number.isNaN(this.peak) ? most : Math.max(this.peak, most);
    this.#held += samples.at(-1)! - before;
  }
}
