/**
 * A model's config.json as flags of one block.
 *
 * In: parsed JSON. Out: `ModelConfig`, or an error that names the field. Qwen3, Qwen2/2.5 and Llama
 * (SmolLM too) differ in three flags only. Fields mean what they mean in transformers 5.24.0;
 * `config_fields.ts` lists those that are not read here.
 *
 * @module
 */

import { listFields, showValue } from "../internal/json/field_table.ts";
import { CONFIG_FIELDS } from "./config_fields.ts";
import { parseRope, type RopeScaling } from "./rope_scaling.ts";

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
  /** How the rotary frequencies are scaled, where the config asks for it. */
  readonly ropeScaling?: RopeScaling;
  /** Whether lm_head is the embedding. */
  readonly tiedEmbeddings: boolean;
  /** RMSNorm on each head's queries and keys (Qwen3). */
  readonly qkNorm: boolean;
  /** Bias on the q, k and v projections (Qwen2, and Llama with attention_bias). */
  readonly qkvBias: boolean;
  /** Bias on the output projection (Llama and Qwen3 with attention_bias). */
  readonly outputBias: boolean;
  /** The token whose embedding gets no gradient where it is read, `pad_token_id`, as in PyTorch. */
  readonly padTokenId?: number;
  /** Warnings of fields that are not honoured, a sentence each. */
  readonly notes: readonly string[];
  /** The whole config.json, written back into checkpoints. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** A value of config.json's model_type that ortune can train. */
export type ModelType = "qwen3" | "qwen2" | "llama";

/** What a family fixes. */
interface Family {
  /** The start of its classes' names. */
  readonly className: string;
  readonly qkNorm: boolean;
  /** Whether there are biases on q, k and v; without it, config.json's attention_bias decides. */
  readonly qkvBias?: boolean;
  /** Whether the family knows sliding windows. */
  readonly windows: boolean;
  /** `max_position_embeddings` where config.json has none. */
  readonly maxPositions: number;
}

const FAMILIES: Readonly<Record<ModelType, Family>> = {
  qwen3: { className: "Qwen3", qkNorm: true, windows: true, maxPositions: 32768 },
  qwen2: { className: "Qwen2", qkNorm: false, qkvBias: true, windows: true, maxPositions: 32768 },
  llama: { className: "Llama", qkNorm: false, windows: false, maxPositions: 2048 },
};

// Bounds on what a config may ask for: above any published model of these families, and small
// enough that products stay safe integers.
const LIMIT = 2 ** 24;
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
  const notes: string[] = [];
  const note = (message: string): void => {
    notes.push(`${path}: ${message}`);
  };
  const show = showValue;
  const integer = (field: string, fallback?: number, limit = LIMIT): number => {
    const value = raw[field] ?? fallback;
    if (Number.isSafeInteger(value) && value as number >= 1 && value as number <= limit) {
      return value as number;
    }
    return fail(field, `must be a whole number from 1 to ${limit}, got ${show(raw[field])}`);
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
  reviewFields(raw, modelType, { fail, note });
  checkArchitectures(raw, family.className, { fail, note });
  // Two names of one function.
  if (!["silu", "swish"].includes((raw.hidden_act ?? "silu") as string)) {
    fail("hidden_act", `is ${show(raw.hidden_act)}: only silu is supported`);
  }
  if (flag("mlp_bias", false)) fail("mlp_bias", "is true: only models without it are supported");
  if (!flag("is_causal", true)) {
    fail("is_causal", "is false: only attention with causal masks is supported");
  }
  if ((raw.quantization_config ?? null) !== null) {
    fail("quantization_config", "is set: ortune trains float weights; use the unquantized model");
  }
  const layers = integer("num_hidden_layers", undefined, MAX_LAYERS);
  const windowed = flag("use_sliding_window", false);
  if (family.windows) checkWindows(raw, { layers, windowed, fail });
  else {
    // The class has full attention, but transformers' cache of generation goes by this field.
    if (windowed) fail("use_sliding_window", "is true: only full attention is supported");
    if ((raw.sliding_window ?? null) !== null) {
      fail("sliding_window", `is ${show(raw.sliding_window)}: only full attention is supported`);
    }
  }
  checkLayerTypes(raw, layers, fail);
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
  const vocabSize = integer("vocab_size");
  const maxPositions = integer("max_position_embeddings", family.maxPositions);
  const rope = parseRope(raw, { maxPositions, headDim, fail, note });
  return {
    modelType,
    hiddenSize,
    intermediateSize: integer("intermediate_size"),
    layers,
    heads,
    kvHeads,
    headDim,
    vocabSize,
    maxPositions,
    rmsNormEps: positive(raw.rms_norm_eps ?? 1e-6, "rms_norm_eps"),
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    tiedEmbeddings: flag("tie_word_embeddings", false),
    qkNorm: family.qkNorm,
    qkvBias: family.qkvBias ?? bias,
    outputBias: family.qkvBias === undefined && bias,
    padTokenId: parsePadToken(raw.pad_token_id ?? undefined, { vocabSize, fail, note }),
    notes,
    raw,
  };
}

/** What a check says of a field. */
interface Verdicts {
  readonly fail: (field: string, state: string) => never;
  readonly note: (message: string) => void;
}

/** Refuses or notes the fields that are not honoured, those refused together. */
function reviewFields(
  raw: Readonly<Record<string, unknown>>,
  modelType: ModelType,
  { fail, note }: Verdicts,
): void {
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
function checkArchitectures(
  { architectures, tie_word_embeddings: tied }: Readonly<Record<string, unknown>>,
  className: string,
  { fail, note }: Verdicts,
): void {
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

/** Windows count where they are switched on, have a size, and a layer has one. */
function checkWindows(
  raw: Readonly<Record<string, unknown>>,
  { layers, windowed, fail }: Pick<Verdicts, "fail"> & {
    readonly layers: number;
    readonly windowed: boolean;
  },
): void {
  const size = raw.sliding_window === undefined ? 4096 : raw.sliding_window;
  if (!windowed || size === null || Array.isArray(raw.layer_types)) return;
  const first = raw.max_window_layers ?? 28;
  if (!Number.isSafeInteger(first)) {
    fail("max_window_layers", `must be a whole number, got ${showValue(first)}`);
  }
  if (first as number >= layers) return;
  fail(
    "use_sliding_window",
    `is true: layers from ${first} on (max_window_layers) see ${showValue(size)} tokens only ` +
      "(sliding_window); only full attention is supported",
  );
}

function checkLayerTypes(
  { layer_types: types }: Readonly<Record<string, unknown>>,
  layers: number,
  fail: Verdicts["fail"],
): void {
  const names = types ?? [];
  // The second is an older name of the first.
  const full = (type: unknown): boolean => type === "full_attention" || type === "attention";
  if (!Array.isArray(names) || !names.every(full)) {
    return fail("layer_types", `is ${showValue(names)}: only full_attention is supported`);
  }
  if (names.length > 0 && names.length !== layers) {
    fail("layer_types", `has ${names.length} entries, but num_hidden_layers is ${layers}`);
  }
}

/** As PyTorch's padding_idx: negative ones count from the end. */
function parsePadToken(
  id: unknown,
  { vocabSize, fail, note }: Verdicts & { readonly vocabSize: number },
): number | undefined {
  if (id === undefined) return undefined;
  if (!Number.isSafeInteger(id)) {
    return fail("pad_token_id", `must be a whole number, got ${showValue(id)}`);
  }
  const row = id as number < 0 ? vocabSize + (id as number) : id as number;
  if (row >= 0 && row < vocabSize) return row;
  note(`pad_token_id is ${id}, outside of the ${vocabSize} tokens of vocab_size: it is not used`);
}
