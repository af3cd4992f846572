/**
 * Training records: what a row of any shape becomes.
 *
 * Types only.
 *
 * @module
 */

import type { Message, Tool } from "../text/message.ts";

/** What rows of all kinds may say besides. */
export interface AnyRecord {
  /** The row's own system prompt, where it has one: `""` asks for none. */
  readonly system?: string;
  /** Whether the row asks for a prompt with or without thinking, by `chat_template_kwargs`. */
  readonly enableThinking?: boolean;
  /** The tools that the assistant may call, where there are some. */
  readonly tools?: readonly Tool[];
}

/** A row with a question and its answer, such as those of the medical think/answer data. */
export interface QuestionRecord extends AnyRecord {
  /** Tells the kinds of record apart. */
  readonly kind: "question";
  /** What the user asks, with the text of an `input` column below it. */
  readonly question: string;
  /** The thinking; `null` where the column is missing or null. */
  readonly think: string | null;
  /** What the assistant answers. */
  readonly answer: string;
  /** The turns before the question, where there are some. */
  readonly history?: readonly Message[];
}

/** A row that holds a whole chat; its last message is the assistant's, or no reply is learned. */
export interface ChatRecord extends AnyRecord {
  /** Tells the kinds of record apart. */
  readonly kind: "chat";
  /** What was said, in order. */
  readonly messages: readonly Message[];
}

/** A row of plain text: no chat template goes around it, as in TRL. */
export interface TextRecord {
  /** Tells the kinds of record apart. */
  readonly kind: "text";
  /** What stands before; not learned. */
  readonly prompt: string;
  /** What the model is to write after it, up to the token that ends a text. */
  readonly completion: string;
}

/** A row of one reply, or of a chat. */
export type ReplyRecord = QuestionRecord | ChatRecord | TextRecord;

/** A row of two replies, of which one is preferred; all but the last reply is the same in both. */
export interface PairRecord {
  /** Tells the kinds of record apart. */
  readonly kind: "pair";
  /** The one with the reply that is preferred. */
  readonly chosen: ReplyRecord;
  /** The one with the other reply, of the same kind. */
  readonly rejected: ReplyRecord;
}

/** One row of training data. */
export type TrainingRecord = ReplyRecord | PairRecord;
