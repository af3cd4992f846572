/**
 * Llama, and models that are Llamas by their config.json, such as SmolLM: biases only where
 * `attention_bias` asks for them, then on all four projections of attention. The classes know no
 * sliding windows.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/llama/modeling_llama.py
 *
 * @module
 */

import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { Family } from "./family.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { fullLayers } from "./layer_types.ts";

/** `model_type` llama. */
export const llama: Family = {
  className: "Llama",
  covers: "SmolLM",
  defaults: { maxPositions: 2048 },
  refused: NO_HEAD_NORMS,
  read: (reader, { layers, readRope }) => ({
    layerKinds: fullLayers(reader, layers, { rope: readRope() }),
  }),
  block: (config) => {
    const { attentionBias } = config;
    return residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, { qkvBias: attentionBias, outputBias: attentionBias }),
      },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]);
  },
};
