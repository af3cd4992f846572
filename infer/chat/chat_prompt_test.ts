import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import type { Message } from "../../data/text/message.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { chatPrompt } from "./chat_prompt.ts";

interface Continued {
  readonly template: string;
  readonly messages: readonly Message[];
  readonly enable_thinking: boolean | null;
  readonly text: string | null;
}

Deno.test("chatPrompt() goes on with the last message as transformers does, or refuses to", async () => {
  const url = new URL("../../tests/fixtures/generation_config/continued.json", import.meta.url);
  const cases: Continued[] = JSON.parse(await Deno.readTextFile(url));
  let refused = 0;
  for (const { template, messages, enable_thinking, text } of cases) {
    const tokenizer = createTokenizer({ ...byteTokenizerFiles(), chatTemplate: template });
    // A template that does not know thinking gets it in the content here, and not at all there.
    if (messages.at(-1)!.reasoning_content && !template.includes("reasoning_content")) continue;
    const options = { continueFinalMessage: true, enableThinking: enable_thinking ?? undefined };
    if (text === null) {
      assert.throws(
        () => chatPrompt(tokenizer, messages, options),
        /Cannot continue the last message: the chat template does not show.*continue_final_message/,
      );
      refused++;
    } else {
      assert.equal(chatPrompt(tokenizer, messages, options).text, text, JSON.stringify(messages));
    }
  }
  assert.ok(refused > 5 && refused < cases.length / 2, `${refused}`);
});

Deno.test("chatPrompt() tells whether thinking or an answer is gone on with", () => {
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const state = (message: Partial<Message>, continueFinalMessage = true): string =>
    chatPrompt(tokenizer, [
      { role: "user", content: "Q" },
      { role: "assistant", content: "", ...message },
    ], { continueFinalMessage }).state;
  assert.equal(state({ content: "An answer" }), "answer");
  assert.equal(state({ content: "" }), "start");
  assert.equal(state({ content: "<think>\nSo" }), "thinking");
  assert.equal(state({ content: "<think>\nSo\n</think>\n\n" }), "start");
  assert.equal(state({ content: "<think>\nSo\n</think>\n\nIt" }), "answer");
  // Of a message that begins where thinking ends.
  assert.equal(state({ content: "</think>\n\n" }), "start");
  assert.equal(state({ content: "</think>\n\nIt" }), "answer");
  assert.equal(state({ content: "It", reasoning_content: "So" }), "answer");
  assert.equal(state({ content: "An answer" }, false), "start");
});

Deno.test("chatPrompt() may leave the prompt after the last message", () => {
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const messages = [{ role: "user", content: "Q" }] as const;
  const { text } = chatPrompt(tokenizer, messages, { addGenerationPrompt: false });
  assert.equal(text, "<|im_start|>user\nQ<|im_end|>\n");
});
