/** LangChain.js: ChatOpenAI invoked and streamed. */

import { ChatOpenAI } from "@langchain/openai";
import { done, equal, facts, server, version } from "./client.ts";

const [asked] = facts.replies;
const chat = new ChatOpenAI({
  ...{ model: server.model, apiKey: "none", temperature: 0 },
  configuration: { baseURL: `${server.url}/v1` },
});
const said = await chat.invoke(asked.messages);
equal("answer", said.content, asked.answer);
equal("usage", said.usage_metadata?.total_tokens, asked.promptTokens + asked.newTokens);
let text = "";
for await (const part of await chat.stream(asked.messages)) text += part.content;
equal("streamed", text, asked.answer);
done(version("@langchain/openai"));
