/**
 * Runs steps one after the other, each within a limit of its own and all within one budget. In: steps,
 * a folder for logs. Out: the logs, what came of each step, a summary.
 */

import type { TimeBudget } from "../time_budget.ts";
import { CommandRun, type StepCommand } from "./step_command.ts";
import { LogFolder } from "./log_folder.ts";

/** Something to run. */
export interface Step {
  readonly name: string;
  /** Seconds that it may take at the most. */
  readonly seconds: number;
  /** File that its output is added to. */
  readonly log: string;
  /** What it runs, all at once, within so many seconds. */
  readonly commands: (seconds: number) => readonly StepCommand[];
  /** Whether later steps start meanwhile. @default false */
  readonly beside?: boolean;
  /** Whether nothing may run beside it, as it is timed: it waits for those. @default false */
  readonly alone?: boolean;
  /** Whether to run it, by what earlier steps printed. @default always */
  readonly when?: (outputs: ReadonlyMap<string, string>) => boolean;
  /** Why it cannot run here. */
  readonly skip?: string;
  /** The lines of its output that people are to see. @default the last ones */
  readonly show?: RegExp;
}

/** What came of a step. */
export interface StepResult {
  readonly name: string;
  readonly state: "ok" | "FAILED" | "skipped";
  readonly text: string;
}

/** How to run them. */
export interface StepRunnerOptions {
  readonly budget: TimeBudget;
  /** Folder for logs. */
  readonly out: string;
  /** Takes what people are to see. */
  readonly say: (text: string) => void;
}

// Less than this is not worth a start, and so much is kept for the summary.
const LEAST_SECONDS = 8;
const END_SECONDS = 3;
const LAST_LOG = "8_rest.txt";
// Characters of a step's output that are shown.
const SHOWN = 2600;

/** Runs steps. */
export class StepRunner {
  readonly results: StepResult[] = [];
  readonly #outputs = new Map<string, string>();
  readonly #running = new Set<CommandRun>();
  readonly #logs: LogFolder;
  readonly #options: StepRunnerOptions;
  #beside: Promise<void>[] = [];
  #stopped: string | undefined;

  /** Runs nothing yet. */
  constructor(options: StepRunnerOptions) {
    this.#options = options;
    this.#logs = new LogFolder(options.out);
  }

  /** Runs them in order. */
  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#step(step);
    await Promise.all(this.#beside);
  }

  async #step(step: Step): Promise<void> {
    const { name, beside = false, alone = false, when, skip } = step;
    if (when && !when(this.#outputs)) return;
    const { budget } = this.#options;
    const why = this.#stopped ?? skip;
    if (why !== undefined) return this.#tell({ name, state: "skipped", text: why });
    if (alone) await Promise.all(this.#beside.splice(0));
    const room = Math.floor(budget.left() - END_SECONDS);
    if (room < Math.min(step.seconds, LEAST_SECONDS)) {
      return this.#tell({ name, state: "skipped", text: "no time left" });
    }
    const seconds = Math.min(step.seconds, room);
    const work = this.#work(step, seconds);
    if (beside) this.#beside.push(work);
    else await work;
  }

  async #work(step: Step, seconds: number): Promise<void> {
    const { name, log, commands } = step;
    const { say, budget } = this.#options;
    const began = performance.now();
    const list = commands(seconds);
    const runs = await Promise.all(list.map(async (command) => {
      const title = command.name === undefined ? name : `${name}: ${command.name}`;
      const head = `=== ${title} (${seconds} s at the most): ${command.command.join(" ")}\n`;
      // Of several at once each is logged as a whole when it ends.
      const alone = list.length === 1;
      if (alone) this.#logs.add(log, head);
      const run = new CommandRun(command, {
        seconds,
        write: alone ? (text) => this.#logs.add(log, text) : undefined,
      });
      this.#running.add(run);
      const failure = await run.result();
      this.#running.delete(run);
      if (!alone) this.#logs.add(log, head + run.output);
      return { command, failure, output: run.output };
    }));
    const output = runs.map((run) => run.output).join("\n");
    this.#outputs.set(name, output);
    say(`--- ${name}\n${excerpt(output, step.show)}`);
    const failures = Map.groupBy(runs.filter(({ failure }) => failure), ({ failure }) => failure!);
    const taken = (performance.now() - began) / 1000;
    this.#tell({
      name,
      state: failures.size > 0 ? "FAILED" : "ok",
      text: [
        `${taken.toFixed(0)} s, ${budget.left().toFixed(0)} s left`,
        ...[...failures].map(([failure, failed]) => {
          const names = failed.flatMap(({ command }) => command.name ?? []);
          return names.length > 0 ? `${names.join(", ")}: ${failure}` : failure;
        }),
        ...[...output.matchAll(/^skipped: .*$/gm)].map(([line]) => line),
      ].join("; "),
    });
  }

  #tell(result: StepResult): void {
    this.results.push(result);
    this.#options.say(formatResult(result));
  }

  /** Ends what runs, and leaves out what would come, for this reason. */
  stop(reason: string): void {
    this.#stopped = reason;
    for (const run of this.#running) run.stop();
  }

  /** What came of all, a line each, and a count. */
  summary(): string {
    const count = (state: StepResult["state"]): number =>
      this.results.filter((result) => result.state === state).length;
    return [
      "================ summary",
      ...this.results.map(formatResult),
      `${count("ok")} ok, ${count("FAILED")} failed, ${count("skipped")} skipped`,
    ].join("\n");
  }

  /** Adds the summary to the last log and tells it. */
  close(): void {
    const text = this.summary();
    this.#logs.add(LAST_LOG, `${text}\n`);
    this.#options.say(`\n${text}`);
  }

  /** Whether a step failed, or all was ended early. */
  get failed(): boolean {
    return this.#stopped !== undefined || this.results.some(({ state }) => state === "FAILED");
  }
}

function excerpt(output: string, show: RegExp | undefined): string {
  const lines = show ? output.split("\n").filter((line) => show.test(line)).join("\n") : "";
  return (lines || output).slice(-SHOWN).trim();
}

function formatResult({ name, state, text }: StepResult): string {
  return `${state.padEnd(7)} ${name}: ${text}`;
}
