import assert from "node:assert/strict";
import { parseTextRequest } from "./text_request.ts";

const parse = (fields: Readonly<Record<string, unknown>>) =>
  parseTextRequest({ model: "m", prompt: "Hi", ...fields });

const PLAIN = {
  model: "m",
  messages: [],
  prompts: ["Hi"],
  stream: false,
  includeUsage: false,
  choices: 1,
  stop: [],
  enableThinking: undefined,
  continueFinalMessage: true,
  options: { maxNewTokens: 16 },
};

Deno.test("parseTextRequest() makes 16 tokens of a prompt, and says so of nothing else", () => {
  assert.deepEqual(parse({}), PLAIN);
  const nothing = {
    stream: null,
    n: null,
    logprobs: null,
    echo: null,
    stop: null,
    max_tokens: null,
    bad_words: [],
    include_stop_str_in_output: false,
  };
  assert.deepEqual(parse(nothing), PLAIN);
  assert.deepEqual(parse({ echo: false }), PLAIN);
});

Deno.test("parseTextRequest() reads what a request says", () => {
  const fields = {
    prompt: ["a", [1, 2]],
    stream: true,
    stream_options: { include_usage: true },
    n: 3,
    stop: "END",
    echo: true,
    logprobs: 5,
    include_stop_str_in_output: true,
    skip_special_tokens: false,
    bad_words: ["x"],
    max_tokens: 0,
    temperature: 0.5,
  };
  assert.deepEqual(parse(fields), {
    ...PLAIN,
    prompts: ["a", [1, 2]],
    stream: true,
    includeUsage: true,
    choices: 3,
    stop: ["END"],
    echo: true,
    includeStop: true,
    skipSpecialTokens: false,
    badWords: ["x"],
    options: { maxNewTokens: 0, temperature: 0.5, topLogprobs: 5, promptLogprobs: 5 },
  });
  // Log probabilities of a prompt are asked for with its echo, none of them too.
  assert.deepEqual(parse({ logprobs: 0 }).options, { maxNewTokens: 16, topLogprobs: 0 });
  assert.deepEqual(parse({ logprobs: 0, echo: true }).options, {
    maxNewTokens: 16,
    topLogprobs: 0,
    promptLogprobs: 0,
  });
  assert.deepEqual(parse({ logprobs: 20 }).options.topLogprobs, 20);
});

Deno.test("parseTextRequest() takes one prompt or several, as texts or as tokens", () => {
  const right: readonly (readonly [unknown, unknown])[] = [
    ["a", ["a"]],
    [[1, 0], [[1, 0]]],
    [["a"], ["a"]],
    [["a", "b"], ["a", "b"]],
    [[[1], [2, 3]], [[1], [2, 3]]],
    [["a", [1]], ["a", [1]]],
  ];
  for (const [prompt, prompts] of right) assert.deepEqual(parse({ prompt }).prompts, prompts);
  const wrong = ["", [], [""], [[]], ["a", ""], [1, "a"], [-1], [1.5], [[1], [-1]], 5, {}];
  for (const prompt of wrong) {
    assert.throws(() => parse({ prompt }), {
      status: 400,
      param: "prompt",
      code: "invalid_value",
      message: "prompt must be a text, a list of token ids, or a list of these, none empty",
    });
  }
  for (const prompt of [null, undefined]) {
    assert.throws(() => parse({ prompt }), {
      status: 400,
      param: "prompt",
      message: "you must provide a prompt",
    });
  }
});

Deno.test("parseTextRequest() takes 16 replies in all, of one prompt or of several", () => {
  const prompts = (count: number): string[] => Array(count).fill("a");
  assert.equal(parse({ n: 16 }).choices, 16);
  parse({ prompt: prompts(16) });
  parse({ prompt: prompts(4), n: 4 });
  for (const [count, n] of [[17, 1], [4, 5], [9, 2]]) {
    assert.throws(() => parse({ prompt: prompts(count), n }), {
      param: "prompt",
      message: `prompt times n asks for ${count * n} replies; there may be 16`,
    });
  }
  assert.throws(() => parse({ n: 17 }), {
    param: "n",
    message: "n must be a whole number from 1 to 16",
  });
  assert.throws(() => parse({ n: 0 }), { param: "n" });
});

Deno.test("parseTextRequest() names the field that is wrong", () => {
  for (
    const [fields, param, message] of [
      [{ logprobs: 21 }, "logprobs", "logprobs must be a whole number from 0 to 20"],
      [{ logprobs: -1 }, "logprobs", "logprobs must be a whole number from 0 to 20"],
      [{ echo: 1 }, "echo", "echo must be true or false"],
      [{ max_tokens: -1 }, "max_tokens", "max_tokens must be a whole number from 0 up"],
      [{ other: 1 }, "other", "Unrecognized request argument supplied: other"],
      [{ model: "" }, "model", "you must provide a model: one of GET /v1/models"],
    ] as const
  ) assert.throws(() => parse(fields), { status: 400, param, message });
  for (const body of [null, [], "a"]) {
    assert.throws(() => parseTextRequest(body), { message: "The body must be a JSON object" });
  }
});
