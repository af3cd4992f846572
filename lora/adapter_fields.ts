/**
 * What becomes of every field of adapter_config.json: those of PEFT 0.21.2's LoraConfig, and those of
 * older releases and of other tools that published adapters carry.
 */

import { FieldTable } from "../internal/json/field_table.ts";

const MERGE = "merge the adapter into its base with PEFT (merge_and_unload) and use that model";

/** The fields. */
export const ADAPTER_FIELDS: FieldTable = new FieldTable({
  honoured: [
    "alpha_pattern",
    "base_model_name_or_path",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_dora",
    "use_rslora",
  ],
  ignored: [
    // The Python classes that the adapter was made on.
    "auto_mapping",
    // How A and B were initialized: init_lora_weights says whether the base was changed by it.
    ...["corda_config", "eva_config", "loftq_config", "lora_ga_config"],
    // Of modules_to_save, trainable_token_indices and adapted embeddings, which are all refused.
    "ensure_weight_tying",
    // PEFT sets it to false for torch.nn.Linear, which all layers here are.
    "fan_in_fan_out",
    // Whether PEFT loads the adapter frozen: what is done here says that.
    "inference_mode",
    // Which module megatron_config, refused if there is one, would be for.
    "megatron_core",
    // When PEFT 0.2 added the adapter to the weights: the results are the same.
    "merge_weights",
    // The release that wrote the file.
    "peft_version",
    // Of use_qalora, which is refused.
    "qalora_group_size",
    // Where PEFT keeps what it computes with while it initializes DoRA.
    "runtime_config",
  ],
  refused: {
    alora_invocation_tokens: {
      remedy: "activated LoRA works from these tokens of the prompt on, which ortune does not " +
        "support and merging cannot express; use PEFT, or an adapter without it",
    },
    arrow_config: {
      remedy: "it routes between several adapters; load one of them by itself",
    },
    bias: {
      unless: ["none"],
      remedy: `the base model's biases were trained, ortune supports only "none"; ${MERGE}`,
    },
    enable_lora: {
      remedy: `it adapts parts of a fused layer, which these models do not have; ${MERGE}`,
    },
    kasa_config: {
      remedy: `the base model's weights were changed before the adapter was trained; ${MERGE}`,
    },
    layer_replication: {
      unless: [[]],
      remedy: `blocks of the base model are repeated; ${MERGE}`,
    },
    lora_bias: {
      unless: [false],
      remedy: `the adapter has biases of its own; ${MERGE}`,
    },
    lora_parameters: {
      remedy: "it is an adapter of mlx-lm; fuse it there (mlx_lm.fuse) and use that model",
    },
    megatron_config: {
      unless: [{}],
      remedy: "the adapter is on Megatron's parallel layers; convert both to transformers' layout",
    },
    modules_to_save: {
      unless: [[]],
      remedy: `modules of the base model were trained as a whole; ${MERGE}`,
    },
    monteclora_config: {
      remedy:
        "the adapter's weights are sampled (MonteCLoRA); merge it with PEFT, which leaves the " +
        "sampling out",
    },
    target_parameters: {
      unless: [[]],
      remedy: `parameters that are no linear layer are adapted; ${MERGE}`,
    },
    trainable_token_indices: {
      unless: [[], {}],
      remedy: `rows of the base model's embedding were trained; ${MERGE}`,
    },
    use_bdlora: {
      unless: [false],
      remedy: `A or B is block-diagonal and stored as its blocks; ${MERGE}`,
    },
    use_qalora: {
      unless: [false],
      remedy: "the adapter reads pooled inputs of a quantized base; use PEFT with that base",
    },
  },
  warned: {
    revision: {
      unless: ["main"],
      remedy: "which revision of the base model is here is not checked; fetch that one",
    },
    task_type: {
      unless: ["CAUSAL_LM"],
      remedy: "the adapter was made for another task than generating text",
    },
    velora_config: {
      remedy: "its replies are VeLoRA's, but training it on takes exact gradients in place of " +
        "compressed ones",
    },
  },
});

const CONVERT =
  "the adapter was trained on base weights that it changed itself; save it with PEFT's " +
  'save_pretrained(…, path_initial_model_for_weight_conversion="…"), or merge it with PEFT';

/**
 * What `init_lora_weights` asks for.
 *
 * @returns `refused` ends the sentence that refuses it, `warned` one that warns of it
 */
export function reviewInit(
  value: unknown,
): { readonly refused?: string; readonly warned?: string } {
  if (value === null || value === undefined || typeof value === "boolean") return {};
  const name = typeof value === "string" ? value.toLowerCase() : "";
  // None of these changes the base, so loaded weights are all that counts.
  if (["gaussian", "eva", "orthogonal"].includes(name)) return {};
  if (name === "mica") {
    return {
      warned: "PEFT keeps B as it was initialized; training the adapter on here trains it too",
    };
  }
  if (/^(?:pissa|corda)/.test(name) || ["olora", "lora_ga"].includes(name)) {
    return { refused: CONVERT };
  }
  if (name === "loftq") {
    return {
      refused: "the adapter was trained on a quantized base (LoftQ); merge it into that with PEFT",
    };
  }
  return { refused: "ortune does not know whether it changes the base model; merge it with PEFT" };
}
