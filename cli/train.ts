/**
 * `deno task train`: full fine-tuning from a model folder and JSONL records.
 *
 * @module
 */

import { runCommand } from "./run_command.ts";
import { trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingArguments } from "./training_arguments.ts";

const task = "deno task train";

await runCommand<TrainingArguments>({
  name: task,
  description: "Fine-tunes all weights of a model on think/answer chat records.",
  flags: addTrainingFlags,
  run: ({ options, signal }) =>
    trainCommand(options, { task, title: `Fine-tuning ${options.model}`, signal }),
});
