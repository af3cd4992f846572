/**
 * LoRA adapters in PEFT's layout: read, put on a model, merged and written.
 *
 * ```ts
 * import { DEFAULT_LORA, loraScale } from "@ortune/ortune/lora";
 * import assert from "node:assert/strict";
 *
 * assert.equal(loraScale({ ...DEFAULT_LORA, rank: 16 }), 2);
 * ```
 *
 * @module
 */

export { DEFAULT_LORA, type LoraOptions, loraScale } from "./lora_options.ts";
export {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  type AdapterConfig,
  formatAdapterConfig,
  parseAdapterConfig,
  readAdapterConfig,
  readBaseModel,
} from "./adapter_config.ts";
export { type AdapterFolder, openAdapter, openAdapterWeights } from "./open_adapter.ts";
export { type AdaptedModel, adaptModel, loadAdapter, readAdapterWeights } from "./load_adapter.ts";
export { mergeAdapter, mergeGraph, MergeGraphs } from "./merge_adapter.ts";
export { mergedSource, type MergedSourceOptions } from "./merged_source.ts";
export { fromPeft, toPeft } from "./peft_source.ts";
export { createLoraAdapter, loraParameters } from "./block_adapter.ts";
export { adapterSettings, INIT_LORA_WEIGHTS, type InitLoraWeights } from "./init_lora_weights.ts";
export type { PissaProgress } from "./pissa.ts";
export { type LoraTarget, loraTargets, withLayerNames } from "./lora_targets.ts";
