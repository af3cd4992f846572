/**
 * The families that ortune can train, by config.json's `model_type`.
 *
 * @module
 */

import type { BlockConfig } from "../parts/block_config.ts";
import type { Block } from "../parts/block_part.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import type { Family } from "./family.ts";
import { gemma3Text } from "./gemma3_text.ts";
import { granite } from "./granite.ts";
import { graniteMoeHybrid } from "./granitemoehybrid.ts";
import { llama } from "./llama.ts";
import { ministral3 } from "./ministral3.ts";
import { mistral } from "./mistral.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { qwen35Text } from "./qwen3_5_text.ts";
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
  granitemoehybrid: graniteMoeHybrid,
  phi3,
  olmo2,
  gemma3_text: gemma3Text,
  qwen3_5_text: qwen35Text,
} as const satisfies Readonly<Record<string, Family>>;

const MIXTURE = "mixtures of experts are not supported; use a dense model";

/** Why some others are not there. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  qwen3_next: MIXTURE,
  qwen3_5_moe: MIXTURE,
  qwen3_5_moe_text: MIXTURE,
  gemma: "Gemma 1 is not supported; use Gemma 3 270M or 1B, whose model_type is gemma3_text",
  gemma2:
    "Gemma 2, which caps the scores of attention, is not supported; use Gemma 3 270M or 1B, whose " +
    "model_type is gemma3_text",
  gemma3:
    "models of images and text are not supported; use Gemma 3 270M or 1B, whose model_type is " +
    "gemma3_text",
};

/** The end of an error for a model_type that has no family. */
export function whyUnsupported(modelType: unknown): string {
  return typeof modelType === "string" && Object.hasOwn(UNSUPPORTED, modelType)
    ? UNSUPPORTED[modelType]
    : `ortune supports ${listFamilies()}`;
}

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
