/**
 * What a run is asked for, worked out once. In: options. Out: all arguments, with the model's folder,
 * data files and an output folder, and what follows from them: device, precision, the model's sizes
 * and the adapter. Nothing stays open yet.
 */

import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { ADAPTER_CONFIG } from "../../lora/adapter_config.ts";
import { adapterSettings } from "../../lora/init_lora_weights.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { withLayerNames } from "../../lora/lora_targets.ts";
import { openAdapter } from "../../lora/open_adapter.ts";
import { assertRowColumns } from "../../data/records/row_shapes.ts";
import { defined } from "../../internal/json/defined.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { GENERATED_METRICS } from "../best_evaluation.ts";
import { UsageError } from "../../internal/usage_error.ts";
import type { BaseStorage } from "../../model/base_storage.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { BlockAdapter } from "../../model/graphs/block.ts";
import type { WebGpuReport } from "../../model/engine/check_webgpu.ts";
import { assertDevice, deviceKindsFor } from "../../model/engine/assert_device.ts";
import { chooseDevice } from "../../model/engine/find_devices.ts";
import { type Device, deviceName, parseDevice } from "../../ort/runtime/device.ts";
import { resolveBaseStorage } from "../resolve_base_storage.ts";
import { resolvePrecision, type TrainingPrecision } from "../training_precision.ts";
import { DEFAULT_OBJECTIVE } from "../objectives/objectives.ts";
import { isPairLoss } from "../objectives/pair_objectives.ts";
import { assertPairOptions } from "./pair_rules.ts";
import { assertArguments } from "./argument_rules.ts";
import { findCheckpoint, findFile, findOutput } from "./find_file.ts";
import { findAdapter, findFolders, findTrained } from "./find_model.ts";
import { folderName } from "./folder_name.ts";
import { DATA, OUTPUT } from "./named_folders.ts";
import { findRows, listPaths, type RowPaths } from "./row_paths.ts";
import { isSeedData } from "./seed_data.ts";
import {
  DEFAULT_SYSTEM,
  DEFAULT_TRAINING,
  type LoraArguments,
  MOST_LENGTH,
  type TrainingArguments,
  type TrainingOptions,
} from "./training_arguments.ts";

const TRAIN_FILE = `${DATA}/train.jsonl`;
const VALIDATION_FILE = `${DATA}/val.jsonl`;
const USE_ADAPTER =
  "to train it on, use deno task train:lora with --init-adapter and the base model; " +
  "to train all weights, merge it first with deno task merge";

/** The arguments of a run and its model, with what follows from them. */
export interface DerivedTraining {
  readonly args: TrainingArguments;
  /** Sizes and flags of the base model. */
  readonly config: ModelConfig;
  /** Where the run's graphs run. */
  readonly device: Device;
  readonly precision: TrainingPrecision;
  /** How the matrices of a frozen base are kept. */
  readonly storage: BaseStorage;
  /** The adapter on each block, where one is trained in place of all weights. */
  readonly adapter?: BlockAdapter;
}

/** A run that was resolved. */
export interface ResolvedTraining extends DerivedTraining {
  /** The folders that names were found to be, a line each. */
  readonly found: readonly string[];
  /** What the check of a WebGPU device found that was chosen for the run; undefined of a named one. */
  readonly webgpu?: WebGpuReport;
  /** What a user should know of the files of model and adapter, a line each. */
  readonly notes: readonly string[];
}

/**
 * Fills in what is open: data and an output folder of Qwen3-Medical-SFT where none is given, and else
 * the defaults of the command line.
 *
 * @param libraryPath ONNX Runtime's library, for who leaves the choice of a device to this machine
 * @throws {UsageError} where options contradict each other
 * @throws {Error} where a file or folder that was not asked for by name is missing, or the model
 *   cannot be trained so
 */
export async function resolveTraining(
  options: TrainingOptions,
  { libraryPath }: { readonly libraryPath?: string } = {},
): Promise<ResolvedTraining> {
  assertConsistent(options);
  const given = { ...DEFAULT_TRAINING, ...defined(options) };
  assertArguments(given);
  const ownData = given.trainFile !== undefined;
  const seedRun = given.compat === "seed" || !ownData && await isSeedData(DATA);
  const { model, config } = await findFolders({ model: given.model }, USE_ADAPTER);
  for (const path of [TRAIN_FILE, ...listPaths(validationFile(given))]) {
    if (!ownData) await assertThere(path);
  }
  const { lora, notes } = withoutPairDropout(await resolveLora(options.lora, config), options);
  const { device, line, webgpu } = chooseDevice(given.device, {
    libraryPath,
    threads: given.threads,
    kinds: deviceKindsFor(config),
  });
  assertDevice(config, device);
  assertPairOptions({ ...options, device: deviceName(device) });
  const file = async (name: string | undefined, flag: string) =>
    name === undefined ? undefined : await findFile(name, { flag });
  const rows = async (names: RowPaths | undefined, flag: string): Promise<RowPaths | undefined> => {
    const found = await Promise.all(listPaths(names).map((name) => findRows(name, { flag })));
    return found.length > 1 ? found : found[0];
  };
  const outputDir = await findOutput(
    given.outputDir ?? `${OUTPUT}/${outputName(model)}${lora ? "-lora" : ""}`,
  );
  const resume = given.resumeFromCheckpoint;
  const args: TrainingArguments = {
    ...given,
    model,
    device: deviceName(device),
    maxLength: given.maxLength ?? Math.min(MOST_LENGTH, config.maxPositions),
    system: given.system ?? (seedRun ? DEFAULT_SYSTEM : ""),
    trainFile: await rows(given.trainFile, "--train-file") ?? TRAIN_FILE,
    validationFile: await rows(validationFile(given), "--validation-file"),
    chatTemplate: await file(given.chatTemplate, "--chat-template"),
    outputDir,
    resumeFromCheckpoint: typeof resume === "string"
      ? await findCheckpoint(resume, outputDir)
      : resume,
    lora,
  };
  return {
    ...deriveTraining(args, config),
    webgpu,
    found: [
      ...line === undefined ? [] : [line],
      ...model === given.model ? [] : [`model: ${model}`],
      ...describeFound(given, args),
      ...lora?.initAdapter === options.lora?.initAdapter ? [] : [`adapter: ${lora!.initAdapter}`],
    ],
    notes: [...config.notes, ...notes],
  };
}

/** Device, precision, how the base is kept, and adapter. */
export function deriveTraining(args: TrainingArguments, config: ModelConfig): DerivedTraining {
  const device = parseDevice(args.device);
  const precision = resolvePrecision(device, args.precision);
  const storage = resolveBaseStorage(device, args.lora ?? {}, args.lora);
  const adapter = args.lora &&
    createLoraAdapter(config, adapterSettings(args.lora, args.lora.initLoraWeights));
  return { args, config, device, precision, storage, adapter };
}

/** The paths that names were found to be. */
function describeFound(given: TrainingOptions, args: TrainingArguments): string[] {
  const named = {
    "train file": "trainFile",
    "validation file": "validationFile",
    "chat template": "chatTemplate",
    "output folder": "outputDir",
    "checkpoint": "resumeFromCheckpoint",
  } as const;
  return Object.entries(named)
    .filter(([, name]) => given[name] !== undefined && String(given[name]) !== String(args[name]))
    .map(([what, name]) => `${what}: ${[args[name]].flat().join(", ")}`);
}

function assertConsistent(options: TrainingOptions): void {
  assertColumns(options.columns);
  const { loadBestModelAtEnd, earlyStoppingPatience, evalStrategy, saveStrategy } = options;
  const { validationSplitPercentage, mix } = options;
  if (validationSplitPercentage !== undefined && options.validationFile !== undefined) {
    throw new UsageError(
      "Cannot both hold rows back and evaluate on others: leave out --validation-split-percentage or " +
        "--validation-file",
    );
  }
  if (mix === undefined && (options.mixSeed ?? options.mixStrategy) !== undefined) {
    throw new UsageError(
      "Cannot mix without shares: give --mix, or leave out --mix-seed and --mix-strategy",
    );
  }
  if (mix !== undefined && Math.abs(mix.reduce((a, b) => a + b, 0) - 1) > 1e-6) {
    throw new UsageError(`Cannot mix by ${mix.join(", ")}: the shares must add up to 1`);
  }
  const evaluates = validationFile(options) !== undefined ||
    validationSplitPercentage !== undefined;
  const chooses = loadBestModelAtEnd || earlyStoppingPatience !== undefined;
  if (chooses && (evalStrategy === "no" || !evaluates)) {
    throw new UsageError(
      `Cannot choose the best checkpoint without evaluations: ${
        evalStrategy === "no" ? "leave out --eval-strategy no" : "give --validation-file"
      }, or leave out --load-best-model-at-end and --early-stopping-patience`,
    );
  }
  const { evalGenerate = 0, metricForBestModel: metric } = options;
  if (
    metric !== undefined && evalGenerate === 0 && GENERATED_METRICS.some((name) => name === metric)
  ) {
    throw new UsageError(
      `Cannot choose the best checkpoint by ${metric} without replies: give --eval-generate`,
    );
  }
  if (loadBestModelAtEnd && saveStrategy === "no") {
    throw new UsageError(
      "Cannot load the best model at the end when none is saved: leave out --save-strategy no or " +
        "--load-best-model-at-end",
    );
  }
  if (options.trainLayers !== undefined && options.lora !== undefined) {
    throw new UsageError(
      "Cannot train an adapter and layers in full: leave out --train-layers, or use deno task train",
    );
  }
  if (options.labelSmoothingFactor && (options.loss ?? DEFAULT_OBJECTIVE) !== DEFAULT_OBJECTIVE) {
    throw new UsageError(
      `Cannot smooth labels of the loss ${options.loss}: leave out --label-smoothing-factor or --loss`,
    );
  }
  if (options.resumeFromCheckpoint !== undefined && options.overwriteOutputDir) {
    throw new UsageError(
      "Cannot both resume and overwrite: leave out --resume-from-checkpoint or " +
        "--overwrite-output-dir",
    );
  }
}

/** The same adapter without dropout, where pairs are trained on, and what is said of it. */
function withoutPairDropout<Found extends Awaited<ReturnType<typeof resolveLora>>>(
  { lora, notes }: Found,
  { loss, lora: given }: TrainingOptions,
): Pick<Found, "lora" | "notes"> {
  if (!lora || !isPairLoss(loss) || lora.dropout === 0) return { lora, notes };
  const said = given?.dropout === undefined || given.dropout === DEFAULT_LORA.dropout ? [] : [
    `--lora-dropout ${given.dropout} has no effect with --loss ${loss}: replies are compared without dropout, as ` +
    "TRL does",
  ];
  return { lora: { ...lora, dropout: 0 }, notes: [...notes, ...said] };
}

function assertColumns(columns: TrainingOptions["columns"]): void {
  if (columns === undefined) return;
  if (!isRecord(columns) || Object.values(columns).some((name) => typeof name !== "string")) {
    throw new UsageError(
      `Cannot train with columns ${
        describeValue(columns)
      }: it must be names of columns by what they ` +
        "mean",
    );
  }
  try {
    assertRowColumns(columns);
  } catch (cause) {
    throw new UsageError(`${(cause as Error).message} (--columns)`, { cause });
  }
}

/** Own training data come with their own validation data, or with none. */
function validationFile(
  { trainFile, validationFile, validationSplitPercentage }: TrainingOptions,
): RowPaths | undefined {
  if (validationFile !== undefined) return validationFile;
  return trainFile === undefined && validationSplitPercentage === undefined
    ? VALIDATION_FILE
    : undefined;
}

/** The settings of the adapter; those of the adapter that it starts from, where there is one. */
async function resolveLora(
  options: Partial<LoraArguments> | undefined,
  config: ModelConfig,
): Promise<{ readonly lora?: LoraArguments; readonly notes: readonly string[] }> {
  if (options === undefined) return { notes: [] };
  const lora = withLayerNames(config, { ...DEFAULT_LORA, ...defined(options) });
  const { initLoraWeights } = lora as Partial<LoraArguments>;
  try {
    adapterSettings(lora, initLoraWeights);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
  if (!lora.initAdapter) return { lora, notes: [] };
  if (initLoraWeights === "pissa") {
    throw new UsageError(
      "Cannot start both from PiSSA and from an adapter: leave out --init-lora-weights or --init-adapter",
    );
  }
  const named = await findAdapter(lora.initAdapter, "--init-adapter");
  const initAdapter = await findTrained(named, ADAPTER_CONFIG);
  await using files = await openAdapter(initAdapter, config);
  // What is noted of the file is no setting of the run.
  const { notes, ...settings } = files.lora;
  return { lora: { ...lora, ...settings, initAdapter }, notes };
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
