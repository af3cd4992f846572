/** The examples of one row. In: a training record. Out: its examples, a text's, a chat's or a pair's. */

import { recordsOf, toMessages } from "../records/record.ts";
import type { ReplyRecord, TrainingRecord } from "../records/record_types.ts";
import type { Example } from "./example.ts";
import { toExamples, type ToExamplesOptions } from "./to_examples.ts";
import { toTextExample } from "./text_example.ts";

/** Options of {@linkcode encodeRecord}. */
export interface EncodeRecordOptions extends ToExamplesOptions {
  /** A system prompt for the rows that have none. */
  readonly system?: string;
}

/**
 * Encodes a record of any kind. A pair has two examples, the chosen reply's and the rejected one's; where one of them
 * is left out, so is the other.
 *
 * @throws {Error} as {@linkcode toExamples} and {@linkcode toTextExample}
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, parseRecord } from "@ortune/ortune";
 * import { encodeRecord } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const conversations = [{ from: "human", value: "1+1?" }, { from: "gpt", value: "2" }];
 * const record = parseRecord({ conversations }, { file: "rows.jsonl", line: 1 });
 * const [example] = encodeRecord(record, { tokenizer, maxLength: 128 });
 * assert.match(tokenizer.decode(example.inputIds), /^<\|im_start\|>user\n1\+1\?<\|im_end\|>/);
 * ```
 */
export function encodeRecord(
  record: TrainingRecord,
  options: EncodeRecordOptions,
): readonly Example[] {
  if (record.kind !== "pair") return encodeReplies(record, options);
  const halves = recordsOf(record).map((half) => encodeReplies(half, { ...options, teach: "all" }));
  return halves.some(({ length }) => length === 0) ? [] : halves.flat();
}

function encodeReplies(record: ReplyRecord, options: EncodeRecordOptions): readonly Example[] {
  if (record.kind === "text") {
    const example = toTextExample(record, options);
    return example === undefined ? [] : [example];
  }
  const { enableThinking = options.enableThinking, tools } = record;
  return toExamples(toMessages(record, options), { ...options, enableThinking, tools });
}
