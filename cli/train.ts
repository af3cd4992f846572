/**
 * `deno task train`: full fine-tuning from a model folder and JSONL records.
 *
 * @module
 */

import { createConsoleTracker } from "../track/console_tracker.ts";
import { runCommand } from "./run_command.ts";
import { addTrainingFlags, type TrainingArguments } from "./training_arguments.ts";
import { runTraining } from "./training_run.ts";
import { terminal } from "./terminal.ts";
import { writeRunReport } from "./run_report.ts";

await runCommand<TrainingArguments>({
  name: "deno task train",
  description: "Fine-tunes all weights of a model on think/answer chat records.",
  flags: addTrainingFlags,
  run: async ({ options, signal }) => {
    const say = (line: string) => terminal.write(`${line}\n`);
    await using console = createConsoleTracker(terminal);
    await using run = await runTraining(options, { signal, say, trackers: [console] });
    const files = await writeRunReport(run, {
      args: options,
      title: `Fine-tuning ${options.model}`,
      command: ["deno task train", ...Deno.args].join(" "),
    });
    say(`curves and report: ${files.join(", ")}`);
  },
});
