/**
 * The parameters of a model under their Hugging Face names.
 *
 * In: a config. Out: names, shapes and which of them weight decay leaves alone.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";

/** One weight. */
export interface ParameterSpec {
  /** Hugging Face's name, such as `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  /** Row-major; a linear layer's weight is [out, in]. */
  readonly shape: readonly number[];
  /** Whether weight decay applies: not to norms and biases, as in Hugging Face's Trainer. */
  readonly decays: boolean;
}

/** The token embedding, [vocab, hidden]. */
export const EMBEDDING = "model.embed_tokens.weight";
/** The norm after the last block, [hidden]. */
export const FINAL_NORM = "model.norm.weight";
/** The output projection, [vocab, hidden], absent where tied to the embedding. */
export const LM_HEAD = "lm_head.weight";

/** The weight's full name in layer `layer`. */
export function layerName(layer: number, local: string): string {
  return `model.layers.${layer}.${local}`;
}

function parameter(name: string, shape: readonly number[]): ParameterSpec {
  return { name, shape, decays: shape.length > 1 };
}

/** The weights of one block, under their names inside the layer. */
export function blockParameters(config: ModelConfig): ParameterSpec[] {
  const { hiddenSize, intermediateSize, headDim, qkNorm, qkvBias, outputBias } = config;
  const [q, kv] = [config.heads * headDim, config.kvHeads * headDim];
  return [
    parameter("input_layernorm.weight", [hiddenSize]),
    parameter("self_attn.q_proj.weight", [q, hiddenSize]),
    parameter("self_attn.k_proj.weight", [kv, hiddenSize]),
    parameter("self_attn.v_proj.weight", [kv, hiddenSize]),
    ...qkvBias
      ? [
        parameter("self_attn.q_proj.bias", [q]),
        parameter("self_attn.k_proj.bias", [kv]),
        parameter("self_attn.v_proj.bias", [kv]),
      ]
      : [],
    ...qkNorm
      ? [
        parameter("self_attn.q_norm.weight", [headDim]),
        parameter("self_attn.k_norm.weight", [headDim]),
      ]
      : [],
    parameter("self_attn.o_proj.weight", [hiddenSize, q]),
    ...outputBias ? [parameter("self_attn.o_proj.bias", [hiddenSize])] : [],
    parameter("post_attention_layernorm.weight", [hiddenSize]),
    parameter("mlp.gate_proj.weight", [intermediateSize, hiddenSize]),
    parameter("mlp.up_proj.weight", [intermediateSize, hiddenSize]),
    parameter("mlp.down_proj.weight", [hiddenSize, intermediateSize]),
  ];
}

/** The name of the output projection's weight: the embedding's own where they are tied. */
export function headName(config: ModelConfig): string {
  return config.tiedEmbeddings ? EMBEDDING : LM_HEAD;
}

/**
 * All weights of a model.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { modelParameters } from "@ortune/ortune/model";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const parameters = modelParameters(config);
 * assert.deepEqual(parameters[0], {
 *   name: "model.embed_tokens.weight",
 *   shape: [261, 16],
 *   decays: true,
 * });
 * assert.equal(parameters.at(-1)!.name, "lm_head.weight");
 * ```
 */
export function modelParameters(config: ModelConfig): ParameterSpec[] {
  const { hiddenSize, vocabSize, layers } = config;
  const block = blockParameters(config);
  return [
    parameter(EMBEDDING, [vocabSize, hiddenSize]),
    ...Array.from(
      { length: layers },
      (_, layer) => block.map((spec) => ({ ...spec, name: layerName(layer, spec.name) })),
    ).flat(),
    parameter(FINAL_NORM, [hiddenSize]),
    ...config.tiedEmbeddings ? [] : [parameter(LM_HEAD, [vocabSize, hiddenSize])],
  ];
}
