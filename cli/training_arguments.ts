/**
 * The flags of training, under TrainingArguments' names. In: a commander command. Out: the flags
 * added, and the type they parse to. Defaults are Qwen3-Medical-SFT's train.py.
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import type { LoraOptions } from "../lora/lora_options.ts";
import { schedules } from "../train/schedule.ts";
import { count, countOrZero, device, positive, positiveOrZero, seed } from "./flag_values.ts";

/** The system prompt of Qwen3-Medical-SFT. */
export const DEFAULT_SYSTEM = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";

/** Parsed flags of training. */
export interface TrainingArguments {
  readonly model: string;
  readonly trainFile: string;
  readonly validationFile?: string;
  readonly outputDir: string;
  readonly overwriteOutputDir?: boolean;
  readonly system: string;
  readonly numTrainEpochs: number;
  readonly maxSteps: number;
  readonly perDeviceTrainBatchSize: number;
  readonly perDeviceEvalBatchSize?: number;
  readonly gradientAccumulationSteps: number;
  readonly learningRate: number;
  readonly lrSchedulerType: string;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly maxLength: number;
  readonly packing?: boolean;
  readonly dropUnlabelled?: boolean;
  readonly gradientCheckpointing: boolean;
  readonly reportTo: readonly string[];
  readonly loggingSteps: number;
  readonly evalSteps: number;
  readonly saveSteps: number;
  readonly saveTotalLimit?: number;
  readonly seed: number;
  readonly compat?: "seed";
  readonly optim: string;
  readonly resumeFromCheckpoint?: string | true;
  readonly device: string;
  readonly threads?: number;
  readonly dryRun?: boolean;
  /** Trains an adapter in place of all weights. */
  readonly lora?: LoraOptions & { readonly initAdapter?: string };
}

const REPORTS = ["tensorboard", "swanlab"];

function reportTo(text: string): readonly string[] {
  if (text === "none") return [];
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => REPORTS.includes(name))) return names;
  throw new InvalidArgumentError(`It must name ${REPORTS.join(" or ")}, or be none.`);
}

/** Adds the flags. */
export function addTrainingFlags(command: Command): void {
  command
    .requiredOption("--model <dir>", "folder of the base model, in Hugging Face's layout")
    .requiredOption("--train-file <path>", "JSONL of {question, think, answer} or {messages}")
    .option("--validation-file <path>", "JSONL to evaluate on")
    .option("--output-dir <dir>", "where checkpoints, curves and the report go", "output")
    .option("--overwrite-output-dir", "delete checkpoints of an earlier run there")
    .option(
      "--system <text>",
      "system prompt of rows that have none; empty for none",
      DEFAULT_SYSTEM,
    )
    .option("--num-train-epochs <n>", "passes over the data, may be fractional", positive, 2)
    .option("--max-steps <n>", "updates to make; above 0 it wins over epochs", countOrZero, 0)
    .option("--per-device-train-batch-size <n>", "rows a batch", count, 1)
    .option(
      "--per-device-eval-batch-size <n>",
      "rows an evaluation batch (default: as training)",
      count,
    )
    .option("--gradient-accumulation-steps <n>", "batches an update", count, 4)
    .option("--learning-rate <rate>", "peak learning rate", positive, 1e-4)
    .addOption(
      new Option("--lr-scheduler-type <name>", "how the learning rate changes")
        .choices(Object.keys(schedules)).default("linear"),
    )
    .option("--warmup-steps <n>", "updates over which the learning rate rises", countOrZero, 0)
    .option("--weight-decay <x>", "AdamW's, not on norms and biases", positiveOrZero, 0)
    .option(
      "--max-grad-norm <x>",
      "gradients are clipped to this norm; 0 for never",
      positiveOrZero,
      1,
    )
    .option("--max-length <n>", "tokens an example is cut to, and a packed row holds", count, 2048)
    .option(
      "--drop-unlabelled",
      "leave out rows that have no answer left, instead of refusing them",
    )
    .option("--packing", "put several examples in a row, without mixing them")
    .option(
      "--no-gradient-checkpointing",
      "keep activations instead of recomputing them: faster, with more memory; the same numbers",
    )
    .option(
      "--report-to <names>",
      "also write run files of tensorboard, swanlab, both with a comma between, or none",
      reportTo,
      ["tensorboard", "swanlab"],
    )
    .option("--logging-steps <n>", "updates between two log lines", count, 10)
    .option(
      "--eval-steps <n>",
      "updates between two evaluations; 0 for the end only",
      countOrZero,
      100,
    )
    .option(
      "--save-steps <n>",
      "updates between two checkpoints; 0 for the end only",
      countOrZero,
      400,
    )
    .option("--save-total-limit <n>", "checkpoints to keep (default: all)", count)
    .option("--seed <n>", "seed of the data order", seed, 42)
    .addOption(
      new Option(
        "--compat <name>",
        "seed: Qwen3-Medical-SFT to the letter, its encoding and its count of updates",
      ).choices(["seed"]),
    )
    .addOption(
      new Option("--optim <name>", "optimizer; all three names mean the same AdamW")
        .choices(["adamw", "adamw_torch", "adamw_torch_fused"]).default("adamw_torch"),
    )
    .option(
      "--resume-from-checkpoint [dir]",
      "go on from a checkpoint; without a folder, the newest",
    )
    .option("--device <name>", "cpu (cuda:N is not there yet)", device, "cpu")
    .option("--threads <n>", "processor threads (default: all cores)", count)
    .option("--dry-run", "check data and memory, time two updates, show tokens; write nothing");
}
