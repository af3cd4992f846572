/**
 * The fields of OpenAI's Responses API.
 *
 * Out: tables of what is honoured, known to change nothing, or refused by name.
 */

import { FieldTable } from "../../../internal/json/field_table.ts";

const OUT = "this server does not support it; leave it out";
const NOT_KEPT = "responses are not kept here: send the whole chat as input, with store false";
const NO_TOOLS =
  "the model is told of no tools; leave them out, or send tool_choice none (calls and " +
  "outputs in the input are rendered)";

/** Fields of a request's body. */
export const RESPONSE_FIELDS: FieldTable = new FieldTable({
  honoured: [
    ...["model", "input", "instructions", "stream", "stream_options", "max_output_tokens"],
    ...["temperature", "top_p", "top_logprobs", "text", "reasoning", "include"],
    // Of vLLM's API and of this server's other paths.
    ...["top_k", "min_p", "repetition_penalty", "seed", "stop", "ignore_eos", "stop_token_ids"],
    ...["chat_template_kwargs", "enable_thinking"],
  ],
  ignored: [
    // Whose request it is, and what OpenAI keeps or charges for it.
    ...["user", "safety_identifier", "metadata", "service_tier", "access_programs"],
    // Caches of prompts, which change when a reply comes and not what it says.
    ...["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"],
    // Only with tools, which are refused.
    ...["parallel_tool_calls", "max_tool_calls"],
  ],
  refused: {
    store: { unless: [false], remedy: NOT_KEPT },
    previous_response_id: { remedy: NOT_KEPT },
    conversation: { remedy: NOT_KEPT },
    background: { unless: [false], remedy: NOT_KEPT },
    prompt: { remedy: "prompts are not kept here: write it as instructions and input" },
    context_management: { unless: [[]], remedy: "the input is not cut; send a shorter one" },
    truncation: { unless: ["disabled"], remedy: "the input is not cut; send a shorter one" },
    tools: { unless: [[]], remedy: NO_TOOLS },
    tool_choice: { unless: ["none", "auto"], remedy: NO_TOOLS },
    moderation: { remedy: OUT },
    image: { remedy: "the model reads and writes text only" },
  },
});

/** Fields of `stream_options`. */
export const RESPONSE_STREAM_FIELDS: FieldTable = new FieldTable({
  // Filling bytes, which tell nothing.
  honoured: [],
  ignored: ["include_obfuscation"],
});

/** Fields of `reasoning`. */
export const RESPONSE_REASONING_FIELDS: FieldTable = new FieldTable({
  honoured: ["effort"],
  // Thinking is given out whole, which tells more than any summary.
  ignored: ["summary", "generate_summary"],
  refused: {
    context: { unless: ["auto"], remedy: OUT },
    mode: { unless: ["standard"], remedy: OUT },
  },
});

/** Fields of `text`. */
export const TEXT_CONFIG_FIELDS: FieldTable = new FieldTable({
  honoured: ["format"],
  refused: {
    verbosity: {
      unless: ["medium"],
      remedy: `${OUT} and say in a message how long to answer`,
    },
  },
});

// Names and states that servers give out and clients send back.
const GIVEN_OUT = ["id", "status", "phase"];

/** Fields of the input's items, by their types. */
export const ITEM_FIELDS: Readonly<Record<string, FieldTable>> = {
  message: new FieldTable({ honoured: ["type", "role", "content"], ignored: GIVEN_OUT }),
  reasoning: new FieldTable({
    honoured: ["type", "content"],
    // Nothing is encrypted or summed up here.
    ignored: [...GIVEN_OUT, "summary", "encrypted_content"],
  }),
  function_call: new FieldTable({
    honoured: ["type", "call_id", "name", "arguments"],
    ignored: GIVEN_OUT,
    refused: {
      namespace: { remedy: OUT },
      caller: { unless: [{ type: "direct" }], remedy: OUT },
      async: { unless: [false], remedy: OUT },
    },
  }),
  function_call_output: new FieldTable({
    honoured: ["type", "call_id", "name", "output"],
    ignored: GIVEN_OUT,
    refused: {
      namespace: { remedy: OUT },
      caller: { unless: [{ type: "direct" }], remedy: OUT },
    },
  }),
};

/** Fields of a part of an item's content. */
export const CONTENT_FIELDS: FieldTable = new FieldTable({
  honoured: ["type", "text"],
  ignored: ["annotations", "logprobs", "prompt_cache_breakpoint"],
});
