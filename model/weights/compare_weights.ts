/**
 * What does not fit between a model's parameters and the tensors of a file.
 *
 * In: parameters and a source's names, shapes and dtypes. Out: a line a problem, and what the
 * names themselves tell about the file. No weight is read.
 */

import { quoteNames } from "../../ort/tensor/tensor_errors.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { EMBEDDING, LM_HEAD } from "../parameters.ts";
import type { ParameterSpec } from "../parts/parameter_spec.ts";

/** What is wrong with a file for a model. */
export interface Misfit {
  /** A line each; none where everything fits. */
  readonly problems: readonly string[];
  /** What the file is by its names, and what to do with such a one. */
  readonly hint?: string;
}

/** Misshapen tensors that are listed; a wrong hidden_size misshapes all. */
const MAX_LISTED = 10;

/** Rotary tables that older versions saved; they are computed here. */
const ROTARY_TABLE = /(^|\.)rotary_emb\.(inv_freq|cos_cached|sin_cached)$/;

/** Whether a tensor may be left out: rotary tables always, and the head that a model is tied to. */
function isHarmless(name: string): boolean {
  return name === LM_HEAD || ROTARY_TABLE.test(name);
}

/** Compares by names and shapes. */
export function compareWeights(specs: readonly ParameterSpec[], source: TensorSource): Misfit {
  const problems: string[] = [];
  const names = source.names();
  const available = new Set(names);
  const known = new Set(specs.map(({ name }) => name));
  const missing = [...known].filter((name) => !available.has(name));
  if (missing.length > 0) problems.push(`missing: ${quoteNames(missing)}`);
  const unknown = names.filter((name) => !known.has(name) && !isHarmless(name));
  if (unknown.length > 0) problems.push(`not part of the model: ${quoteNames(unknown)}`);
  const present = specs.filter(({ name }) => available.has(name));
  problems.push(...misshapenTensors(present, source, "config.json says"));
  const integers = present.some(({ name }) => ["int8", "uint8"].includes(source.info(name).dtype));
  // An adapter's names would be taken for a model's.
  if (problems.length === 0 || !known.has(EMBEDDING)) return { problems };
  return { problems, hint: integers ? QUANTIZED : describeNames(missing, unknown) };
}

/**
 * Tensors of another shape than their parameters', or no floats: a line each, cut where they are many.
 *
 * @param says what the parameters' shapes come from, `config.json says`
 */
export function misshapenTensors(
  specs: readonly ParameterSpec[],
  source: TensorSource,
  says: string,
): string[] {
  const misshapen: string[] = [];
  for (const { name, shape } of specs) {
    const info = source.info(name);
    if (info.shape.join() !== shape.join()) {
      misshapen.push(`${name} has shape [${info.shape}], ${says} [${shape}]`);
    } else if (!["float32", "bfloat16", "float16"].includes(info.dtype)) {
      misshapen.push(`${name} is ${info.dtype}: expected float32, bfloat16 or float16`);
    }
  }
  const more = misshapen.length - MAX_LISTED;
  return more <= 0
    ? misshapen
    : [...misshapen.slice(0, MAX_LISTED), `and ${more} more tensors like these`];
}

/** The error of a misfit. */
export function misfitError(from: string, { problems, hint }: Misfit): Error {
  return new Error(
    `Cannot load weights from ${from}: they do not fit its config.json\n  ` +
      problems.join("\n  ") + `\n${hint ?? "Take both from the same model"}`,
  );
}

const QUANTIZED =
  "These are the weights of a quantized model; ortune trains float weights: take the " +
  "unquantized model";

/** Kinds of files that names give away, the most telling first. */
const KINDS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [
    /(^|\.)(qweight|qzeros|g_idx|scales|absmax|quant_map|quant_state|weight_packed|weight_scale|weight_scale_inv|weight_zero_point|SCB)(\.|$)/,
    QUANTIZED,
  ],
  [
    /\.base_layer\./,
    "These are the names of a model that is wrapped for LoRA training: merge its adapter (PEFT's " +
    "merge_and_unload) and save that, or take the base model and the adapter's own folder",
  ],
  [
    /\.(lora_[AB]|lora_magnitude_vector|lora_embedding_[AB])(\.|$)/,
    "These are the names of an adapter: give its folder as the adapter, beside its base model",
  ],
  [
    /(^|\.)(visual|vision_tower|vision_model|multi_modal_projector|mm_projector|audio_tower)\./,
    "These are the names of a model of images or sound: take the text model alone",
  ],
  [
    /\.(experts|block_sparse_moe|shared_expert)\./,
    "These are the names of a mixture of experts, which is not supported: take a dense model",
  ],
  [
    /\.linear_attn\.|\.mamba\.|\.mixer\./,
    "These are the names of a model without plain attention, which is not supported",
  ],
  [
    /(^|\.)(score|classifier|v_head|value_head|reward_head)\./,
    "These are the names of a classifier or reward model: take the causal language model",
  ],
  [
    /\.attention\.w[qkvo]\.|(^|\.)tok_embeddings\./,
    "These are the names of Meta's own files: convert them to Hugging Face's layout (transformers' " +
    "convert_llama_weights_to_hf.py)",
  ],
  [/^(blk\.\d+|token_embd)\./, "These are the names of a GGUF file: take the model in safetensors"],
  [
    /^(transformer\.)?h\.\d+\.|^(transformer\.)?wte\.|gpt_neox\.|\.decoder\.layers\./,
    "These are the names of another architecture; take a model of config.json's model_type",
  ],
  [
    /\.(qkv_proj|W_pack|gate_up_proj|query_key_value)\./,
    "These are the names of a model whose projections are fused; save it with transformers' own class",
  ],
];

/** What a file is, by the names of it that the model does not have. */
function describeNames(missing: readonly string[], unknown: readonly string[]): string | undefined {
  const kind = KINDS.find(([pattern]) => unknown.some((name) => pattern.test(name)));
  if (kind) return kind[1];
  if (missing.length === 1 && missing[0] === LM_HEAD && unknown.length === 0) {
    return "Take both from the same model, or, where the head is the embedding, set " +
      "tie_word_embeddings to true in config.json";
  }
  const bias = /\.self_attn\.[qkvo]_proj\.bias$/;
  const biases = [...missing, ...unknown];
  if (biases.length > 0 && biases.every((name) => bias.test(name))) {
    return `Take both from the same model, or set attention_bias to ${missing.length === 0} in ` +
      "config.json if it is a model with biases there";
  }
}
