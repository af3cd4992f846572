/**
 * trainer_state.json as Hugging Face Trainer writes it.
 *
 * In: the loop's state. Out: text that is the same for the same training: no clock time goes in, so
 * checkpoints can be compared byte by byte.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { isCount } from "../../internal/json/is_count.ts";
import type { BestEvaluation } from "../best_evaluation.ts";
import type { IntervalStrategy } from "../interval.ts";
import type { LogRow } from "../log_row.ts";
import type { Figures } from "../trainer.ts";

/** Where a run is: all that a resumed run needs besides weights and optimizer. */
export interface LoopState {
  /** Updates made. */
  step: number;
  /** 0-based epoch of the next batch. */
  epoch: number;
  /** Batches of that epoch already used. */
  batch: number;
  /** Real tokens trained on. */
  tokensSeen: number;
  /** Losses summed since the last log, and their count; figures of pairs summed over so many batches. */
  sinceLog: { sum: number; count: number; batches?: number; figures?: Record<string, number> };
  /** Losses summed over the whole run. */
  lossSum: number;
  /** Updates skipped in a row. */
  skippedInRow: number;
  /** Logs and evaluations so far, as Hugging Face writes them. */
  logHistory: LogRow[];
}

/** Adds means over an update's batches to what is logged next. */
export function addFigures({ sinceLog }: LoopState, figures: Figures, batches: number): void {
  const sums = sinceLog.figures ??= {};
  for (const [name, value] of Object.entries(figures)) {
    sums[name] = (sums[name] ?? 0) + value * batches;
  }
  sinceLog.batches = (sinceLog.batches ?? 0) + batches;
}

/** A run that has not begun. */
export function initialState(): LoopState {
  return {
    step: 0,
    epoch: 0,
    batch: 0,
    tokensSeen: 0,
    sinceLog: { sum: 0, count: 0 },
    lossSum: 0,
    skippedInRow: 0,
    logHistory: [],
  };
}

/** Fixed facts of a run. */
export interface TrainerStateFacts {
  /** Updates of the whole run. */
  readonly totalSteps: number;
  /** Epochs asked for. */
  readonly epochs: number;
  /** Epochs done, fractional. */
  readonly epochFraction: number;
  /** Rows a batch. */
  readonly batchSize: number;
  /** Updates between two logs. */
  readonly loggingSteps: number;
  /** Updates between two evaluations; 0 for the last one only. */
  readonly evalSteps: number;
  /** Updates between two checkpoints; 0 for the last one only. */
  readonly saveSteps: number;
  /** Whether checkpoints come by steps, by epochs, or not at all. @default "steps" */
  readonly saveStrategy?: IntervalStrategy;
  /** Trainable parameters, for total_flos. */
  readonly parameters: number;
  /** The best evaluation so far. */
  readonly best?: Pick<BestEvaluation, "step" | "value">;
  /** Whether every best evaluation is saved, due or not. */
  readonly bestSaved?: boolean;
}

/** The file's text: keys sorted, two spaces. */
export function formatTrainerState(state: LoopState, facts: TrainerStateFacts): string {
  const { step, epoch, batch, tokensSeen, sinceLog, lossSum, skippedInRow, logHistory } = state;
  const { best, bestSaved = false, saveSteps, saveStrategy = "steps" } = facts;
  const saved = (at: number) =>
    bestSaved || at === step || at === facts.totalSteps ||
    (saveStrategy === "epoch"
      // The end of an epoch; every update that is asked about was evaluated.
      ? Number.isInteger(logHistory.findLast((row) => row.step === at)?.epoch)
      : saveSteps > 0 && at % saveSteps === 0);
  return JSON.stringify(
    {
      best_global_step: best?.step ?? null,
      best_metric: best?.value ?? null,
      // Without its folder, so that a run may be moved.
      best_model_checkpoint: best && saved(best.step) ? `checkpoint-${best.step}` : null,
      epoch: facts.epochFraction,
      eval_steps: facts.evalSteps,
      global_step: step,
      is_hyper_param_search: false,
      is_local_process_zero: true,
      is_world_process_zero: true,
      log_history: logHistory,
      logging_steps: facts.loggingSteps,
      max_steps: facts.totalSteps,
      num_input_tokens_seen: tokensSeen,
      num_train_epochs: facts.epochs,
      save_steps: facts.saveSteps,
      stateful_callbacks: {
        OrtuneLoop: { batch, epoch, lossSum, sinceLog, skippedInRow },
      },
      // Kaplan et al. 2020: forward and backward cost 6 operations a parameter and token.
      total_flos: 6 * tokensSeen * facts.parameters,
      train_batch_size: facts.batchSize,
      trial_name: null,
      trial_params: null,
    },
    null,
    2,
  ) + "\n";
}

/** Where a checkpoint's run stood. */
export interface SavedState {
  readonly state: LoopState;
  /** Epochs done, fractional. */
  readonly epochFraction: number;
  /** Updates that the run was to make. */
  readonly totalSteps: number;
}

/**
 * Reads the loop's state and the run's length back, and nothing else of the file.
 *
 * @throws {Error} where the file was not written by ortune
 */
export function parseTrainerState(text: string, path: string): SavedState {
  const fail = (why: string, cause?: unknown): never => {
    throw new Error(
      `Cannot resume from ${path}: ${why}; ` +
        "give a checkpoint that ortune wrote, or start from its weights with --model",
      { cause },
    );
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return fail(`it is not valid JSON (${(cause as Error).message})`, cause);
  }
  if (!isRecord(json)) return fail(`it is ${describeValue(json)}, not an object`);
  const callbacks = isRecord(json.stateful_callbacks) ? json.stateful_callbacks : {};
  const loop = callbacks.OrtuneLoop;
  if (!isRecord(loop)) return fail("it has no position in the data");
  const count = (of: Record<string, unknown>, name: string): number => {
    const value = of[name];
    return isCount(value) ? value : fail(`${name} is ${describeValue(value)}, not a count`);
  };
  const number = (of: Record<string, unknown>, name: string): number => {
    const value = of[name];
    return typeof value === "number" && Number.isFinite(value)
      ? value
      : fail(`${name} is ${describeValue(value)}, not a number`);
  };
  const { sinceLog } = loop;
  if (!isRecord(sinceLog)) return fail(`sinceLog is ${describeValue(sinceLog)}, not an object`);
  const parseFigures = (of: Record<string, unknown>): Partial<LoopState["sinceLog"]> => {
    const { figures } = of;
    if (figures === undefined) return {};
    if (!isRecord(figures)) return fail(`figures is ${describeValue(figures)}, not an object`);
    const sums = Object.keys(figures).map((name) => [name, number(figures, name)]);
    return { batches: count(of, "batches"), figures: Object.fromEntries(sums) };
  };
  const { log_history: logHistory } = json;
  if (!Array.isArray(logHistory)) {
    return fail(`log_history is ${describeValue(logHistory)}, not a list`);
  }
  const wrong = logHistory.findIndex((row) => !isLogRow(row));
  if (wrong !== -1) return fail(`log_history[${wrong}] is no row of a loss or an evaluation`);
  return {
    state: {
      step: count(json, "global_step"),
      epoch: count(loop, "epoch"),
      batch: count(loop, "batch"),
      tokensSeen: count(json, "num_input_tokens_seen"),
      sinceLog: {
        sum: number(sinceLog, "sum"),
        count: count(sinceLog, "count"),
        ...parseFigures(sinceLog),
      },
      lossSum: number(loop, "lossSum"),
      skippedInRow: count(loop, "skippedInRow"),
      logHistory,
    },
    epochFraction: number(json, "epoch"),
    totalSteps: count(json, "max_steps"),
  };
}

const ROWS: readonly (readonly string[])[] = [
  ["grad_norm", "learning_rate", "loss"],
  ["eval_loss", "eval_token_loss"],
];

function isLogRow(row: unknown): row is LogRow {
  return isRecord(row) && isCount(row.step) && Number.isFinite(row.epoch) &&
    ROWS.some((names) => names.every((name) => Number.isFinite(row[name]) || row[name] === "NaN"));
}

/** Figures as a row has them, under names that begin with a prefix. */
export function jsonFigures(
  figures: Figures = {},
  prefix = "",
): Record<string, number | "NaN"> {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [`${prefix}${name}`, jsonNumber(value)]),
  );
}

/** A number for JSON, which has no NaN: Python's and JavaScript's readers both see a word. */
export function jsonNumber(value: number): number | "NaN" {
  return Number.isFinite(value) ? value : "NaN";
}
