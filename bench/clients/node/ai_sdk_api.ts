/** AI SDK: text and reasoning, whole and streamed, by openai-compatible and by openai (Responses API). */

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { done, equal, facts, server, version } from "./client.ts";

const [asked] = facts.replies;
const [{ content: system }, { content: prompt }] = asked.messages;
const to = { baseURL: `${server.url}/v1`, apiKey: "none" };
const compatible = createOpenAICompatible({ name: "ortune", ...to })(server.model);
const whole = await generateText({ model: compatible, system, prompt, temperature: 0 });
equal("text", [whole.reasoningText, whole.text], [asked.think, asked.answer]);
const streamed = streamText({ model: compatible, system, prompt, temperature: 0 });
let text = "";
for await (const part of streamed.textStream) text += part;
equal("streamed", text, asked.answer);
const openai = createOpenAI(to);
const responses = await generateText({
  model: openai(server.model),
  system,
  prompt,
  temperature: 0,
});
equal("openai, responses", responses.text, asked.answer);
const chat = await generateText({
  model: openai.chat(server.model),
  system,
  prompt,
  temperature: 0,
});
equal("openai, chat", chat.text, asked.answer);
done(
  `${version("ai")}, openai-compatible ${version("@ai-sdk/openai-compatible")}, openai ${
    version("@ai-sdk/openai")
  }`,
);
