/**
 * What training flags leave open. In: parsed flags. Out: arguments with a model's folder, data files
 * and an output folder, those of Qwen3-Medical-SFT where none was given.
 */

import { ADAPTER_CONFIG, readAdapterConfig } from "../../lora/adapter_config.ts";
import { checkAdapter, findAdapter, findFolders, findTrained } from "./find_model.ts";
import { folderName } from "./folder_name.ts";
import type { LoraArguments } from "../../cli/arguments/lora_arguments.ts";
import { UsageError } from "../../cli/process/run_command.ts";
import {
  DEFAULT_SYSTEM,
  type TrainingArguments,
  type TrainingFlags,
} from "../../cli/arguments/training_arguments.ts";

const TRAIN_FILE = "data/train.jsonl";
const VALIDATION_FILE = "data/val.jsonl";
const USE_ADAPTER =
  "to train it on, use deno task train:lora with --init-adapter and the base model; " +
  "to train all weights, merge it first with deno task merge";

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
  const ownData = flags.trainFile !== undefined;
  const validationFile = flags.validationFile ?? (ownData ? undefined : VALIDATION_FILE);
  const chooses = flags.loadBestModelAtEnd || flags.earlyStoppingPatience !== undefined;
  if (chooses && validationFile === undefined) {
    throw new UsageError(
      "Cannot choose the best checkpoint without evaluations: give --validation-file, or leave out " +
        "--load-best-model-at-end and --early-stopping-patience",
    );
  }
  const seedRun = !ownData || flags.compat === "seed";
  const { model } = await findFolders({ model: flags.model }, USE_ADAPTER);
  for (const path of [TRAIN_FILE, VALIDATION_FILE]) if (!ownData) await assertThere(path);
  return {
    ...flags,
    model,
    system: flags.system ?? (seedRun ? DEFAULT_SYSTEM : ""),
    trainFile: flags.trainFile ?? TRAIN_FILE,
    validationFile,
    outputDir: flags.outputDir ?? `output/${outputName(model)}${lora ? "-lora" : ""}`,
    ...lora ? { lora: await resolveLora(lora, model) } : {},
  };
}

/** The folder of the adapter to start from, whose settings then are the run's. */
async function resolveLora(lora: LoraArguments, model: string): Promise<LoraArguments> {
  if (!lora.initAdapter) return lora;
  const named = await findAdapter(lora.initAdapter, "--init-adapter");
  const initAdapter = await findTrained(named, ADAPTER_CONFIG);
  await checkAdapter(initAdapter, model);
  // What is noted of the file is no setting of the run.
  const { notes: _, ...settings } = await readAdapterConfig(initAdapter);
  return { ...lora, ...settings, initAdapter };
}

/** What was found for the folders that the flags name, a line each where it is another. */
export function describeFound(
  named: { readonly model: string; readonly initAdapter?: string },
  { model, lora }: Pick<TrainingArguments, "model" | "lora">,
): string[] {
  const adapter = lora?.initAdapter;
  return [
    ...model === named.model ? [] : [`model: ${model}`],
    ...adapter === named.initAdapter ? [] : [`adapter: ${adapter}`],
  ];
}

/** A model's name; a checkpoint's with its run's before it, so that it is not the run's own folder. */
function outputName(model: string): string {
  return folderName(model).replace("/", "-");
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
