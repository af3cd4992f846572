/**
 * LoRA in the block graph: y = base(x) + scale·B·A·dropout(x). In: settings. Out: a `BlockAdapter`.
 *
 * @module
 */

import type { GraphBuilder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";
import { type BlockAdapter, DROPOUT_MASK, type LinearLayer } from "../model/block.ts";
import type { ModelConfig } from "../model/config.ts";
import { blockParameters, layerName, type ParameterSpec } from "../model/parameters.ts";
import { adaptedLayers, type LoraOptions, loraScale } from "./lora_options.ts";

/** The name of a layer's A, [rank, in]. */
export function loraA(layer: string): string {
  return `${layer}.lora_A.weight`;
}

/** The name of a layer's B, [out, rank]. */
export function loraB(layer: string): string {
  return `${layer}.lora_B.weight`;
}

function adapterParameters(config: ModelConfig, lora: LoraOptions): ParameterSpec[] {
  const shapes = new Map(blockParameters(config).map(({ name, shape }) => [name, shape]));
  return adaptedLayers(lora).flatMap((layer) => {
    const [outputs, inputs] = shapes.get(`${layer}.weight`)!;
    return [
      { name: loraA(layer), shape: [lora.rank, inputs], decays: true },
      { name: loraB(layer), shape: [outputs, lora.rank], decays: true },
    ];
  });
}

/**
 * Makes the adapter of a model's blocks.
 *
 * @example
 * ```ts
 * import { blockForwardGraph, createLoraAdapter, DEFAULT_LORA, parseConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const adapter = createLoraAdapter(config, { ...DEFAULT_LORA, targetModules: ["q_proj"] });
 * const graph = blockForwardGraph(config, { adapter });
 * assert.ok(graph.inputs.some(({ name }) => name === "self_attn.q_proj.lora_A.weight"));
 * ```
 */
export function createLoraAdapter(config: ModelConfig, lora: LoraOptions): BlockAdapter {
  const parameters = adapterParameters(config, lora);
  return {
    parameters,
    dropout: lora.dropout,
    wrap: (b: GraphBuilder, base: LinearLayer, { training }: { readonly training: boolean }) => {
      const weights = new Map(
        parameters.map(({ name, shape }) => [name, b.input(name, "float32", shape)]),
      );
      const masked = training && lora.dropout > 0;
      const scale = b.float32(loraScale(lora) / (masked ? 1 - lora.dropout : 1));
      const linear: LinearLayer = (name, x, addend) => {
        const y = base(name, x, addend);
        const a = weights.get(loraA(name));
        if (!a) return y;
        const kept = masked ? ops.mul(b, x, maskOf(b, name, x)) : x;
        const hidden = ops.mul(b, ops.linear(b, kept, a), scale);
        return ops.linear(b, hidden, weights.get(loraB(name))!, y);
      };
      return { linear, weights };
    },
  };
}

function maskOf(b: GraphBuilder, layer: string, x: Value): Value {
  return ops.cast(b, b.input(`${layer}${DROPOUT_MASK}`, "uint8", x.shape), "float32");
}

/** The adapter's weights in all layers, with the layer's name in front. */
export function loraParameters(config: ModelConfig, lora: LoraOptions): ParameterSpec[] {
  const block = adapterParameters(config, lora);
  return Array.from(
    { length: config.layers },
    (_, layer) => block.map((spec) => ({ ...spec, name: layerName(layer, spec.name) })),
  ).flat();
}
