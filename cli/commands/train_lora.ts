/**
 * `deno task train:lora`: trains a LoRA adapter on a frozen model. In: a model folder and JSONL
 * records. Out: adapter checkpoints in PEFT's layout.
 *
 * @module
 */

import { addLoraFlags, loraArguments, type LoraFlags } from "../arguments/lora_arguments.ts";
import { describeFound, resolveTraining } from "../../train/runs/resolve_training.ts";
import { runCommand } from "../process/run_command.ts";
import { terminal } from "../terminal/terminal.ts";
import { trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingFlags } from "../arguments/training_arguments.ts";

const task = "deno task train:lora";

await runCommand<TrainingFlags & LoraFlags>({
  name: task,
  description: "Trains a LoRA adapter on think/answer chat records; the model's weights stay.",
  flags: (command) => {
    addTrainingFlags(command);
    addLoraFlags(command);
  },
  run: async ({ options, signal }) => {
    const args = await resolveTraining(options, loraArguments(options));
    for (const line of describeFound(options, args)) terminal.write(`${line}\n`);
    await trainCommand(args, { task, title: `LoRA on ${args.model}`, signal });
  },
});
