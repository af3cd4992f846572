/**
 * What the dashboard shows of a run.
 *
 * In: a run's folder. Out: its figures and samples as rows of checked values; lines that are not
 * such rows are left out, as a dashboard looks at files that others write.
 */

import { metricNames } from "../../infer/evaluate/metrics.ts";
import { METRICS_FILE, SAMPLES_FILE } from "./find_runs.ts";
import { readRunState } from "./read_run_state.ts";
import { type NewLines, readNewLines } from "./read_new_lines.ts";
import {
  type Cursors,
  FIGURE_NAMES,
  type FigureRow,
  type NewRows,
  type RunData,
  type RunUpdate,
  type SampleRow,
} from "./run_update.ts";

/** All that is taken of a line. */
const SHOWN = [...FIGURE_NAMES, ...metricNames.map((name) => `eval_${name}` as const)];

/** What a run's files got since the last look. */
export async function readUpdate(folder: string, cursors: Cursors): Promise<RunUpdate> {
  const [state, figures, samples] = await Promise.all([
    readRunState(folder),
    readNewLines(`${folder}/${METRICS_FILE}`, cursors.figures),
    readNewLines(`${folder}/${SAMPLES_FILE}`, cursors.samples),
  ]);
  return { state, figures: toRows(figures, toFigures), samples: toRows(samples, toSample) };
}

/** All of a run. */
export async function readRun(folder: string, name: string): Promise<RunData> {
  const figures: FigureRow[] = [];
  const samples: SampleRow[] = [];
  let cursors: Cursors = { figures: "", samples: "" };
  let state: RunUpdate["state"];
  for (let more = true; more;) {
    const update = await readUpdate(folder, cursors);
    if (update.figures.reset) figures.length = 0;
    if (update.samples.reset) samples.length = 0;
    figures.push(...update.figures.rows);
    samples.push(...update.samples.rows);
    state = update.state;
    more = update.figures.more || update.samples.more;
    cursors = { figures: update.figures.cursor, samples: update.samples.cursor };
  }
  return { name, state, figures, samples };
}

function toRows<Row>(
  { lines, ...rest }: NewLines,
  parse: (value: Record<string, unknown>) => Row | undefined,
): NewRows<Row> {
  const rows = lines.flatMap((line) => {
    const value = toObject(line);
    const row = value && parse(value);
    return row === undefined ? [] : [row];
  });
  return { ...rest, rows };
}

function toObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isStep(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function toFigures(value: Record<string, unknown>): FigureRow | undefined {
  if (!isStep(value.step)) return undefined;
  const row: { -readonly [Name in keyof FigureRow]: FigureRow[Name] } = { step: value.step };
  for (const name of SHOWN) {
    const figure = value[name];
    if (typeof figure === "number") row[name] = Number.isFinite(figure) ? figure : null;
    else if (typeof figure === "string") row[name] = null;
  }
  // Of pairs that is what the training loss can be compared with.
  if ("eval_rewards/margins" in value) row.eval_token_loss = row.eval_loss;
  return row;
}

function toSample(value: Record<string, unknown>): SampleRow | undefined {
  const { step, question, think = "", answer } = value;
  if (
    !isStep(step) || typeof question !== "string" || typeof think !== "string" ||
    typeof answer !== "string"
  ) return undefined;
  return { step, question, think, answer };
}
