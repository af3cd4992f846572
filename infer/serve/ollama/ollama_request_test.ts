import assert from "node:assert/strict";
import { parseOllamaChat, parseOllamaGenerate } from "./ollama_request.ts";

type Fields = Readonly<Record<string, unknown>>;

const chat = (fields: Fields) =>
  parseOllamaChat({ model: "m", messages: [{ role: "user", content: "Hi" }], ...fields });
const generate = (fields: Fields) => parseOllamaGenerate({ model: "m", prompt: "Hi", ...fields });

const CHAT = {
  model: "m",
  messages: [{ role: "user", content: "Hi" }],
  stream: true,
  includeUsage: false,
  choices: 1,
  stop: [],
  enableThinking: undefined,
  options: {},
};
const TEXT = {
  model: "m",
  messages: [],
  prompts: ["Hi"],
  stream: true,
  includeUsage: false,
  choices: 1,
  stop: [],
  enableThinking: undefined,
  continueFinalMessage: true,
  options: { maxNewTokens: Number.MAX_SAFE_INTEGER },
};

/** What Ollama's clients send that asks for nothing. */
const NOTHING: Fields = {
  stream: null,
  think: null,
  format: null,
  logprobs: null,
  top_logprobs: null,
  options: null,
  keep_alive: "5m",
};

Deno.test("Ollama's requests are streams unless they say otherwise", () => {
  assert.deepEqual(chat({}), CHAT);
  assert.deepEqual(chat({ ...NOTHING, format: "" }), CHAT);
  assert.deepEqual(chat({ stream: false }), { ...CHAT, stream: false });
  assert.deepEqual(generate({}), CHAT);
  assert.deepEqual(generate({ ...NOTHING, raw: false, system: "" }), CHAT);
  assert.deepEqual(generate({ raw: true }), TEXT);
  assert.deepEqual(generate({ ...NOTHING, raw: true, stream: false }), { ...TEXT, stream: false });
});

Deno.test("a request without messages or a prompt has the model loaded", () => {
  for (const messages of [undefined, null, []]) {
    assert.deepEqual(parseOllamaChat({ model: "m", messages }), { load: "m" });
  }
  for (const prompt of [undefined, null, ""]) {
    assert.deepEqual(parseOllamaGenerate({ model: "m", prompt }), { load: "m" });
  }
  for (const read of [parseOllamaChat, parseOllamaGenerate]) {
    for (const model of [undefined, "", 5]) {
      assert.throws(() => read({ model }), {
        status: 400,
        param: "model",
        message: "you must provide a model: one of GET /api/tags",
      });
    }
  }
});

Deno.test("a prompt is a user's message behind the system's, or goes on as it is", () => {
  assert.deepEqual(generate({ system: "S" }), {
    ...CHAT,
    messages: [{ role: "system", content: "S" }, { role: "user", content: "Hi" }],
  });
  for (const [name, value] of [["system", "S"], ["think", true], ["format", "json"]] as const) {
    assert.throws(() => generate({ raw: true, [name]: value }), {
      status: 400,
      param: name,
      message: `${name} cannot be with raw, which takes the prompt as it is`,
    });
  }
  assert.deepEqual(generate({ raw: true, think: false, system: "" }), {
    ...TEXT,
  });
});

Deno.test("options have OpenAI's names, and limits below 0 are none", () => {
  const options = {
    temperature: 0.5,
    top_k: 3,
    top_p: 0.9,
    min_p: 0.1,
    typical_p: 0.8,
    seed: 7,
    repeat_penalty: 1.2,
    num_predict: 5,
    stop: ["a", "b"],
    num_ctx: 4096,
  };
  const expected = {
    temperature: 0.5,
    topK: 3,
    topP: 0.9,
    minP: 0.1,
    typicalP: 0.8,
    seed: 7,
    repetitionPenalty: 1.2,
    maxNewTokens: 5,
  };
  assert.deepEqual(chat({ options }), { ...CHAT, stop: ["a", "b"], options: expected });
  assert.deepEqual(generate({ options, raw: true }), {
    ...TEXT,
    stop: ["a", "b"],
    options: expected,
  });
  assert.deepEqual(chat({ options: { stop: [] } }), CHAT);
  const limit = (num_predict: number): unknown =>
    (chat({ options: { num_predict } }) as typeof CHAT & { options: Fields }).options.maxNewTokens;
  assert.deepEqual([-2, -1, 1].map(limit), [
    Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER,
    1,
  ]);
  for (const num_predict of [0, -3, 1.5, "5"]) {
    assert.throws(() => chat({ options: { num_predict } }), {
      status: 400,
      param: "num_predict",
      message: "num_predict must be a whole number from 1, or -1 or -2",
    });
  }
  for (const repeat_penalty of [-0.1, 10.1]) {
    assert.throws(() => chat({ options: { repeat_penalty } }), {
      param: "repeat_penalty",
      message: "repeat_penalty must be a number from 0 to 10",
    });
  }
  chat({ options: { repeat_penalty: 10 } });
  assert.throws(() => chat({ options: { other: 1 } }), { param: "options.other" });
});

Deno.test("a format is JSON, or a schema", () => {
  const schema = { type: "null" };
  assert.deepEqual(chat({ format: "json" }), { ...CHAT, format: {} });
  assert.deepEqual(chat({ format: schema }), { ...CHAT, format: { schema } });
  for (const format of ["xml", 5, [1]]) {
    assert.throws(() => chat({ format }), {
      status: 400,
      param: "format",
      message: "format must be json or a JSON schema",
    });
  }
});

Deno.test("thinking and log probabilities are passed on", () => {
  assert.deepEqual(chat({ think: false }), { ...CHAT, enableThinking: false });
  assert.deepEqual(chat({ logprobs: true, top_logprobs: 2 }), {
    ...CHAT,
    options: { topLogprobs: 2 },
  });
  assert.deepEqual(chat({ logprobs: true }), { ...CHAT, options: { topLogprobs: 0 } });
  const raw = (fields: Fields) => generate({ raw: true, ...fields });
  const { options } = TEXT;
  assert.deepEqual(raw({ logprobs: true, top_logprobs: 2 }), {
    ...TEXT,
    options: { ...options, topLogprobs: 2 },
  });
  assert.deepEqual(raw({ logprobs: true }), { ...TEXT, options: { ...options, topLogprobs: 0 } });
  assert.deepEqual(raw({ logprobs: false, top_logprobs: 0 }), TEXT);
  assert.throws(() => raw({ top_logprobs: 2 }), {
    status: 400,
    param: "top_logprobs",
    message: "top_logprobs is for logprobs only: set logprobs true",
  });
});

Deno.test("messages have Ollama's names of thinking and of tools", () => {
  const messages = [
    { role: "user", content: "Q", images: [] },
    {
      role: "assistant",
      content: "",
      thinking: "T",
      tool_calls: [{ function: { name: "f", arguments: { a: "x" } } }],
    },
    { role: "tool", content: "R", tool_name: "f" },
    { role: "assistant", content: "A", thinking: "" },
  ];
  assert.deepEqual(chat({ messages }), {
    ...CHAT,
    messages: [
      { role: "user", content: "Q" },
      {
        role: "assistant",
        content: "",
        reasoning_content: "T",
        tool_calls: [{
          type: "function",
          function: { name: "f", arguments: new Map([["a", "x"]]) },
        }],
      },
      { role: "tool", content: "R", name: "f" },
      { role: "assistant", content: "A" },
    ],
  });
});

Deno.test("Ollama's requests name the field that is wrong", () => {
  const wrong: readonly (readonly [Fields, string, string])[] = [
    [{ messages: "Hi" }, "messages", "messages must be an array"],
    [
      { messages: [{ role: "user", content: "a" }, 5] },
      "messages[1]",
      "messages[1] must be an object",
    ],
    [
      { messages: [{ role: "user", content: "a", images: ["x"] }] },
      "messages[0].images",
      'messages[0].images is ["x"]: the model reads and writes text only',
    ],
    [{ stream: "no" }, "stream", "stream must be true or false"],
    [{ options: 5 }, "options", "options must be an object"],
    [{ other: 5 }, "other", "Unrecognized request argument supplied: other"],
  ];
  for (const [fields, param, message] of wrong) {
    assert.throws(() => chat(fields), { status: 400, param, message });
  }
  for (const name of ["prompt", "system"]) {
    assert.throws(() => generate({ [name]: 5 }), { param: name, message: `${name} must be text` });
  }
  assert.throws(() => generate({ raw: 1 }), { param: "raw", message: "raw must be true or false" });
  for (const read of [parseOllamaChat, parseOllamaGenerate]) {
    for (const body of [null, [], "a"]) {
      assert.throws(() => read(body), { status: 400, message: "The body must be a JSON object" });
    }
  }
});
