/**
 * `deno task train`: full fine-tuning from a model folder and JSONL records.
 *
 * @module
 */

import { CONFIGURABLE } from "../arguments/configurable.ts";
import { runCommand } from "../process/run_command.ts";
import { processRank, trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingFlags } from "../arguments/training_flags.ts";

const task = "deno task train";

await runCommand<TrainingFlags>({
  name: task,
  description: "Fine-tunes all weights of a model on think/answer chat records.",
  flags: addTrainingFlags,
  ...CONFIGURABLE,
  rank: processRank(),
  run: async (
    { options: { config: _config, printConfig, dryRun, distributed, ...options }, signal },
  ) => {
    const title = (model: string) => `Fine-tuning ${model}`;
    await trainCommand(options, { task, title, printConfig, dryRun, distributed, signal });
  },
});
