/** @huggingface/inference: chatCompletion and its stream, with the server as endpoint. */

import { InferenceClient } from "@huggingface/inference";
import { done, equal, facts, server, version } from "./client.ts";

const [asked] = facts.replies;
const client = new InferenceClient("none", { endpointUrl: `${server.url}/v1` });
const to = { model: server.model, messages: asked.messages, temperature: 0 };
equal("chat", (await client.chatCompletion(to)).choices[0].message.content, asked.answer);
let text = "";
for await (const { choices } of client.chatCompletionStream(to)) {
  text += choices[0]?.delta.content ?? "";
}
equal("streamed", text, asked.answer);
done(version("@huggingface/inference"));
