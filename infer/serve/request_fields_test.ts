import assert from "node:assert/strict";
import type { FieldTable } from "../../internal/json/field_table.ts";
import {
  BODY_FIELDS,
  REASONING_FIELDS,
  STREAM_FIELDS,
  TEMPLATE_FIELDS,
  TEXT_FIELDS,
} from "./request_fields.ts";

/** What asks for nothing, by field: the defaults of OpenAI's API and of vLLM's. */
const NOTHING: Readonly<Record<string, readonly unknown[]>> = {
  logprob_token_ids: [[]],
  logit_bias: [{}],
  frequency_penalty: [0],
  presence_penalty: [0],
  allowed_token_ids: [[]],
  guided_json_object: [false],
  structured_outputs: [{}],
  best_of: [1],
  use_beam_search: [false],
  length_penalty: [1],
  early_stopping: [false],
  priority: [0],
  kv_transfer_params: [{}],
  ec_transfer_params: [{}],
  vllm_xargs: [{}],
  logits_processors: [[]],
  repetition_detection: [{}],
  watermarking: [false],
  return_token_ids: [false],
  return_prompt_text: [false],
  routed_experts_prompt_start: [0],
  add_special_tokens: [false],
};
const OF_CHATS: typeof NOTHING = {
  tools: [[]],
  tool_choice: ["none", "auto"],
  functions: [[]],
  function_call: ["none", "auto"],
  modalities: [[], ["text"]],
  mm_processor_kwargs: [{}],
  media_io_kwargs: [{}],
  verbosity: ["medium"],
  documents: [[]],
};
const OF_TEXTS: typeof NOTHING = { suffix: [""], response_format: [{ type: "text" }] };
/** Fields that ask for something whatever they hold. */
const ALWAYS = [
  ...["prompt_logprobs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"],
  ...["structural_tag", "thinking_token_budget", "truncate_prompt_tokens"],
];
const VALUES = [
  ...[0, 1, 2, false, true, "", "none", "auto", "medium", "high", [], ["text"], ["audio"]],
  ...[{}, { a: 1 }, { type: "text" }, { type: "json_object" }],
];

/** Of each field that is refused those of the values that are not. */
function taken(table: FieldTable): Record<string, readonly unknown[]> {
  return Object.fromEntries(
    table.known.map((field) =>
      [
        field,
        VALUES.filter((value) => table.review({ [field]: value }).refused.length === 0),
      ] as const
    ).filter(([, values]) => values.length < VALUES.length),
  );
}

const none = (fields: readonly string[]): Record<string, readonly unknown[]> =>
  Object.fromEntries(fields.map((field) => [field, []]));

Deno.test("a field that is not honoured is taken with what asks for nothing, and refused with all else", () => {
  const only = ["audio", "prediction", "web_search_options", "moderation", "chat_template"];
  assert.deepEqual(taken(BODY_FIELDS), { ...NOTHING, ...OF_CHATS, ...none([...ALWAYS, ...only]) });
  assert.deepEqual(taken(TEXT_FIELDS), {
    ...NOTHING,
    ...OF_TEXTS,
    ...none([...ALWAYS, "prompt_embeds"]),
  });
  assert.deepEqual(taken(STREAM_FIELDS), { continuous_usage_stats: [false] });
  assert.deepEqual(taken(REASONING_FIELDS), none(["max_tokens", "summary", "generate_summary"]));
  assert.deepEqual(taken(TEMPLATE_FIELDS), {});
});
