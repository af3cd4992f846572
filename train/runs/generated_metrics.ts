/**
 * Measures of replies at each evaluation (`--eval-generate`).
 *
 * In: a run's trainer and validation rows. Out: a function for the loop that answers the first rows greedily and
 * tells what `deno task eval` would of them. It draws nothing: a run with it trains to the same bits as one
 * without.
 */

import { withTaughtEnds } from "../../infer/chat/chat_context.ts";
import { answerRows } from "../../infer/evaluate/answer_rows.ts";
import { askedChat } from "../../infer/evaluate/asked_row.ts";
import { encodeRow } from "../../infer/evaluate/encode_row.ts";
import { combineScores, type RowScore } from "../../infer/evaluate/metric.ts";
import { metrics } from "../../infer/evaluate/metrics.ts";
import { createRowGenerator, rowWindow } from "../../infer/evaluate/row_generator.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import type { ChatSettings } from "../../data/text/chat_settings.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { EvalMetrics } from "../loop/loop.ts";
import type { Trainer } from "../trainer.ts";
import { firstRows } from "./first_rows.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import type { TrainingData } from "./training_data.ts";

/** Most tokens of a reply where nothing is said. */
const MAX_NEW_TOKENS = 256;
/** Replies at once, and most bytes of their keys and values: both are free again after each evaluation. */
const BATCH_SIZE = 8;
const CACHE_BYTES = 2 ** 28;
/** Most sums of a measure; those of a process without a row for it are 0. */
const SUMS = 10;

/** What replies are made with. */
export interface GeneratedMetricsOptions {
  readonly args: TrainingArguments;
  readonly runtime: Runtime;
  readonly trainer: Trainer;
  readonly tokenizer: Tokenizer;
  readonly chat: ChatSettings;
  readonly data: Pick<TrainingData, "validation">;
}

/**
 * Prepares the rows once; `undefined` where none is asked for.
 *
 * @throws {JsonlError} where a row cannot be asked
 */
export async function generatedMetrics(
  { args, runtime, trainer, tokenizer, chat, data }: GeneratedMetricsOptions,
): Promise<EvalMetrics | undefined> {
  const { evalGenerate = 0, evalMaxNewTokens = MAX_NEW_TOKENS, evalStrategy, model, system } = args;
  if (evalGenerate === 0 || evalStrategy === "no" || data.validation.length === 0) return undefined;
  const rows = await firstRows(data.validation, evalGenerate, {
    dropRefused: args.dropRefusedRows,
    columns: args.columns,
    takes: (record) => record.kind === "text" || askedChat(record) !== undefined,
  });
  const { config, weights, linear } = trainer;
  const generation = withTaughtEnds(
    await readGenerationConfig(model, { config, tokenizer }),
    chat.eosTokenIds,
  );
  const { enableThinking } = chat;
  const window = rowWindow(runtime, config, CACHE_BYTES);
  const encoded = rows.map((row) => encodeRow(row, { tokenizer, system, enableThinking, window }));
  const table = Object.entries(metrics);
  return async ({ rank, size, sum, signal }) => {
    const own = encoded.map((each, row) => ({ row, encoded: each }))
      .filter(({ row }) => row % size === rank);
    const sums = new Float64Array(table.length * SUMS);
    await using answering = createRowGenerator(runtime, {
      config,
      slot: { weights, linear },
      generation,
      batchSize: BATCH_SIZE,
      cacheBytes: CACHE_BYTES,
    });
    const { generator, concurrency } = answering;
    const scores: { readonly row: number; readonly all: readonly (RowScore | undefined)[] }[] = [];
    const how = { greedy: true, maxNewTokens: evalMaxNewTokens };
    // One after another they would take as long as the replies; the evaluation has the loss of all.
    const losses = concurrency > 1;
    const replies = answerRows(own, {
      generator,
      tokenizer,
      concurrency,
      how,
      losses,
      signal,
    });
    for await (const { row, reply, loss } of replies) {
      const answered = { reference: encoded[row].reference, reply, loss };
      scores.push({ row, all: table.map(([, metric]) => metric.score(answered)) });
    }
    // In the order of the rows, not of their ends: floating-point sums depend on it.
    for (const { all } of scores.toSorted((a, b) => a.row - b.row)) {
      all.forEach((score, at) => score?.sums.forEach((each, i) => sums[at * SUMS + i] += each));
    }
    const whole = await sum([...sums]);
    return Object.fromEntries(table.flatMap(([name, metric], at) => {
      const of = whole.slice(at * SUMS, (at + 1) * SUMS);
      return of.some((each) => each !== 0) ? [[name, combineScores(metric, of)]] : [];
    }));
  };
}
