/**
 * The fields of requests for chat and text completions: those of OpenAI's API and of vLLM's.
 *
 * In: a parsed object of a request. Out: nothing, or an `ApiError` that names what is not honoured.
 * A field in no list is refused, as OpenAI does: it may be one that changes the reply.
 */

import { FieldTable, listFields, type UnsupportedField } from "../../internal/json/field_table.ts";
import { ApiError } from "./api_error.ts";
import { plural } from "../../internal/plural.ts";

const OUT = "this server does not support it; leave it out";
const FREE = "replies are held to JSON alone, by response_format of chat completions; leave it out";
const NO_TOOLS =
  "the model is told of no tools; leave them out, or send tool_choice none (calls and answers in the " +
  "messages are rendered)";
const NO_PROMPT_LOGPROBS =
  "those of a prompt's tokens are told by /v1/completions with echo and logprobs; leave it out";
const NO_BEAMS = "beams are not searched; leave it out, and ask with n for several replies";
const TEXT_ONLY = "the model reads and writes text only";
const NOT_RETURNED = "it is not given out; leave it out";

/** Fields of all requests that say how tokens are chosen, and how many. */
const SAMPLING = [
  ...["model", "stream", "stream_options", "n", "stop", "seed", "max_tokens", "min_tokens"],
  ...["temperature", "top_p", "top_k", "min_p", "typical_p", "top_h"],
  ...["epsilon_cutoff", "eta_cutoff", "repetition_penalty", "no_repeat_ngram_size"],
  ...["ignore_eos", "stop_token_ids", "include_stop_str_in_output", "skip_special_tokens"],
  ...["suppress_tokens", "bad_words", "logprobs", "echo"],
];

/** Fields of all requests that change nothing here. */
const WITHOUT_EFFECT = [
  // Whose request it is.
  ...["user", "request_id", "session_id"],
  // A cache of prompts, which changes when a reply comes and not what it says.
  "cache_salt",
  // Only with what is refused: constrained formats by other names, a prompt cut short, tokens' ids.
  ...["guided_decoding_backend", "guided_whitespace_pattern", "truncation_side"],
  "return_tokens_as_token_ids",
  // Of vLLM's slow tokenizers, of its render endpoints, and of how many tokens an event has.
  ...["spaces_between_special_tokens", "return_token_offsets", "stream_interval"],
];

/** Fields of all requests that are not honoured. */
const REFUSED: Readonly<Record<string, UnsupportedField>> = {
  prompt_logprobs: { remedy: NO_PROMPT_LOGPROBS },
  logprob_token_ids: { unless: [[]], remedy: `${OUT}; top_logprobs tells the likeliest` },
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
  thinking_token_budget: { remedy: `${OUT}; max_tokens limits thinking and answer together` },
  truncate_prompt_tokens: { remedy: "prompts are not cut; send a shorter one" },
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
};

/** Fields of a chat's body. */
export const BODY_FIELDS: FieldTable = new FieldTable({
  honoured: [
    ...SAMPLING,
    ...["messages", "max_completion_tokens", "top_logprobs", "response_format"],
    ...["chat_template_kwargs", "enable_thinking", "reasoning_effort", "reasoning", "think"],
    ...["thinking", "include_reasoning", "continue_final_message", "add_generation_prompt"],
  ],
  ignored: [
    ...WITHOUT_EFFECT,
    // What OpenAI keeps or charges for it.
    ...["safety_identifier", "store", "metadata", "service_tier"],
    ...["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"],
    // Only with tools and images, which are refused.
    ...["parallel_tool_calls", "return_mm_kwargs"],
  ],
  refused: {
    ...REFUSED,
    tools: { unless: [[]], remedy: NO_TOOLS },
    tool_choice: { unless: ["none", "auto"], remedy: NO_TOOLS },
    functions: { unless: [[]], remedy: NO_TOOLS },
    function_call: { unless: ["none", "auto"], remedy: NO_TOOLS },
    audio: { remedy: TEXT_ONLY },
    modalities: { unless: [["text"], []], remedy: TEXT_ONLY },
    mm_processor_kwargs: { unless: [{}], remedy: TEXT_ONLY },
    media_io_kwargs: { unless: [{}], remedy: TEXT_ONLY },
    prediction: { remedy: OUT },
    web_search_options: { remedy: "this server has no network; leave it out" },
    moderation: { remedy: OUT },
    verbosity: { unless: ["medium"], remedy: `${OUT} and say in a message how long to answer` },
    add_special_tokens: {
      unless: [false],
      remedy: "the chat template writes the special tokens; leave it out",
    },
    documents: { unless: [[]], remedy: `${OUT} and write them into a message` },
    chat_template: { remedy: "the model's own chat template is used; leave it out" },
  },
});

/** Fields of a text completion's body. */
export const TEXT_FIELDS: FieldTable = new FieldTable({
  honoured: [...SAMPLING, "prompt"],
  ignored: WITHOUT_EFFECT,
  refused: {
    ...REFUSED,
    suffix: {
      unless: [""],
      remedy: "the model goes on with a text and fills no gaps; leave it out",
    },
    response_format: {
      unless: [{ type: "text" }],
      remedy: "texts are free; for JSON send messages to /v1/chat/completions",
    },
    add_special_tokens: {
      unless: [false],
      remedy: "a prompt is taken as it is; write special tokens into it",
    },
    prompt_embeds: { remedy: TEXT_ONLY },
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
  honoured: ["type", "json_schema"],
  refused: { schema: { remedy: "write it as json_schema.schema" } },
});

/** Fields of `response_format.json_schema`. */
export const SCHEMA_FORMAT_FIELDS: FieldTable = new FieldTable({
  honoured: ["schema"],
  // Replies are always held to the schema; its name and what it is for are not shown to the model.
  ignored: ["strict", "name", "description"],
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
  honoured: ["role", "content", "reasoning_content", "reasoning", "tool_calls"],
  // Web pages that an answer cites, which no template writes.
  ignored: ["name", "cache_control", "annotations"],
  refused: {
    function_call: { remedy: "write the call as tool_calls" },
    refusal: { unless: [""], remedy: "write what the assistant said as content" },
    audio: { remedy: TEXT_ONLY },
    reasoning_details: { unless: [[]], remedy: "write the thinking as reasoning_content" },
    prefix: { unless: [false], remedy: "to go on with it send continue_final_message true" },
    partial: { unless: [false], remedy: "to go on with it send continue_final_message true" },
  },
});

/** Fields of a tool's message. */
export const TOOL_FIELDS: FieldTable = new FieldTable({
  honoured: ["role", "content", "tool_call_id", "name"],
  ignored: ["cache_control"],
});

/** Fields of a tool's call. */
export const CALL_FIELDS: FieldTable = new FieldTable({
  honoured: ["id", "type", "function"],
  // Its place among those of a stream.
  ignored: ["index"],
});

/** Fields of what a call calls. */
export const FUNCTION_FIELDS: FieldTable = new FieldTable({ honoured: ["name", "arguments"] });

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
    `Unrecognized request ${plural(unknown.length, "argument")} supplied: ${names}`,
    { param: (place + unknown[0]).slice(0, 100).toWellFormed(), code: "unknown_parameter" },
  );
}
