/**
 * Phi-3, Phi-3.5 and Phi-4-mini: a Llama whose projections to queries, keys and values are one layer, and
 * those to gate and up another. Of each head a part may be turned (`partial_rotary_factor`), with factors of
 * LongRoPE; all layers see the last `sliding_window` tokens, where it has a size.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/phi3/modeling_phi3.py
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

/** `model_type` phi3. */
export const phi3: Family = {
  className: "Phi3",
  covers: "Phi-3.5 and Phi-4-mini",
  defaults: { maxPositions: 4096, rmsNormEps: 1e-5, padTokenId: 32000 },
  attentionBias: false,
  honoured: ["partial_rotary_factor"],
  refused: NO_HEAD_NORMS,
  read: (reader, { layers, readRope }) => ({
    layerKinds: layersByWindow(reader, layers, {
      window: readWindow(reader),
      rope: readRope({
        partial: true,
        defaultOriginal: 4096,
        // Both were names of LongRoPE once.
        otherNames: { su: "longrope", yarn: "longrope" },
      }),
    }),
  }),
  block: (config) =>
    residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, { fused: true }),
      },
      {
        before: rmsNorm(config, "post_attention_layernorm"),
        part: gatedMlp(config, { fused: true }),
      },
    ]),
};
