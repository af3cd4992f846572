/**
 * Asks a model a question; thinking and answer are streamed apart.
 *
 * In: a model's folder or a checkpoint, and a question. Out: the reply on standard output.
 *
 *     deno run -A examples/inference.ts output/mine/checkpoint-400 "我最近总是头晕，怎么办？"
 */

import { type Message, openChatModel, reply, Runtime } from "@ortune/ortune";

const [model = "models/Qwen/Qwen3-1.7B", question = "医生，我最近总是头晕，应该做什么检查？"] =
  Deno.args;

using runtime = new Runtime();
// With the tokenizer, the system prompt and the ends of replies that the model was trained with.
using chatModel = await openChatModel(model, { runtime });
const { system } = chatModel;
const messages: Message[] = [
  ...system ? [{ role: "system", content: system } as const] : [],
  { role: "user", content: question },
];

const encoder = new TextEncoder();
const write = async (text: string) => void await Deno.stdout.write(encoder.encode(text));
const said = await reply(chatModel, {
  messages,
  maxNewTokens: 512,
  output: { write, isTty: Deno.stdout.isTerminal() },
});
console.error(`\n${said.newTokens} tokens in ${said.seconds.toFixed(1)} s`);
