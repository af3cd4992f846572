/**
 * The fields of a chat completion request: those of OpenAI's API and of vLLM's.
 *
 * In: a parsed object of a request. Out: nothing, or an `ApiError` that names what is not honoured.
 * A field in no list is refused, as OpenAI does: it may be one that changes the reply.
 */

import { FieldTable, listFields } from "../../internal/json/field_table.ts";
import { ApiError } from "./api_error.ts";

const OUT = "this server does not support it; leave it out";
const FREE =
  "replies are not constrained to a format here; leave it out and say in a message how " +
  "the answer is to look";
const NO_TOOLS = "tools are not supported; leave them out, or send tool_choice none";
const NO_LOGPROBS = "probabilities of tokens are not given out; leave it out";
const NO_BEAMS = "beams are not searched; leave it out, and ask with n for several replies";
const TEXT_ONLY = "the model reads and writes text only";
const NOT_RETURNED = "it is not given out; leave it out";

/** Fields of a request's body. */
export const BODY_FIELDS: FieldTable = new FieldTable({
  honoured: [
    ...["model", "messages", "stream", "stream_options", "n", "stop", "seed"],
    ...["max_tokens", "max_completion_tokens", "min_tokens"],
    ...["temperature", "top_p", "top_k", "min_p", "typical_p", "top_h"],
    ...["epsilon_cutoff", "eta_cutoff", "repetition_penalty", "no_repeat_ngram_size"],
    ...["ignore_eos", "stop_token_ids", "include_stop_str_in_output", "skip_special_tokens"],
    ...["suppress_tokens", "bad_words"],
    ...["chat_template_kwargs", "enable_thinking", "reasoning_effort", "reasoning", "think"],
    ...["thinking", "include_reasoning"],
    ...["continue_final_message", "add_generation_prompt", "echo", "response_format"],
  ],
  ignored: [
    // Whose request it is, and what OpenAI keeps or charges for it.
    ...["user", "safety_identifier", "store", "metadata", "service_tier", "request_id"],
    "session_id",
    // Caches of prompts, which change when a reply comes and not what it says.
    ...["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "cache_salt"],
    // Only with tools, which are refused.
    "parallel_tool_calls",
    // Only with what is refused: constrained formats, a prompt cut short, log probabilities.
    ...["guided_decoding_backend", "guided_whitespace_pattern", "truncation_side"],
    "return_tokens_as_token_ids",
    // Of vLLM's slow tokenizers, of its render endpoints, and of how many tokens an event has.
    ...["spaces_between_special_tokens", "return_token_offsets", "return_mm_kwargs"],
    "stream_interval",
  ],
  refused: {
    tools: { unless: [[]], remedy: NO_TOOLS },
    tool_choice: { unless: ["none", "auto"], remedy: NO_TOOLS },
    functions: { unless: [[]], remedy: NO_TOOLS },
    function_call: { unless: ["none", "auto"], remedy: NO_TOOLS },
    logprobs: { unless: [false], remedy: NO_LOGPROBS },
    top_logprobs: { unless: [0], remedy: NO_LOGPROBS },
    prompt_logprobs: { remedy: NO_LOGPROBS },
    logprob_token_ids: { unless: [[]], remedy: NO_LOGPROBS },
    logit_bias: { unless: [{}], remedy: `${OUT}; suppress_tokens rules tokens out` },
    frequency_penalty: { unless: [0], remedy: `${OUT}; repetition_penalty is supported` },
    presence_penalty: { unless: [0], remedy: `${OUT}; repetition_penalty is supported` },
    allowed_token_ids: { unless: [[]], remedy: FREE },
    guided_json: { remedy: FREE },
    guided_regex: { remedy: FREE },
    guided_choice: { remedy: FREE },
    guided_grammar: { remedy: FREE },
    guided_json_object: { unless: [false], remedy: FREE },
    structural_tag: { remedy: FREE },
    structured_outputs: { unless: [{}], remedy: FREE },
    best_of: { unless: [1], remedy: NO_BEAMS },
    use_beam_search: { unless: [false], remedy: NO_BEAMS },
    length_penalty: { unless: [1], remedy: NO_BEAMS },
    early_stopping: { unless: [false], remedy: NO_BEAMS },
    audio: { remedy: TEXT_ONLY },
    modalities: { unless: [["text"], []], remedy: TEXT_ONLY },
    mm_processor_kwargs: { unless: [{}], remedy: TEXT_ONLY },
    media_io_kwargs: { unless: [{}], remedy: TEXT_ONLY },
    prediction: { remedy: OUT },
    web_search_options: { remedy: "this server has no network; leave it out" },
    moderation: { remedy: OUT },
    verbosity: { unless: ["medium"], remedy: `${OUT} and say in a message how long to answer` },
    thinking_token_budget: { remedy: `${OUT}; max_tokens limits thinking and answer together` },
    truncate_prompt_tokens: { remedy: "prompts are not cut; shorten the messages" },
    add_special_tokens: {
      unless: [false],
      remedy: "the chat template writes the special tokens; leave it out",
    },
    documents: { unless: [[]], remedy: `${OUT} and write them into a message` },
    chat_template: { remedy: "the model's own chat template is used; leave it out" },
    priority: { unless: [0], remedy: "requests are answered in their order; leave it out" },
    kv_transfer_params: { unless: [{}], remedy: OUT },
    ec_transfer_params: { unless: [{}], remedy: OUT },
    vllm_xargs: { unless: [{}], remedy: OUT },
    logits_processors: { unless: [[]], remedy: OUT },
    repetition_detection: { unless: [{}], remedy: `${OUT}; repetition_penalty is supported` },
    watermarking: { unless: [false], remedy: "replies bear no watermark; leave it out" },
    return_token_ids: { unless: [false], remedy: NOT_RETURNED },
    return_prompt_text: { unless: [false], remedy: NOT_RETURNED },
    routed_experts_prompt_start: { unless: [0], remedy: NOT_RETURNED },
  },
});

/** Fields of `stream_options`. */
export const STREAM_FIELDS: FieldTable = new FieldTable({
  honoured: ["include_usage"],
  // Filling bytes, which tell nothing.
  ignored: ["include_obfuscation"],
  refused: {
    continuous_usage_stats: { unless: [false], remedy: "usage comes in the last event only" },
  },
});

/** Fields of `chat_template_kwargs`: what templates of this server's models can be told. */
export const TEMPLATE_FIELDS: FieldTable = new FieldTable({
  honoured: ["enable_thinking", "thinking"],
});

/** Fields of `response_format`. */
export const FORMAT_FIELDS: FieldTable = new FieldTable({
  honoured: ["type"],
  refused: { json_schema: { remedy: FREE }, schema: { remedy: FREE } },
});

/** Fields of OpenRouter's `reasoning`. */
export const REASONING_FIELDS: FieldTable = new FieldTable({
  honoured: ["enabled", "effort", "exclude"],
  refused: {
    max_tokens: { remedy: `${OUT}; max_tokens limits thinking and answer together` },
    summary: { remedy: "thinking is given out as it is" },
    generate_summary: { remedy: "thinking is given out as it is" },
  },
});

/** Fields of `thinking`, as Anthropic, DeepSeek and Z.ai have it. */
export const THINKING_FIELDS: FieldTable = new FieldTable({
  honoured: ["type"],
  refused: {
    budget_tokens: { remedy: `${OUT}; max_tokens limits thinking and answer together` },
  },
});

/** Fields of a message of the system or the user. */
export const MESSAGE_FIELDS: FieldTable = new FieldTable({
  honoured: ["role", "content"],
  // Templates of these models write no names; a cache changes no reply.
  ignored: ["name", "cache_control"],
});

/** Fields of an assistant's message, as servers give them out and clients send them back. */
export const ASSISTANT_FIELDS: FieldTable = new FieldTable({
  honoured: ["role", "content", "reasoning_content", "reasoning"],
  // Web pages that an answer cites, which no template writes.
  ignored: ["name", "cache_control", "annotations"],
  refused: {
    tool_calls: { unless: [[]], remedy: NO_TOOLS },
    function_call: { remedy: NO_TOOLS },
    refusal: { unless: [""], remedy: "write what the assistant said as content" },
    audio: { remedy: TEXT_ONLY },
    reasoning_details: { unless: [[]], remedy: "write the thinking as reasoning_content" },
    prefix: { unless: [false], remedy: "to go on with it send continue_final_message true" },
    partial: { unless: [false], remedy: "to go on with it send continue_final_message true" },
  },
});

/** Fields of a part of text. */
export const PART_FIELDS: FieldTable = new FieldTable({
  honoured: ["type", "text"],
  ignored: ["cache_control", "prompt_cache_breakpoint"],
  refused: { annotations: { unless: [[]], remedy: OUT } },
});

/**
 * Refuses what is not honoured.
 *
 * @param at where the record stands in the body; empty for the body itself
 * @throws {ApiError} 400
 */
export function assertFields(
  record: Readonly<Record<string, unknown>>,
  table: FieldTable,
  at = "",
): void {
  const { refused: [first], unknown } = table.review(record);
  const place = at === "" ? "" : `${at}.`;
  if (first) {
    throw new ApiError(400, place + first.message, {
      param: place + first.field,
      code: "unsupported_value",
    });
  }
  if (unknown.length === 0) return;
  const names = listFields(unknown.map((name) => place + name));
  throw new ApiError(
    400,
    `Unrecognized request argument${unknown.length > 1 ? "s" : ""} supplied: ${names}`,
    { param: (place + unknown[0]).slice(0, 100).toWellFormed(), code: "unknown_parameter" },
  );
}
