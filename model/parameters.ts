/**
 * The parameters of a model under their Hugging Face names.
 *
 * In: a config. Out: names, shapes and which of them weight decay leaves alone.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";
import { FAMILIES, familyBlock } from "./families/families.ts";
import type { Family } from "./families/family.ts";
import { distinctKinds, type LayerKind } from "./parts/layer_kind.ts";
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

/**
 * The weights of one block, under their names inside the layer.
 *
 * @param kind the kind of its layer, by default the first layer's
 */
export function blockParameters(
  config: ModelConfig,
  kind: LayerKind = config.layerKinds[0],
): ParameterSpec[] {
  return [...familyBlock(config, kind).parameters];
}

/** The weights of a kind of blocks, or of all kinds, each name once. */
function parametersOf(config: ModelConfig, only: LayerKind | undefined): ParameterSpec[] {
  if (only) return blockParameters(config, only);
  const all = distinctKinds(config).flatMap((kind) => blockParameters(config, kind));
  return [...new Map(all.map((spec) => [spec.name, spec])).values()];
}

/**
 * The weights of the blocks' norms, [width] each, under their names inside the layer.
 *
 * @param kind the kind of the blocks, by default of all
 */
export function blockNorms(config: ModelConfig, kind?: LayerKind): ParameterSpec[] {
  return parametersOf(config, kind).filter(({ name, shape }) =>
    shape.length === 1 && name.endsWith(".weight")
  );
}

/**
 * The blocks' linear layers, under their names inside the layer: weights [out, in].
 *
 * @param kind the kind of the blocks, by default all
 */
export function blockLinears(config: ModelConfig, kind?: LayerKind): ParameterSpec[] {
  return parametersOf(config, kind).filter(({ name, shape }) =>
    shape.length === 2 && name.endsWith(".weight")
  ).map((spec) => ({ ...spec, name: layerOf(spec.name) }));
}

/** Whether a tensor of a file is of what stands beside the text model, such as its parts for images. */
export function isBeside({ modelType }: Pick<ModelConfig, "modelType">, name: string): boolean {
  const { besides }: Family = FAMILIES[modelType];
  return besides?.test(name) ?? false;
}

/** The layer that a weight or a bias is of. */
export function layerOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf("."));
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
  const { hiddenSize, vocabSize, layerKinds } = config;
  const blocks = new Map(
    distinctKinds(config).map((kind) => [kind, blockParameters(config, kind)]),
  );
  return [
    parameter(EMBEDDING, [vocabSize, hiddenSize]),
    ...layerKinds.flatMap((kind, layer) =>
      blocks.get(kind)!.map((spec) => ({ ...spec, name: layerName(layer, spec.name) }))
    ),
    parameter(FINAL_NORM, [hiddenSize]),
    ...config.tiedEmbeddings ? [] : [parameter(LM_HEAD, [vocabSize, hiddenSize])],
  ];
}
