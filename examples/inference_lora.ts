/**
 * Asks a model with a LoRA adapter on it, which is not merged, piece by piece as it is said.
 *
 * In: a base model's folder, an adapter's folder and a question. Out: the reply on standard output.
 *
 *     deno run -A examples/inference_lora.ts models/Qwen/Qwen3-0.6B output/mine/checkpoint-400 "你好"
 */

import { chat, type Message, openChatModel, Runtime } from "@ortune/ortune";

const [
  model = "models/Qwen/Qwen3-1.7B",
  adapter = "output/example-lora/checkpoint-400",
  question = "医生，我最近总是头晕，应该做什么检查？",
] = Deno.args;

using runtime = new Runtime();
using opened = await openChatModel(model, { runtime, adapter });
const { generator, tokenizer, system, enableThinking } = opened;
const messages: Message[] = [
  ...system ? [{ role: "system", content: system } as const] : [],
  { role: "user", content: question },
];

const encoder = new TextEncoder();
let kind: "think" | "answer" | undefined;
for await (const piece of chat(generator, tokenizer, { messages, enableThinking, seed: 42 })) {
  const heading = piece.kind === kind ? "" : `\n[${piece.kind}]\n`;
  kind = piece.kind;
  await Deno.stdout.write(encoder.encode(heading + piece.text));
}
console.log();
