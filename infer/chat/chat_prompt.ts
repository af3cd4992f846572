/**
 * The prompt of a chat's next turn, or of going on with its last one.
 *
 * In: messages. Out: the text that the model reads, and what it stands in the middle of.
 */

import { OPENED_BY_PROMPT } from "../../data/text/thinking.ts";
import type { Message, Tool } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";

/** How a prompt ends. */
export interface ChatPromptOptions {
  /**
   * Qwen3's switch: `false` asks for an answer without thinking. `undefined` is as in training.
   * @default {undefined}
   */
  readonly enableThinking?: boolean;
  /**
   * Tools that the assistant may call, for the chat template; its calls are then text of the reply.
   * @default none
   */
  readonly tools?: readonly Tool[];
  /**
   * Whether the prompt ends where the assistant is to speak. `false` leaves it after the last
   * message.
   * @default {true}
   */
  readonly addGenerationPrompt?: boolean;
  /**
   * Whether the reply goes on with the last message, as transformers' `continue_final_message` has
   * it, in place of a new one.
   * @default {false}
   */
  readonly continueFinalMessage?: boolean;
}

/** A prompt. */
export interface ChatPrompt {
  /** As the template renders it. */
  readonly text: string;
  /** Whether the reply begins a turn, goes on with its thinking, or with its answer. */
  readonly state: "start" | "thinking" | "answer";
}

/** Transformers' own: with a blank, so that a template that trims its messages shows it. */
const TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

/**
 * Writes a prompt.
 *
 * @throws {Error} where the template refuses the messages or does not show the last one
 */
export function chatPrompt(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  {
    enableThinking,
    tools,
    addGenerationPrompt = true,
    continueFinalMessage = false,
  }: ChatPromptOptions,
): ChatPrompt {
  if (!continueFinalMessage) {
    const text = tokenizer.render(messages, { addGenerationPrompt, enableThinking, tools });
    return { text, state: OPENED_BY_PROMPT.test(text) ? "thinking" : "start" };
  }
  const last = messages.at(-1);
  if (!last) throw new RangeError("Cannot continue the last message: there is none");
  const tagged = [...messages.slice(0, -1), { ...last, content: last.content + TAG }];
  const rendered = tokenizer.render(tagged, {
    addGenerationPrompt: false,
    enableThinking,
    tools,
  });
  const at = rendered.lastIndexOf(TAG.trimEnd());
  if (at < 0 || !rendered.includes(last.content.trim())) {
    throw new Error(
      "Cannot continue the last message: the chat template does not show its content as it is; " +
        "leave continue_final_message out",
    );
  }
  const before = rendered.slice(0, at);
  // Where the blank is gone, the template trims messages: so it does with what is there so far.
  const text = rendered.startsWith(TAG, at) ? before : before.trimEnd();
  return { text, state: stateOf(last.content, text) };
}

function stateOf(content: string, prompt: string): ChatPrompt["state"] {
  const open = content.lastIndexOf("<think>");
  const close = content.lastIndexOf("</think>");
  if (open > close) return "thinking";
  const answer = close < 0 ? content : content.slice(close + "</think>".length);
  if (answer.trim() !== "") return "answer";
  return OPENED_BY_PROMPT.test(prompt) ? "thinking" : "start";
}

/** A prompt as tokens. */
export interface EncodedPrompt {
  /** Its token ids. */
  readonly ids: Int32Array;
  /** As in {@linkcode ChatPrompt}. */
  readonly state: ChatPrompt["state"];
}

/**
 * Writes a prompt and makes tokens of it, with pauses in a long one.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { encodeChatPrompt } from "./chat_prompt.ts";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const work = encodeChatPrompt(tokenizer, [{ role: "user", content: "Hi" }], {});
 * let step = work.next();
 * while (!step.done) step = work.next(); // others' turns between the slices
 * assert.match(tokenizer.decode(step.value.ids), /^<\|im_start\|>user\nHi<\|im_end\|>/);
 * ```
 *
 * @throws {Error} as {@linkcode chatPrompt}
 */
export function* encodeChatPrompt(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  options: ChatPromptOptions,
): Generator<void, EncodedPrompt, void> {
  const { text, state } = chatPrompt(tokenizer, messages, options);
  return { ids: yield* tokenizer.encodeInSlices(text), state };
}
