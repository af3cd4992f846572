/**
 * The parameters of a model under their Hugging Face names.
 *
 * In: a config. Out: names, shapes and which of them weight decay leaves alone.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";
import { familyBlock } from "./families/families.ts";
import { parameter, type ParameterSpec } from "./parts/parameter_spec.ts";

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

/** The weights of one block, under their names inside the layer. */
export function blockParameters(config: ModelConfig): ParameterSpec[] {
  return [...familyBlock(config).parameters];
}

/** The weights of one block's norms among them, [width] each. */
export function blockNorms(config: ModelConfig): ParameterSpec[] {
  return blockParameters(config).filter(({ name, shape }) =>
    shape.length === 1 && name.endsWith(".weight")
  );
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
