/**
 * Training examples, from the messages of a chat.
 *
 * In: messages. Out: one Example for each reply: inputIds [tokens] and labels [tokens], -100 where
 * a token is not trained on. Labels stand under their own token; the collator shifts them.
 *
 * The prompt is tokenized exactly as at inference and the reply apart from it, so that training
 * sees the same tokens at the boundary as generation does.
 *
 * @module
 */

import { append, joinExample } from "./join_example.ts";
import type { RowLocation } from "./jsonl_error.ts";
import type { Message } from "./message.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The label of a token that is not trained on, as in PyTorch. */
export const IGNORED: number = -100;

/** One tokenized prompt and reply. */
export interface Example {
  /** Token ids of prompt and reply, `[tokens]`. */
  readonly inputIds: Int32Array;
  /** The id of each supervised token, else -100; `[tokens]`, not shifted. */
  readonly labels: Int32Array;
  /** How many tokens, from the first, are the prompt. */
  readonly promptLength: number;
  /** How many tokens were cut from the right to fit `maxLength`. */
  readonly truncatedTokens: number;
  /** How many tokens are supervised. */
  readonly supervised: number;
  /** Whether the supervised tokens end with the token that ends a reply. */
  readonly terminated: boolean;
  /** The row it comes from, where there is one. */
  readonly source?: RowLocation;
}

/** Options of {@linkcode toExamples}. */
export interface ToExamplesOptions {
  /** The tokenizer, with its chat template. */
  readonly tokenizer: Tokenizer;
  /** Most tokens of an example; what is longer is cut at the right. */
  readonly maxLength: number;
  /**
   * Which replies to train on: each of them, as an example of its own, or the last.
   *
   * An example a reply, and not one for the whole chat, because templates such as Qwen3's render a
   * reply differently (without its thinking) once the chat has gone on.
   * @default {"all"}
   */
  readonly turns?: "last" | "all";
  /** As in {@linkcode RenderChatOptions}; must be what inference will use. */
  readonly enableThinking?: boolean;
  /** As in {@linkcode RenderChatOptions}. */
  readonly now?: Date;
}

/**
 * Makes the examples of one chat.
 *
 * The prompt is everything before the reply, with the generation prompt; the reply ends with the
 * template's end-of-turn token (`<|im_end|>`), supervised, without the line break that follows it.
 * A template that ends replies with no special token gets the tokenizer's eos token.
 *
 * @throws {Error} if the template renders the chat so that it does not begin with the prompt, or
 * leaves the thinking or the answer out.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, toExamples } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const [example] = toExamples([
 *   { role: "user", content: "1+1?" },
 *   { role: "assistant", content: "2", reasoning_content: "Easy." },
 * ], { tokenizer, maxLength: 128 });
 *
 * const reply = example.labels.subarray(example.promptLength);
 * assert.equal(tokenizer.decode(reply), "<think>\nEasy.\n</think>\n\n2<|im_end|>");
 * assert.equal(example.supervised, reply.length);
 * ```
 */
export function toExamples(messages: readonly Message[], options: ToExamplesOptions): Example[] {
  const { tokenizer, maxLength, turns = "all", enableThinking, now } = options;
  const last = messages.length - 1;
  if (messages[last]?.role !== "assistant") {
    throw new TypeError(
      `Cannot make an example: the last of ${messages.length} messages is ${
        messages[last] === undefined ? "missing" : `the ${messages[last].role}'s`
      }, not the assistant's`,
    );
  }
  const examples: Example[] = [];
  for (let turn = turns === "last" ? last : 0; turn <= last; turn++) {
    if (messages[turn].role !== "assistant") continue;
    const render = (end: number, addGenerationPrompt: boolean): string =>
      tokenizer.render(messages.slice(0, end), { addGenerationPrompt, enableThinking, now });
    const prompt = render(turn, true);
    const reply = replyText(prompt, render(turn + 1, false), messages[turn], turn);
    const { ids, terminated } = endReply(tokenizer.encode(reply), tokenizer);
    examples.push(joinExample(tokenizer.encode(prompt), ids, { maxLength, terminated }));
  }
  return examples;
}

/** What the rendered chat adds to the prompt. */
function replyText(prompt: string, chat: string, message: Message, turn: number): string {
  if (!chat.startsWith(prompt)) {
    const at = firstDifference(prompt, chat);
    const near = (text: string): string =>
      JSON.stringify(text.slice(Math.max(0, at - 24), at + 24));
    throw new Error(
      `Cannot make an example of message ${turn}: the rendered chat does not begin with its prompt; ` +
        `they part at character ${at}, prompt ${near(prompt)}, chat ${near(chat)}; ` +
        "check enableThinking and the chat template",
    );
  }
  const reply = chat.slice(prompt.length);
  const { content, reasoning_content = "" } = message;
  for (const [name, part] of [["thinking", reasoning_content], ["answer", content]]) {
    if (reply.includes(part.trim())) continue;
    throw new Error(
      `Cannot make an example of message ${turn}: the chat template leaves its ${name} out of the reply; ` +
        "use a template that keeps it",
    );
  }
  return reply;
}

/**
 * Cuts blank text after the end-of-turn token; adds the eos token where the template ends without.
 */
function endReply(ids: Int32Array, tokenizer: Tokenizer): { ids: Int32Array; terminated: boolean } {
  const { eosTokenId } = tokenizer;
  const end = ids.findLastIndex((id) => id === eosTokenId || tokenizer.isSpecial(id)) + 1;
  if (end > 0 && tokenizer.decode(ids.subarray(end)).trim() === "") {
    return { ids: ids.subarray(0, end), terminated: true };
  }
  if (eosTokenId === undefined) return { ids, terminated: false };
  return { ids: append(ids, eosTokenId), terminated: true };
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}
