/**
 * Qwen2 and Qwen2.5: biases on q, k and v and none on the output projection, whatever `attention_bias`
 * says.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/qwen2/modeling_qwen2.py
 *
 * @module
 */

import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { Family } from "./family.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { qwenLayers } from "./qwen_layers.ts";

/** `model_type` qwen2. */
export const qwen2: Family = {
  className: "Qwen2",
  covers: "Qwen2.5",
  defaults: { maxPositions: 32768 },
  attentionBias: true,
  refused: NO_HEAD_NORMS,
  read: (reader, sizes) => ({ layerKinds: qwenLayers(reader, sizes) }),
  block: (config) =>
    residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, { qkvBias: true }),
      },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]),
};
