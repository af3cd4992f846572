/** `/v1/responses`: items, events in OpenAI's order, and what is refused; by the official client. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { RESPONSE_FIELDS } from "../infer/serve/responses/response_fields.ts";
import { type Script, type ScriptedServer, scriptedServer } from "./support/scripted_server.ts";

const REPLY = "<think>\n先休息。\n</think>\n\nLie **down**.";
const THOUGHT = "先休息。";
const ANSWER = "Lie **down**.";

const thoughtful: Script = async function* (prompt) {
  if (prompt.includes("fail")) {
    yield "some ";
    throw new Error("broken");
  }
  yield prompt.includes("plainly") ? ANSWER : REPLY;
};

function client({ url }: ScriptedServer): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

Deno.test("openai: a response has a reasoning item, a message and its usage", async () => {
  await using server = await scriptedServer(thoughtful);
  const response = await client(server).responses.create({
    model: "base",
    input: "Hi",
    instructions: "Be brief.",
    store: false,
    metadata: { run: "7" },
  });
  assert.equal(response.output_text, ANSWER);
  assert.deepEqual([response.status, response.object, response.error], [
    "completed",
    "response",
    null,
  ]);
  assert.equal((response as { store?: boolean }).store, false);
  const [reasoning, message] = response.output;
  assert.ok(reasoning.type === "reasoning" && message.type === "message");
  assert.deepEqual(reasoning.content, [{ type: "reasoning_text", text: THOUGHT }]);
  assert.deepEqual([reasoning.summary, message.role, message.status], [
    [],
    "assistant",
    "completed",
  ]);
  assert.match(response.id, /^resp_[0-9a-f]{32}$/);
  assert.deepEqual([response.instructions, response.metadata], ["Be brief.", { run: "7" }]);
  const usage = response.usage!;
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.output_tokens_details.reasoning_tokens > 5);
});

Deno.test("openai: a stream has the events of OpenAI's order, numbered, and the same response at its end", async () => {
  await using server = await scriptedServer(thoughtful);
  const stream = await client(server).responses.create({
    model: "base",
    input: "Hi",
    stream: true,
  });
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  assert.deepEqual(events.map(({ sequence_number }) => sequence_number), [...events.keys()]);
  const types = events.map(({ type }) => type.replace(/^response\./, ""));
  const once = types.filter((type, i) => type !== types[i - 1]);
  assert.deepEqual(once, [
    ...["created", "in_progress"],
    ...["output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done"],
    ...["content_part.done", "output_item.done"],
    ...["output_item.added", "content_part.added", "output_text.delta", "output_text.done"],
    ...["content_part.done", "output_item.done", "completed"],
  ]);
  const text = (type: string): string =>
    events.map((event) => event.type === type && "delta" in event ? event.delta : "").join("");
  assert.equal(text("response.reasoning_text.delta"), THOUGHT);
  assert.equal(text("response.output_text.delta"), ANSWER);
  const last = events.at(-1)!;
  assert.ok(last.type === "response.completed");
  assert.deepEqual(last.response.output.map(({ type }) => type), ["reasoning", "message"]);
  const added = events.flatMap((event) =>
    event.type === "response.output_item.added" ? [event.item.id] : []
  );
  assert.deepEqual(last.response.output.map(({ id }) => id), added);

  const whole = await client(server).responses.stream({ model: "base", input: "Hi" })
    .finalResponse();
  assert.equal(whole.output_text, ANSWER);
});

Deno.test("openai: a reply that is cut is incomplete, and one that fails ends with an error", async () => {
  await using server = await scriptedServer(thoughtful);
  const cut = await client(server).responses.create({
    model: "base",
    input: "plainly",
    max_output_tokens: 3,
  });
  assert.deepEqual([cut.status, cut.incomplete_details, cut.output_text], [
    "incomplete",
    { reason: "max_output_tokens" },
    ANSWER.slice(0, 3),
  ]);
  const failing = await client(server).responses.create({
    model: "base",
    input: "fail",
    stream: true,
  });
  await assert.rejects(Array.fromAsync(failing), OpenAI.APIError);
});

Deno.test("a turn's items become one message: thinking, text and calls; outputs are a tool's", async () => {
  const prompts: string[] = [];
  await using server = await scriptedServer(async function* (prompt) {
    prompts.push(prompt);
    yield "x";
  });
  await client(server).responses.create({
    model: "base",
    instructions: "S",
    input: [
      { role: "user", content: [{ type: "input_text", text: "Q" }] },
      {
        type: "reasoning",
        id: "rs_1",
        summary: [],
        content: [{ type: "reasoning_text", text: "T" }],
      },
      { type: "function_call", call_id: "c", name: "f", arguments: '{"a": 1}' },
      { type: "function_call_output", call_id: "c", output: "4" },
      {
        type: "message",
        id: "msg_1",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "A", annotations: [] }],
      },
      { role: "developer", content: "D" },
      { role: "user", content: "R" },
    ],
  });
  const turn = (role: string, content: string): string =>
    `<|im_start|>${role}\n${content}<|im_end|>\n`;
  assert.deepEqual(prompts, [
    turn("system", "S") + turn("user", "Q") + turn("assistant", "") + turn("tool", "4") +
    turn("assistant", "A") + turn("system", "D") + turn("user", "R") + "<|im_start|>assistant\n",
  ]);
});

/** The compiler sees to it that none is left out. */
const OPENAI_FIELDS: Readonly<
  Record<keyof OpenAI.Responses.ResponseCreateParamsNonStreaming, true>
> = {
  access_programs: true,
  background: true,
  context_management: true,
  conversation: true,
  image: true,
  include: true,
  input: true,
  instructions: true,
  max_output_tokens: true,
  max_tool_calls: true,
  metadata: true,
  model: true,
  moderation: true,
  parallel_tool_calls: true,
  previous_response_id: true,
  prompt: true,
  prompt_cache_key: true,
  prompt_cache_options: true,
  prompt_cache_retention: true,
  reasoning: true,
  safety_identifier: true,
  service_tier: true,
  store: true,
  stream: true,
  stream_options: true,
  temperature: true,
  text: true,
  tool_choice: true,
  tools: true,
  top_logprobs: true,
  top_p: true,
  truncation: true,
  user: true,
};

Deno.test("each field of OpenAI's responses is known; what is not honoured is refused with the reason", async () => {
  for (const name of Object.keys(OPENAI_FIELDS)) assert.ok(RESPONSE_FIELDS.knows(name), name);
  await using server = await scriptedServer(thoughtful);
  const post = (fields: Record<string, unknown>): Promise<Response> =>
    fetch(`${server.url}/v1/responses`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "base", input: "Hi", ...fields }),
    });
  const wrong: readonly (readonly [Record<string, unknown>, string, RegExp?])[] = [
    [{ store: true }, "store", /not kept/],
    [{ previous_response_id: "resp_1" }, "previous_response_id", /not kept.*whole chat/],
    [{ conversation: "c" }, "conversation", /not kept/],
    [{ background: true }, "background", /not kept/],
    [{ truncation: "auto" }, "truncation", /not cut/],
    [{ tools: [{ type: "web_search" }] }, "tools", /no tools/],
    [{ include: ["file_search_call.results"] }, "include"],
    [{ reasoning: { effort: "lots" } }, "reasoning.effort"],
    [{ reasoning: { depth: 1 } }, "reasoning.depth"],
    [{ text: { verbosity: "low" } }, "text.verbosity"],
    [{ max_output_tokens: 0 }, "max_output_tokens"],
    [{ nonsense: 1 }, "nonsense"],
    [{ input: [] }, "input"],
    [{ input: undefined }, "input"],
    [{ input: [{ type: "item_reference", id: "x" }] }, "input[0].type"],
    [{ input: [{ type: "__proto__" }] }, "input[0].type"],
    [{ input: [{ role: "user", content: [{ type: "input_image" }] }] }, "input[0].content"],
    [{ input: [{ role: "user", content: "x", name: "n" }] }, "input[0].name"],
  ];
  for (const [fields, param, reason = /./] of wrong) {
    const response = await post(fields);
    const { error } = await response.json();
    assert.deepEqual([response.status, error.param], [400, param], JSON.stringify(fields));
    assert.match(error.message, reason);
  }
  const harmless = {
    store: false,
    include: ["reasoning.encrypted_content"],
    reasoning: { summary: "auto" },
    truncation: "disabled",
    tools: [{ type: "function" }],
    tool_choice: "none",
    text: { format: { type: "text" } },
    stream_options: { include_obfuscation: false },
  };
  const answer = await (await post(harmless)).json();
  assert.equal(answer.status, "completed");
});
