/**
 * The families that ortune can train, by config.json's `model_type`.
 *
 * @module
 */

import type { BlockConfig } from "../parts/block_config.ts";
import type { Block } from "../parts/block_part.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import type { Family } from "./family.ts";
import { granite } from "./granite.ts";
import { llama } from "./llama.ts";
import { ministral3 } from "./ministral3.ts";
import { mistral } from "./mistral.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

/** The one table: a row a family. */
export const FAMILIES = {
  qwen3,
  qwen2,
  llama,
  mistral,
  ministral3,
  smollm3,
  granite,
  phi3,
  olmo2,
} as const satisfies Readonly<Record<string, Family>>;

/** A value of config.json's model_type that ortune can train. */
export type ModelType = keyof typeof FAMILIES;

/** Whether there is a family of this model_type. */
export function isModelType(value: unknown): value is ModelType {
  return typeof value === "string" && Object.hasOwn(FAMILIES, value);
}

/** The families for an error, and which other models they cover. */
export function listFamilies(): string {
  const rows: [string, Family][] = Object.entries(FAMILIES);
  const covered = rows.filter(([, { covers }]) => covers !== undefined)
    .map(([modelType, { covers }]) => `${modelType} covers ${covers}`);
  return `${Object.keys(FAMILIES).join(", ")} (${covered.toSorted().join("; ")})`;
}

/** The block of a kind of a model's layers, as its family puts it together. */
export function familyBlock(
  config: BlockConfig & { readonly modelType: ModelType },
  kind: LayerKind,
): Block {
  return FAMILIES[config.modelType].block(config, kind);
}
