/**
 * Models in Hugging Face's layout: config.json and weights, and what a family's block is made of.
 *
 * ```ts
 * import { modelParameters, parseConfig } from "@ortune/ortune/model";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   vocab_size: 261, num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 });
 * assert.equal(modelParameters(config)[0].name, "model.embed_tokens.weight");
 * ```
 *
 * @module
 */

export { type ModelConfig, parseConfig } from "./config.ts";
export { FAMILIES, type ModelType } from "./families/families.ts";
export type {
  Activation,
  Family,
  FamilyDefaults,
  FamilySettings,
  FamilySizes,
} from "./families/family.ts";
export type { RopeContext, RopeFields } from "./families/rope_scaling.ts";
export type { ConfigReader } from "./families/config_reader.ts";
export type { UnsupportedField } from "../internal/json/field_table.ts";
export type { BlockConfig } from "./parts/block_config.ts";
export type { DeltaSizes, LayerKind, QueryGrowth } from "./parts/layer_kind.ts";
export type { Precision, PrecisionOptions } from "./precision.ts";
export { BASE_STORAGES, type BaseDtype, type BaseStorage } from "./base_storage.ts";
export type { BaseCompute, ProductDirection, Quantization } from "./quantization.ts";
export {
  blockParameters,
  EMBEDDING,
  FINAL_NORM,
  headName,
  layerName,
  LM_HEAD,
  modelParameters,
} from "./parameters.ts";
export type { ParameterSpec } from "./parts/parameter_spec.ts";
export type {
  DynamicRopeScaling,
  LinearRopeScaling,
  Llama3RopeScaling,
  LongRopeScaling,
  Rope,
  RopeScaling,
  YarnRopeScaling,
} from "./parts/rope_settings.ts";
export { type Model, openModel, readConfig } from "./weights/open_model.ts";
export { roundedSource } from "./weights/rounded_source.ts";
export { type LoadedModel, loadModel, type LoadModelOptions } from "./engine/load_model.ts";
export {
  LAYOUT_BLOCK,
  layoutParameters,
  type ParameterLayout,
  ParameterStore,
  type ParameterStoreOptions,
} from "./engine/parameter_store.ts";
export type { BaseMatrices } from "./engine/quantized_store.ts";
export type { MatrixProducts, PackedMatrix } from "./engine/matrix_products.ts";
export type { Rounding } from "./engine/rounding_tally.ts";
export { layeredWeights, type NamedWeights } from "./engine/layered_weights.ts";
