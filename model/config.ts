/**
 * A model's config.json as flags of one block.
 *
 * In: parsed JSON. Out: `ModelConfig`, or an error that names the field. Qwen3, Qwen2/2.5 and Llama
 * (SmolLM too) differ in three flags only.
 *
 * @module
 */

/** Sizes and flags of a decoder-only transformer, from config.json. */
export interface ModelConfig {
  /** The family, `model_type`. */
  readonly modelType: ModelType;
  /** Width of the hidden states, `hidden_size`. */
  readonly hiddenSize: number;
  /** Width inside the MLP, `intermediate_size`. */
  readonly intermediateSize: number;
  /** Transformer blocks, `num_hidden_layers`. */
  readonly layers: number;
  /** Query heads, `num_attention_heads`. */
  readonly heads: number;
  /** Key and value heads, `num_key_value_heads`; divides `heads`. */
  readonly kvHeads: number;
  /** Width of a head, `head_dim`; even. */
  readonly headDim: number;
  /** Rows of the embedding, `vocab_size`; often more than the tokenizer has. */
  readonly vocabSize: number;
  /** Most tokens of a sequence, `max_position_embeddings`. */
  readonly maxPositions: number;
  /** ε of RMSNorm, `rms_norm_eps`. */
  readonly rmsNormEps: number;
  /** Base of the rotary frequencies, `rope_theta`. */
  readonly ropeTheta: number;
  /** Llama 3's frequency scaling, where the config asks for it. */
  readonly ropeScaling?: Llama3RopeScaling;
  /** Whether lm_head is the embedding. */
  readonly tiedEmbeddings: boolean;
  /** RMSNorm on each head's queries and keys (Qwen3). */
  readonly qkNorm: boolean;
  /** Bias on the q, k and v projections (Qwen2, and Llama with attention_bias). */
  readonly qkvBias: boolean;
  /** Bias on the output projection (Llama and Qwen3 with attention_bias). */
  readonly outputBias: boolean;
  /** The whole config.json, written back into checkpoints. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** https://github.com/huggingface/transformers, modeling_rope_utils.py, `llama3`. */
export interface Llama3RopeScaling {
  /** Long wavelengths are divided by this. */
  readonly factor: number;
  /** Wavelengths above originalMaxPositions ÷ this are long. */
  readonly lowFreqFactor: number;
  /** Wavelengths below originalMaxPositions ÷ this are kept. */
  readonly highFreqFactor: number;
  /** Positions of the pretrained model, before scaling. */
  readonly originalMaxPositions: number;
}

/** A value of config.json's model_type that ortune can train. */
export type ModelType = "qwen3" | "qwen2" | "llama";

/** What a family fixes; without `qkvBias`, config.json's attention_bias decides on biases. */
const FAMILIES: Readonly<Record<ModelType, { qkNorm: boolean; qkvBias?: boolean }>> = {
  qwen3: { qkNorm: true },
  qwen2: { qkNorm: false, qkvBias: true },
  llama: { qkNorm: false },
};

// Bounds on what a config may ask for: above any published model of these families, and small
// enough that products stay safe integers.
const LIMIT = 2 ** 24;

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
 * assert.deepEqual([config.headDim, config.qkNorm], [128, true]);
 * assert.throws(() => parseConfig({ model_type: "bert" }), /model_type is "bert"/);
 * ```
 *
 * @param json the parsed file
 * @param path the file's path, for errors
 * @throws {RangeError} naming the file, the field and the value
 */
export function parseConfig(json: unknown, path = "config.json"): ModelConfig {
  const fail = (field: string, state: string): never => {
    throw new RangeError(`Cannot read ${path}: ${field} ${state}`);
  };
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new RangeError(`Cannot read ${path}: expected a JSON object`);
  }
  const raw = json as Record<string, unknown>;
  const show = (value: unknown): string => JSON.stringify(value) ?? "missing";
  const integer = (field: string, fallback?: number): number => {
    const value = raw[field] ?? fallback;
    if (Number.isSafeInteger(value) && value as number >= 1 && value as number <= LIMIT) {
      return value as number;
    }
    return fail(field, `must be a whole number from 1 to ${LIMIT}, got ${show(raw[field])}`);
  };
  const positive = (value: unknown, field: string): number =>
    typeof value === "number" && value > 0 && Number.isFinite(value)
      ? value
      : fail(field, `must be a number above 0, got ${show(value)}`);
  const flag = (field: string, fallback: boolean): boolean => {
    const value = raw[field] ?? fallback;
    return typeof value === "boolean"
      ? value
      : fail(field, `must be true or false, got ${show(value)}`);
  };

  const type = raw.model_type;
  if (typeof type !== "string" || !Object.hasOwn(FAMILIES, type)) {
    fail(
      "model_type",
      `is ${show(type)}: ortune supports ${Object.keys(FAMILIES).join(", ")} ` +
        "(llama covers SmolLM; qwen2 covers Qwen2.5)",
    );
  }
  const modelType = type as ModelType;
  const family = FAMILIES[modelType];
  if ((raw.hidden_act ?? "silu") !== "silu") {
    fail("hidden_act", `is ${show(raw.hidden_act)}: only silu is supported`);
  }
  if (flag("mlp_bias", false)) fail("mlp_bias", "is true: only models without it are supported");
  if (flag("use_sliding_window", false)) {
    fail("use_sliding_window", "is true: only full attention is supported");
  }
  const layerTypes = raw.layer_types ?? [];
  if (!Array.isArray(layerTypes) || layerTypes.some((type) => type !== "full_attention")) {
    fail("layer_types", `is ${show(layerTypes)}: only full_attention is supported`);
  }
  if ((raw.partial_rotary_factor ?? 1) !== 1) {
    fail("partial_rotary_factor", `is ${show(raw.partial_rotary_factor)}: only 1 is supported`);
  }
  if ((raw.quantization_config ?? null) !== null) {
    fail("quantization_config", "is set: ortune trains float weights; use the unquantized model");
  }
  const hiddenSize = integer("hidden_size");
  const heads = integer("num_attention_heads");
  const kvHeads = integer("num_key_value_heads", heads);
  if (heads % kvHeads !== 0) {
    fail("num_key_value_heads", `must divide num_attention_heads ${heads}, got ${kvHeads}`);
  }
  const headDimDefault = modelType === "qwen3" ? 128 : hiddenSize / heads;
  if ((raw.head_dim ?? null) === null && !Number.isInteger(headDimDefault)) {
    fail("num_attention_heads", `must divide hidden_size ${hiddenSize}, got ${heads}`);
  }
  const headDim = integer("head_dim", headDimDefault);
  if (headDim % 2 !== 0) fail("head_dim", `must be even for rotary embeddings, got ${headDim}`);
  const bias = flag("attention_bias", false);
  // Newer transformers write rope_parameters in place of rope_theta and rope_scaling.
  const ropeField = (raw.rope_parameters ?? null) === null ? "rope_scaling" : "rope_parameters";
  const rope = (raw[ropeField] ?? {}) as Record<string, unknown>;
  if (typeof rope !== "object" || Array.isArray(rope)) {
    fail(ropeField, `must be an object, got ${show(rope)}`);
  }
  return {
    modelType,
    hiddenSize,
    intermediateSize: integer("intermediate_size"),
    layers: integer("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    vocabSize: integer("vocab_size"),
    maxPositions: integer("max_position_embeddings", 32768),
    rmsNormEps: positive(raw.rms_norm_eps ?? 1e-6, "rms_norm_eps"),
    ropeTheta: positive(raw.rope_theta ?? rope.rope_theta ?? 10000, "rope_theta"),
    ropeScaling: parseRopeScaling(rope, fail),
    tiedEmbeddings: flag("tie_word_embeddings", false),
    qkNorm: family.qkNorm,
    qkvBias: family.qkvBias ?? bias,
    outputBias: family.qkvBias === undefined && bias,
    raw,
  };
}

function parseRopeScaling(
  rope: Record<string, unknown>,
  fail: (field: string, state: string) => never,
): Llama3RopeScaling | undefined {
  const type = rope.rope_type ?? rope.type ?? "default";
  if (type === "default") return undefined;
  if (type !== "llama3") {
    fail("rope_scaling", `has type ${JSON.stringify(type)}: only llama3 or none is supported`);
  }
  const number = (field: string): number => {
    const value = rope[field];
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    return fail(
      `rope_scaling.${field}`,
      `must be a number above 0, got ${JSON.stringify(value) ?? "missing"}`,
    );
  };
  const [lowFreqFactor, highFreqFactor] = [number("low_freq_factor"), number("high_freq_factor")];
  if (highFreqFactor <= lowFreqFactor) {
    const state = `must be above low_freq_factor ${lowFreqFactor}, got ${highFreqFactor}`;
    fail("rope_scaling.high_freq_factor", state);
  }
  return {
    factor: number("factor"),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions: number("original_max_position_embeddings"),
  };
}
