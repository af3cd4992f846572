/**
 * What is done with every field of a config.json.
 *
 * In: a family. Out: a table over the fields of transformers' PretrainedConfig, of the family's own
 * config class (4.57.6 and 5.24.0), of relatives, and of what tools write beside them. Rules that
 * need more than a value are in `config.ts` and in the families' files.
 */

import { FieldTable, type UnsupportedField } from "../internal/json/field_table.ts";
import { FAMILIES } from "./families/families.ts";
import type { Family } from "./families/family.ts";

/** Read by `config.ts` and by all families, which check them too. */
const HONOURED = [
  "architectures",
  "attention_bias",
  "head_dim",
  "hidden_act",
  "hidden_size",
  "intermediate_size",
  "is_causal",
  "layer_types",
  "max_position_embeddings",
  "max_window_layers",
  "mlp_bias",
  "model_type",
  "num_attention_heads",
  "num_hidden_layers",
  "num_key_value_heads",
  "original_max_position_embeddings",
  "pad_token_id",
  "quantization_config",
  "rms_norm_eps",
  "rope_parameters",
  "rope_scaling",
  "rope_theta",
  "sliding_window",
  "tie_word_embeddings",
  "use_sliding_window",
  "vocab_size",
  // By infer/generate/generation_config.ts, where there is no generation_config.json.
  "eos_token_id",
] as const;

const NOTE = "a note of the tool that wrote the file";
const CLASSIFIER = "labels of classifiers; a causal LM has none";
const RETURNED = "chooses what transformers' forward returns";
const STORED = "weights are read in their own type and computed in the precision asked for";
const RUNTIME = "chooses an implementation in transformers, not what it computes";
const ENCODER = "tokens of encoders and of encoder-decoders";

/** Known fields that change nothing here, and why. */
export const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  _attn_implementation: RUNTIME,
  _attn_implementation_autoset: RUNTIME,
  _commit_hash: NOTE,
  _experts_implementation: RUNTIME,
  _flash_attn_2_enabled: RUNTIME,
  _from_model_config: NOTE,
  _name_or_path: NOTE,
  _sliding_window_pattern: "layer_types says the same of each layer",
  attn_implementation: RUNTIME,
  bos_token_id: "prompts begin as the tokenizer's files say",
  chunk_size_feed_forward: "splits a product to save memory; neither class reads it",
  cls_token_id: ENCODER,
  decoder_start_token_id: ENCODER,
  dtype: STORED,
  experts_implementation: RUNTIME,
  finetuning_task: CLASSIFIER,
  gradient_checkpointing: "options of training say so",
  id2label: CLASSIFIER,
  initializer_range: "spread of new weights; all are read from files",
  is_decoder: "a causal LM is one anyway",
  is_llama_config: NOTE,
  label2id: CLASSIFIER,
  mask_token_id: ENCODER,
  name_or_path: NOTE,
  num_labels: CLASSIFIER,
  output_attentions: RETURNED,
  output_hidden_states: RETURNED,
  output_router_logits: RETURNED,
  pretraining_tp: "splits products that are summed again; both versions read it no more",
  problem_type: CLASSIFIER,
  return_dict: RETURNED,
  sep_token_id: ENCODER,
  tf_legacy_loss: "TensorFlow's",
  tie_encoder_decoder: ENCODER,
  tokenizer_class: "the tokenizer's files say what it is",
  torch_dtype: STORED,
  torchscript: RUNTIME,
  "transformers.js_config": "settings of transformers.js",
  transformers_version: NOTE,
  unk_token_id: ENCODER,
  unsloth_fixed: NOTE,
  unsloth_version: NOTE,
  use_bfloat16: "TensorFlow's",
  use_cache: "generation here always has a cache, with the same results",
};

const DROPOUT: UnsupportedField = {
  unless: [0],
  remedy: "this dropout is not applied in training; set it to 0.0 to say that you know",
};

const GENERATION = "a setting of generation, which is read here only where there is no " +
  "generation_config.json; move it there";

/** Settings of generation that transformers 4 kept here, with its defaults; 5 drops them. */
const GENERATION_DEFAULTS: Readonly<Record<string, unknown>> = {
  assistant_confidence_threshold: 0.4,
  assistant_lookbehind: 10,
  bad_words_ids: null,
  begin_suppress_tokens: null,
  diversity_penalty: 0,
  do_sample: false,
  early_stopping: false,
  encoder_no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  exponential_decay_length_penalty: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  length_penalty: 1,
  max_length: 20,
  max_new_tokens: null,
  min_length: 0,
  min_new_tokens: null,
  min_p: null,
  no_repeat_ngram_size: 0,
  num_assistant_tokens: 20,
  num_assistant_tokens_schedule: "constant",
  num_beam_groups: 1,
  num_beams: 1,
  num_return_sequences: 1,
  output_scores: false,
  remove_invalid_values: false,
  repetition_penalty: 1,
  return_dict_in_generate: false,
  suppress_tokens: null,
  target_lookbehind: 10,
  temperature: 1,
  top_k: 50,
  top_p: 1,
  typical_p: 1,
};

/** Fields that ask for something else than these families compute. */
const REFUSED: Readonly<Record<string, UnsupportedField>> = {
  ...each({ unless: [false, 0], remedy: "ortune has decoder-only models; use one" }, [
    "add_cross_attention",
    "cross_attention_hidden_size",
    "is_encoder_decoder",
    "encoder",
    "decoder",
  ]),
  ...each({
    remedy: "ortune reads text models only; use the text model alone, with its own config.json",
  }, [
    "audio_config",
    "generator",
    "language_config",
    "llm_config",
    "text_config",
    "text_encoder",
    "thinker_config",
    "vision_config",
    "mm_vision_tower",
  ]),
  ...each(
    { unless: [{}], remedy: "layers that differ are not supported; use a model without it" },
    [
      "per_layer_config",
      "pruned_heads",
      "block_configs",
      "no_rope_layers",
      "no_rope_layer_interval",
      "layers_block_type",
      "cross_attention_layers",
      "attn_layer_indices",
      "linear_attn_config",
      "full_attention_interval",
      "kv_sharing_layers",
      "num_kv_shared_layers",
    ],
  ),
  ...each({
    unless: [1, false],
    remedy: "scaled activations are not supported; use a model without it",
  }, [
    "attention_multiplier",
    "attn_scale",
    "dim_model_base",
    "embedding_multiplier",
    "embedding_scale",
    "embeddings_scale",
    "lm_head_multiplier",
    "logit_scale",
    "logits_scaling",
    "mup_width_scale",
    "residual_multiplier",
    "residual_scale",
    "scale_attn_by_inverse_layer_idx",
    "scale_depth",
    "scale_emb",
    "scale_embedding",
    "query_pre_attn_scalar",
  ]),
  ...each({
    unless: [0, false],
    remedy: "soft-capped logits are not supported; use a model without it",
  }, [
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "attn_logit_softcap",
    "logits_soft_cap",
  ]),
  ...each({
    unless: [0, false, []],
    remedy: "mixtures of experts are not supported; use a dense model",
  }, [
    "decoder_sparse_step",
    "expert_layer_period",
    "first_k_dense_replace",
    "mlp_only_layers",
    "moe_intermediate_size",
    "n_routed_experts",
    "n_shared_experts",
    "norm_topk_prob",
    "num_experts",
    "num_experts_per_tok",
    "num_local_experts",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "shared_expert_intermediate_size",
  ]),
  ...each({
    unless: [0, false, 1],
    remedy: "attention of this kind is not supported; use a model with plain full attention",
  }, [
    "alibi",
    "attention_chunk_size",
    "attention_sinks",
    "attn_temperature_tuning",
    "clip_qkv",
    "differential_attention",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "q_lora_rank",
    "sliding_window_pattern",
    "sliding_window_size",
    "sparse_attention",
    "dual_chunk_attention_config",
    "sparse_attention_config",
    "use_alibi",
    "use_bidirectional_attention",
    "v_head_dim",
    "use_cla",
    "use_sinks",
    "use_mla",
  ]),
  ...each({
    unless: [false],
    remedy: "rotary embeddings of this kind are not supported; use a model without it",
  }, ["mrope_section", "rope_interleave", "rope_interleaved", "rope_local_base_freq", "use_mrope"]),
  ...each({ unless: [1], remedy: "only 1 is supported" }, [
    "partial_rotary_factor",
    "rotary_pct",
    "rotary_percent",
    "rope_ratio",
  ]),
  ...each({ remedy: "ortune trains float weights; use the unquantized model" }, [
    "compression_config",
    "quant_config",
    "quantization",
  ]),
  ...each({ unless: ["silu", "swish"], remedy: "only silu is supported" }, [
    "hidden_activation",
    "activation_function",
  ]),
  ...each({ unless: ["rmsnorm", "rms_norm", "RMSNorm"], remedy: "only RMSNorm is supported" }, [
    "norm_type",
    "normalization",
  ]),
  ...each({ unless: [true], remedy: "only attention with causal masks is supported" }, [
    "causal",
    "use_causal_mask",
  ]),
  ...each(
    { unless: [false], remedy: "biases of this kind are not supported; use a model without" },
    [
      "bias",
      "lm_head_bias",
      "add_bias_linear",
      "use_bias",
    ],
  ),
};

const WARNED: Readonly<Record<string, UnsupportedField>> = {
  ...each(DROPOUT, [
    "activation_dropout",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "classifier_dropout",
    "dropout",
    "embd_pdrop",
    "embedding_dropout",
    "hidden_dropout",
    "hidden_dropout_prob",
    "residual_dropout",
    "resid_pdrop",
  ]),
  ...Object.fromEntries(
    Object.entries(GENERATION_DEFAULTS).map(([field, value]) => [
      field,
      { unless: [value], remedy: GENERATION },
    ]),
  ),
  task_specific_params: {
    unless: [{}],
    remedy: "is not read; move what is wanted into generation_config.json",
  },
  prefix: { unless: [""], remedy: "text before every prompt, which is not added; write it there" },
  auto_map: {
    remedy: "the model's own Python code is not run; ortune computes what transformers' class of " +
      "this model_type does",
  },
  custom_pipelines: { remedy: "the model's own Python code is not run" },
  num_nextn_predict_layers: {
    unless: [0],
    remedy: "layers that predict further tokens are left out",
  },
  mtp_num_hidden_layers: { unless: [0], remedy: "layers that predict further tokens are left out" },
};

/** The same rule for several fields. */
function each(
  rule: UnsupportedField,
  fields: readonly string[],
): Readonly<Record<string, UnsupportedField>> {
  return Object.fromEntries(fields.map((field) => [field, rule]));
}

function table({ honoured = [], ignored = {}, refused }: Family): FieldTable {
  const own = new Set([...honoured, ...Object.keys(ignored), ...Object.keys(refused)]);
  const ofOthers = Object.entries(REFUSED).filter(([field]) => !own.has(field));
  return new FieldTable({
    honoured: [...HONOURED.filter((field) => !own.has(field)), ...honoured],
    ignored: [...Object.keys(WITHOUT_EFFECT), ...Object.keys(ignored)],
    refused: { ...Object.fromEntries(ofOthers), ...refused },
    warned: WARNED,
  });
}

/** Every field that is known, by family. */
export const CONFIG_FIELDS: Readonly<Record<string, FieldTable>> = Object.fromEntries(
  Object.entries(FAMILIES).map(([modelType, family]) => [modelType, table(family)]),
);
