/** The official clients against the server: what they read is what was said. */

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { type ScriptedServer, scriptedServer } from "./support/scripted_server.ts";

const REPLY = "<think>\n先休息。\n</think>\n\nLie **down**, 头疼 🛌.";
const THOUGHT = "先休息。";
const ANSWER = "Lie **down**, 头疼 🛌.";
const messages = [{ role: "user", content: "Hi" }] as const;

function start(apiKey?: string): Promise<ScriptedServer> {
  return scriptedServer(async function* (prompt) {
    if (prompt.includes("fail")) {
      yield "some ";
      throw new Error("broken");
    }
    while (prompt.includes("endless")) {
      yield "on ";
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    yield REPLY;
  }, { models: ["base", "lora"], apiKey });
}

function openai({ url }: ScriptedServer, apiKey = "none"): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
}

Deno.test("openai: a completion, its thinking and its usage", async () => {
  await using server = await start();
  const reply = await openai(server).chat.completions.create({
    model: "base",
    messages: [...messages],
    max_completion_tokens: 1000,
    seed: 1,
  });
  const [{ message, finish_reason }] = reply.choices;
  assert.deepEqual([message.content, finish_reason], [ANSWER, "stop"]);
  assert.equal((message as { reasoning_content?: string }).reasoning_content, THOUGHT);
  const { completion_tokens, completion_tokens_details, total_tokens, prompt_tokens } = reply
    .usage!;
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  assert.ok(completion_tokens_details!.reasoning_tokens! > 0);
});

/** Waits until the server has made nothing more for a while, having been left once. */
async function assertLeft(server: ScriptedServer): Promise<void> {
  const deadline = performance.now() + 5000;
  while (server.left < 1 || server.service.running > 0) {
    assert.ok(performance.now() < deadline, "the reply goes on");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("openai: a reply ends at a stop text and at the limit of tokens", async () => {
  await using server = await start();
  const ask = async (how: Pick<OpenAI.ChatCompletionCreateParams, "stop" | "max_tokens">) => {
    const { choices: [{ message, finish_reason }] } = await openai(server).chat.completions.create({
      ...{ model: "base", messages: [...messages], stream: false },
      ...how,
    });
    return [message.content, finish_reason];
  };
  assert.deepEqual(await ask({ stop: ["头疼", "none"] }), ["Lie **down**, ", "stop"]);
  assert.equal((await ask({ max_tokens: 3 }))[1], "length");
});

Deno.test("openai: a reply that is aborted ends at the server, whole or streamed", async () => {
  for (const stream of [false, true]) {
    await using server = await start();
    const controller = new AbortController();
    const asked = openai(server).chat.completions.create({
      model: "base",
      messages: [{ role: "user", content: "endless" }],
      stream,
    }, { signal: controller.signal });
    const read = (async () => {
      const answer = await asked;
      if (Symbol.asyncIterator in answer) { for await (const _ of answer) controller.abort(); }
    })();
    setTimeout(() => controller.abort(), 200);
    await read.catch((error) => assert.ok(error instanceof OpenAI.APIUserAbortError));
    await assertLeft(server);
  }
});

Deno.test("openai: a stream by chunks, and by .stream() whole", async () => {
  await using server = await start();
  const client = openai(server);
  const said = { think: "", answer: "" };
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (
    const { choices, usage: told } of await client.chat.completions.create({
      model: "lora",
      messages: [...messages],
      stream: true,
      stream_options: { include_usage: true },
    })
  ) {
    const delta = choices[0]?.delta as { content?: string; reasoning_content?: string } | undefined;
    said.think += delta?.reasoning_content ?? "";
    said.answer += delta?.content ?? "";
    usage = told ?? usage;
  }
  assert.deepEqual(said, { think: THOUGHT, answer: ANSWER });
  assert.ok(usage!.completion_tokens > 0);

  const stream = client.chat.completions.stream({
    model: "base",
    messages: [...messages],
    n: 2,
    stream_options: { include_usage: true },
  });
  const completion = await stream.finalChatCompletion();
  assert.deepEqual(completion.choices.map(({ message }) => message.content), [ANSWER, ANSWER]);
  assert.deepEqual(completion.choices.map(({ finish_reason }) => finish_reason), ["stop", "stop"]);
  assert.equal((await stream.totalUsage()).completion_tokens, completion.usage!.completion_tokens);
});

Deno.test("openai: models, errors of its own classes, and a stream that is left", async () => {
  await using server = await start("key");
  const client = openai(server, "key");
  const ids = [];
  for await (const { id } of client.models.list()) ids.push(id);
  assert.deepEqual(ids, ["base", "lora"]);
  assert.equal((await client.models.retrieve("lora")).id, "lora");
  const ask = (model: string, from = client) =>
    from.chat.completions.create({ model, messages: [...messages] });
  await assert.rejects(ask("gpt"), (error: unknown) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
    return true;
  });
  await assert.rejects(ask("base", openai(server, "wrong")), OpenAI.AuthenticationError);
  await assert.rejects(
    client.chat.completions.create({ model: "base", messages: [...messages], temperature: 7 }),
    OpenAI.BadRequestError,
  );
  const failing = await client.chat.completions.create({
    model: "base",
    messages: [{ role: "user", content: "fail" }],
    stream: true,
  });
  await assert.rejects(Array.fromAsync(failing), OpenAI.APIError);
  const stream = await client.chat.completions.create({
    model: "base",
    messages: [...messages],
    stream: true,
  });
  for await (const _ of stream) break;
});

Deno.test("AI SDK: text, reasoning and usage, whole and streamed", async () => {
  await using server = await start();
  const provider = createOpenAICompatible({
    name: "ortune",
    baseURL: `${server.url}/v1`,
    includeUsage: true,
  });
  const model = provider("base");
  const whole = await generateText({ model, prompt: "Hi" });
  assert.deepEqual([whole.text, whole.reasoningText, whole.finishReason], [
    ANSWER,
    THOUGHT,
    "stop",
  ]);
  const streamed = streamText({ model, prompt: "Hi", temperature: 0.5 });
  let text = "";
  for await (const part of streamed.textStream) text += part;
  assert.deepEqual([text, await streamed.reasoningText, await streamed.finishReason], [
    ANSWER,
    THOUGHT,
    "stop",
  ]);
  const usage = await streamed.usage;
  assert.ok(usage.inputTokens! > 0 && usage.outputTokens! > 0);
  assert.equal(usage.totalTokens, usage.inputTokens! + usage.outputTokens!);
});

Deno.test("AI SDK: a stop text, an error and an abort", async () => {
  await using server = await start();
  const provider = createOpenAICompatible({ name: "ortune", baseURL: `${server.url}/v1` });
  const model = provider("base");
  const cut = await generateText({ model, prompt: "Hi", stopSequences: ["头疼"] });
  assert.deepEqual([cut.text, cut.finishReason], ["Lie **down**, ", "stop"]);
  await assert.rejects(generateText({ model: provider("gpt"), prompt: "Hi", maxRetries: 0 }), {
    name: "AI_APICallError",
    statusCode: 404,
    message: 'The model "gpt" does not exist; there is: base, lora',
  });
  const controller = new AbortController();
  const { textStream } = streamText({
    model,
    prompt: "endless",
    abortSignal: controller.signal,
  });
  for await (const _ of textStream) controller.abort();
  await assertLeft(server);
});
