/**
 * Progress in a terminal or a log file.
 *
 * In: the events of a run. Out: on a terminal, lines for what is worth keeping above one live line;
 * elsewhere the lines alone, without control characters.
 *
 * npm's cli-progress was tried and runs under Deno without permissions, but fights: its redraws
 * hang on a timer, which a training step that holds the event loop starves and which keeps a
 * process alive; it wants a Node stream, not a function; it hooks SIGINT; a single bar cannot print
 * lines above itself; what is too wide is cut, not left out; its types are a second package. What
 * remains to write is shorter than what would work around that.
 *
 * @module
 */

import { metricNames } from "../../infer/evaluate/metrics.ts";
import type { StartEvent, StepEvent, TrainEvent } from "../events.ts";
import type { Figures } from "../trainer.ts";
import { CONSOLE_WORDS, type ConsoleWords, type TerminalLanguage } from "./console_words.ts";
import {
  formatBytes,
  formatCount,
  formatDate,
  formatDuration,
  formatLearningRate,
  formatLoss,
  formatRate,
} from "./format_units.ts";
import { formatSample, type Sample } from "./sample.ts";
import type { Tracker } from "./tracker.ts";

/** At most 10 redraws a second: more are not seen, and cost time over a slow ssh line. */
const REDRAW_MS = 100;
/**
 * Weight of the past in the moving rate of tokens: steps of uneven length even out over about 20.
 */
const RATE_MEMORY = 0.95;
const BAR_MIN = 10;
const BAR_MAX = 40;
const CLEAR_TO_END = "\x1b[K";
const DIM = "\x1b[2m";
const RESET = "\x1b[0m";
// Seconds to go that are worth a line of their own.
const WORTH_TELLING_S = 60;
/** Controls that a text of several lines needs. */
const KEPT_IN_TEXT = "\n\t";

/** What {@linkcode createConsoleTracker} writes with. */
export interface ConsoleTrackerOptions {
  /** Takes text, line breaks included; standard error is the usual place. */
  readonly write: (text: string) => void;
  /** Whether a person watches: draws a live line with control characters. */
  readonly isTty: boolean;
  /** Width of the terminal, asked at each redraw. @default () => 80 */
  readonly columns?: () => number;
  /** Milliseconds on a clock that never goes back. @default performance.now */
  readonly clock?: () => number;
  /**
   * Whether NO_COLOR is set, https://no-color.org: then thinking is told by its tags alone.
   * @default {false}
   */
  readonly noColor?: boolean;
  /** The time, told of when a run ends. @default the clock */
  readonly date?: () => Date;
  /** What it tells in. @default {"en"} */
  readonly language?: TerminalLanguage;
}

/**
 * Makes a tracker that shows the run as text, samples too: their thinking dim on a terminal,
 * between tags elsewhere. Needs no permissions.
 *
 * @example
 * ```ts
 * import { createConsoleTracker } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * let text = "";
 * await using tracker = createConsoleTracker({ write: (part) => text += part, isTty: false });
 * await tracker.event({
 *   type: "log", step: 5, epoch: 0.5, loss: 1.25, gradNorm: 2, learningRate: 1e-4,
 *   tokensPerSecond: 1200, memoryBytes: 9.6 * 2 ** 30,
 * });
 * assert.equal(
 *   text,
 *   "step 5 | epoch 0.50 | loss 1.2500 | lr 1.00e-4 | grad 2.0000 | 1,200 tok/s | 9.60 GiB\n",
 * );
 * ```
 */
export function createConsoleTracker(
  options: ConsoleTrackerOptions,
): Tracker & Required<Pick<Tracker, "samples">> {
  const {
    write,
    isTty,
    columns = () => 80,
    clock = () => performance.now(),
    noColor = false,
    date = () => new Date(),
    language = "en",
  } = options;
  const words = CONSOLE_WORDS[language];
  const progress = new Progress(clock, words);
  let live = false;
  let drawnAt = -Infinity;

  const draw = (force: boolean): void => {
    if (!isTty || !progress.underWay) return;
    const now = clock();
    if (!force && now - drawnAt < REDRAW_MS) return;
    drawnAt = now;
    live = true;
    // The last column stays free: some terminals wrap as soon as it is written.
    write(`\r${progress.line(columns() - 1)}${CLEAR_TO_END}`);
  };
  /** Writes text that stays, in the place of the live line. */
  const keep = (text: string): void => {
    write(live ? `\r${CLEAR_TO_END}${text}\n` : `${text}\n`);
    live = false;
  };
  /** Ends the live line, leaving it on the screen. */
  const settle = (): void => {
    if (live) write("\n");
    live = false;
  };

  return {
    event(event: TrainEvent): void {
      if (event.type === "end") {
        draw(true);
        settle();
      }
      progress.take(event);
      const text = describe(event, { words, totalSteps: progress.totalSteps, date }) ??
        progress.estimate(event);
      if (text !== undefined) keep(text);
      draw(text !== undefined);
    },
    samples(step: number, samples: readonly Sample[]): void {
      if (samples.length === 0) return;
      const head = words.step(stepOf(step, progress.totalSteps));
      keep(
        samples.map((sample, index) =>
          `${head} | ${words.sample(`${index + 1}/${samples.length}`)}\n\n` +
          `${describeSample(sample, isTty && !noColor)}\n`
        ).join(""),
      );
      draw(true);
    },
    [Symbol.asyncDispose](): Promise<void> {
      settle();
      return Promise.resolve();
    },
  };
}

/** The line that an event leaves behind; `undefined` for events that only move the bar. */
function describe(
  event: TrainEvent,
  { words, totalSteps, date }: {
    readonly words: ConsoleWords;
    readonly totalSteps: number | undefined;
    readonly date: () => Date;
  },
): string | undefined {
  switch (event.type) {
    case "start":
      return words.method[event.method] + [
        words.steps(formatCount(event.totalSteps)),
        words.epochs(formatCount(event.epochs)),
        words.examples(formatCount(event.examples)),
        words.forEvaluation(formatCount(event.evalExamples)),
        words.trainable(formatCount(event.trainableParameters)),
        ...(event.resumedStep > 0 ? [words.resumed(event.resumedStep)] : []),
      ].join(words.comma);
    case "log":
      return [
        words.step(stepOf(event.step, totalSteps)),
        words.epoch(event.epoch.toFixed(2)),
        `loss ${formatLoss(event.loss)}`,
        ...describePairs(event.figures),
        `lr ${formatLearningRate(event.learningRate)}`,
        `grad ${formatLoss(event.gradNorm)}`,
        formatRate(event.tokensPerSecond),
        ...(event.memoryBytes === undefined ? [] : [formatBytes(event.memoryBytes)]),
      ].join(" | ");
    case "evaluate":
      return [
        words.step(stepOf(event.step, totalSteps)),
        words.epoch(event.epoch.toFixed(2)),
        `${words.metric.eval_loss} ${formatLoss(event.evalLoss)}`,
        `${words.metric.eval_token_loss} ${formatLoss(event.evalTokenLoss)}`,
        ...describePairs(event.figures),
        ...describeGenerated(event.figures),
        words.evaluated(formatCount(event.examples), formatDuration(event.seconds)),
        ...event.best ? [words.bestSoFar] : [],
      ].join(" | ");
    case "save": {
      const [all, waited] = [event.seconds, event.waitedSeconds].map(formatDuration);
      return [
        words.step(stepOf(event.step, totalSteps)),
        words.saved(stripControls(event.directory)),
        words.size(formatBytes(event.bytes), all),
        ...waited === all ? [] : [words.waited(waited)],
      ].join(" | ");
    }
    case "skip":
      return [
        words.step(stepOf(event.step, totalSteps)),
        words.skipped(formatLoss(event.loss)),
        `grad ${formatLoss(event.gradNorm)}`,
        words.inARow(event.consecutive),
      ].join(" | ");
    case "end": {
      const { best } = event;
      return [
        words.ended(words.reason[event.reason], stepOf(event.step, totalSteps)),
        ...event.trainLoss === undefined ? [] : [words.trainLoss(formatLoss(event.trainLoss))],
        formatDuration(event.seconds),
        ...best ? [words.best(words.metric[best.metric], formatLoss(best.value), best.step)] : [],
        formatDate(date()),
      ].join(" | ");
    }
    case "step":
    case "micro-step":
      return undefined;
  }
}

/** How often the chosen reply has the higher reward, and by how much it is higher. */
function describePairs(figures: Figures = {}): string[] {
  const { "rewards/accuracies": accuracy, "rewards/margins": margin } = figures;
  if (accuracy === undefined || margin === undefined) return [];
  return [`accuracy ${accuracy.toFixed(2)}`, `margin ${formatLoss(margin)}`];
}

/** A sample as {@linkcode formatSample} has it, or with its thinking dim in place of tags. */
function describeSample(sample: Sample, styled: boolean): string {
  const question = stripControls(sample.question, KEPT_IN_TEXT);
  const think = sample.think && stripControls(sample.think, KEPT_IN_TEXT);
  const answer = stripControls(sample.answer, KEPT_IN_TEXT);
  if (!styled || !think) return formatSample({ question, think: think || undefined, answer });
  return formatSample({ question, answer: `\n${DIM}${think}${RESET}\n\n${answer}` });
}

function stepOf(step: number, totalSteps: number | undefined): string {
  return totalSteps === undefined ? String(step) : `${step}/${totalSteps}`;
}

/** A folder's name and a model's text may hold anything; a terminal must not obey it. */
function stripControls(text: string, kept: string = ""): string {
  return text.replace(/\p{Cc}/gu, (control) => kept.includes(control) ? control : "\ufffd");
}

/** How far the run is, and its live line. */
class Progress {
  readonly #clock: () => number;
  readonly #words: ConsoleWords;
  #start: StartEvent | undefined;
  #startedAt = 0;
  /** Updates made, with the fraction of the one under way. */
  #done = 0;
  #step = 0;
  #last: StepEvent | undefined;
  #memory: number | undefined;
  #ended = false;
  #tokens = 0;
  #seconds = 0;

  constructor(clock: () => number, words: ConsoleWords) {
    this.#clock = clock;
    this.#words = words;
  }

  get underWay(): boolean {
    return this.#start !== undefined && !this.#ended;
  }

  get totalSteps(): number | undefined {
    return this.#start?.totalSteps;
  }

  take(event: TrainEvent): void {
    if (event.type === "start") {
      this.#start = event;
      this.#ended = false;
      this.#startedAt = this.#clock();
      this.#done = this.#step = event.resumedStep;
    } else if (event.type === "micro-step") {
      this.#done = event.step - 1 + event.micro / event.microSteps;
    } else if (event.type === "step") {
      this.#last = event;
      this.#done = this.#step = event.step;
      this.#tokens = this.#tokens * RATE_MEMORY + event.tokens;
      this.#seconds = this.#seconds * RATE_MEMORY + event.seconds;
    } else if (event.type === "skip") {
      this.#done = this.#step = event.step;
    } else if (event.type === "log") {
      this.#memory = event.memoryBytes;
    } else if (event.type === "end") {
      this.#ended = true;
    }
  }

  /** What the second update says of all others, where they take a while: the first one compiles. */
  estimate(event: TrainEvent): string | undefined {
    if (event.type !== "step" || this.#start === undefined) return undefined;
    const { totalSteps, resumedStep } = this.#start;
    const seconds = event.seconds * (totalSteps - event.step);
    if (event.step !== resumedStep + 2 || seconds < WORTH_TELLING_S) return undefined;
    return this.#words.estimate(event.seconds.toFixed(1), formatDuration(seconds));
  }

  /**
   * The live line, at most `width` columns: what matters least is left out first. All of it is
   * ASCII, because block characters are two columns wide in many East Asian terminals.
   */
  line(width: number): string {
    const total = this.#start?.totalSteps ?? 0;
    const fraction = total > 0 ? Math.min(1, this.#done / total) : 1;
    const last = this.#last;
    const parts: { text: string; rank: number }[] = [
      { text: `${String(Math.floor(fraction * 100)).padStart(3)}%`, rank: 0 },
      { text: `${this.#step}/${total}`, rank: 1 },
      ...(last === undefined ? [] : [
        { text: `epoch ${last.epoch.toFixed(2)}`, rank: 6 },
        { text: `loss ${formatLoss(last.loss)}`, rank: 3 },
        { text: `lr ${formatLearningRate(last.learningRate)}`, rank: 7 },
        { text: `grad ${formatLoss(last.gradNorm)}`, rank: 5 },
        { text: formatRate(this.#tokens / this.#seconds), rank: 4 },
      ]),
      { text: `ETA ${formatDuration(this.#eta(total))}`, rank: 2 },
    ];
    const lengthOf = (): number => parts.map(({ text }) => text).join(" | ").length;
    const memory = this.#memory === undefined ? "" : formatBytes(this.#memory);
    // Memory hardly changes from line to line: it stands where the bar leaves room for it.
    if (memory !== "" && lengthOf() + memory.length + BAR_MIN + 6 <= width) {
      parts.splice(-1, 0, { text: memory, rank: 8 });
    }
    while (parts.length > 1 && lengthOf() > width) {
      parts.splice(
        parts.findIndex(({ rank }) => rank === Math.max(...parts.map((p) => p.rank))),
        1,
      );
    }
    const bar = Math.min(BAR_MAX, width - lengthOf() - 3);
    const [percent, ...rest] = parts.map(({ text }) => text);
    const head = bar < BAR_MIN ? percent : `${percent} ${drawBar(fraction, bar)}`;
    return [head, ...rest].join(" | ").slice(0, Math.max(0, width));
  }

  /** Seconds left, at the pace of the whole run so far, evaluations and checkpoints included. */
  #eta(total: number): number {
    const made = this.#done - (this.#start?.resumedStep ?? 0);
    if (made <= 0) return NaN;
    return (this.#clock() - this.#startedAt) / 1000 / made * Math.max(0, total - this.#done);
  }
}

/** A bar with its brackets: `width` inner columns. */
function drawBar(fraction: number, width: number): string {
  const full = Math.floor(fraction * width);
  const tip = full < width ? ">" : "";
  return `[${("=".repeat(full) + tip).padEnd(width, "-")}]`;
}

/** Measures of generated replies, by the names that logs have for them. */
function describeGenerated(figures: Figures = {}): string[] {
  const values = metricNames.flatMap((name) =>
    name in figures ? [`${name} ${formatLoss(figures[name])}`] : []
  );
  return values.length > 0 ? [values.join(", ")] : [];
}
