/**
 * `deno task train:lora`: trains a LoRA adapter on a frozen model. In: a model folder and JSONL
 * records. Out: adapter checkpoints in PEFT's layout.
 *
 * @module
 */

import { addLoraFlags, loraArguments, type LoraFlags } from "../arguments/lora_flags.ts";
import { CONFIGURABLE } from "../arguments/configurable.ts";
import { runCommand } from "../process/run_command.ts";
import { processRank, trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingFlags } from "../arguments/training_flags.ts";

const task = "deno task train:lora";

await runCommand<TrainingFlags & LoraFlags>({
  name: task,
  description: "Trains a LoRA adapter on think/answer chat records; the model's weights stay.",
  flags: (command) => {
    addTrainingFlags(command);
    addLoraFlags(command);
  },
  ...CONFIGURABLE,
  rank: processRank(),
  run: async (
    { options: { config: _config, printConfig, dryRun, distributed, ...options }, signal },
  ) => {
    const lora = loraArguments(options);
    const title = (model: string) => `LoRA on ${model}`;
    await trainCommand({ ...options, lora }, {
      task,
      title,
      printConfig,
      dryRun,
      distributed,
      signal,
    });
  },
});
