import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { ApiError } from "./api_error.ts";
import { parseChatRequest } from "./chat_request.ts";
import { BODY_FIELDS } from "./request_fields.ts";

const MESSAGES = [{ role: "user", content: "Hi" }];

function parse(fields: Record<string, unknown>): ReturnType<typeof parseChatRequest> {
  return parseChatRequest({ model: "m", messages: MESSAGES, ...fields });
}

function refusal(body: unknown): ApiError {
  try {
    parseChatRequest(body);
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: `accepted ${JSON.stringify(body)}` });
}

Deno.test("parseChatRequest() takes a request's fields", () => {
  const request = parse({
    stream: true,
    stream_options: { include_usage: true },
    n: 3,
    stop: ["\n\n", "END"],
    max_tokens: 5,
    temperature: 0.6,
    top_p: 0.95,
    top_k: 20,
    seed: 7,
    chat_template_kwargs: { enable_thinking: false },
    user: "someone",
    metadata: { any: "thing" },
  });
  assert.deepEqual(request, {
    model: "m",
    messages: MESSAGES,
    stream: true,
    includeUsage: true,
    choices: 3,
    stop: ["\n\n", "END"],
    enableThinking: false,
    options: { maxNewTokens: 5, temperature: 0.6, topP: 0.95, topK: 20, seed: 7 },
  });
});

Deno.test("parseChatRequest() leaves what is missing or null to the model", () => {
  const nothing = { stream: null, n: null, stop: null, temperature: null, max_tokens: null };
  for (const fields of [{}, nothing]) {
    assert.deepEqual(parse(fields), {
      model: "m",
      messages: MESSAGES,
      stream: false,
      includeUsage: false,
      choices: 1,
      stop: [],
      enableThinking: undefined,
      options: {},
    });
  }
});

Deno.test("parseChatRequest() reads what clients write in several ways", () => {
  assert.deepEqual(parse({ stop: "END" }).stop, ["END"]);
  assert.deepEqual(parse({ temperature: 0 }).options, { greedy: true });
  assert.equal(parse({ max_tokens: 5, max_completion_tokens: 6 }).options.maxNewTokens, 6);
  assert.equal(parse({ top_k: -1 }).options.topK, 0);
  assert.equal(parse({ seed: -1 }).options.seed, 2 ** 32 - 1);
  assert.equal(parse({ seed: 2 ** 40 + 3 }).options.seed, 3);
  assert.equal(parse({ enable_thinking: true }).enableThinking, true);
  // What OpenAI's clients send by themselves and asks for nothing.
  parse({ frequency_penalty: 0, presence_penalty: 0, tools: [], logit_bias: {}, logprobs: false });
  parse({ response_format: { type: "text" } });
});

Deno.test("parseChatRequest() reads messages with parts, thinking and other names of roles", () => {
  const { messages } = parse({
    messages: [
      { role: "developer", content: "Be brief" },
      {
        role: "user",
        name: "Ann",
        content: [{ type: "text", text: "a" }, { type: "text", text: "b" }],
      },
      { role: "assistant", content: "A", reasoning_content: "T" },
      { role: "assistant", content: null, reasoning: "U" },
    ],
  });
  assert.deepEqual(messages, [
    { role: "system", content: "Be brief" },
    { role: "user", content: "ab" },
    { role: "assistant", content: "A", reasoning_content: "T" },
    { role: "assistant", content: "", reasoning_content: "U" },
  ]);
});

Deno.test("parseChatRequest() names the field that is wrong", () => {
  const wrong: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ model: undefined }, "model"],
    [{ model: 3 }, "model"],
    [{ messages: undefined }, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: "Hi" }, "messages"],
    [{ messages: new Array(1025).fill(MESSAGES[0]) }, "messages"],
    [{ messages: ["Hi"] }, "messages[0]"],
    [{ messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "tool" }] }, "messages[0].content"],
    [{ messages: [{ role: "tool", content: "x", tool_call_id: 1 }] }, "messages[0].tool_call_id"],
    [{ messages: [{ role: "__proto__", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: ["user"], content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user" }] }, "messages[0].content"],
    [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, "messages[0].content"],
    [{ stream: "yes" }, "stream"],
    [{ n: 0 }, "n"],
    [{ n: 9 }, "n"],
    [{ n: 1.5 }, "n"],
    [{ stop: ["a", "b", "c", "d", "e"] }, "stop"],
    [{ stop: "" }, "stop"],
    [{ stop: [1] }, "stop"],
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_completion_tokens: "5" }, "max_completion_tokens"],
    [{ temperature: -0.1 }, "temperature"],
    [{ temperature: 2.1 }, "temperature"],
    [{ temperature: "hot" }, "temperature"],
    [{ top_p: 1.1 }, "top_p"],
    [{ top_k: 1.5 }, "top_k"],
    [{ seed: 1.5 }, "seed"],
    [{ stream_options: true }, "stream_options"],
    [{ chat_template_kwargs: { enable_thinking: "no" } }, "enable_thinking"],
    [{ tools: [{ type: "function" }] }, "tools"],
    [{ logprobs: 3 }, "logprobs"],
    [{ top_logprobs: 3 }, "top_logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ response_format: { type: "xml" } }, "response_format"],
    [{ response_format: { type: "text", json_schema: {} } }, "response_format"],
    [{ response_format: { type: "json_schema" } }, "response_format"],
    [
      {
        response_format: {
          type: "json_schema",
          json_schema: { schema: { enum: ["x".repeat(40_000)] } },
        },
      },
      "response_format",
    ],
    [
      { response_format: { type: "json_schema", json_schema: { schema: { $ref: "#/%" } } } },
      "response_format.json_schema.schema",
    ],
    [
      { response_format: { type: "json_object" }, continue_final_message: true },
      "response_format",
    ],
    [{ frequency_penalty: 0.5 }, "frequency_penalty"],
  ];
  for (const [fields, param] of wrong) {
    const { status, param: named } = refusal({ model: "m", messages: MESSAGES, ...fields });
    assert.deepEqual([status, named], [400, param], JSON.stringify(fields));
  }
  for (const body of [null, [], "x", 5]) assert.equal(refusal(body).status, 400);
  assert.match(refusal({ model: "m", messages: MESSAGES, top_p: 0 }).message, /topP 0/);
});

Deno.test("parseChatRequest() takes the last value before each limit", () => {
  assert.equal(parse({ messages: new Array(1024).fill(MESSAGES[0]) }).messages.length, 1024);
  for (const n of [1, 8]) assert.equal(parse({ n }).choices, n);
  assert.equal(parse({ stop: ["a", "b", "c", "x".repeat(256)] }).stop.length, 4);
  assert.equal(refusal({ model: "m", messages: MESSAGES, stop: "x".repeat(257) }).param, "stop");
  assert.equal(parse({ bad_words: new Array(256).fill("a") }).badWords?.length, 256);
  const words = { model: "m", messages: MESSAGES, bad_words: new Array(257).fill("a") };
  assert.equal(refusal(words).param, "bad_words");
  assert.deepEqual(parse({ temperature: 2 }).options, { temperature: 2 });
  assert.deepEqual(parse({ top_p: 1, top_k: 0, max_tokens: 1, min_tokens: 1 }).options, {
    topP: 1,
    topK: 0,
    maxNewTokens: 1,
    minNewTokens: 1,
  });
  assert.equal(parse({ logprobs: true, top_logprobs: 20 }).options.topLogprobs, 20);
  const schemaOf = (length: number) => ({
    response_format: {
      type: "json_schema",
      json_schema: { schema: { enum: ["x".repeat(length - '{"enum":[""]}'.length)] } },
    },
  });
  assert.ok(parse(schemaOf(32 * 1024)).format?.schema);
  const long = refusal({ model: "m", messages: MESSAGES, ...schemaOf(32 * 1024 + 1) });
  assert.match(long.message, /has 32769 characters; there may be 32768/);
});

Deno.test("parseChatRequest() names what it does not honour in a message", () => {
  const assistant = { role: "assistant", content: "A" };
  const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
  const wrong: readonly (readonly [unknown, string])[] = [
    [{ ...assistant, tool_calls: "f" }, "messages[0].tool_calls"],
    [{ ...assistant, tool_calls: [{ ...call, type: "custom" }] }, "messages[0].tool_calls[0]"],
    [{ ...assistant, tool_calls: [{ ...call, index: 0, x: 1 }] }, "messages[0].tool_calls[0].x"],
    [
      { ...assistant, tool_calls: [{ function: { name: "f", arguments: "[1]" } }] },
      "messages[0].tool_calls[0].function.arguments",
    ],
    [
      { ...assistant, tool_calls: [{ function: { name: "f", arguments: "{" } }] },
      "messages[0].tool_calls[0].function.arguments",
    ],
    [{ role: "user", content: "Q", tool_calls: [call] }, "messages[0].tool_calls"],
    [{ ...assistant, function_call: { name: "f" } }, "messages[0].function_call"],
    [{ ...assistant, refusal: "No" }, "messages[0].refusal"],
    [{ ...assistant, audio: { id: "a" } }, "messages[0].audio"],
    [{ ...assistant, prefix: true }, "messages[0].prefix"],
    [{ ...assistant, reasoning_details: [{ text: "x" }] }, "messages[0].reasoning_details"],
    [{ ...assistant, thinking: "T" }, "messages[0].thinking"],
    [{ ...assistant, reasoning: { text: "T" } }, "messages[0].reasoning"],
    [{ ...assistant, reasoning: "T", reasoning_content: "U" }, "messages[0].reasoning"],
    [{ ...assistant, content: [{ type: "refusal", refusal: "No" }] }, "messages[0].content"],
    [{ role: "user", content: "Q", reasoning: "T" }, "messages[0].reasoning"],
    [{ role: "user", content: "Q", tool_call_id: "c" }, "messages[0].tool_call_id"],
    [{ role: "user", content: "Q", images: ["x"] }, "messages[0].images"],
    [{ role: "function", name: "f", content: "x" }, "messages[0].role"],
    [
      { role: "user", content: [{ type: "text", text: "x", image_url: "y" }] },
      "messages[0].content[0].image_url",
    ],
  ];
  for (const [message, param] of wrong) {
    const { status, param: named } = refusal({ model: "m", messages: [message] });
    assert.deepEqual([status, named], [400, param], JSON.stringify(message));
  }
  // What servers give out and clients send back.
  const { messages } = parse({
    messages: [
      { role: "user", content: [{ type: "text", text: "Q", cache_control: { type: "x" } }] },
      {
        ...assistant,
        refusal: null,
        annotations: [],
        tool_calls: [],
        audio: null,
        reasoning: "T",
        reasoning_content: "T",
      },
    ],
  });
  assert.deepEqual(messages, [
    { role: "user", content: "Q" },
    { role: "assistant", content: "A", reasoning_content: "T" },
  ]);
});

Deno.test("parseChatRequest() reads the switches of thinking of many servers", () => {
  const off: readonly Record<string, unknown>[] = [
    { enable_thinking: false },
    { chat_template_kwargs: { enable_thinking: false } },
    { chat_template_kwargs: { thinking: false } },
    { think: false },
    { think: "none" },
    { thinking: false },
    { thinking: { type: "disabled" } },
    { reasoning: { enabled: false } },
    { reasoning: { effort: "none" } },
    { reasoning_effort: "none" },
    { enable_thinking: false, reasoning_effort: "high" },
  ];
  for (const fields of off) {
    assert.equal(parse(fields).enableThinking, false, JSON.stringify(fields));
  }
  for (const reasoning_effort of ["minimal", "low", "medium", "high", "xhigh", "max"]) {
    assert.equal(parse({ reasoning_effort }).enableThinking, true);
  }
  assert.equal(parse({ chat_template_kwargs: {}, reasoning: {} }).enableThinking, undefined);
  assert.equal(parse({ reasoning: { exclude: true } }).hideThinking, true);
  const wrong: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ reasoning_effort: "lots" }, "reasoning_effort"],
    [{ reasoning_effort: 3 }, "reasoning_effort"],
    [{ reasoning: { effort: "lots" } }, "reasoning.effort"],
    [{ reasoning: { max_tokens: 100 } }, "reasoning.max_tokens"],
    [{ reasoning: "none" }, "reasoning"],
    [{ think: "lots" }, "think"],
    [{ think: 1 }, "think"],
    [{ thinking: { type: "adaptive" } }, "thinking.type"],
    [{ thinking: { type: "enabled", budget_tokens: 9 } }, "thinking.budget_tokens"],
    [{ think: true, enable_thinking: false }, "think"],
    [{ reasoning_effort: "low", reasoning: { effort: "none" } }, "reasoning.effort"],
  ];
  for (const [fields, param] of wrong) {
    const { status, param: named } = refusal({ model: "m", messages: MESSAGES, ...fields });
    assert.deepEqual([status, named], [400, param], JSON.stringify(fields));
  }
});

Deno.test("parseChatRequest() names the wrong type of each field that it honours", () => {
  const nothing = { of: "the kind" };
  const fields = BODY_FIELDS.known.filter((name) =>
    !["response_format", "chat_template_kwargs", "reasoning", "stream_options"].includes(name) &&
    // Refused or ignored whatever their type.
    BODY_FIELDS.review({ [name]: nothing }).refused.length === 0
  );
  const ignored = [
    ...["user", "safety_identifier", "store", "metadata", "service_tier", "request_id"],
    ...["session_id", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"],
    ...["cache_salt", "parallel_tool_calls", "guided_decoding_backend"],
    ...["guided_whitespace_pattern", "truncation_side", "return_tokens_as_token_ids"],
    ...["spaces_between_special_tokens", "return_token_offsets", "return_mm_kwargs"],
    "stream_interval",
  ];
  for (const name of fields.filter((each) => !ignored.includes(each))) {
    for (const value of [nothing, [nothing], "7"]) {
      if (value === "7" && (name === "model" || name === "stop")) continue;
      const { status, param } = refusal({ model: "m", messages: MESSAGES, [name]: value });
      const inside = Array.isArray(value) ? "messages[0].role" : "thinking.of";
      const named = value !== "7" && inside.split(/[[.]/)[0] === name ? inside : name;
      assert.deepEqual([status, param], [400, named], `${name} ${JSON.stringify(value)}`);
    }
  }
  for (
    const [fields, param] of [
      [{ top_k: -2 }, "top_k"],
      [{ top_p: 0 }, "top_p"],
      [{ min_p: 1.1 }, "min_p"],
      [{ typical_p: 0 }, "typical_p"],
      [{ repetition_penalty: 0 }, "repetition_penalty"],
      [{ epsilon_cutoff: 1 }, "epsilon_cutoff"],
      [{ stop_token_ids: [-1] }, "stop_token_ids"],
      [{ stop_token_ids: [1.5] }, "stop_token_ids"],
      [{ suppress_tokens: ["a"] }, "suppress_tokens"],
      [{ bad_words: [" "] }, "bad_words"],
      [{ min_tokens: -1 }, "min_tokens"],
      [{ response_format: "text" }, "response_format"],
    ] as const
  ) {
    const { status, param: named } = refusal({ model: "m", messages: MESSAGES, ...fields });
    assert.deepEqual([status, named], [400, param], JSON.stringify(fields));
  }
});

Deno.test("parseChatRequest() refuses or takes 100,000 random bodies without another error", () => {
  const draw = draws(9);
  const keys = [
    "model",
    "messages",
    "role",
    "content",
    "type",
    "text",
    "stop",
    "n",
    "seed",
    "stream",
  ];
  const pick = <T>(values: readonly T[]): T => values[Math.floor(draw(0, values.length))];
  const value = (depth: number): unknown => {
    const kind = Math.floor(draw(0, depth > 3 ? 6 : 8));
    if (kind === 0) return null;
    if (kind === 1) return draw(0, 1) < 0.5;
    if (kind === 2) return pick([0, -1, 1, 1e99, 0.5, 2 ** 53, NaN]);
    if (kind < 6) {
      return pick(["", "user", "m", "text", "\u0000", "\ud800", "__proto__", "assistant"]);
    }
    if (kind === 6) return Array.from({ length: Math.floor(draw(0, 4)) }, () => value(depth + 1));
    return Object.fromEntries(
      Array.from({ length: Math.floor(draw(0, 5)) }, () => [pick(keys), value(depth + 1)]),
    );
  };
  let taken = 0;
  for (let i = 0; i < 100_000; i++) {
    const body = i % 2 === 0
      ? value(0)
      : { model: "m", messages: MESSAGES, [pick(keys)]: value(1) };
    try {
      parseChatRequest(body);
      taken++;
    } catch (error) {
      assert.ok(error instanceof ApiError && error.status === 400, String(error));
    }
  }
  assert.ok(taken > 1000, `${taken} taken`);
});
