/**
 * OLMo 2: norms behind attention and the MLP in place of before them, and RMSNorm of whole queries and
 * keys, all heads together, before they are turned.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/olmo2/modeling_olmo2.py
 *
 * @module
 */

import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { Family } from "./family.ts";
import { headNormFields } from "./head_norm_fields.ts";
import { fullLayers } from "./layer_types.ts";

/** `model_type` olmo2. */
export const olmo2: Family = {
  className: "Olmo2",
  defaults: { maxPositions: 2048, rmsNormEps: 1e-5, padTokenId: 1 },
  refused: headNormFields(true, "olmo2 always norms queries and keys"),
  read: (reader, { layers, readRope }) => ({
    layerKinds: fullLayers(reader, layers, { rope: readRope() }),
  }),
  block: (config) => {
    const { attentionBias } = config;
    const biases = { qkvBias: attentionBias, outputBias: attentionBias };
    return residualBlock(config, [
      {
        part: selfAttention(config, { ...biases, norms: "projections" }),
        after: rmsNorm(config, "post_attention_layernorm"),
      },
      { part: gatedMlp(config), after: rmsNorm(config, "post_feedforward_layernorm") },
    ]);
  },
};
