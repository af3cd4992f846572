/**
 * Mistral: a Llama whose heads may have a size of their own, and whose layers all see the last
 * `sliding_window` tokens only, 4096 where config.json has no such field. Mistral 7B v0.3 and its
 * successors set it to null: they see all.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/mistral/modeling_mistral.py
 *
 * @module
 */

import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { Family } from "./family.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { layersByWindow, readWindow } from "./layer_types.ts";

/** `model_type` mistral. */
export const mistral: Family = {
  className: "Mistral",
  defaults: { maxPositions: 4096 * 32 },
  attentionBias: false,
  refused: NO_HEAD_NORMS,
  read: (reader, { layers, readRope }) => ({
    layerKinds: layersByWindow(reader, layers, {
      window: readWindow(reader, 4096),
      rope: readRope(),
    }),
  }),
  block: (config) =>
    residualBlock(config, [
      { before: rmsNorm(config, "input_layernorm"), part: selfAttention(config) },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]),
};
