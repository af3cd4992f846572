/**
 * Qwen3.5 without images: of four layers three have a gated delta rule, which carries a state from token to
 * token, and one has attention, whose result goes through a gate; there a quarter of each head is turned, and
 * each head's queries and keys are normed. Norms are by 1 + weight.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/qwen3_5/modeling_qwen3_5.py
 *
 * @module
 */

import { gatedDeltaNet } from "../parts/gated_delta_net.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { DeltaSizes, LayerKind } from "../parts/layer_kind.ts";
import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { Family, FamilySizes } from "./family.ts";
import { headNormFields } from "./head_norm_fields.ts";
import { type LayerType, readLayerTypes } from "./layer_types.ts";

/** Every so many layers one has attention. */
const INTERVAL = 4;
/** As many tokens as transformers computes together. */
const CHUNK = 64;
const LAYER_TYPES: readonly LayerType[] = ["full_attention", "linear_attention"];

/** `model_type` qwen3_5_text. */
export const qwen35Text: Family = {
  className: "Qwen3_5",
  configClass: "Qwen3_5TextConfig",
  covers: "the text of dense Qwen3.5",
  // Images, and layers that predict further tokens.
  besides: /^(model\.visual|visual|mtp)\./,
  defaults: { maxPositions: 32768, headDim: 256 },
  honoured: [
    "full_attention_interval",
    "linear_conv_kernel_dim",
    "linear_key_head_dim",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_value_head_dim",
    "partial_rotary_factor",
  ],
  refused: {
    ...headNormFields(true, "qwen3_5_text always norms queries and keys"),
    attn_output_gate: { unless: [true], remedy: "qwen3_5_text always gates what attention gives" },
    sliding_window: { remedy: "qwen3_5_text has no windows; remove it" },
    use_sliding_window: { unless: [false], remedy: "qwen3_5_text has no windows; remove it" },
    mamba_ssm_dtype: {
      unless: ["float32"],
      remedy: "states of the gated delta rule are float32; remove it",
    },
  },
  read: (reader, sizes) => {
    const { integer } = reader;
    // The class's own default is no function of the other sizes.
    integer("num_key_value_heads");
    return { layerKinds: layers(reader, sizes), normOffset: 1 };
  },
  block: (config, { delta }) => {
    const { attentionBias } = config;
    return residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: delta ? gatedDeltaNet(config, delta) : selfAttention(config, {
          qkvBias: attentionBias,
          outputBias: attentionBias,
          norms: "heads",
          gated: true,
        }),
      },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]);
  },
};

/** A kind for each layer. */
function layers(reader: ConfigReader, sizes: FamilySizes): readonly LayerKind[] {
  const interval = reader.integer("full_attention_interval", INTERVAL);
  const types = readLayerTypes(reader, sizes.layers, LAYER_TYPES) ??
    Array.from(
      { length: sizes.layers },
      (_, layer): LayerType => (layer + 1) % interval === 0 ? "full_attention" : "linear_attention",
    );
  const full: LayerKind = {
    name: "full_attention",
    rope: sizes.readRope({
      partial: true,
      defaultPartial: 0.25,
      // What they say of images: in text all positions of a token are one.
      alsoRead: ["mrope_section", "mrope_interleaved"],
    }),
  };
  const linear: LayerKind = { name: "linear_attention", delta: deltaSizes(reader) };
  return types.map((type) => type === "full_attention" ? full : linear);
}

function deltaSizes({ integer, fail }: ConfigReader): DeltaSizes {
  const sizes = {
    keyHeads: integer("linear_num_key_heads", 16),
    valueHeads: integer("linear_num_value_heads", 32),
    keyDim: integer("linear_key_head_dim", 128),
    valueDim: integer("linear_value_head_dim", 128),
    taps: integer("linear_conv_kernel_dim", 4),
    chunk: CHUNK,
  };
  if (sizes.valueHeads % sizes.keyHeads !== 0) {
    fail(
      "linear_num_key_heads",
      `must divide linear_num_value_heads ${sizes.valueHeads}, got ${sizes.keyHeads}`,
    );
  }
  if (sizes.taps < 2) fail("linear_conv_kernel_dim", `must be 2 or more, got ${sizes.taps}`);
  return sizes;
}
