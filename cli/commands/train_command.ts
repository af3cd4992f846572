/**
 * What `deno task train`, `deno task train:lora` and `deno task replay` share: a dry run, or a run
 * with its progress in the terminal, its samples and its report. In: training arguments. Out: all
 * that a run leaves in its folder.
 */

import { createConsoleTracker } from "../../train/track/console_tracker.ts";
import { dryRun } from "../../train/runs/dry_run.ts";
import { predict } from "../../train/runs/predictions.ts";
import type { Output } from "../../infer/chat/reply.ts";
import { writeRunReport } from "../../train/runs/run_report.ts";
import { shellCommand } from "../process/shell_command.ts";
import { terminal } from "../terminal/terminal.ts";
import { ortLibrary } from "../process/open_runtime.ts";
import type { TrainingOptions } from "../../train/runs/training_arguments.ts";
import { runTraining } from "../../train/runs/run_training.ts";

/** How the run is told of. */
export interface TrainCommandOptions {
  /** As it is called, such as `deno task train`. */
  readonly task: string;
  /** Title of the report, of the model's folder. */
  readonly title: (model: string) => string;
  /** Flags that start the same run. @default the process's arguments */
  readonly flags?: readonly string[];
  /** Only looks at what training would be. @default false */
  readonly dryRun?: boolean;
  readonly signal: AbortSignal;
}

// Tokens of the first example that a run shows; a dry run shows more.
const HEAD = 8;
const TAIL = 8;

/** Trains, or only looks at what training would be. */
export async function trainCommand(
  options: TrainingOptions,
  { task, title, flags = Deno.args, dryRun: isDry = false, signal }: TrainCommandOptions,
): Promise<void> {
  const say = (line: string) => terminal.write(`${line}\n`);
  const libraryPath = ortLibrary();
  if (isDry) {
    const color = terminal.isTty;
    return await dryRun(options, { signal, say, color, progress: terminal, libraryPath });
  }
  const command = shellCommand(task, flags);
  await using console = createConsoleTracker(terminal);
  await using run = await runTraining(options, {
    signal,
    say,
    trackers: [console],
    command,
    progress: terminal,
    table: { head: HEAD, tail: TAIL, color: terminal.isTty },
    libraryPath,
  });
  const { args, end, checkpoint, trackers } = run;
  if (end.best?.loaded) say(`went back to the weights of the best evaluation: ${checkpoint}`);
  const samples = signal.aborted ? [] : await predict(run, { output: errorOutput, signal });
  if (samples.length > 0) {
    for (const tracker of trackers) await tracker.samples?.(end.step, samples);
  }
  const files = await writeRunReport(run, { title: title(args.model), command, samples, say });
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
