/** `/v1/completions`: texts that go on with a prompt, for the official client and to the letter. */

import assert from "node:assert/strict";
import OpenAI from "openai";
import { TEXT_FIELDS } from "../infer/serve/request_fields.ts";
import { fixtureServer } from "./support/fixture_server.ts";
import { scriptedServer } from "./support/scripted_server.ts";

const GREEDY = { temperature: 0, max_tokens: 10, ignore_eos: true };

Deno.test("a text goes on with its prompt as it is, given as text or as tokens", async () => {
  await using server = await fixtureServer();
  const { tokenizer, generator } = server;
  const prompt = "A fever is";
  const ids = [...tokenizer.encode(prompt)];
  const options = { greedy: true, maxNewTokens: 10, ignoreEos: true };
  const expected = await Array.fromAsync(generator.generate(ids, options));
  const text = tokenizer.decode([...ids, ...expected], { skipSpecialTokens: true })
    .slice(prompt.length);
  for (const given of [prompt, ids, [prompt], [ids]]) {
    const answer = await server.json("/v1/completions", { ...GREEDY, prompt: given });
    assert.equal(answer.object, "text_completion");
    assert.match(answer.id, /^cmpl-/);
    assert.deepEqual(answer.choices, [{ index: 0, text, logprobs: null, finish_reason: "length" }]);
    assert.deepEqual(answer.usage, {
      prompt_tokens: ids.length,
      completion_tokens: 10,
      total_tokens: ids.length + 10,
      completion_tokens_details: { reasoning_tokens: 0 },
    });
  }
  const echoed = await server.json("/v1/completions", { ...GREEDY, prompt: ids, echo: true });
  assert.equal(echoed.choices[0].text, prompt + text);
  // As in OpenAI's API.
  const short = await server.json("/v1/completions", { prompt, ignore_eos: true });
  assert.equal(short.usage.completion_tokens, 16);
});

Deno.test("several prompts have their choices in order, each the text it has alone", async () => {
  await using server = await fixtureServer();
  const prompts = ["A fever is", "Rest", "Drink"];
  const alone = await Promise.all(
    prompts.map(async (prompt) =>
      (await server.json("/v1/completions", { ...GREEDY, prompt })).choices[0].text
    ),
  );
  const { choices, usage } = await server.json("/v1/completions", {
    ...GREEDY,
    prompt: prompts,
    n: 2,
  });
  assert.deepEqual(
    choices.map(({ index, text }: { index: number; text: string }) => [index, text]),
    alone.flatMap((text) => [text, text]).map((text, index) => [index, text]),
  );
  assert.equal(usage.completion_tokens, 60);
  const lengths = prompts.map((prompt) => server.tokenizer.encode(prompt).length);
  assert.equal(usage.prompt_tokens, lengths.reduce((sum, each) => sum + each, 0));
});

Deno.test("the legacy columns of log probabilities have an entry a token, with offsets into the text", async () => {
  await using server = await fixtureServer();
  const fields = { ...GREEDY, prompt: "A fever is", logprobs: 2 };
  const { choices: [{ text, logprobs }] } = await server.json("/v1/completions", fields);
  const { tokens, token_logprobs, top_logprobs, text_offset } = logprobs;
  assert.deepEqual(
    [tokens, token_logprobs, top_logprobs, text_offset].map(({ length }) => length),
    [
      10,
      10,
      10,
      10,
    ],
  );
  const characters = [...text];
  tokens.forEach((token: string, i: number) => {
    if (/^[ -~]+$/.test(token) && !token.startsWith("bytes:")) {
      assert.equal(characters.slice(text_offset[i], text_offset[i] + token.length).join(""), token);
    }
  });
  const response = await server.post("/v1/completions", { ...fields, stream: true });
  const events = (await response.text()).split("\n\n").filter((each) => /^data: \{/.test(each))
    .map((each) => JSON.parse(each.slice("data: ".length)).choices[0]);
  assert.equal(events.map((each) => each.text).join(""), text);
  assert.deepEqual(events.flatMap((each) => each.logprobs?.tokens ?? []), tokens);
  assert.deepEqual(events.flatMap((each) => each.logprobs?.text_offset ?? []), text_offset);
});

Deno.test("an echoed prompt has its columns before the reply's, whole, streamed and alone", async () => {
  await using server = await fixtureServer();
  // Of three bytes a character here, which are tokens of their own.
  const prompt = "头痛: a fever is 38 °C";
  const ids = [...server.tokenizer.encode(prompt)];
  const fields = { ...GREEDY, prompt, logprobs: 2, echo: true };
  const plain = await server.json("/v1/completions", { ...fields, echo: false });
  const { choices: [{ text, logprobs }] } = await server.json("/v1/completions", fields);
  assert.equal(text, prompt + plain.choices[0].text);
  const { tokens, token_logprobs, top_logprobs, text_offset } = logprobs;
  assert.equal(tokens.length, ids.length + 10);
  assert.deepEqual([token_logprobs[0], top_logprobs[0]], [null, null]);
  assert.ok(token_logprobs.slice(1).every((each: number) => each < 0));
  assert.deepEqual(tokens.slice(ids.length), plain.choices[0].logprobs.tokens);
  assert.deepEqual(token_logprobs.slice(ids.length), plain.choices[0].logprobs.token_logprobs);

  const encoder = new TextEncoder();
  const bytes = tokens.slice(0, ids.length).flatMap((token: string) =>
    token.startsWith("bytes:")
      ? token.split("\\x").slice(1).map((hex) => parseInt(hex, 16))
      : [...encoder.encode(token)]
  );
  assert.equal(new TextDecoder().decode(new Uint8Array(bytes)), prompt);
  assert.ok(tokens.some((token: string) => token.startsWith("bytes:")));
  const characters = [...text];
  tokens.slice(0, ids.length).forEach((token: string, i: number) => {
    if (!/^[ -~]+$/.test(token) || token.startsWith("bytes:")) return;
    assert.equal(characters.slice(text_offset[i], text_offset[i] + token.length).join(""), token);
  });

  const response = await server.post("/v1/completions", { ...fields, stream: true });
  const events = (await response.text()).split("\n\n").filter((each) => /^data: \{/.test(each))
    .map((each) => JSON.parse(each.slice("data: ".length)).choices[0]);
  assert.equal(events.map((each) => each.text).join(""), text);
  for (const [name, column] of Object.entries(logprobs)) {
    assert.deepEqual(events.flatMap((each) => each.logprobs?.[name] ?? []), column);
  }

  const alone = { ...fields, prompt: [prompt, ids], max_tokens: 0, logprobs: 0 };
  const { choices, usage } = await server.json("/v1/completions", alone);
  for (const choice of choices) {
    assert.deepEqual([choice.text, choice.finish_reason], [prompt, "length"]);
    assert.deepEqual(choice.logprobs.tokens, tokens.slice(0, ids.length));
    assert.deepEqual(choice.logprobs.text_offset, text_offset.slice(0, ids.length));
    assert.deepEqual(Object.keys(choice.logprobs.top_logprobs[1]), [tokens[1]]);
  }
  assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [2 * ids.length, 0]);
});

Deno.test("the columns have the token that ends a text, and one that has no text", async () => {
  await using server = await fixtureServer();
  const { tokenizer } = server;
  const fields = { prompt: "Rest", temperature: 0, max_tokens: 1, logprobs: 1, echo: true };
  const count = tokenizer.encode("Rest").length + 1;
  // All but one token are ruled out: the end, then a special token that is no end.
  for (const token of ["<|im_end|>", "<|im_start|>"]) {
    const only = tokenizer.tokenToId(token)!;
    const suppress_tokens = Array.from({ length: 311 }, (_, id) => id).filter((id) => id !== only);
    const { choices: [choice] } = await server.json("/v1/completions", {
      ...fields,
      suppress_tokens,
    });
    assert.equal(choice.text, "Rest");
    assert.equal(choice.finish_reason, token === "<|im_end|>" ? "stop" : "length");
    assert.equal(choice.logprobs.tokens.length, count, token);
    assert.equal(choice.logprobs.tokens.at(-1), token);
    assert.equal(choice.logprobs.text_offset.at(-1), "Rest".length);
  }
});

Deno.test("each of several prompts may fill the window, and a longer one is refused by name", async () => {
  await using server = await fixtureServer();
  const ids = Array.from({ length: 512 }, (_, i) => i % 256);
  const fields = { max_tokens: 0, echo: true, logprobs: 0 };
  const { choices } = await server.json("/v1/completions", { ...fields, prompt: [ids, ids] });
  assert.deepEqual(choices.map((each: typeof choices[0]) => each.logprobs.tokens.length), [
    512,
    512,
  ]);
  for (const fields of [{ prompt: [...ids, 1], max_tokens: 0 }, { prompt: ids, max_tokens: 1 }]) {
    const response = await server.post("/v1/completions", fields);
    const { error } = await response.json();
    assert.deepEqual(
      [response.status, error.code, error.param],
      [400, "context_length_exceeded", "prompt"],
    );
  }
  const texts = Array.from({ length: 4 }, () => "a".repeat(5000));
  const long = await server.post("/v1/completions", { ...fields, prompt: ["a".repeat(9000)] });
  assert.match((await long.json()).error.message, /has 9000 characters; there may be 8192/);
  // 20,000 characters together are no reason, but 5000 tokens each are.
  const each = await server.post("/v1/completions", { ...fields, prompt: texts });
  assert.match((await each.json()).error.message, /the prompt has \d+ tokens and the model 512/);
});

Deno.test("openai: a text completion, whole, streamed and ended by a stop text", async () => {
  const prompts: string[] = [];
  await using server = await scriptedServer(async function* (prompt) {
    prompts.push(prompt);
    yield "<think>is text here</think> one END two";
  });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const asked = { model: "base", prompt: "Say", max_tokens: 100, stop: "END" };
  const whole = await client.completions.create(asked);
  assert.deepEqual(
    [whole.choices[0].text, whole.choices[0].finish_reason],
    ["<think>is text here</think> one ", "stop"],
  );
  let text = "";
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (
    const chunk of await client.completions.create({
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    })
  ) {
    text += chunk.choices[0]?.text ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].text);
  assert.equal(usage!.total_tokens, whole.usage!.total_tokens);
  assert.deepEqual(prompts, ["Say", "Say"]);
});

/** The compiler sees to it that none is left out. */
const OPENAI_FIELDS: Readonly<Record<keyof OpenAI.CompletionCreateParamsNonStreaming, true>> = {
  model: true,
  prompt: true,
  best_of: true,
  echo: true,
  frequency_penalty: true,
  logit_bias: true,
  logprobs: true,
  max_tokens: true,
  n: true,
  presence_penalty: true,
  seed: true,
  stop: true,
  stream: true,
  stream_options: true,
  suffix: true,
  temperature: true,
  top_p: true,
  user: true,
};

Deno.test("each field of OpenAI's text completions is known, and others are refused by name", async () => {
  for (const name of Object.keys(OPENAI_FIELDS)) assert.ok(TEXT_FIELDS.knows(name), name);
  await using server = await scriptedServer(async function* () {
    yield "x";
  });
  const wrong: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ prompt: undefined }, "prompt"],
    [{ prompt: "" }, "prompt"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: [1, "a"] }, "prompt"],
    [{ prompt: [[1], []] }, "prompt"],
    [{ prompt: [1.5] }, "prompt"],
    [{ prompt: ["a", "b", "c"], n: 6 }, "prompt"],
    [{ n: 17 }, "n"],
    [{ logprobs: 21 }, "logprobs"],
    [{ logprobs: true }, "logprobs"],
    [{ max_tokens: -1 }, "max_tokens"],
    [{ suffix: "end" }, "suffix"],
    [{ best_of: 2 }, "best_of"],
    [{ messages: [] }, "messages"],
    [{ response_format: { type: "json_object" } }, "response_format"],
  ];
  for (const [fields, param] of wrong) {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "base", prompt: "Say", ...fields }),
    });
    const { error } = await response.json();
    assert.deepEqual([response.status, error.param], [400, param], JSON.stringify(fields));
  }
  assert.equal(server.made, 0);
});
