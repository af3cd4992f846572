/**
 * Gemma 3 without images: norms before and after attention and MLP, with weights that are stored less 1;
 * norms of each head's queries and keys; GELU; an embedding that is scaled by √hidden_size. Of six layers
 * five see a window and turn by a base of their own.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/gemma3/modeling_gemma3.py
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { Family, FamilySizes } from "./family.ts";
import { headNormFields } from "./head_norm_fields.ts";
import { type LayerType, readLayerTypes, readWindow } from "./layer_types.ts";

const GELU = "gelu_pytorch_tanh";
/** Every so many layers one sees all tokens. */
const PATTERN = 6;
const LAYER_TYPES: readonly LayerType[] = ["full_attention", "sliding_attention"];

/** `model_type` gemma3_text. */
export const gemma3Text: Family = {
  className: "Gemma3",
  configClass: "Gemma3TextConfig",
  covers: "Gemma 3 270M and 1B",
  defaults: { maxPositions: 131072, headDim: 256, tiedEmbeddings: true, padTokenId: 0 },
  activation: { field: "hidden_activation", names: [GELU] },
  honoured: [
    "final_logit_softcapping",
    "hidden_activation",
    "query_pre_attn_scalar",
    "rope_local_base_freq",
    "sliding_window_pattern",
  ],
  refused: {
    ...headNormFields(true, "gemma3_text always norms queries and keys"),
    hidden_act: { unless: [GELU], remedy: "the class reads hidden_activation; remove it" },
    attn_logit_softcapping: {
      remedy: "transformers reads it and caps no scores of this model; make it null",
    },
  },
  read: (reader, sizes) => {
    const { raw, integer, positive } = reader;
    // The class's own default is no function of the other sizes.
    integer("num_key_value_heads");
    const cap = raw.final_logit_softcapping ?? undefined;
    return {
      layerKinds: layers(reader, sizes),
      attentionScale: integer("query_pre_attn_scalar", 256) ** -0.5,
      embeddingScale: sizes.hiddenSize ** 0.5,
      embeddingScaleRounded: true,
      normOffset: 1,
      logitCap: cap === undefined ? undefined : positive("final_logit_softcapping", 1),
    };
  },
  block: (config) => {
    const { attentionBias } = config;
    return residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, {
          qkvBias: attentionBias,
          outputBias: attentionBias,
          norms: "heads",
        }),
        after: rmsNorm(config, "post_attention_layernorm"),
      },
      {
        before: rmsNorm(config, "pre_feedforward_layernorm"),
        part: gatedMlp(config, { activation: "geluTanh" }),
        after: rmsNorm(config, "post_feedforward_layernorm"),
      },
    ]);
  },
};

/** A kind for each layer: `rope_theta` and `rope_scaling` are of those that see all. */
function layers(reader: ConfigReader, sizes: FamilySizes): readonly LayerKind[] {
  const { raw, integer, fail } = reader;
  const pattern = integer("sliding_window_pattern", PATTERN);
  const types = readLayerTypes(reader, sizes.layers, LAYER_TYPES) ??
    Array.from(
      { length: sizes.layers },
      (_, layer): LayerType => (layer + 1) % pattern === 0 ? "full_attention" : "sliding_attention",
    );
  const window = readWindow(reader, 4096);
  if (window === undefined && types.includes("sliding_attention")) {
    fail(
      "sliding_window",
      `is ${showValue(raw.sliding_window)}: layers of sliding_attention need it`,
    );
  }
  const full: LayerKind = {
    name: "full_attention",
    rope: sizes.readRope({ defaultTheta: 1e6 }),
  };
  const sliding: LayerKind = {
    name: "sliding_attention",
    window,
    rope: sizes.readRope({
      layerType: "sliding_attention",
      defaultTheta: 1e4,
      fields: { theta: "rope_local_base_freq", dictionaries: ["rope_parameters"] },
    }),
  };
  return types.map((type) => type === "full_attention" ? full : sliding);
}
