/** Replies as a journal keeps them. In: parsed JSON. Out: a reply, or nothing where it is none. */

import { isCount } from "../../internal/json/is_count.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { splitThinking } from "../../data/text/thinking.ts";
import type { FinishReason } from "../generate/generation.ts";
import type { RowReply } from "./answer_rows.ts";
import type { JournalEntry } from "./journal.ts";
import type { LossSum } from "./metric.ts";

/** A reply that is kept. */
export interface KeptReply extends JournalEntry, RowReply {}

const ENDS: readonly unknown[] = ["eos", "stop", "length"] satisfies FinishReason[];

/** What of a reply is written: thinking and answer follow from its text. */
export function formatKeptReply({ row, key, reply, loss }: KeptReply): unknown {
  const { think: _think, answer: _answer, ...rest } = reply;
  return { row, key, reply: rest, ...loss ? { loss } : {} };
}

/** Reads it back. */
export function parseKeptReply(
  { row, key, reply, loss }: Readonly<Record<string, unknown>>,
): KeptReply | undefined {
  if (!isCount(row) || typeof key !== "string" || !isRecord(reply)) return undefined;
  const { text, finishReason, newTokens, promptTokens } = reply;
  if (typeof text !== "string" || !ENDS.includes(finishReason)) return undefined;
  if (!isCount(newTokens) || !isCount(promptTokens)) return undefined;
  const read = {
    ...splitThinking(text),
    text,
    finishReason: finishReason as FinishReason,
    newTokens,
    promptTokens,
  };
  if (loss === undefined) return { row, key, reply: read };
  if (!isRecord(loss) || !isLossSum(loss.think) || !isLossSum(loss.answer)) return undefined;
  return { row, key, reply: read, loss: { think: loss.think, answer: loss.answer } };
}

function isLossSum(value: unknown): value is LossSum {
  return isRecord(value) && typeof value.sum === "number" && isCount(value.tokens);
}
