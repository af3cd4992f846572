/**
 * Llama, and models that are Llamas by their config.json, such as SmolLM: biases only where
 * `attention_bias` asks for them, then on all four projections of attention. The classes know no
 * sliding windows.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/llama/modeling_llama.py
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { swigluMlp } from "../parts/swiglu_mlp.ts";
import type { Family } from "./family.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { fullLayers } from "./layer_types.ts";

/** `model_type` llama. */
export const llama: Family = {
  className: "Llama",
  covers: "SmolLM",
  defaults: { maxPositions: 2048 },
  refused: NO_HEAD_NORMS,
  read: (reader, { layers, readRope }) => {
    const { raw, flag, fail } = reader;
    // The class has full attention, but transformers' cache of generation goes by these fields.
    if (flag("use_sliding_window", false)) {
      fail("use_sliding_window", "is true: only full attention is supported");
    }
    if ((raw.sliding_window ?? null) !== null) {
      fail(
        "sliding_window",
        `is ${showValue(raw.sliding_window)}: only full attention is supported`,
      );
    }
    return { layerKinds: fullLayers(reader, layers, { rope: readRope() }) };
  },
  block: (config) => {
    const { attentionBias } = config;
    return residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, { qkvBias: attentionBias, outputBias: attentionBias }),
      },
      { before: rmsNorm(config, "post_attention_layernorm"), part: swigluMlp(config) },
    ]);
  },
};
