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
    if (/^[ -~]+$/.test(token)) {
      assert.equal(characters.slice(text_offset[i], text_offset[i] + token.length).join(""), token);
    }
  });
  const response = await server.post("/v1/completions", { ...fields, stream: true });
  const events = (await response.text()).split("\n\n").filter((each) => /^data: \{/.test(each))
    .map((each) => JSON.parse(each.slice("data: ".length)).choices[0]);
  assert.equal(events.map((each) => each.text).join(""), text);
  assert.deepEqual(events.flatMap((each) => each.logprobs?.tokens ?? []), tokens);
  assert.deepEqual(events.flatMap((each) => each.logprobs?.text_offset ?? []), text_offset);
  const refused = await server.post("/v1/completions", { ...fields, echo: true });
  assert.deepEqual([refused.status, (await refused.json()).error.param], [400, "logprobs"]);
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
    [{ max_tokens: 0 }, "max_tokens"],
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
