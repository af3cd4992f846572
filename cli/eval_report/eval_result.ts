/**
 * What an evaluation came to, and its file.
 *
 * In: rows with the replies of each model. Out: JSON, of equal bytes for equal replies.
 */

import type { RowLocation } from "../../data/records/jsonl_error.ts";
import type { Choice, EvaluatedReply, ThinkAnswer } from "../../infer/evaluate/metric.ts";
import type { MetricSummary } from "../../infer/evaluate/score_rows.ts";

/** What one model made of a row. */
export interface ModelReply {
  readonly reply: EvaluatedReply;
  /** The row's value of each measure that says something of it. */
  readonly scores: Readonly<Record<string, number>>;
  /** What the judge wrote, where one was asked. */
  readonly judged?: string;
}

/** A row with the replies of all models, in their order. */
export interface EvalRowResult {
  readonly where: RowLocation;
  readonly question: string;
  readonly reference: ThinkAnswer;
  readonly choice?: Choice;
  readonly models: readonly ModelReply[];
}

/** A model that was asked. */
export interface EvaluatedModel {
  /** What it is called. */
  readonly name: string;
  readonly model: string;
  readonly adapter?: string;
}

/** An evaluation. */
export interface EvalResult {
  /** The file of rows. */
  readonly data: string;
  readonly models: readonly EvaluatedModel[];
  readonly rows: readonly EvalRowResult[];
  readonly summaries: readonly MetricSummary[];
  /** Draws of rows behind the intervals. */
  readonly resamples: number;
}

/** The evaluation as JSON. */
export function evalJson({ data, models, rows, summaries, resamples }: EvalResult): string {
  const json = {
    format: "ortune-eval-1",
    data,
    models,
    interval: { level: 0.95, resamples },
    metrics: summaries.map(({ name, metric, models, comparisons }) => ({
      name,
      better: metric.better ?? null,
      models: models.map((value) => value ?? null),
      beside_first: comparisons.map((value) => value ?? null),
    })),
    rows: rows.map(({ where: { line }, question, reference, choice, models }) => ({
      line,
      question,
      reference,
      ...choice ? { choice } : {},
      models: models.map(({ reply, scores, judged }) => ({
        text: reply.text,
        finish_reason: reply.finishReason,
        new_tokens: reply.newTokens,
        scores,
        ...judged === undefined ? {} : { judged },
      })),
    })),
  };
  return `${JSON.stringify(json, null, 1)}\n`;
}
