/**
 * LoRA in the block graph: y = base(x) + scale·B·A·dropout(x), or DoRA's scaled rows of it. In:
 * settings. Out: a `BlockAdapter`.
 *
 * @module
 */

import type { GraphBuilder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";
import { type BlockAdapter, DROPOUT_MASK, type LinearLayer, plainLinear } from "../model/block.ts";
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

/** The name of a layer's magnitudes m, [out]: DoRA's. */
export function loraMagnitude(layer: string): string {
  return `${layer}.lora_magnitude_vector`;
}

/** The name of the norms of the rows of W + scale·B·A, [out]: DoRA's, not saved. */
export function loraNorm(layer: string): string {
  return `${layer}.lora_weight_norm`;
}

/** The weights that are trained of a block, and the norms that DoRA's graph takes as constants. */
function adapterSpecs(
  config: ModelConfig,
  lora: LoraOptions,
): { readonly parameters: ParameterSpec[]; readonly derived: ParameterSpec[] } {
  const shapes = new Map(blockParameters(config).map(({ name, shape }) => [name, shape]));
  const layers = adaptedLayers(lora).map((name) => ({
    name,
    shape: shapes.get(`${name}.weight`)!,
  }));
  const { rank, dora } = lora;
  return {
    parameters: layers.flatMap(({ name, shape: [outputs, inputs] }) => [
      { name: loraA(name), shape: [rank, inputs], decays: true },
      { name: loraB(name), shape: [outputs, rank], decays: true },
      ...dora ? [{ name: loraMagnitude(name), shape: [outputs], decays: true }] : [],
    ]),
    derived: (dora ? layers : []).map(({ name, shape: [outputs] }) => (
      { name: loraNorm(name), shape: [outputs], decays: false }
    )),
  };
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
  const { parameters, derived } = adapterSpecs(config, lora);
  return {
    parameters,
    derived,
    dropout: lora.dropout,
    wrap: (
      b: GraphBuilder,
      own: ReadonlyMap<string, Value>,
      { training, onCostly = () => {} }: {
        readonly training: boolean;
        readonly onCostly?: (value: Value) => void;
      },
    ) => {
      const declare = (specs: readonly ParameterSpec[]): Map<string, Value> =>
        new Map(specs.map(({ name, shape }) => [name, b.input(name, "float32", shape)]));
      const weights = declare(parameters);
      const norms = declare(derived);
      const base = plainLinear(b, own);
      const kept = training && lora.dropout > 0 ? 1 - lora.dropout : 1;
      const plain: LinearLayer = (name, x, addend) => {
        const y = base(name, x, addend);
        const a = weights.get(loraA(name));
        if (!a) return y;
        const dropped = kept < 1 ? ops.mul(b, x, maskOf(b, name, x)) : x;
        const hidden = ops.mul(b, ops.linear(b, dropped, a), b.float32(loraScale(lora) / kept));
        return ops.linear(b, hidden, weights.get(loraB(name))!, y);
      };
      const withoutBias = plainLinear(
        b,
        new Map([...own].filter(([name]) => !name.endsWith(".bias"))),
      );
      // PEFT's: y = bias + W·(x − d(x)) + (m ÷ ‖V‖)·V·d(x), V = W + scale·B·A, d the dropout.
      const dora: LinearLayer = (name, x, addend) => {
        const a = weights.get(loraA(name));
        if (!a) return base(name, x, addend);
        const mask = kept < 1 ? ops.mul(b, maskOf(b, name, x), b.float32(1 / kept)) : undefined;
        const dropped = mask ? ops.mul(b, x, mask) : x;
        const hidden = ops.mul(b, ops.linear(b, dropped, a), b.float32(loraScale(lora)));
        const unscaled = withoutBias(name, dropped);
        const turned = ops.linear(b, hidden, weights.get(loraB(name))!, unscaled);
        onCostly(turned); // the gradient of m reads it
        const magnitude = weights.get(loraMagnitude(name))!;
        const gain = ops.div(b, magnitude, norms.get(loraNorm(name))!);
        const y = ops.mul(b, turned, gain);
        const rest = addend ? ops.add(b, y, addend) : y;
        if (mask) return base(name, ops.mul(b, x, ops.sub(b, b.float32(1), mask)), rest);
        const bias = own.get(`${name}.bias`);
        return bias ? ops.add(b, rest, bias) : rest;
      };
      return { linear: lora.dora ? dora : plain, weights };
    },
  };
}

function maskOf(b: GraphBuilder, layer: string, x: Value): Value {
  return ops.cast(b, b.input(`${layer}${DROPOUT_MASK}`, "uint8", x.shape), "float32");
}

/** A block's weights in all layers, with the layer's name in front. */
export function inEveryLayer(
  config: ModelConfig,
  block: readonly ParameterSpec[],
): ParameterSpec[] {
  return Array.from(
    { length: config.layers },
    (_, layer) => block.map((spec) => ({ ...spec, name: layerName(layer, spec.name) })),
  ).flat();
}
