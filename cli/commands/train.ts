/**
 * `deno task train`: full fine-tuning from a model folder and JSONL records.
 *
 * @module
 */

import { describeFound, resolveTraining } from "../../train/runs/resolve_training.ts";
import { runCommand } from "../process/run_command.ts";
import { terminal } from "../terminal/terminal.ts";
import { trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingFlags } from "../arguments/training_arguments.ts";

const task = "deno task train";

await runCommand<TrainingFlags>({
  name: task,
  description: "Fine-tunes all weights of a model on think/answer chat records.",
  flags: addTrainingFlags,
  run: async ({ options, signal }) => {
    const args = await resolveTraining(options);
    for (const line of describeFound(options, args)) terminal.write(`${line}\n`);
    await trainCommand(args, { task, title: `Fine-tuning ${args.model}`, signal });
  },
});
