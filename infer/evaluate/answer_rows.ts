/**
 * Replies to rows, many at once.
 *
 * In: rows as token ids, and a generator. Out: each reply as soon as it is there, with the loss of the
 * reference's tokens where that is asked for.
 */

import { IGNORED } from "../../data/examples/example.ts";
import { OPEN_THINK, splitThinking } from "../../data/text/thinking.ts";
import { StreamingDecoder } from "../../data/text/streaming_decoder.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { GenerateOptions } from "../generate/generation.ts";
import type { Generator } from "../generate/generator.ts";
import type { EncodedRow } from "./encode_row.ts";
import type { EvaluatedReply, LossSum, ReferenceLoss } from "./metric.ts";

/** A row and its place among all rows. */
export interface NumberedRow {
  readonly row: number;
  readonly encoded: EncodedRow;
}

/** A reply with the row that it answers. */
export interface RowReply {
  readonly row: number;
  readonly reply: EvaluatedReply;
  readonly loss?: ReferenceLoss;
}

/** How rows are answered. */
export interface AnswerRowsOptions {
  readonly generator: Generator;
  readonly tokenizer: Tokenizer;
  /** Replies under way at once. @default 1 */
  readonly concurrency?: number;
  /** How replies are made; the seed of a row is this one's and the row's place together. */
  readonly how: Omit<GenerateOptions, "signal">;
  /** Whether the loss of the reference is told too. @default false */
  readonly losses?: boolean;
  /** Ends it within one token of each reply. */
  readonly signal?: AbortSignal;
}

/**
 * Answers rows.
 *
 * @throws the signal's reason where it is aborted: replies under way are dropped
 */
export async function* answerRows(
  rows: Iterable<NumberedRow>,
  { concurrency = 1, signal, ...options }: AnswerRowsOptions,
): AsyncGenerator<RowReply, void, void> {
  const left = new AbortController();
  const ended = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
  const running = new Map<number, Promise<RowReply>>();
  const next = async (): Promise<RowReply> => {
    const done = await Promise.race(running.values());
    running.delete(done.row);
    return done;
  };
  try {
    for (const row of rows) {
      running.set(row.row, answerRow(row, { ...options, signal: ended }));
      if (running.size >= concurrency) yield await next();
    }
    while (running.size > 0) yield await next();
  } finally {
    left.abort();
    await Promise.allSettled(running.values());
  }
}

async function answerRow(
  { row, encoded }: NumberedRow,
  { generator, tokenizer, how, losses = false, signal }:
    & Omit<AnswerRowsOptions, "concurrency" | "signal">
    & { readonly signal: AbortSignal },
): Promise<RowReply> {
  signal.throwIfAborted();
  const seed = how.seed === undefined ? {} : { seed: (how.seed + row) >>> 0 };
  const generation = generator.generate(encoded.promptIds, { ...how, ...seed, signal });
  const decoder = new StreamingDecoder(tokenizer, { skipSpecialTokens: true });
  let [text, newTokens] = ["", 0];
  for await (const id of generation) {
    text += decoder.push(id);
    newTokens++;
  }
  text += decoder.flush();
  signal.throwIfAborted();
  if (encoded.opened) text = `${OPEN_THINK}${text}`;
  const reply: EvaluatedReply = {
    ...splitThinking(text),
    text,
    finishReason: generation.finishReason!,
    newTokens,
    promptTokens: encoded.promptIds.length,
  };
  if (!losses) return { row, reply };
  return { row, reply, loss: await referenceLoss(encoded, { generator, signal }) };
}

/** The loss of the reference's tokens: the model reads prompt and reference, and makes no token. */
async function referenceLoss(
  { example, thinkTokens, reference }: EncodedRow,
  { generator, signal }: { readonly generator: Generator; readonly signal: AbortSignal },
): Promise<ReferenceLoss> {
  const { inputIds, labels, promptLength } = example;
  const reading = generator.generate(inputIds, { maxNewTokens: 0, promptLogprobs: 0, signal });
  // No token comes; the prompt is read as its end is waited for.
  for await (const _ of reading);
  signal.throwIfAborted();
  const sums: Record<keyof ReferenceLoss, { sum: number; tokens: number }> = {
    think: { sum: 0, tokens: 0 },
    answer: { sum: 0, tokens: 0 },
  };
  const answerFrom = promptLength + thinkTokens;
  for (let at = Math.max(1, promptLength); at < inputIds.length; at++) {
    const thinks = at < answerFrom;
    // The block of a reply without thinking is neither.
    if (labels[at] === IGNORED || thinks && reference.think === "") continue;
    const part = sums[thinks ? "think" : "answer"];
    part.sum -= reading.promptLogprobs![at - 1].logprob;
    part.tokens++;
  }
  return sums satisfies Record<keyof ReferenceLoss, LossSum>;
}
