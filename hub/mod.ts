/**
 * Models and datasets from Hugging Face and ModelScope, and folders to Hugging Face.
 *
 * Needs `--allow-net` of the hosts and `--allow-read`, `--allow-write` of the cache. Downloads are
 * resumed, checked and locked; a token is an option, never read from the environment.
 *
 * ```ts
 * import { isModelFile } from "@ortune/ortune/hub";
 * import assert from "node:assert/strict";
 *
 * assert.ok(isModelFile("model.safetensors"));
 * assert.ok(!isModelFile("pytorch_model.bin"));
 * ```
 *
 * @module
 */

export { isModelFile, resolveModel, type ResolveModelOptions } from "./resolve_model.ts";
export { resolveDatasetFile } from "./resolve_dataset_file.ts";
export {
  type DatasetListing,
  listDataset,
  resolveDataset,
  type ResolveDatasetOptions,
  type ResolvedDataset,
} from "./resolve_dataset.ts";
export type { HubSplit, HubSubset } from "./dataset_layout.ts";
export { type PushedFile, pushFiles, type PushOptions } from "./push_files.ts";
export type { HubOptions, HubProgress, HubSource, RepositoryKind } from "./hub_options.ts";
export { HubError, type HubErrorDetails } from "./hub_error.ts";
