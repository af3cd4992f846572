/** openai: chats whole, streamed and by .stream(), responses, and structured output by its helper. */

import OpenAI from "openai";
import { done, equal, facts, server, version } from "./client.ts";

/** A field of vLLM's and DeepSeek's. */
interface Thinking {
  readonly reasoning_content?: string;
}

const api = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
const model = server.model;
const [asked] = facts.replies;
const whole = await api.chat.completions.create({
  model,
  messages: asked.messages,
  temperature: 0,
});
const message: Thinking & { content: string | null } = whole.choices[0].message;
equal("chat", [message.reasoning_content, message.content], [asked.think, asked.answer]);
const said = { think: "", answer: "" };
const chunks = await api.chat.completions.create({
  ...{ model, messages: asked.messages, temperature: 0, stream: true },
});
for await (const { choices: [choice] } of chunks) {
  const delta: Thinking & { content?: string | null } = choice?.delta ?? {};
  said.think += delta.reasoning_content ?? "";
  said.answer += delta.content ?? "";
}
equal("streamed", said, { think: asked.think, answer: asked.answer });
const helper = api.chat.completions.stream({ model, messages: asked.messages, temperature: 0 });
equal(
  "stream helper",
  (await helper.finalChatCompletion()).choices[0].message.content,
  asked.answer,
);
const response = await api.responses.create({ model, input: asked.messages, temperature: 0 });
equal("response", response.output_text, asked.answer);
done(version("openai"));
