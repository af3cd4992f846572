import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { chat } from "./chat.ts";
import type { FinishReason, GenerateOptions, Generation } from "../generate/generation.ts";
import type { Generator } from "../generate/generator.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const messages = [{ role: "user", content: "Hi" }] as const;

/** A generator that says what it is told to. */
function stub(ids: ArrayLike<number>): Generator & { prompts: string[]; ended: string[] } {
  const prompts: string[] = [];
  const ended: string[] = [];
  return {
    prompts,
    ended,
    generate(promptIds: ArrayLike<number>, options: GenerateOptions = {}): Generation {
      prompts.push(tokenizer.decode(promptIds));
      let finishReason: FinishReason | undefined;
      let at = 0;
      const generation: Generation = {
        get finishReason(): FinishReason | undefined {
          return finishReason;
        },
        next(): Promise<IteratorResult<number, void>> {
          if (options.signal?.aborted) finishReason ??= "aborted";
          else if (at === ids.length) finishReason ??= "eos";
          return Promise.resolve(
            finishReason ? { done: true, value: undefined } : { done: false, value: ids[at++] },
          );
        },
        return(): Promise<IteratorResult<number, void>> {
          finishReason ??= "aborted";
          ended.push(finishReason);
          return Promise.resolve({ done: true, value: undefined });
        },
        [Symbol.asyncIterator]: () => generation,
      };
      return generation;
    },
    [Symbol.dispose](): void {},
  };
}

/** The byte tokenizer without tokens for the tags. */
function withoutThinkTokens(): Tokenizer {
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  const added = tokenizerJson.added_tokens as { content: string }[];
  return createTokenizer({
    tokenizerJson: {
      ...tokenizerJson,
      added_tokens: added.filter(({ content }) => !content.includes("think")),
    },
    tokenizerConfig,
  });
}

Deno.test("chat() tells thinking from answer by the tokens, and cuts no character", async () => {
  const ids = tokenizer.encode("<think>\n静养 🛌\n</think>\n\n躺下。");
  const reply = chat(stub(ids), tokenizer, { messages });
  const pieces = await Array.fromAsync(reply);
  assert.deepEqual(
    pieces.map(({ kind, text }) => `${kind}: ${text}`),
    ["think: 静", "think: 养", "think:  ", "think: 🛌", "answer: 躺", "answer: 下", "answer: 。"],
  );
  assert.equal(reply.finishReason, "eos");
  assert.equal(reply.newTokens, ids.length);
});

Deno.test("chat() prompts as in training, or without thinking if asked to", async () => {
  const generator = stub([]);
  const reply = chat(generator, tokenizer, { messages });
  await Array.fromAsync(reply);
  await Array.fromAsync(chat(generator, tokenizer, { messages, enableThinking: false }));
  const prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
  assert.deepEqual(generator.prompts, [prompt, `${prompt}<think>\n\n</think>\n\n`]);
  assert.equal(reply.promptTokens, tokenizer.encode(prompt).length);
});

Deno.test("chat() begins thinking where the template opens it", async () => {
  const { tokenizerConfig, tokenizerJson } = byteTokenizerFiles();
  const chatTemplate = "{{ messages[0].content }}<think>\n";
  const opening = createTokenizer({ tokenizerJson, tokenizerConfig, chatTemplate });
  const reply = chat(stub(tokenizer.encode("Rest.</think>Lie.")), opening, { messages });
  const pieces = await Array.fromAsync(reply);
  assert.deepEqual([...new Set(pieces.map(({ kind }) => kind))], ["think", "answer"]);
  // A user's own words do not open it.
  const asked = [{ role: "user", content: "What is <think>" }] as const;
  const answer = chat(stub(tokenizer.encode("A")), tokenizer, { messages: asked });
  assert.deepEqual(await Array.fromAsync(answer), [{ kind: "answer", text: "A" }]);
});

Deno.test("chat() reads the tags as text where the tokenizer has no tokens for them", async () => {
  const plain = withoutThinkTokens();
  assert.equal(plain.tokenToId("<think>"), undefined);
  const ids = plain.encode("<think>Rest.</think>\n\nLie down.");
  const pieces = await Array.fromAsync(chat(stub(ids), plain, { messages }));
  const text = (kind: string): string =>
    pieces.filter((piece) => piece.kind === kind).map(({ text }) => text).join("");
  assert.deepEqual([text("think"), text("answer")], ["Rest.", "Lie down."]);
});

Deno.test("chat() shows bytes that are no character as U+FFFD, before a tag and at the end", async () => {
  const [open, close] = [259, 260];
  const pieces = await Array.fromAsync(
    chat(stub([open, 65, 0xe9, close, 66, 0xe9]), tokenizer, { messages }),
  );
  assert.deepEqual(pieces.map(({ text }) => text), ["A", "\uFFFD", "B", "\uFFFD"]);
});

Deno.test("chat() leaves out special tokens", async () => {
  const ids = tokenizer.encode("A<|endoftext|>B");
  const pieces = await Array.fromAsync(chat(stub(ids), tokenizer, { messages }));
  assert.deepEqual(pieces.map(({ text }) => text), ["A", "B"]);
});

Deno.test("chat() ends with the signal, and with its reader", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const reply = chat(stub(tokenizer.encode("abcdef")), tokenizer, { messages, signal });
  let text = "";
  for await (const piece of reply) {
    text += piece.text;
    if (text === "abc") controller.abort();
  }
  assert.deepEqual([text, reply.finishReason], ["abc", "aborted"]);

  const generator = stub(tokenizer.encode("abcdef"));
  const left = chat(generator, tokenizer, { messages });
  for await (const _ of left) break;
  assert.equal(left.finishReason, "aborted");
  const unread = chat(generator, tokenizer, { messages });
  await unread.return?.();
  assert.equal(unread.finishReason, "aborted");
});
