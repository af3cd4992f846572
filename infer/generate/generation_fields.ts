/**
 * The fields of generation_config.json: those of GenerationConfig in transformers 4.57.6 and 5.24.0.
 *
 * In: a parsed generation_config.json. Out: a sentence for each field that would change replies
 * there and does not here. Not part of the public surface.
 */

import { FieldTable, listFields } from "../../internal/json/field_table.ts";

/** Every field that is known. */
export const GENERATION_FIELDS: FieldTable = new FieldTable({
  honoured: [
    ...["do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p"],
    ...["epsilon_cutoff", "eta_cutoff", "sequence_bias", "encoder_repetition_penalty"],
    ...["repetition_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"],
    ...["bad_words_ids", "min_length", "min_new_tokens", "max_length", "max_new_tokens"],
    ...["max_time", "stop_strings", "eos_token_id", "forced_bos_token_id", "forced_eos_token_id"],
    ...["remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens"],
    ...["begin_suppress_tokens"],
  ],
  ignored: [
    // The prompt has its bos from the chat template, and one sequence needs no padding.
    ...["bos_token_id", "pad_token_id", "decoder_start_token_id"],
    // How keys and values are kept and code is compiled.
    ...["use_cache", "cache_implementation", "cache_config", "max_cache_len"],
    ...["return_legacy_cache", "prefill_chunk_size", "compile_config", "disable_compile"],
    ...["low_memory", "continuous_batching_config"],
    // What generate() gives out besides the tokens.
    ...["output_attentions", "output_hidden_states", "output_scores", "output_logits"],
    "return_dict_in_generate",
    // Drafts by a second model or by looking ahead: the model confirms each token.
    ...["num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"],
    ...["prompt_lookup_num_tokens", "max_matching_ngram_size", "assistant_early_exit"],
    ...["assistant_lookbehind", "target_lookbehind", "assistant_ensemble_weight"],
    ...["speculation_type", "use_mtp"],
    // Of beams only, and num_beams itself is warned of.
    ...["early_stopping", "length_penalty", "diversity_penalty", "num_beam_groups"],
    // The softmax normalizes anyway.
    "renormalize_logits",
    ...["transformers_version", "_from_model_config", "_commit_hash"],
  ],
  warned: {
    num_beams: {
      unless: [1],
      remedy: "beams are not searched here, so that replies are made one token after another, " +
        "as with num_beams 1",
    },
    num_return_sequences: {
      unless: [1],
      remedy: "one reply is made at a time; ask again for more",
    },
    penalty_alpha: {
      unless: [0],
      remedy: "contrastive search is not there, so that the likeliest token is taken",
    },
    dola_layers: {
      remedy: "DoLa is not there, so that the last layer's logits are taken as they are",
    },
    guidance_scale: {
      unless: [1],
      remedy: "classifier-free guidance is not there, so that replies are made as with 1",
    },
    watermarking_config: { remedy: "watermarks are not there, so that replies bear none" },
    constraints: { remedy: "constrained beam search is not there, so that nothing is enforced" },
    force_words_ids: {
      remedy: "constrained beam search is not there, so that no word is enforced",
    },
    token_healing: { unless: [false], remedy: "the prompt is taken as it is, without healing" },
    is_assistant: { unless: [false], remedy: "replies do not end where the model is unsure" },
  },
});

/** A sentence for each field of `path` that is not honoured. */
export function generationNotes(
  fields: Readonly<Record<string, unknown>>,
  path: string,
): readonly string[] {
  const { do_sample, top_k, penalty_alpha } = fields;
  // Where tokens are drawn, and without candidates to compare, it has no effect.
  const contrastive = do_sample !== true && !(typeof top_k === "number" && top_k <= 1);
  const { warned, unknown } = GENERATION_FIELDS.review({
    ...fields,
    penalty_alpha: contrastive ? penalty_alpha : null,
  });
  const notes = warned.map(({ message }) => `${path}: ${message}`);
  if (unknown.length > 0) {
    notes.push(
      `${path}: not known here, and without effect: ${
        listFields(unknown)
      }; if a field matters to ` +
        "the replies, make them with the program that it is for",
    );
  }
  return notes;
}
