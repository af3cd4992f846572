/**
 * A row as a model is asked it.
 *
 * In: a row, and how the model chats. Out: the prompt's token ids, and those of prompt and reference with what
 * of the reference is thinking.
 */

import { createHash } from "node:crypto";
import type { Example } from "../../data/examples/example.ts";
import { toExamples } from "../../data/examples/to_examples.ts";
import { toTextExample } from "../../data/examples/text_example.ts";
import { JsonlError } from "../../data/records/jsonl_error.ts";
import { messageText } from "../../data/text/message_text.ts";
import { CLOSE_THINK } from "../../data/text/thinking.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { chatPrompt } from "../chat/chat_prompt.ts";
import { askedChat, type EvalRow } from "./asked_row.ts";
import type { ThinkAnswer } from "./metric.ts";

/** How a model is asked. */
export interface EncodeRowOptions {
  readonly tokenizer: Tokenizer;
  /** The system prompt of rows that have none of their own; empty for none. */
  readonly system: string;
  /** Of rows that do not say; `undefined` leaves it to the chat template. */
  readonly enableThinking: boolean | undefined;
  /** Positions that the model has for prompt and reply. */
  readonly window: number;
}

/** A row as token ids. */
export interface EncodedRow {
  /** The question's text: the user's last message, or a plain prompt. */
  readonly question: string;
  readonly promptIds: Int32Array;
  /** Whether the prompt has opened the thinking already. */
  readonly opened: boolean;
  readonly reference: ThinkAnswer;
  /** Prompt and reference, cut at the model's last position. */
  readonly example: Example;
  /** Tokens of the reference up to the end of its thinking; 0 where the template writes none. */
  readonly thinkTokens: number;
  /** A hash of all that the row asks and compares with. */
  readonly key: string;
}

/** Hexadecimal digits of a row's hash. */
const KEY_DIGITS = 16;

/**
 * Encodes a row.
 *
 * @throws {JsonlError} where the template refuses the row, or the prompt leaves no position for a reply
 */
export function encodeRow(row: EvalRow, options: EncodeRowOptions): EncodedRow {
  const { window } = options;
  let encoded: Omit<EncodedRow, "key">;
  try {
    encoded = row.record.kind === "text" ? encodeText(row, options) : encodeChat(row, options);
  } catch (cause) {
    if (cause instanceof JsonlError) throw cause;
    throw new JsonlError(row.where, (cause as Error).message, { cause });
  }
  const { promptIds, reference, example } = encoded;
  if (promptIds.length >= window) {
    throw new JsonlError(
      row.where,
      `expected a prompt that leaves room for a reply, got ${promptIds.length} tokens of the model's ` +
        `${window}; shorten or remove the row`,
    );
  }
  const key = createHash("sha256").update(promptIds).update(example.inputIds)
    .update(JSON.stringify([reference.think, reference.answer, row.choice ?? null]))
    .digest("hex").slice(0, KEY_DIGITS);
  return { ...encoded, key };
}

function encodeText(
  { record }: EvalRow,
  { tokenizer, window }: EncodeRowOptions,
): Omit<EncodedRow, "key"> {
  if (record.kind !== "text") throw new TypeError("Cannot encode a chat as plain text");
  return {
    question: record.prompt,
    promptIds: tokenizer.encode(record.prompt),
    opened: false,
    reference: { think: "", answer: record.completion },
    example: toTextExample(record, { tokenizer, maxLength: window })!,
    thinkTokens: 0,
  };
}

function encodeChat(
  { record }: EvalRow,
  { tokenizer, system, window, ...options }: EncodeRowOptions,
): Omit<EncodedRow, "key"> {
  if (record.kind === "text") throw new TypeError("Cannot encode plain text as a chat");
  const { messages, tools, reply, enableThinking = options.enableThinking } = askedChat(
    record,
    system || undefined,
  )!;
  const { text, state } = chatPrompt(tokenizer, messages, { enableThinking, tools });
  const [example] = toExamples([...messages, reply], {
    tokenizer,
    maxLength: window,
    teach: "last",
    tools,
    enableThinking,
  });
  return {
    question: messages.at(-1)?.content ?? "",
    promptIds: tokenizer.encode(text),
    opened: state === "thinking",
    reference: { think: reply.reasoning_content ?? "", answer: messageText(reply) },
    example,
    thinkTokens: tokensUpToClose(example.inputIds.subarray(example.promptLength), tokenizer),
  };
}

/** How many tokens there are up to the end of the closing tag. */
function tokensUpToClose(reply: Int32Array, tokenizer: Tokenizer): number {
  const id = tokenizer.tokenToId(CLOSE_THINK);
  if (id !== undefined && reply.includes(id)) return reply.indexOf(id) + 1;
  // The tag is text of several tokens: the fewest that hold it.
  const holds = (count: number): boolean =>
    tokenizer.decode(reply.subarray(0, count)).includes(CLOSE_THINK);
  if (!holds(reply.length)) return 0;
  let [low, high] = [0, reply.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
