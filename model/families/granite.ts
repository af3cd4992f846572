/**
 * Granite 3, and what else has its class: a Llama with multipliers of embeddings, scores, parts and
 * logits. Granite 4 is `granitemoehybrid` in all its sizes.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/granite/modeling_granite.py
 *
 * @module
 */

import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { Family, FamilySettings } from "./family.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { fullLayers } from "./layer_types.ts";

/** The multipliers of both classes, by their fields. */
export const GRANITE_MULTIPLIERS = [
  "attention_multiplier",
  "embedding_multiplier",
  "logits_scaling",
  "residual_multiplier",
] as const;

/** What the multipliers come to. */
export function readMultipliers(
  { positive }: ConfigReader,
): Pick<FamilySettings, "attentionScale" | "embeddingScale" | "logitScale" | "residualScale"> {
  return {
    attentionScale: positive("attention_multiplier", 1),
    embeddingScale: positive("embedding_multiplier", 1),
    logitScale: 1 / positive("logits_scaling", 1),
    residualScale: positive("residual_multiplier", 1),
  };
}

/** `model_type` granite. */
export const granite: Family = {
  className: "Granite",
  covers: "Granite 3",
  defaults: { maxPositions: 2048 },
  honoured: GRANITE_MULTIPLIERS,
  refused: NO_HEAD_NORMS,
  read: (reader, { layers, readRope }) => ({
    layerKinds: fullLayers(reader, layers, { rope: readRope() }),
    ...readMultipliers(reader),
  }),
  block: (config) => {
    const { attentionBias } = config;
    const biases = { qkvBias: attentionBias, outputBias: attentionBias };
    return residualBlock(config, [
      { before: rmsNorm(config, "input_layernorm"), part: selfAttention(config, biases) },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]);
  },
};
