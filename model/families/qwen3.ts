/**
 * Qwen3: RMSNorm of each head's queries and keys, heads of 128 unless config.json says otherwise, and
 * biases only where `attention_bias` asks for them, then on all four projections of attention.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/qwen3/modeling_qwen3.py
 *
 * @module
 */

import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { Family } from "./family.ts";
import { headNormFields } from "./head_norm_fields.ts";
import { qwenLayers } from "./qwen_layers.ts";

/** `model_type` qwen3. */
export const qwen3: Family = {
  className: "Qwen3",
  defaults: { maxPositions: 32768, headDim: 128 },
  refused: headNormFields(true, "qwen3 always norms queries and keys"),
  read: (reader, sizes) => ({ layerKinds: qwenLayers(reader, sizes) }),
  block: (config) => {
    const { attentionBias } = config;
    const biases = { qkvBias: attentionBias, outputBias: attentionBias };
    return residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, { ...biases, norms: "heads" }),
      },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]);
  },
};
