/**
 * What `deno task train` and `deno task train:lora` share: a dry run, or a run with its progress in
 * the terminal and its report. In: training arguments. Out: all that a run leaves in its folder.
 */

import { createConsoleTracker } from "../track/console_tracker.ts";
import { dryRun } from "./preflight.ts";
import { writeRunReport } from "./run_report.ts";
import { shellCommand } from "./shell_command.ts";
import { terminal } from "./terminal.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { runTraining } from "./training_run.ts";

/** How the run is told of. */
export interface TrainCommandOptions {
  /** As it is called, such as `deno task train`. */
  readonly task: string;
  /** Title of the report. */
  readonly title: string;
  readonly signal: AbortSignal;
}

/** Trains, or with `--dry-run` only looks at what training would be. */
export async function trainCommand(
  args: TrainingArguments,
  { task, title, signal }: TrainCommandOptions,
): Promise<void> {
  const say = (line: string) => terminal.write(`${line}\n`);
  if (args.dryRun) {
    return await dryRun(args, { signal, say, color: terminal.isTty, progress: terminal });
  }
  const command = shellCommand(task, Deno.args);
  await using console = createConsoleTracker(terminal);
  await using run = await runTraining(args, {
    signal,
    say,
    trackers: [console],
    command,
    progress: terminal,
  });
  const files = await writeRunReport(run, { args, title, command });
  say(`curves and report: ${files.join(", ")}`);
}
