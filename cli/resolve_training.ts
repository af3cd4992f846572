/**
 * What training flags leave open. In: parsed flags. Out: arguments with a model's folder, data files
 * and an output folder, those of Qwen3-Medical-SFT where none was given.
 */

import { basename } from "node:path";
import { findModel } from "./find_model.ts";
import type { LoraArguments } from "./lora_arguments.ts";
import { UsageError } from "./run_command.ts";
import type { TrainingArguments, TrainingFlags } from "./training_arguments.ts";

const TRAIN_FILE = "data/train.jsonl";
const VALIDATION_FILE = "data/val.jsonl";

/**
 * Fills in what is open.
 *
 * @param lora what to train in place of all weights
 * @throws {UsageError} where flags contradict each other
 * @throws {Error} where a file or folder that was not asked for by name is missing
 */
export async function resolveTraining(
  flags: TrainingFlags,
  lora?: LoraArguments,
): Promise<TrainingArguments> {
  const model = await findModel(flags.model);
  const ownData = flags.trainFile !== undefined;
  const validationFile = flags.validationFile ?? (ownData ? undefined : VALIDATION_FILE);
  const chooses = flags.loadBestModelAtEnd || flags.earlyStoppingPatience !== undefined;
  if (chooses && validationFile === undefined) {
    throw new UsageError(
      "Cannot choose the best checkpoint without evaluations: give --validation-file, or leave out " +
        "--load-best-model-at-end and --early-stopping-patience",
    );
  }
  for (const path of [TRAIN_FILE, VALIDATION_FILE]) if (!ownData) await assertThere(path);
  return {
    ...flags,
    model,
    trainFile: flags.trainFile ?? TRAIN_FILE,
    validationFile,
    outputDir: flags.outputDir ?? `output/${basename(model)}${lora ? "-lora" : ""}`,
    ...lora ? { lora } : {},
  };
}

async function assertThere(path: string): Promise<void> {
  try {
    await Deno.stat(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(
      `Cannot find ${path}: make it with deno task data, or give your own with --train-file and ` +
        "--validation-file",
      { cause },
    );
  }
}
