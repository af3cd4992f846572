/**
 * Granite 4 without experts and state spaces, and what else has its class: Granite 3 with a fused MLP of
 * other names, and layers that are turned only where `position_embedding_type` is "rope".
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/granitemoehybrid/modeling_granitemoehybrid.py
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
import { GRANITE_MULTIPLIERS, readMultipliers } from "./granite.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { fullLayers } from "./layer_types.ts";

const EXPERTS = "a setting of experts, which a dense model has none of";
const MAMBA = "a size of Mamba's layers, which are refused";
/** transformers' two names of layers that are state spaces. */
const STATE_SPACES: readonly unknown[] = ["mamba", "linear_attention"];
const DENSE = "take a dense Granite 4, whose name has no h, such as granite-4.0-micro";

/** `model_type` granitemoehybrid. */
export const graniteMoeHybrid: Family = {
  className: "GraniteMoeHybrid",
  covers: "Granite 4 dense",
  defaults: { maxPositions: 2048 },
  honoured: [
    ...GRANITE_MULTIPLIERS,
    "num_local_experts",
    "position_embedding_type",
    "shared_intermediate_size",
  ],
  ignored: {
    init_method: "how new weights are drawn; all are read from files",
    intermediate_size: EXPERTS,
    num_experts_per_tok: EXPERTS,
    router_aux_loss_coef: EXPERTS,
    mamba_chunk_size: MAMBA,
    mamba_conv_bias: MAMBA,
    mamba_d_conv: MAMBA,
    mamba_d_head: MAMBA,
    mamba_d_state: MAMBA,
    mamba_expand: MAMBA,
    mamba_n_groups: MAMBA,
    mamba_n_heads: MAMBA,
    mamba_proj_bias: MAMBA,
    time_step_limit: MAMBA,
    time_step_max: MAMBA,
    time_step_min: MAMBA,
  },
  refused: {
    ...NO_HEAD_NORMS,
    layers_block_type: { remedy: "it is another name of layer_types; rename it" },
    normalization_function: { unless: ["rmsnorm"], remedy: "only rmsnorm is supported" },
  },
  read: (reader, sizes) => {
    checkDense(reader);
    return {
      layerKinds: fullLayers(reader, sizes.layers, readTurning(reader, sizes)),
      intermediateSize: reader.integer("shared_intermediate_size", 1024),
      ...readMultipliers(reader),
    };
  },
  // transformers.js 4.3 gives a cache to layers of this name alone; the classes read both.
  clientFields: ({ layers }) => ({ layer_types: Array<string>(layers).fill("attention") }),
  block: (config) => {
    const { attentionBias } = config;
    return residualBlock(config, [
      {
        before: rmsNorm(config, "input_layernorm"),
        part: selfAttention(config, { qkvBias: attentionBias, outputBias: attentionBias }),
      },
      {
        before: rmsNorm(config, "post_attention_layernorm"),
        part: gatedMlp(config, {
          fused: { gateUp: "shared_mlp.input_linear", down: "shared_mlp.output_linear" },
        }),
      },
    ]);
  },
};

/** Refuses experts and state spaces, which are the class's defaults. */
function checkDense({ raw, fail }: ConfigReader): void {
  const { num_local_experts: experts, layer_types: types } = raw;
  if (experts !== 0) {
    const state = experts === undefined ? "missing, which makes it 8" : showValue(experts);
    fail(
      "num_local_experts",
      `is ${state}: mixtures of experts are not supported; ${DENSE}, which says 0`,
    );
  }
  if (Array.isArray(types) && !types.some((type) => STATE_SPACES.includes(type))) return;
  const state = (types ?? undefined) === undefined
    ? "missing, which makes all layers Mamba's"
    : showValue(types);
  fail("layer_types", `is ${state}: state spaces (Mamba) are not supported; ${DENSE}`);
}

/** What turns queries and keys: nothing, unless `position_embedding_type` asks for it. */
function readTurning(
  { raw: { position_embedding_type: type = null }, fail }: ConfigReader,
  { readRope }: FamilySizes,
): Pick<LayerKind, "rope"> {
  if (type === "rope") return { rope: readRope() };
  // Published models without rotation say nope.
  if (type === null || type === "nope") return {};
  return fail("position_embedding_type", `is ${showValue(type)}: only rope and nope are supported`);
}
