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
import { encodeWhole, endReply } from "./encode_reply.ts";
import type { Example } from "./example.ts";
import type { Message, Tool } from "../text/message.ts";
import { replyText } from "../text/reply_text.ts";
import { taughtTurns, type Teach } from "./taught_turns.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { fitExample, type PromptAndReply, type TruncationOptions } from "./truncation.ts";

/**
 * What becomes of the empty thinking block of a reply without thinking: it is taught, it stands in
 * the prompt as inference without thinking has it, or there is none.
 */
export type EmptyThink = "teach" | "prompt" | "omit";

/** Options of {@linkcode toExamples}. */
export interface ToExamplesOptions extends TruncationOptions {
  /** The tokenizer, with its chat template. */
  readonly tokenizer: Tokenizer;
  /**
   * Which replies to train on, each as an example of its own.
   *
   * An example a reply, and not one for the whole chat, because templates such as Qwen3's render a
   * reply differently (without its thinking) once the chat has gone on.
   * @default {"all"}
   */
  readonly teach?: Teach;
  /**
   * Tools that the assistant may call.
   * @default none
   */
  readonly tools?: readonly Tool[];
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
 * `learn: false` give no example. Calls of tools are part of a reply, as the template writes them;
 * what tools answer is prompt.
 *
 * Thinking and answer are in the reply character by character, but for line breaks beside the tags;
 * so are they in the decoded labels, as far as the tokenizer's own Unicode form allows.
 *
 * @throws {Error} if the template renders the chat so that no prompt can be told from the reply,
 * leaves thinking, answer, tools or calls out, or the tokenizer loses some of it.
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
  const { tokenizer, teach, tools, enableThinking, now, onTrimmed } = options;
  if (messages.every(({ role }) => role !== "assistant")) {
    throw new TypeError(
      `Cannot make an example: none of ${messages.length} messages is the assistant's`,
    );
  }
  const render = (shown: readonly Message[], addGenerationPrompt: boolean): string =>
    tokenizer.render(shown, { addGenerationPrompt, enableThinking, tools, now });
  const encode = (chat: readonly Message[], turn: number): PromptAndReply => {
    const text = replyText(chat, turn, { render, tools });
    if (text.trimmed) onTrimmed?.();
    return encodeTurn(text, chat[turn], { ...options, name: `message ${turn}` });
  };
  return taughtTurns(messages, teach).flatMap((turn) => {
    const shorten = (): PromptAndReply | undefined =>
      withoutOldest(messages.slice(0, turn + 1), { encode, maxLength: options.maxLength });
    const whole = encode(messages, turn);
    return fitExample(whole, options, { name: `message ${turn}`, shorten }) ?? [];
  });
}

/** The ids of one turn. */
function encodeTurn(
  text: { readonly prompt: string; readonly reply: string },
  { reasoning_content = "" }: Message,
  { tokenizer, emptyThink = "teach", name }: ToExamplesOptions & { readonly name: string },
): PromptAndReply {
  const { prompt, reply } = reasoning_content === "" && emptyThink !== "teach"
    ? moveEmptyThink(text, emptyThink)
    : text;
  const { ids, terminated } = endReply(encodeWhole(reply, tokenizer, name), tokenizer);
  return { prompt: tokenizer.encode(prompt), reply: ids, terminated };
}

/**
 * The last turn of a chat without the oldest ones, so many of them that it fits; with the last
 * question alone where nothing fits. The system message stays, and the chat begins with the user's.
 */
function withoutOldest(
  chat: readonly Message[],
  { encode, maxLength }: {
    readonly encode: (chat: readonly Message[], turn: number) => PromptAndReply;
    readonly maxLength: number;
  },
): PromptAndReply | undefined {
  const head = chat.slice(0, chat.findIndex(({ role }) => role !== "system"));
  const starts = [...chat.keys()].filter((at) => at > head.length && chat[at].role === "user");
  const from = (start: number): PromptAndReply => {
    const kept = [...head, ...chat.slice(start)];
    return encode(kept, kept.length - 1);
  };
  let best: PromptAndReply | undefined;
  // The more is left out, the shorter it is.
  for (let [low, high] = [0, starts.length - 1]; low <= high;) {
    const middle = (low + high) >> 1;
    const made = from(starts[middle]);
    if (made.prompt.length + made.reply.length <= maxLength) {
      best = made;
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return best ?? (starts.length === 0 ? undefined : from(starts.at(-1)!));
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
