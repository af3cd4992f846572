/**
 * What a row of data asks, and what it answers.
 *
 * In: a record, as training reads it. Out: the chat up to its last reply, or a plain prompt, and that reply.
 */

import { JsonlError, type RowLocation } from "../../data/records/jsonl_error.ts";
import { parseRecord, recordsOf, toMessages } from "../../data/records/record.ts";
import type { ReplyRecord, TextRecord } from "../../data/records/record_types.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import type { Message, Tool } from "../../data/text/message.ts";
import { parseChoiceRow } from "./choice_row.ts";
import type { Choice } from "./metric.ts";

/** A row to be answered. */
export interface EvalRow {
  readonly where: RowLocation;
  /** Of a pair of replies the one with the chosen one. */
  readonly record: ReplyRecord;
  /** Set where the row is of a choice file. */
  readonly choice?: Choice;
}

/** A chat up to its last reply that is learned, and that reply. */
export interface AskedChat {
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[] | undefined;
  readonly enableThinking: boolean | undefined;
  readonly reply: Message;
}

/**
 * Parses a row of a file to be answered: a choice file's, or of any shape that is trained on.
 *
 * @throws {JsonlError} naming the field that is at fault
 */
export function parseEvalRow(
  value: Record<string, unknown>,
  where: RowLocation,
  { columns }: { readonly columns?: RowColumns } = {},
): EvalRow {
  // Columns that a user names are those of a record.
  const chosen = columns === undefined ? parseChoiceRow(value, where) : undefined;
  const [record] = chosen ? [chosen.record] : recordsOf(parseRecord(value, where, { columns }));
  const row: EvalRow = { where, ...chosen, record };
  if (record.kind !== "text" && askedChat(record) === undefined) {
    throw new JsonlError(where, "expected a last reply to compare with, got a chat that has none");
  }
  return row;
}

/** What a record of a chat asks; nothing where no reply is learned at its end. */
export function askedChat(
  record: Exclude<ReplyRecord, TextRecord>,
  system?: string,
): AskedChat | undefined {
  const messages = toMessages(record, { system });
  const reply = messages.at(-1)!;
  // A row of which nothing is learned ends otherwise.
  if (reply.role !== "assistant" || reply.learn === false) return undefined;
  const { enableThinking, tools } = record;
  return { messages: messages.slice(0, -1), tools, enableThinking, reply };
}
