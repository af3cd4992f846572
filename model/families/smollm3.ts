/**
 * SmolLM3: a Llama of whose layers some are not turned by positions, every fourth unless `no_rope_layers`
 * says which. Layers may have windows, where `use_sliding_window` switches them on.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/smollm3/modeling_smollm3.py
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import { residualBlock } from "../parts/residual_block.ts";
import { rmsNorm } from "../parts/rms_norm.ts";
import { selfAttention } from "../parts/self_attention.ts";
import { gatedMlp } from "../parts/gated_mlp.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { Family } from "./family.ts";
import { NO_HEAD_NORMS } from "./head_norm_fields.ts";
import { type LayerType, readLayerTypes, readWindow } from "./layer_types.ts";

const BOTH: readonly LayerType[] = ["full_attention", "sliding_attention"];

/** `model_type` smollm3. */
export const smollm3: Family = {
  className: "SmolLM3",
  defaults: { maxPositions: 32768, tiedEmbeddings: true, padTokenId: 128004 },
  honoured: ["no_rope_layers", "no_rope_layer_interval"],
  refused: NO_HEAD_NORMS,
  read: (reader, { layers, readRope }) => {
    const rope = readRope({ defaultTheta: 2_000_000 });
    const window = reader.flag("use_sliding_window", false) ? readWindow(reader) : undefined;
    const turned = readTurned(reader, layers);
    // By default the layers that are not turned have the windows.
    const types = readLayerTypes(reader, layers, BOTH) ??
      turned.map((turns): LayerType =>
        window !== undefined && !turns ? "sliding_attention" : "full_attention"
      );
    if (window === undefined && types.includes("sliding_attention")) {
      reader.fail(
        "layer_types",
        "has sliding_attention, but use_sliding_window is not true or sliding_window is missing: " +
          "say how many tokens are seen, or make it full_attention",
      );
    }
    const kinds = new Map<string, LayerKind>();
    return {
      layerKinds: types.map((type, layer) => {
        const name = turned[layer] ? type : `${type}_unturned`;
        const known = kinds.get(name);
        if (known) return known;
        const kind: LayerKind = {
          name,
          ...type === "sliding_attention" ? { window } : {},
          ...turned[layer] ? { rope } : {},
        };
        kinds.set(name, kind);
        return kind;
      }),
    };
  },
  block: (config) => {
    const { attentionBias } = config;
    const biases = { qkvBias: attentionBias, outputBias: attentionBias };
    return residualBlock(config, [
      { before: rmsNorm(config, "input_layernorm"), part: selfAttention(config, biases) },
      { before: rmsNorm(config, "post_attention_layernorm"), part: gatedMlp(config) },
    ]);
  },
};

/** Which layers are turned: `no_rope_layers`, with a 1 for each that is; else all but every so manieth. */
function readTurned({ raw, integer, fail }: ConfigReader, layers: number): readonly boolean[] {
  const list = raw.no_rope_layers ?? undefined;
  const interval = integer("no_rope_layer_interval", 4);
  if (list === undefined) {
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  if (!Array.isArray(list) || !list.every((each) => each === 0 || each === 1)) {
    return fail("no_rope_layers", `must be a list of 0 and 1, got ${showValue(list)}`);
  }
  if (list.length < layers) {
    fail("no_rope_layers", `has ${list.length} entries, but num_hidden_layers is ${layers}`);
  }
  return list.slice(0, layers).map((each) => each === 1);
}
