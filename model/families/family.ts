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
import type { LayerKind } from "../parts/layer_kind.ts";
import type { Rope } from "../parts/rope_settings.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { RopeContext } from "./rope_scaling.ts";

/** Models of one `model_type`. */
export interface Family {
  /** What the names of transformers' classes begin with, such as `Qwen3` of `Qwen3ForCausalLM`. */
  readonly className: string;
  /** Their config class. @default {className + "Config"} */
  readonly configClass?: string;
  /** Published models of another name that have this model_type. @default none */
  readonly covers?: string;
  /** What transformers' config class fills in where config.json has no value. */
  readonly defaults: FamilyDefaults;
  /** What the MLP's activation is. @default SiLU, by `hidden_act` */
  readonly activation?: Activation;
  /**
   * Whether attention has biases, where the classes do not go by `attention_bias`.
   * @default as config.json's `attention_bias` says
   */
  readonly attentionBias?: boolean;
  /** Fields of config.json that only this family reads, of those that others refuse or do not know. @default none */
  readonly honoured?: readonly string[];
  /** Fields of config.json that change nothing in the models of this family, and why. @default none */
  readonly ignored?: Readonly<Record<string, string>>;
  /** Fields of config.json that ask for something else than this family computes. */
  readonly refused: Readonly<Record<string, UnsupportedField>>;
  /** Tensors of a file beside the text model's, by their names, which are left out. @default none */
  readonly besides?: RegExp;
  /** Reads what is the family's own in config.json, and what its layers are like. */
  readonly read: (reader: ConfigReader, sizes: FamilySizes) => FamilySettings;
  /** What transformers.js wants in config.json in place of the model's own. @default nothing else */
  readonly clientFields?: (sizes: Pick<FamilySizes, "layers">) => Readonly<Record<string, unknown>>;
  /** Puts the block of a kind of layers together from the shared parts. */
  readonly block: (config: BlockConfig, kind: LayerKind) => Block;
}

/** What is known of a config.json before its family reads the rest. */
export interface FamilySizes {
  /** `num_hidden_layers` */
  readonly layers: number;
  /** `hidden_size` */
  readonly hiddenSize: number;
  /** `head_dim`, or what stands for it. */
  readonly headDim: number;
  /** Reads the rotary fields, of one kind of layers where there is a dictionary a kind. */
  readonly readRope: (
    options?: Omit<RopeContext, "fail" | "headDim" | "maxPositions" | "note">,
  ) => Rope;
}

/** What a family reads of config.json. */
export interface FamilySettings {
  /** The width inside the MLP. @default `intermediate_size` */
  readonly intermediateSize?: number;
  /** What the layers are like, one each; layers that are alike hold the same object. */
  readonly layerKinds: readonly LayerKind[];
  /** What scores are multiplied by. @default {headDim ** -0.5} */
  readonly attentionScale?: number;
  /** What a part of a block gives is multiplied by before it is added. @default 1 */
  readonly residualScale?: number;
  /** What rows of the embedding are multiplied by. @default 1 */
  readonly embeddingScale?: number;
  /** Whether that number is rounded to the type of the rows first. @default false */
  readonly embeddingScaleRounded?: boolean;
  /** What is added to the weight of an RMSNorm. @default 0 */
  readonly normOffset?: number;
  /** What logits are multiplied by. @default 1 */
  readonly logitScale?: number;
  /** Logits become cap · tanh(logits ÷ cap). @default they do not */
  readonly logitCap?: number;
}

/** An activation and the field that must name it. */
export interface Activation {
  /** The field of config.json. */
  readonly field: string;
  /** Its names; the first is what the config class fills in. */
  readonly names: readonly string[];
}

/** Defaults in which transformers' config classes differ. */
export interface FamilyDefaults {
  /** `max_position_embeddings` */
  readonly maxPositions: number;
  /** `head_dim`. @default hidden_size ÷ num_attention_heads */
  readonly headDim?: number;
  /** `rms_norm_eps`. @default 1e-6 */
  readonly rmsNormEps?: number;
  /** `tie_word_embeddings`. @default false */
  readonly tiedEmbeddings?: boolean;
  /** `pad_token_id`, where the vocabulary has that token. @default none */
  readonly padTokenId?: number;
}
