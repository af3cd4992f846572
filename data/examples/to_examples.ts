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

import { OPENED_BY_PROMPT } from "../text/thinking.ts";
import type { Example } from "./example.ts";
import { append, joinExample } from "./join_example.ts";
import type { Message } from "../text/message.ts";
import { replyText } from "../text/reply_text.ts";
import { findTextLoss } from "./text_loss.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/**
 * What becomes of the empty thinking block of a reply without thinking: it is taught, it stands in
 * the prompt as inference without thinking has it, or there is none.
 */
export type EmptyThink = "teach" | "prompt" | "omit";

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
  /**
   * The empty thinking block of replies without thinking, where the chat template writes one.
   * @default {"teach"}
   */
  readonly emptyThink?: EmptyThink;
  /** Is told of a reply around whose thinking or answer the template dropped blanks. */
  readonly onTrimmed?: () => void;
  /** As in {@linkcode RenderChatOptions}. */
  readonly now?: Date;
}

/**
 * Makes the examples of one chat.
 *
 * The prompt is everything before the reply, with the generation prompt; the reply ends with the
 * template's end-of-turn token (`<|im_end|>`), supervised, without the line break that follows it.
 * A template that ends replies with no special token gets the tokenizer's eos token. Messages with
 * `learn: false` give no example.
 *
 * Thinking and answer are in the reply character by character, but for line breaks beside the tags;
 * so are they in the decoded labels, as far as the tokenizer's own Unicode form allows.
 *
 * @throws {Error} if the template renders the chat so that no prompt can be told from the reply,
 * leaves the thinking or the answer out, or the tokenizer loses some of it.
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
  const {
    tokenizer,
    maxLength,
    turns = "all",
    enableThinking,
    emptyThink = "teach",
    now,
    onTrimmed,
  } = options;
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  if (last === -1) {
    throw new TypeError(
      `Cannot make an example: none of ${messages.length} messages is the assistant's`,
    );
  }
  const render = (shown: readonly Message[], addGenerationPrompt: boolean): string =>
    tokenizer.render(shown, { addGenerationPrompt, enableThinking, now });
  const examples: Example[] = [];
  for (let turn = turns === "last" ? last : 0; turn <= last; turn++) {
    const { role, learn = true, reasoning_content = "" } = messages[turn];
    if (role !== "assistant" || !learn) continue;
    const text = replyText(messages, turn, render);
    if (text.trimmed) onTrimmed?.();
    const { prompt, reply } = reasoning_content === "" && emptyThink !== "teach"
      ? moveEmptyThink(text, emptyThink)
      : text;
    const encoded = tokenizer.encode(reply);
    const loss = findTextLoss(reply, encoded, tokenizer);
    if (loss !== undefined) {
      throw new Error(
        `Cannot make an example of message ${turn}: the tokenizer does not give its text back, ` +
          `${loss}; change that text, or leave the row out`,
      );
    }
    const { ids, terminated } = endReply(encoded, tokenizer);
    examples.push(joinExample(tokenizer.encode(prompt), ids, { maxLength, terminated }));
  }
  return examples;
}

// Blanks after the block may be the answer's indentation.
const EMPTY_BLOCK = /^\s*<think>\s*<\/think>[\r\n]*/;
const EMPTY_END = /^\s*<\/think>[\r\n]*/;

/** Takes an empty thinking block out of the reply. */
function moveEmptyThink(
  { prompt, reply }: { readonly prompt: string; readonly reply: string },
  to: "prompt" | "omit",
): { readonly prompt: string; readonly reply: string } {
  const opened = OPENED_BY_PROMPT.exec(prompt);
  const block = (opened ? EMPTY_END : EMPTY_BLOCK).exec(reply)?.[0];
  if (block === undefined) return { prompt, reply };
  const rest = reply.slice(block.length);
  if (to === "prompt") return { prompt: prompt + block, reply: rest };
  return { prompt: opened ? prompt.slice(0, opened.index) : prompt, reply: rest };
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
