/**
 * `deno task train:lora`: trains a LoRA adapter on a frozen model. In: a model folder and JSONL
 * records. Out: adapter checkpoints in PEFT's layout.
 *
 * @module
 */

import { InvalidArgumentError } from "commander";
import { adaptedLayers, DEFAULT_LORA, LINEAR_LAYERS } from "../lora/lora_options.ts";
import { count, positive } from "./flag_values.ts";
import { runCommand } from "./run_command.ts";
import { trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingArguments } from "./training_arguments.ts";

interface LoraFlags extends TrainingArguments {
  readonly loraRank: number;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly targetModules: readonly string[];
  readonly useRslora?: boolean;
  readonly useDora?: boolean;
  readonly initAdapter?: string;
}

function dropout(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value < 1) return value;
  throw new InvalidArgumentError("It must be a number from 0 to below 1.");
}

function modules(text: string): readonly string[] {
  const targetModules = text.split(",").map((each) => each.trim());
  try {
    adaptedLayers({ ...DEFAULT_LORA, targetModules });
  } catch (cause) {
    throw new InvalidArgumentError((cause as Error).message + ".");
  }
  return targetModules;
}

const task = "deno task train:lora";

await runCommand<LoraFlags>({
  name: task,
  description: "Trains a LoRA adapter on think/answer chat records; the model's weights stay.",
  flags: (command) => {
    addTrainingFlags(command);
    const { rank, alpha, dropout: rate, targetModules } = DEFAULT_LORA;
    command
      .option("--lora-rank <n>", "rows of A and columns of B", count, rank)
      .option("--lora-alpha <x>", "the update is scaled by alpha ÷ rank", positive, alpha)
      .option("--lora-dropout <p>", "share of inputs zeroed before A in training", dropout, rate)
      .option(
        "--target-modules <names>",
        `layers that get an adapter, with commas between: ${
          LINEAR_LAYERS.map((name) => name.slice(name.indexOf(".") + 1)).join(", ")
        } (default: all)`,
        modules,
        targetModules,
      )
      .option("--use-rslora", "scale by alpha ÷ √rank")
      .option(
        "--use-dora",
        "DoRA: trains row magnitudes too; much slower unless --lora-dropout is 0",
      )
      .option("--init-adapter <dir>", "start from this adapter, with its settings");
  },
  run: ({ options, signal }) => {
    const lora = {
      rank: options.loraRank,
      alpha: options.loraAlpha,
      dropout: options.loraDropout,
      targetModules: options.targetModules,
      rslora: options.useRslora ?? false,
      dora: options.useDora ?? false,
      initAdapter: options.initAdapter,
    };
    return trainCommand({ ...options, lora }, { task, title: `LoRA on ${options.model}`, signal });
  },
});
