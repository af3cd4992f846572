/**
 * A model's config.json as a `ModelConfig`.
 *
 * In: parsed JSON. Out: sizes and options, or an error that names the field. What differs between
 * families is in `families/`. Fields mean what they mean in transformers 5.24.0; `config_fields.ts`
 * lists those that are not read here.
 *
 * @module
 */

import { listFields, showValue } from "../internal/json/field_table.ts";
import { CONFIG_FIELDS } from "./config_fields.ts";
import type { ConfigReader } from "./families/config_reader.ts";
import { FAMILIES, isModelType, type ModelType, whyUnsupported } from "./families/families.ts";
import type { Activation } from "./families/family.ts";
import { parseRope } from "./families/rope_scaling.ts";
import { textReader } from "./families/text_model.ts";
import type { BlockConfig } from "./parts/block_config.ts";
import type { LayerKind } from "./parts/layer_kind.ts";

/** Sizes and options of a decoder-only transformer, from config.json. */
export interface ModelConfig extends BlockConfig {
  /** The family, `model_type`. */
  readonly modelType: ModelType;
  /** Transformer blocks, `num_hidden_layers`. */
  readonly layers: number;
  /** Rows of the embedding, `vocab_size`; often more than the tokenizer has. */
  readonly vocabSize: number;
  /** Most tokens of a sequence, `max_position_embeddings`. */
  readonly maxPositions: number;
  /** What the layers are like, one each: those that are alike hold the same object. */
  readonly layerKinds: readonly LayerKind[];
  /** What rows of the embedding are multiplied by. */
  readonly embeddingScale: number;
  /** Whether that number is rounded to the type of the rows first. */
  readonly embeddingScaleRounded: boolean;
  /** What logits are multiplied by. */
  readonly logitScale: number;
  /** Logits become cap · tanh(logits ÷ cap), where there is a cap. */
  readonly logitCap?: number;
  /** Whether lm_head is the embedding. */
  readonly tiedEmbeddings: boolean;
  /** The token whose embedding gets no gradient where it is read, `pad_token_id`, as in PyTorch. */
  readonly padTokenId?: number;
  /** Warnings of fields that are not honoured, a sentence each. */
  readonly notes: readonly string[];
  /** The whole config.json, written back into checkpoints. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** Two names of one function. */
const SILU: Activation = { field: "hidden_act", names: ["silu", "swish"] };

// Llama 3.1 405B has 126; a list of the parameters of so many is still made at once.
const MAX_LAYERS = 1024;

/**
 * Checks a parsed config.json.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({
 *   model_type: "qwen3",
 *   hidden_size: 1024,
 *   intermediate_size: 3072,
 *   num_hidden_layers: 28,
 *   num_attention_heads: 16,
 *   num_key_value_heads: 8,
 *   vocab_size: 151936,
 * });
 * assert.deepEqual([config.headDim, config.attentionBias], [128, false]);
 * assert.throws(() => parseConfig({ model_type: "bert" }), /model_type is "bert"/);
 * ```
 *
 * @param json the parsed file
 * @param path the file's path, for errors
 * @throws {RangeError} naming the file, the field and the value
 */
export function parseConfig(json: unknown, path = "config.json"): ModelConfig {
  const reader = textReader(json, path);
  const { raw, notes, fail, note, integer, positive, flag } = reader;
  const modelType = readModelType(reader);
  const family = FAMILIES[modelType];
  reviewFields(modelType, reader);
  checkArchitectures(family.className, reader);
  const { field: act, names: [name, ...names] } = family.activation ?? SILU;
  if (![name, ...names].includes((raw[act] ?? name) as string)) {
    fail(act, `is ${showValue(raw[act])}: only ${name} is supported`);
  }
  if (flag("mlp_bias", false)) fail("mlp_bias", "is true: only models without it are supported");
  if (!flag("is_causal", true)) {
    fail("is_causal", "is false: only attention with causal masks is supported");
  }
  if ((raw.quantization_config ?? null) !== null) {
    fail("quantization_config", "is set: ortune trains float weights; use the unquantized model");
  }
  const layers = integer("num_hidden_layers", undefined, MAX_LAYERS);
  const hiddenSize = integer("hidden_size");
  const heads = integer("num_attention_heads");
  const kvHeads = integer("num_key_value_heads", heads);
  if (heads % kvHeads !== 0) {
    fail("num_key_value_heads", `must divide num_attention_heads ${heads}, got ${kvHeads}`);
  }
  const headDimDefault = family.defaults.headDim ?? hiddenSize / heads;
  if ((raw.head_dim ?? null) === null && !Number.isInteger(headDimDefault)) {
    fail("num_attention_heads", `must divide hidden_size ${hiddenSize}, got ${heads}`);
  }
  const headDim = integer("head_dim", headDimDefault);
  if (headDim % 2 !== 0) fail("head_dim", `must be even for rotary embeddings, got ${headDim}`);
  const bias = flag("attention_bias", false);
  const vocabSize = integer("vocab_size");
  const maxPositions = integer("max_position_embeddings", family.defaults.maxPositions);
  const settings = family.read(reader, {
    layers,
    hiddenSize,
    headDim,
    readRope: (options) => parseRope(raw, { maxPositions, headDim, fail, note, ...options }),
  });
  return {
    modelType,
    hiddenSize,
    intermediateSize: settings.intermediateSize ?? integer("intermediate_size"),
    layers,
    layerKinds: settings.layerKinds,
    heads,
    kvHeads,
    headDim,
    vocabSize,
    maxPositions: positionsOf(maxPositions, settings.layerKinds, reader),
    rmsNormEps: positive("rms_norm_eps", family.defaults.rmsNormEps ?? 1e-6),
    normOffset: settings.normOffset ?? 0,
    tiedEmbeddings: flag("tie_word_embeddings", family.defaults.tiedEmbeddings ?? false),
    attentionBias: family.attentionBias ?? bias,
    attentionScale: settings.attentionScale ?? headDim ** -0.5,
    residualScale: settings.residualScale ?? 1,
    embeddingScale: settings.embeddingScale ?? 1,
    embeddingScaleRounded: settings.embeddingScaleRounded ?? false,
    logitScale: settings.logitScale ?? 1,
    logitCap: settings.logitCap,
    padTokenId: readPadToken(vocabSize, family.defaults.padTokenId, reader),
    notes,
    raw,
  };
}

/** The family's name, or an error that lists those there are. */
function readModelType({ raw: { model_type: type }, fail }: ConfigReader): ModelType {
  if (isModelType(type)) return type;
  return fail("model_type", `is ${showValue(type)}: ${whyUnsupported(type)}`);
}

/** Refuses or notes the fields that are not honoured, those refused together. */
function reviewFields(modelType: ModelType, { raw, fail, note }: ConfigReader): void {
  const { refused, warned, unknown } = CONFIG_FIELDS[modelType].review(raw);
  if (refused.length > 0) {
    const [{ field, message }, ...rest] = refused;
    fail(field, [message.slice(field.length + 1), ...rest.map((each) => each.message)].join("; "));
  }
  for (const { message } of warned) note(message);
  const { dtype, torch_dtype: older } = raw;
  if ((dtype ?? older ?? null) !== (older ?? dtype ?? null)) {
    note(
      `dtype is ${showValue(dtype)} and torch_dtype is ${
        showValue(older)
      }: neither has an effect, ` +
        "weights are read in the type that their files have",
    );
  }
  if (unknown.length === 0) return;
  note(
    `it holds fields that ortune does not know: ${listFields(unknown)}; if they change the model ` +
      "its results are wrong",
  );
}

/** transformers goes by model_type, but the class tells what the weights were trained for. */
function checkArchitectures(className: string, { raw, fail, note }: ConfigReader): void {
  const { architectures, tie_word_embeddings: tied } = raw;
  const names = architectures ?? [];
  if (!Array.isArray(names) || [...names].some((name) => typeof name !== "string")) {
    fail("architectures", `must be a list of names, got ${showValue(architectures)}`);
  }
  for (const name of names as readonly string[]) {
    const [lower, family] = [name.toLowerCase(), className.toLowerCase()];
    if (lower === `${family}forcausallm`) continue;
    const state = `is ${showValue(names)}`;
    if (lower === `${family}model` && tied === true) {
      note(
        `architectures ${state}: a model without a head, such as one of embeddings; its head is ` +
          "the embedding, as tie_word_embeddings says",
      );
    } else if (lower.endsWith("forcausallm") || lower.endsWith("lmheadmodel")) {
      note(
        `architectures ${state}: it is computed as ${className}ForCausalLM, as model_type says; if ` +
          "it is another model its results are wrong",
      );
    } else {
      fail(
        "architectures",
        `${state}: it is no causal language model; use one with ${className}ForCausalLM`,
      );
    }
  }
}

/** As many as rotary embeddings are computed for. */
function positionsOf(
  maxPositions: number,
  layerKinds: readonly LayerKind[],
  { note }: ConfigReader,
): number {
  const limits = layerKinds.map(({ rope }) =>
    rope?.scaling?.type === "longrope" ? rope.scaling.originalMaxPositions : maxPositions
  );
  const most = Math.min(maxPositions, ...limits);
  if (most < maxPositions) {
    note(
      `max_position_embeddings is ${maxPositions}: sequences of up to ${most} tokens ` +
        "(original_max_position_embeddings) are supported, with the short factors of longrope",
    );
  }
  return most;
}

/** As PyTorch's padding_idx: negative ones count from the end. */
function readPadToken(
  vocabSize: number,
  fallback: number | undefined,
  { raw, fail, note }: ConfigReader,
): number | undefined {
  const id = raw.pad_token_id;
  if (id === undefined) return fallback! < vocabSize ? fallback : undefined;
  if (id === null) return undefined;
  if (!Number.isSafeInteger(id)) {
    return fail("pad_token_id", `must be a whole number, got ${showValue(id)}`);
  }
  const row = id as number < 0 ? vocabSize + (id as number) : id as number;
  if (row >= 0 && row < vocabSize) return row;
  note(`pad_token_id is ${id}, outside of the ${vocabSize} tokens of vocab_size: it is not used`);
}
