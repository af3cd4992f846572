/**
 * Examples encoded as Qwen3-Medical-SFT's train.py encodes them, token for token.
 *
 * In: a record with question, think and answer. Out: one Example. It differs from toExamples in
 * that the spacing around the tags is train.py's own, a null think reads "None", and the pad token
 * (<|endoftext|>) ends the reply where <|im_end|> would.
 */

import type { Example } from "./example.ts";
import { append, joinExample } from "./join_example.ts";
import type { TrainingRecord } from "../records/record_types.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** Options of {@linkcode toSeedExample}. */
export interface ToSeedExampleOptions {
  /** A Qwen tokenizer; its chat template is not used. */
  readonly tokenizer: Tokenizer;
  /** Most tokens of an example, 2048 in train.py; what is longer is cut at the right. */
  readonly maxLength: number;
  /** The system prompt. */
  readonly system: string;
}

/**
 * Encodes one record as train.py does. For comparisons with it only: a model trained so neither
 * writes nor expects what Qwen3's chat template renders.
 *
 * @throws {TypeError} if the record is a chat, or the tokenizer has no padding token.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { toSeedExample } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const example = toSeedExample(
 *   { kind: "question", question: "1+1?", think: null, answer: "2" },
 *   { tokenizer, maxLength: 2048, system: "Be brief." },
 * );
 * const reply = example.inputIds.subarray(example.promptLength);
 * assert.equal(tokenizer.decode(reply), "<think>None</think> \n 2<|endoftext|>");
 * ```
 */
export function toSeedExample(record: TrainingRecord, options: ToSeedExampleOptions): Example {
  const { tokenizer, maxLength, system } = options;
  if (record.kind !== "question") {
    throw new TypeError(
      "Cannot make a seed example: the record is no question, and the seed knows only question, think and answer; use toExamples",
    );
  }
  if (record.history !== undefined || (record.system ?? system) !== system) {
    throw new TypeError(
      "Cannot make a seed example: the row has a history or a system prompt of its own, and the seed reads only question, think and answer; use toExamples",
    );
  }
  const { padTokenId } = tokenizer;
  if (padTokenId === undefined) {
    throw new TypeError(
      "Cannot make a seed example: the tokenizer has no padding token; use Qwen's",
    );
  }
  const prompt =
    `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${record.question}<|im_end|>\n` +
    "<|im_start|>assistant\n";
  const reply = `<think>${record.think ?? "None"}</think> \n ${record.answer}`;
  const replyIds = append(tokenizer.encode(reply), padTokenId);
  return joinExample(tokenizer.encode(prompt), replyIds, { maxLength, terminated: true });
}
