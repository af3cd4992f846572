/**
 * What the dashboard's server sends to its page.
 *
 * Nothing is imported: the page's script is checked against these types together with the browser's,
 * which know nothing of Deno and Node.
 */

/** The figures that the dashboard shows, by their names in a metrics log, besides measures of replies. */
export const FIGURE_NAMES = [
  "epoch",
  "loss",
  "grad_norm",
  "learning_rate",
  "tokens_per_second",
  "memory_bytes",
  "eval_loss",
  "eval_token_loss",
  "skipped_updates",
  "rewards/accuracies",
  "rewards/margins",
  "eval_rewards/accuracies",
  "eval_rewards/margins",
] as const;

/** The name that a measure of generated replies has in a metrics log. */
export type MeasureName = `eval_${string}`;

/** A measure of generated replies, and what it is called. */
export interface Measure {
  readonly key: MeasureName;
  readonly en: string;
  readonly zh: string;
}

/** A figure's name. */
export type FigureName = typeof FIGURE_NAMES[number] | MeasureName;

/** Figures of a step; `null` for those that are not finite. */
export type FigureRow =
  & { readonly step: number }
  & { readonly [Name in FigureName]?: number | null };

/** What the model said. */
export interface SampleRow {
  readonly step: number;
  readonly question: string;
  readonly think: string;
  readonly answer: string;
}

/** Where the last look ended, for each of a run's files; "" before the first. */
export interface Cursors {
  readonly figures: string;
  readonly samples: string;
}

/** What a look at a growing file tells besides its new content. */
export interface FileUpdate {
  /** For the next look. */
  readonly cursor: string;
  /** Whether earlier content is void: the file is another one, or is gone. */
  readonly reset: boolean;
  /** Whether there is more to read at once. */
  readonly more: boolean;
}

/** New rows of a file. */
export interface NewRows<Row> extends FileUpdate {
  readonly rows: readonly Row[];
}

/**
 * Whether a run goes on, and how it ended: as in run.json, but `started` is "running", or "silent" where
 * nothing was logged for an hour, as by a process that was killed.
 */
export type RunStatus =
  | "running"
  | "silent"
  | "completed"
  | "early-stopped"
  | "aborted"
  | "failed";

/** What is known of a run besides its figures. */
export interface RunState {
  readonly status: RunStatus;
  /** When it was started, or started again, as ISO 8601. */
  readonly started: string;
  /** When it ended; `null` before. */
  readonly ended: string | null;
}

/** New rows of a run's files. */
export interface RunUpdate {
  /** Left out of a run without a run.json. */
  readonly state?: RunState;
  readonly figures: NewRows<FigureRow>;
  readonly samples: NewRows<SampleRow>;
}

/** A whole run, as the page of a report holds it. */
export interface RunData {
  readonly name: string;
  readonly state?: RunState;
  readonly figures: readonly FigureRow[];
  readonly samples: readonly SampleRow[];
}
