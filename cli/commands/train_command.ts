/**
 * What `deno task train`, `deno task train:lora` and `deno task replay` share: a dry run, or a run
 * with its progress in the terminal, its samples and its report. In: training arguments. Out: all
 * that a run leaves in its folder.
 */

import { createConsoleTracker } from "../../train/track/console_tracker.ts";
import { dryRun } from "../../train/runs/dry_run.ts";
import { predict } from "../../train/runs/predictions.ts";
import type { Output } from "../terminal/reply.ts";
import { writeRunReport } from "../../train/runs/run_report.ts";
import { shellCommand } from "../process/shell_command.ts";
import { terminal } from "../terminal/terminal.ts";
import type { TrainingArguments } from "../arguments/training_arguments.ts";
import { runTraining } from "../../train/runs/training_run.ts";

/** How the run is told of. */
export interface TrainCommandOptions {
  /** As it is called, such as `deno task train`. */
  readonly task: string;
  /** Title of the report. */
  readonly title: string;
  /** Flags that start the same run. @default the process's arguments */
  readonly flags?: readonly string[];
  readonly signal: AbortSignal;
}

// Tokens of the first example that a run shows; a dry run shows more.
const HEAD = 8;
const TAIL = 8;

/** Trains, or with `--dry-run` only looks at what training would be. */
export async function trainCommand(
  args: TrainingArguments,
  { task, title, flags = Deno.args, signal }: TrainCommandOptions,
): Promise<void> {
  const say = (line: string) => terminal.write(`${line}\n`);
  if (args.dryRun) {
    return await dryRun(args, { signal, say, color: terminal.isTty, progress: terminal });
  }
  const command = shellCommand(task, flags);
  await using console = createConsoleTracker(terminal);
  await using run = await runTraining(args, {
    signal,
    say,
    trackers: [console],
    command,
    progress: terminal,
    table: { head: HEAD, tail: TAIL, color: terminal.isTty },
  });
  const { end, checkpoint, trackers } = run;
  if (end.best?.loaded) say(`went back to the weights of the best evaluation: ${checkpoint}`);
  const samples = signal.aborted ? [] : await predict(run, { args, output: errorOutput, signal });
  if (samples.length > 0) {
    for (const tracker of trackers) await tracker.samples?.(end.step, samples);
  }
  const files = await writeRunReport(run, { args, title, command, samples, say });
  if (files.length > 0) say(`curves and report: ${files.join(", ")}`);
  const ask = args.lora ? "inference:lora --adapter" : "inference --model";
  say(`ask it yourself: deno task ${ask} ${checkpoint}`);
}

/** Samples go where progress goes. */
const errorOutput: Output = {
  // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
  write: async (text) => terminal.write(text),
  isTty: terminal.isTty,
};
