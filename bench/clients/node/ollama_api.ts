/** ollama: chat whole and streamed, and the list of models. */

import { Ollama } from "ollama";
import { done, equal, facts, server, version } from "./client.ts";

const api = new Ollama({ host: server.url });
const [asked] = facts.replies;
const to = { model: server.model, messages: asked.messages, options: { temperature: 0 } };
const { message } = await api.chat(to);
equal("chat", [message.thinking, message.content], [asked.think, asked.answer]);
let text = "";
for await (const part of await api.chat({ ...to, stream: true })) text += part.message.content;
equal("streamed", text, asked.answer);
equal("list", (await api.list()).models.map(({ name }) => name), [server.model]);
done(version("ollama"));
