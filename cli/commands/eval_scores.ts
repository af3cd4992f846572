/**
 * Scores of replies, for `deno task eval`. In: the replies of each model. Out: the evaluation: values of the
 * table's measures, of the user's own and of a judge.
 */

import type { EvalRow } from "../../infer/evaluate/asked_row.ts";
import { isCount } from "../../internal/json/is_count.ts";
import { type Journal, type JournalEntry, openJournal } from "../../infer/evaluate/journal.ts";
import { askJudge, type Grade, type JudgeOptions, RUBRIC } from "../../infer/evaluate/judge.ts";
import { type AnsweredRow, type Metric, plainScore } from "../../infer/evaluate/metric.ts";
import { metrics } from "../../infer/evaluate/metrics.ts";
import { namedMetric, type OwnMetric } from "../../infer/evaluate/own_metric.ts";
import { type ModelScores, scoreRows, summarize } from "../../infer/evaluate/score_rows.ts";
import { sha256 } from "../../train/checkpoints/checkpoint.ts";
import { createProgressLine } from "../../train/runs/progress_line.ts";
import type { EvalResult, EvaluatedModel } from "../eval_report/eval_result.ts";
import { terminal } from "../terminal/terminal.ts";
import type { AnsweredRows } from "./eval_model.ts";

/** A model with what it answered. */
export interface AnsweredModel extends EvaluatedModel, AnsweredRows {
  /** Where grades of its answers are kept. */
  readonly gradesPath: string;
}

/** What else measures. */
export interface EvalScoresOptions {
  readonly data: string;
  readonly own?: OwnMetric;
  readonly judge?: Omit<JudgeOptions, "signal">;
  readonly seed: number;
  readonly resamples: number;
  readonly signal: AbortSignal;
}

/** Grades of the judge, as a measure. */
const JUDGE: Omit<Metric, "score"> = {
  title: { en: "judge's grade, 1 to 5", zh: "评审打分（1 至 5）" },
  better: "higher",
};
const JUDGE_NAME = "judge";
/** Questions that a judge is asked at once. */
const JUDGED_AT_ONCE = 4;

/** A grade that is kept. */
interface KeptGrade extends JournalEntry, Grade {}

/** Scores all models. */
export async function evalScores(
  rows: readonly EvalRow[],
  models: readonly AnsweredModel[],
  { data, own, judge, seed, resamples, signal }: EvalScoresOptions,
): Promise<EvalResult> {
  const grades: (ReadonlyMap<number, KeptGrade> | undefined)[] = [];
  for (const model of models) {
    grades.push(judge && await gradesOf(model, { judge, signal }));
  }
  const table: Record<string, Omit<Metric, "score">> = { ...metrics };
  if (judge) table[JUDGE_NAME] = JUDGE;
  const scored: ModelScores[] = [];
  for (const [i, model] of models.entries()) {
    const answered = answeredRows(rows, model);
    const more = own ? await ownScores(answered, { model, rows, own, table }) : {};
    const graded = grades[i];
    const judged = graded &&
      { [JUDGE_NAME]: rows.map((_, row) => plainScore(graded.get(row)!.grade)) };
    scored.push({ ...scoreRows(answered), ...more, ...judged });
  }
  return {
    data,
    models: models.map(({ name, model, adapter }) => ({ name, model, adapter })),
    summaries: summarize(scored, table, { seed, resamples }),
    resamples,
    rows: rows.map(({ where, choice }, row) => ({
      where,
      question: models[0].encoded[row].question,
      reference: models[0].encoded[row].reference,
      ...choice ? { choice } : {},
      models: models.map(({ replies }, i) => ({
        reply: replies[row].reply,
        scores: Object.fromEntries(
          Object.entries(scored[i]).flatMap(([name, scores]) =>
            scores[row] ? [[name, scores[row].value]] : []
          ),
        ),
        ...grades[i] ? { judged: grades[i].get(row)!.text } : {},
      })),
    })),
  };
}

function answeredRows(rows: readonly EvalRow[], { encoded, replies }: AnsweredRows): AnsweredRow[] {
  return rows.map(({ choice }, row) => {
    const { reply, loss } = replies[row];
    return {
      reference: encoded[row].reference,
      reply,
      ...choice ? { choice } : {},
      ...loss ? { loss } : {},
    };
  });
}

/** The user's own numbers; their names are put into the table. */
async function ownScores(
  answered: readonly AnsweredRow[],
  { model, rows, own, table }: {
    readonly model: AnsweredModel;
    readonly rows: readonly EvalRow[];
    readonly own: OwnMetric;
    readonly table: Record<string, Omit<Metric, "score">>;
  },
): Promise<ModelScores> {
  const scores: Record<string, (ReturnType<typeof plainScore> | undefined)[]> = {};
  for (const [row, { reference, reply, choice }] of answered.entries()) {
    const { question } = model.encoded[row];
    const values = await own.score({ question, reference, choice }, reply, rows[row].where);
    for (const [name, value] of Object.entries(values)) {
      if (name in metrics || name === JUDGE_NAME) {
        throw new Error(`Cannot take the metric's ${name}: a measure has this name; rename it`);
      }
      table[name] ??= namedMetric(name);
      scores[name] ??= new Array(rows.length).fill(undefined);
      scores[name][row] = plainScore(value);
    }
  }
  return scores;
}

/** The judge's grades of all answers; those that are kept are not asked for again. */
async function gradesOf(
  { name, encoded, replies, gradesPath }: AnsweredModel,
  { judge, signal }: {
    readonly judge: Omit<JudgeOptions, "signal">;
    readonly signal: AbortSignal;
  },
): Promise<ReadonlyMap<number, KeptGrade>> {
  const journal = await openJournal(gradesPath, {
    facts: { judge: judge.url, model: judge.model, rubric: sha256(RUBRIC).slice(0, 16) },
    parse: parseGrade,
  });
  const keyOf = (row: number): string =>
    sha256(encoded[row].key, replies[row].reply.text).slice(0, 16);
  const open = [...encoded.keys()].filter((row) => journal.entries.get(row)?.key !== keyOf(row));
  const line = createProgressLine(terminal);
  const total = open.length;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let row = open.shift(); row !== undefined; row = open.shift()) {
      signal.throwIfAborted();
      await judgeRow(row, { journal, judge, signal, encoded, replies, key: keyOf(row) });
      done++;
      line.update({
        fraction: done / total,
        whole: done === total,
        describe: () => `${name}: ${done} of ${total} answers graded`,
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: JUDGED_AT_ONCE }, work));
  } finally {
    // Where one fails, the others stop after the answer under way.
    open.length = 0;
    line.finish();
  }
  return journal.entries;
}

async function judgeRow(
  row: number,
  { journal, judge, signal, encoded, replies, key }: AnsweredRows & {
    readonly journal: Journal<KeptGrade>;
    readonly judge: Omit<JudgeOptions, "signal">;
    readonly signal: AbortSignal;
    readonly key: string;
  },
): Promise<void> {
  const { question, reference } = encoded[row];
  const asked = { question, reference: reference.answer, answer: replies[row].reply.answer };
  await journal.add({ row, key, ...await askJudge(asked, { ...judge, signal }) });
}

function parseGrade(
  { row, key, grade, text }: Readonly<Record<string, unknown>>,
): KeptGrade | undefined {
  if (!isCount(row) || typeof key !== "string" || typeof text !== "string") return undefined;
  return typeof grade === "number" && grade >= 1 && grade <= 5
    ? { row, key, grade, text }
    : undefined;
}
