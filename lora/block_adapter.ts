/**
 * LoRA in the block graph: y = base(x) + scale·B·A·dropout(x). In: settings. Out: a `BlockAdapter`.
 *
 * @module
 */

import type { GraphBuilder } from "../graph/builder.ts";
import type { Value } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";
import {
  type BlockAdapter,
  DROPOUT_COLUMNS,
  DROPOUT_MASK,
  DROPOUT_ROWS,
  type LinearLayer,
} from "../model/block.ts";
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
    wrap: (
      b: GraphBuilder,
      base: LinearLayer,
      { training, deviceDropout = false }: {
        readonly training: boolean;
        readonly deviceDropout?: boolean;
      },
    ) => {
      const weights = new Map(
        parameters.map(({ name, shape }) => [name, b.input(name, "float32", shape)]),
      );
      const masked = training && lora.dropout > 0;
      const scale = b.float32(loraScale(lora) / (masked ? 1 - lora.dropout : 1));
      const wide = memoizedFloat32(b);
      const keep = deviceDropout ? deviceMask(b, lora.dropout) : hostMask(b);
      const linear: LinearLayer = (name, x, addend) => {
        const y = base(name, x, addend);
        const a = weights.get(loraA(name));
        if (!a) return y;
        // The adapter is float32 over any base, as in PEFT: x is cast up and the result cast back.
        const input = wide(x);
        const kept = masked ? ops.mul(b, input, keep(name, x)) : input;
        const hidden = ops.mul(b, ops.linear(b, kept, a), scale);
        const adapted = ops.linear(b, hidden, weights.get(loraB(name))!, wide(y));
        return ops.cast(b, adapted, y.dtype);
      };
      return { linear, weights };
    },
  };
}

/** Makes a layer's dropout mask, in float32. */
type KeepMask = (layer: string, x: Value) => Value;

function hostMask(b: GraphBuilder): KeepMask {
  return (layer, x) => ops.cast(b, b.input(`${layer}${DROPOUT_MASK}`, "uint8", x.shape), "float32");
}

/**
 * Whether row·column, modulo 2³², is among the share of 32-bit numbers that is kept: a multiplicative
 * hash (Dietzfelbinger et al. 1997, https://doi.org/10.1006/jagm.1997.0873), random in any two
 * elements where rows and columns are random odd numbers. One integer product an element: CUDA has
 * no shift or exclusive or in ONNX Runtime, and a mask from the host is a byte an element to upload.
 */
function deviceMask(b: GraphBuilder, rate: number): KeepMask {
  const dropped = Math.round(rate * 2 ** 32) - 2 ** 31;
  let rows: Value | undefined;
  return (layer, x) => {
    rows ??= b.input(DROPOUT_ROWS, "int32", [x.shape[0], 1]);
    const columns = b.input(`${layer}${DROPOUT_COLUMNS}`, "int32", [x.shape[1]]);
    const draws = ops.mul(b, rows, columns);
    return ops.cast(b, ops.greater(b, draws, b.int32(dropped - 1)), "float32");
  };
}

/** Casts to float32, each value once: q, k and v read one input. */
function memoizedFloat32(b: GraphBuilder): (x: Value) => Value {
  const known = new Map<Value, Value>();
  return (x) => {
    let wide = known.get(x);
    if (!wide) known.set(x, wide = ops.cast(b, x, "float32"));
    return wide;
  };
}

/** The adapter's weights in all layers, with the layer's name in front. */
export function loraParameters(config: ModelConfig, lora: LoraOptions): ParameterSpec[] {
  const block = adapterParameters(config, lora);
  return Array.from(
    { length: config.layers },
    (_, layer) => block.map((spec) => ({ ...spec, name: layerName(layer, spec.name) })),
  ).flat();
}
