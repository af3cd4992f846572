/**
 * What a family of models is: how its config.json is read, and what its blocks are put together from.
 *
 * A family is one file that exports a `Family`; `families.ts` has the table of all.
 *
 * @module
 */

import type { UnsupportedField } from "../../internal/json/field_table.ts";
import type { BlockConfig } from "../parts/block_config.ts";
import type { Block } from "../parts/block_part.ts";
import type { ConfigReader } from "./config_reader.ts";

/** Models of one `model_type`. */
export interface Family {
  /** What the names of transformers' classes begin with, such as `Qwen3` of `Qwen3ForCausalLM`. */
  readonly className: string;
  /** Published models of another name that have this model_type. @default none */
  readonly covers?: string;
  /** What transformers' config class fills in where config.json has no value. */
  readonly defaults: FamilyDefaults;
  /**
   * Whether attention has biases, where the classes do not go by `attention_bias`.
   * @default as config.json's `attention_bias` says
   */
  readonly attentionBias?: boolean;
  /** Fields of config.json that ask for something else than this family computes. */
  readonly refused: Readonly<Record<string, UnsupportedField>>;
  /** Refuses windows of attention that the family's classes would apply to any of the layers. */
  readonly refuseWindows: (reader: ConfigReader, layers: number) => void;
  /** Puts the family's block together from the shared parts. */
  readonly block: (config: BlockConfig) => Block;
}

/** Defaults in which transformers' config classes differ. */
export interface FamilyDefaults {
  /** `max_position_embeddings` */
  readonly maxPositions: number;
  /** `head_dim`. @default hidden_size ÷ num_attention_heads */
  readonly headDim?: number;
}
