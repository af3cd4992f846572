import assert from "node:assert/strict";
import { parseResponseRequest } from "./response_request.ts";

type Fields = Readonly<Record<string, unknown>>;

const parse = (fields: Fields) => parseResponseRequest({ model: "m", input: "Hi", ...fields });

const PLAIN = {
  model: "m",
  messages: [{ role: "user", content: "Hi" }],
  stream: false,
  includeUsage: false,
  choices: 1,
  stop: [],
  enableThinking: undefined,
  options: {},
};

function refuses(fields: Fields, param: string, message: string): void {
  assert.throws(() => parse(fields), { name: "ApiError", status: 400, param, message });
}

Deno.test("parseResponseRequest() leaves what is missing or null to the model", () => {
  assert.deepEqual(parse({}), PLAIN);
  const nothing = {
    instructions: null,
    reasoning: null,
    text: null,
    include: null,
    top_logprobs: 0,
    stream_options: null,
    max_output_tokens: null,
    store: false,
    tools: [],
    user: "someone",
  };
  assert.deepEqual(parse(nothing), PLAIN);
  assert.deepEqual(
    parse({ reasoning: { effort: null }, text: { format: null }, include: [] }),
    PLAIN,
  );
});

Deno.test("parseResponseRequest() reads what a request says", () => {
  assert.deepEqual(
    parse({
      instructions: "Be brief.",
      stream: true,
      stream_options: { include_obfuscation: false },
      max_output_tokens: 5,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 3,
      min_p: 0.1,
      repetition_penalty: 1.2,
      seed: 7,
      stop: "END",
      ignore_eos: true,
      stop_token_ids: [4],
      reasoning: { effort: "none" },
    }),
    {
      ...PLAIN,
      messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }],
      stream: true,
      stop: ["END"],
      enableThinking: false,
      options: {
        maxNewTokens: 5,
        temperature: 0.5,
        topP: 0.9,
        topK: 3,
        minP: 0.1,
        repetitionPenalty: 1.2,
        seed: 7,
        ignoreEos: true,
        stopTokenIds: [4],
      },
    },
  );
  assert.equal(parse({ enable_thinking: true }).enableThinking, true);
  assert.equal(parse({ chat_template_kwargs: { enable_thinking: false } }).enableThinking, false);
  // Tools that are not to be called are none.
  assert.deepEqual(parse({ tools: [{ type: "function" }], tool_choice: "none" }), PLAIN);
});

Deno.test("parseResponseRequest() holds replies to a format, whose schema lies a level deeper", () => {
  const schema = { type: "null" };
  const format = (format: Fields): unknown => parse({ text: { format } }).format;
  assert.equal(format({ type: "text" }), undefined);
  assert.deepEqual(format({ type: "json_object" }), {});
  assert.deepEqual(format({ type: "json_schema", name: "n", strict: true, schema }), { schema });
});

Deno.test("parseResponseRequest() tells log probabilities where they are included or counted", () => {
  const logprobs = "message.output_text.logprobs";
  const top = (fields: Fields): unknown => parse(fields).options.topLogprobs;
  assert.equal(top({ include: [logprobs] }), 0);
  assert.equal(top({ include: ["reasoning.encrypted_content", logprobs], top_logprobs: 3 }), 3);
  assert.equal(top({ include: ["reasoning.encrypted_content"] }), undefined);
  assert.equal(top({ top_logprobs: 20 }), 20);
  assert.equal(top({ top_logprobs: 0, include: [logprobs] }), 0);
  refuses({ top_logprobs: 21 }, "top_logprobs", "top_logprobs must be a whole number from 0 to 20");
  refuses(
    { include: [logprobs, "x".repeat(101)] },
    "include",
    `include may have ${logprobs}: "${"x".repeat(100)}" is not made here`,
  );
  for (const include of [5, [5]]) {
    refuses({ include }, "include", "include must be a list of names");
  }
});

Deno.test("parseResponseRequest() makes one message of a turn's items", () => {
  const messages = (input: unknown): unknown => parse({ input }).messages;
  const call = (id: string) => ({ type: "function_call", call_id: id, name: "f", arguments: "{}" });
  const called = (id: string) => ({
    id,
    type: "function",
    function: { name: "f", arguments: new Map() },
  });
  const thinking = (text: string) => ({
    type: "reasoning",
    summary: [],
    content: [{ type: "reasoning_text", text }],
  });
  assert.deepEqual(
    messages([
      { role: "developer", content: "D" },
      {
        type: "message",
        role: "user",
        content: [{ type: "input_text", text: "a" }, { type: "text", text: "b" }],
      },
      thinking("T"),
      {
        role: "assistant",
        content: [{ type: "output_text", text: "A", annotations: [] }],
        id: "x",
      },
      call("1"),
      call("2"),
      { type: "function_call_output", call_id: "1", output: "R" },
      {
        type: "function_call_output",
        call_id: "2",
        output: [{ type: "input_text", text: "S" }],
        status: null,
      },
      call("3"),
      { role: "assistant", content: "after a call" },
      { role: "assistant", content: "and again" },
      thinking("U"),
      { role: "user", content: "Q" },
      { role: "assistant", content: "B" },
    ]),
    [
      { role: "system", content: "D" },
      { role: "user", content: "ab" },
      {
        role: "assistant",
        content: "A",
        reasoning_content: "T",
        tool_calls: [called("1"), called("2")],
      },
      { role: "tool", content: "R", tool_call_id: "1" },
      { role: "tool", content: "S", tool_call_id: "2" },
      { role: "assistant", content: "", tool_calls: [called("3")] },
      { role: "assistant", content: "after a call" },
      { role: "assistant", content: "and again" },
      { role: "assistant", content: "", reasoning_content: "U" },
      { role: "user", content: "Q" },
      { role: "assistant", content: "B" },
    ],
  );
  // Thinking that was not given out opens no turn; what there is opens one each.
  assert.deepEqual(messages([{ type: "reasoning", summary: [] }, { role: "user", content: "Q" }]), [
    { role: "user", content: "Q" },
  ]);
  assert.deepEqual(messages([thinking("T"), thinking("U"), { role: "assistant", content: "A" }]), [
    { role: "assistant", content: "", reasoning_content: "T" },
    { role: "assistant", content: "A", reasoning_content: "U" },
  ]);
  // An answer goes on with a turn that has none yet.
  assert.deepEqual(messages([{ role: "assistant", content: "A" }, thinking("T"), call("1")]), [
    { role: "assistant", content: "A" },
    { role: "assistant", content: "", reasoning_content: "T", tool_calls: [called("1")] },
  ]);
});

Deno.test("parseResponseRequest() names the field that is wrong", () => {
  const list = "input must be a text or a list of items, not empty";
  const types = "message, reasoning, function_call, function_call_output";
  const texts = "input_text or output_text or text: the model reads text only";
  const cases: readonly (readonly [Fields, string, string])[] = [
    [{ input: undefined }, "input", list],
    [{ input: [] }, "input", list],
    [{ input: 5 }, "input", list],
    [{ input: [{ role: "user", content: "a" }, 5] }, "input[1]", "input[1] must be an object"],
    ...["item_reference", "toString", 5].map((type) =>
      [
        { input: [{ type }] },
        "input[0].type",
        `input[0].type must be ${types}: nothing else is read here`,
      ] as const
    ),
    [
      { input: [{ role: "user", content: 5 }] },
      "input[0].content",
      "input[0].content must be text or an array of text parts",
    ],
    [
      {
        input: [{ role: "user", content: [{ type: "text", text: "a" }, { type: "input_image" }] }],
      },
      "input[0].content",
      `input[0].content[1] must be a part of type ${texts}`,
    ],
    [
      { input: [{ role: "user", content: [{ type: "reasoning_text", text: "a" }] }] },
      "input[0].content",
      `input[0].content[0] must be a part of type ${texts}`,
    ],
    [
      { input: [{ role: "user", content: [{ type: "text", text: 5 }] }] },
      "input[0].content",
      `input[0].content[0] must be a part of type ${texts}`,
    ],
    [
      { input: [{ role: "user", content: [5] }] },
      "input[0].content",
      `input[0].content[0] must be a part of type ${texts}`,
    ],
    [
      { input: [{ type: "function_call_output", call_id: "1", output: 5 }] },
      "input[0].output",
      "input[0].output must be text or an array of text parts",
    ],
    [
      { input: [{ type: "reasoning", content: [{ type: "text", text: "a" }] }] },
      "input[0].content",
      "input[0].content[0] must be a part of type reasoning_text: the model reads text only",
    ],
    [
      { input: [{ role: "user", content: "a", other: 1 }] },
      "input[0].other",
      "Unrecognized request argument supplied: input[0].other",
    ],
    [
      { input: [{ role: "user", content: [{ type: "text", text: "a", other: 1 }] }] },
      "input[0].content[0].other",
      "Unrecognized request argument supplied: input[0].content[0].other",
    ],
    [{ instructions: 5 }, "instructions", "instructions must be text"],
    [{ reasoning: 5 }, "reasoning", "reasoning must be an object"],
    [{ stream_options: 5 }, "stream_options", "stream_options must be an object"],
    [{ text: 5 }, "text", "text must be an object"],
    [{ text: { format: 5 } }, "format", "format must be an object with a type"],
    [{ text: { other: 5 } }, "text.other", "Unrecognized request argument supplied: text.other"],
    [
      { stream_options: { include_usage: true } },
      "stream_options.include_usage",
      "Unrecognized request argument supplied: stream_options.include_usage",
    ],
    [
      { reasoning: { other: 1 } },
      "reasoning.other",
      "Unrecognized request argument supplied: reasoning.other",
    ],
    [
      { max_output_tokens: 0 },
      "max_output_tokens",
      "max_output_tokens must be a whole number from 1 up",
    ],
    [{ other: 1 }, "other", "Unrecognized request argument supplied: other"],
  ];
  for (const [fields, param, message] of cases) refuses(fields, param, message);
  for (const body of [null, [], "a"]) {
    assert.throws(() => parseResponseRequest(body), { message: "The body must be a JSON object" });
  }
  assert.throws(() => parse({ tools: [{ type: "function" }] }), { param: "tools" });
  assert.throws(() => parse({ tools: [{}], tool_choice: "auto" }), { param: "tools" });
});
