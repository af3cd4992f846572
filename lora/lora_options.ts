/**
 * What a LoRA adapter is: rank, scale, dropout, and which linear layers have one. Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685; rank-stabilized scale: Kalajdzievski 2023,
 * https://arxiv.org/abs/2312.03732; DoRA: Liu et al. 2024, https://arxiv.org/abs/2402.09353.
 *
 * @module
 */

/** The linear layers of a block, under their names inside it. */
export const LINEAR_LAYERS: readonly string[] = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
];

/** Settings of an adapter, in PEFT's words. */
export interface LoraOptions {
  /** Rows of A and columns of B. */
  readonly rank: number;
  /** The update is scaled by alpha ÷ rank, or alpha ÷ √rank with rsLoRA. */
  readonly alpha: number;
  /** Share of inputs zeroed before A in training. */
  readonly dropout: number;
  /** Last parts of the names of the layers that have an adapter, such as `q_proj`. */
  readonly targetModules: readonly string[];
  /** Rank-stabilized scale. */
  readonly rslora: boolean;
  /** Trains each row's magnitude apart from its direction, as DoRA does. */
  readonly dora: boolean;
}

/** Qwen3-Medical-SFT's settings. */
export const DEFAULT_LORA: LoraOptions = {
  rank: 8,
  alpha: 32,
  dropout: 0.1,
  targetModules: LINEAR_LAYERS.map((name) => name.slice(name.indexOf(".") + 1)),
  rslora: false,
  dora: false,
};

/**
 * The factor on B·A·x.
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA, loraScale } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * assert.equal(loraScale(DEFAULT_LORA), 4);
 * assert.equal(loraScale({ ...DEFAULT_LORA, rank: 16, rslora: true }), 8);
 * ```
 */
export function loraScale({ rank, alpha, rslora }: LoraOptions): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/**
 * The block's linear layers that have an adapter.
 *
 * @throws {RangeError} listing all target modules that the block does not have
 */
export function adaptedLayers({ targetModules }: LoraOptions): readonly string[] {
  const lastPart = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
  const known = LINEAR_LAYERS.map(lastPart);
  const unknown = targetModules.filter((name) => !known.includes(lastPart(name)));
  if (unknown.length > 0 || targetModules.length === 0) {
    throw new RangeError(
      `Cannot adapt ${unknown.join(", ") || "no module"}: the linear layers are ${
        known.join(", ")
      }; name some of these`,
    );
  }
  const wanted = new Set(targetModules.map(lastPart));
  return LINEAR_LAYERS.filter((name) => wanted.has(lastPart(name)));
}
