/**
 * What a LoRA adapter is: rank, scale, dropout, and which linear layers have one. Hu et al. 2021,
 * https://arxiv.org/abs/2106.09685; rank-stabilized scale: Kalajdzievski 2023,
 * https://arxiv.org/abs/2312.03732; DoRA: Liu et al. 2024, https://arxiv.org/abs/2402.09353.
 *
 * @module
 */

/** Settings of an adapter, in PEFT's words. */
export interface LoraOptions {
  /** Rows of A and columns of B, but for {@linkcode LoraOptions.rankPattern}. */
  readonly rank: number;
  /** The update is scaled by alpha ÷ rank, or alpha ÷ √rank with rsLoRA. */
  readonly alpha: number;
  /** Share of inputs zeroed before A in training. */
  readonly dropout: number;
  /**
   * The layers that have an adapter: their names, or how these end, such as `q_proj`; or a regular
   * expression in Python's syntax that matches their whole names; or `all-linear`, which
   * `withLayerNames` replaces by the names of the model's layers.
   */
  readonly targetModules: readonly string[] | string;
  /** Rank-stabilized scale. */
  readonly rslora: boolean;
  /** Trains each row's magnitude apart from its direction, as DoRA does. */
  readonly dora: boolean;
  /** Blocks that have an adapter, counted from 0. @default all of them */
  readonly layersToTransform?: number | readonly number[];
  /** What stands before a block's number in the names of its layers. @default whatever does */
  readonly layersPattern?: string | readonly string[];
  /** Layers that have none, as {@linkcode LoraOptions.targetModules}. @default none */
  readonly excludeModules?: string | readonly string[];
  /** Ranks of layers whose names end in what a regular expression matches; the first that does counts. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** The same of alpha. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
}

/**
 * Qwen3-Medical-SFT's settings: an adapter on all linear layers but the head.
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual([DEFAULT_LORA.rank, DEFAULT_LORA.alpha, DEFAULT_LORA.dropout], [8, 32, 0.1]);
 * ```
 */
export const DEFAULT_LORA: LoraOptions = {
  rank: 8,
  alpha: 32,
  dropout: 0.1,
  targetModules: "all-linear",
  rslora: false,
  dora: false,
};

/**
 * The factor on B·A·x.
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA } from "@ortune/ortune";
 * import { loraScale } from "@ortune/ortune/lora";
 * import assert from "node:assert/strict";
 *
 * assert.equal(loraScale(DEFAULT_LORA), 4);
 * assert.equal(loraScale({ ...DEFAULT_LORA, rank: 16, rslora: true }), 8);
 * ```
 */
export function loraScale(
  { rank, alpha, rslora }: Pick<LoraOptions, "rank" | "alpha" | "rslora">,
): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}
