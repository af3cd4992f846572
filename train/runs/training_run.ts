/**
 * A whole training run from flags. In: training arguments. Out: events to trackers, checkpoints,
 * loss.svg and report.html in the output folder, and the trainer, still open.
 */

import type { ChatSettings } from "../../data/text/chat_settings.ts";
import { loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import type { FormatTokenTableOptions } from "../../data/examples/token_table.ts";
import type { ModelConfig } from "../../model/config.ts";
import { readConfig } from "../../model/weights/open_model.ts";
import { cpu } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tracker } from "../track/tracker.ts";
import { METRICS_FILE, SAMPLES_FILE } from "../track/find_runs.ts";
import { createMetricsLog } from "../track/metrics_log.ts";
import { createSafeTracker } from "../track/safe_tracker.ts";
import { createSamplesLog } from "../track/samples_log.ts";
import { createSwanlabLog } from "../track/swanlab_log.ts";
import { createTensorboardLog } from "../track/tensorboard_log.ts";
import {
  type CheckpointFolder,
  listCheckpoints,
  removeCheckpoint,
  sweepStaging,
} from "../checkpoints/checkpoint.ts";
import type { EndEvent, EvaluateEvent, SaveEvent, StartEvent } from "../events.ts";
import { createFullTrainer } from "../trainers/full_trainer.ts";
import { createLoraTrainer } from "../trainers/lora_trainer.ts";
import { train } from "../loop/loop.ts";
import { lockOutput, type OutputLock } from "../checkpoints/output_lock.ts";
import { schedules } from "../schedule.ts";
import type { Trainer } from "../trainer.ts";
import type { FoundGpu } from "../trainers/training_kernels.ts";
import { describeData } from "./describe_data.ts";
import { checkAdapter } from "./find_model.ts";
import { createFileHasher } from "./file_hasher.ts";
import { kernelCacheDir } from "./kernel_cache_dir.ts";
import { checkMemory, describeDeviceMemory, describeMemory, memoryWarning } from "./memory.ts";
import { companionFiles } from "../checkpoints/model_files.ts";
import { describeKernels, layoutOf, openKernels } from "./open_kernels.ts";
import { openRuntime } from "./open_runtime.ts";
import { isSameFolder } from "./path_kind.ts";
import type { ProgressLineOptions } from "./progress_line.ts";
import { describeIdleSettings, describeWarmup } from "./idle_settings.ts";
import { readChatTemplate } from "./read_chat_template.ts";
import { UsageError } from "../../cli/process/run_command.ts";
import { runFacts } from "./collect_run_facts.ts";
import { type StartedManifest, startManifest } from "./run_manifest.ts";
import { describePlan, planRun, stepRuleOf } from "./run_plan.ts";
import { chatTexts, taughtChat } from "./taught_chat.ts";
import type { TrainingArguments } from "../../cli/arguments/training_arguments.ts";
import { readTrainingData, type TrainingData } from "./training_data.ts";
import { VERSION } from "../../internal/version.ts";

/** Where a run's output goes besides its folder. */
export interface TrainingRunOptions {
  readonly signal: AbortSignal;
  /** Prints a line. */
  readonly say: (line: string) => void;
  readonly trackers: readonly Tracker[];
  /** How the run was started, for its manifest. */
  readonly command?: string;
  /** Where to tell how far the data are prepared. @default nowhere */
  readonly progress?: ProgressLineOptions;
  /** Shows the first example token by token, and what the data teach. @default neither */
  readonly table?: FormatTokenTableOptions;
}

/** A finished or interrupted run; its trainer can still generate. */
export interface TrainingRun extends AsyncDisposable {
  readonly runtime: Runtime;
  readonly trainer: Trainer;
  readonly tokenizer: Tokenizer;
  /** How the data chat, as the checkpoints keep it. */
  readonly chat: ChatSettings;
  readonly data: TrainingData;
  readonly start: StartEvent;
  readonly end: EndEvent;
  /** The folder of the checkpoint that the trainer holds: the last one, or the best. */
  readonly checkpoint: string;
  /** The trackers that write into the output folder, to be told what comes after training. */
  readonly trackers: readonly Tracker[];
}

/** Trains as the arguments say. */
export async function runTraining(
  args: TrainingArguments,
  { signal, say, trackers, command, progress, table }: TrainingRunOptions,
): Promise<TrainingRun> {
  if (args.resumeFromCheckpoint !== undefined && args.overwriteOutputDir) {
    throw new UsageError(
      "Cannot both resume and overwrite: leave out --resume-from-checkpoint or " +
        "--overwrite-output-dir",
    );
  }
  await using resources = new AsyncDisposableStack();
  // A GPU that is not there is told of before anything is read.
  const device = args.device === "cpu" ? undefined : resources.use(openRuntime(args));
  const on = device ?? { device: cpu };
  const found = await openKernels(args, on, kernelCacheDir(args.outputDir));
  const { gpu } = found;
  if (gpu) resources.use(gpu);
  const { config, tokenizer, padId, chatTemplate, notes } = await openInputs(args);
  for (const note of [...notes, ...describeIdleSettings(args)]) say(`note: ${note}`);
  const line = describeKernels(found, { ...args, config, device: on.device });
  if (line) say(line);
  const lock = resources.use(await lockOutput(args.outputDir));
  await sweepStaging(lock.directory);
  const resumeFrom = await resolveCheckpoint(args);
  if (resumeFrom !== undefined) await assertNewest(resumeFrom, lock);
  const earlier = resumeFrom === undefined ? await earlierCheckpoints(args, lock) : [];
  await assertKept(args, earlier);

  const output = lock.directory;
  const data = resources.use(await readTrainingData(args, tokenizer, { output, progress, signal }));
  for (const note of data.notes) say(`note: ${note}`);

  const memory = checkMemory(args, config, data, {
    available: device?.cuda?.memory().leastFree,
    kernels: gpu !== undefined,
  });
  if (memory.tooMuch) say(memoryWarning(memory, args));
  const runtime = device ?? resources.use(openRuntime(args));
  const chat = taughtChat(data.report, args);
  const trainer = resources.use(
    await createTrainer(args, {
      runtime,
      gpu,
      eosTokenIds: chat.eosTokenIds,
      deferLoad: resumeFrom !== undefined,
      signal,
    }),
  );
  // Only now, when nothing is left that a wrong flag or file can stop.
  for (const each of earlier) await removeCheckpoint(lock.directory, each);
  const files = fileTrackers(args, lock, runtime).map(([path, tracker]) =>
    resources.use(createSafeTracker(tracker, { path, say }))
  );
  // A base model's gigabytes are hashed for the checkpoints and for the manifest.
  const hash = createFileHasher();

  let start: StartEvent | undefined;
  let end: EndEvent | undefined;
  let saved: SaveEvent | undefined;
  let evaluation: EvaluateEvent | undefined;
  let manifest: StartedManifest | undefined;
  const events = train(trainer, {
    examples: data.train,
    evalExamples: data.validation,
    padId,
    schedule: (totalSteps) =>
      schedules[args.lrSchedulerType]({
        peak: args.learningRate,
        totalSteps,
        warmupSteps: args.warmupSteps,
      }),
    batchSize: args.perDeviceTrainBatchSize,
    evalBatchSize: args.perDeviceEvalBatchSize,
    accumulationSteps: args.gradientAccumulationSteps,
    tokensPerStep: args.tokensPerStep,
    epochs: args.numTrainEpochs,
    maxSteps: args.maxSteps,
    stepRule: stepRuleOf(args),
    packing: args.packing ? { maxLength: args.maxLength } : undefined,
    // The seed's batches are its sampler's.
    sortUpdates: args.compat !== "seed",
    seed: args.seed,
    loggingSteps: args.loggingSteps,
    evalSteps: args.evalSteps,
    saveSteps: args.saveSteps,
    best: {
      metric: args.metricForBestModel,
      load: args.loadBestModelAtEnd,
      patience: args.earlyStoppingPatience,
      threshold: args.earlyStoppingThreshold,
    },
    output: {
      directory: lock.directory,
      saveTotalLimit: args.saveTotalLimit,
      copyFiles: await companionFiles(args.model),
      texts: await chatTexts(chat, {
        model: args.model,
        chatTemplate,
        eosTokenId: config.raw.eos_token_id,
      }),
      facts: await runFacts(args, data.sha256, hash),
      whileTraining: memory.copy?.fits,
      isHeld: lock.isHeld,
    },
    resumeFrom,
    signal,
  });
  for await (const event of events) {
    if (event.type === "start") {
      // After what a wrong checkpoint would stop, so that the manifest of its run stays.
      manifest = await startManifest(args, {
        directory: lock.directory,
        command,
        hash,
        config: config.raw,
        onnxRuntime: runtime.api.version,
        threads: runtime.threads,
        resumed: resumeFrom !== undefined,
      });
      const taught = table ? await describeData(args, { data, config, tokenizer, table }) : [];
      for (const line of taught) say(line);
      const layout = layoutOf(found, { ...args, config, device: on.device });
      const plan = planRun(args, data.train, layout);
      say(describePlan(plan));
      for (const line of describeWarmup(args, plan.updates)) say(`note: ${line}`);
      say(describeMemory(memory));
    }
    for (const tracker of [...trackers, ...files]) await tracker.event(event);
    if (event.type === "start") start = event;
    if (event.type === "save") saved = event;
    if (event.type === "evaluate") evaluation = event;
    if (event.type === "end") end = event;
  }
  const checkpoint = end?.best?.loaded ? end.best.directory : saved?.directory ?? resumeFrom;
  if (runtime.cuda) say(describeDeviceMemory(runtime.cuda.memory(), args.device));
  if (!await lock.isHeld()) {
    throw new Error(
      `Cannot finish in ${output}: the folder was moved, removed or replaced after the last ` +
        `checkpoint, ${checkpoint}, which went with it; run.json and the report are not written`,
    );
  }
  try {
    await manifest!.end({ end: end!, evaluation, checkpoint });
  } catch (cause) {
    if ((cause as Error).cause instanceof Deno.errors.NotCapable) throw cause;
    // The weights, which the run was for, are saved by then.
    say(
      `warning: ${(cause as Error).message}; it tells of a run that has not ended, and all is ` +
        `saved in ${checkpoint}`,
    );
  }
  const owned = resources.move();
  return {
    runtime,
    trainer,
    tokenizer,
    chat,
    data,
    start: start!,
    end: end!,
    checkpoint: checkpoint!,
    trackers: files,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What a run reads before anything slow starts. */
export interface TrainingInputs {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly padId: number;
  /** The chat template that takes the place of the model's, where a flag names one. */
  readonly chatTemplate?: string;
  /** What a user should know of the model's files, a line each. */
  readonly notes: readonly string[];
}

/** Reads model sizes and tokenizer, and checks that they go together. */
export async function openInputs(args: TrainingArguments): Promise<TrainingInputs> {
  const config = await readConfig(args.model);
  if (args.maxLength > config.maxPositions) {
    throw new RangeError(
      `Cannot train with --max-length ${args.maxLength}: ${args.model}/config.json has ` +
        `max_position_embeddings ${config.maxPositions}; give at most that`,
    );
  }
  const chatTemplate = await readChatTemplate(args.chatTemplate, { root: null });
  const tokenizer = await loadTokenizer(args.model, { chatTemplate });
  if (tokenizer.vocabSize > config.vocabSize) {
    throw new RangeError(
      `Cannot train ${args.model}: its tokenizer has ${tokenizer.vocabSize} tokens, its config.json ` +
        `vocab_size ${config.vocabSize}; copy both files from the same model`,
    );
  }
  const padId = tokenizer.padTokenId ?? tokenizer.eosTokenId ?? 0;
  const initAdapter = args.lora?.initAdapter;
  const adapterNotes = initAdapter ? await checkAdapter(initAdapter, args.model) : [];
  return {
    config,
    tokenizer,
    padId,
    chatTemplate,
    notes: [...config.notes, ...tokenizer.notes, ...adapterNotes],
  };
}

/** The trainer that the arguments ask for, of all weights or of an adapter. */
export function createTrainer(
  { model, weightDecay, maxGradNorm, gradientCheckpointing, seed, precision, optim, lora }:
    TrainingArguments,
  { runtime, gpu, eosTokenIds, deferLoad, signal }: {
    readonly runtime: Runtime;
    readonly gpu?: FoundGpu["gpu"];
    readonly eosTokenIds?: readonly number[];
    readonly deferLoad?: boolean;
    readonly signal: AbortSignal;
  },
): Promise<Trainer> {
  const options = {
    runtime,
    eosTokenIds,
    deferLoad,
    optimizer: { weightDecay },
    maxGradNorm,
    gradientCheckpointing,
    precision,
    stochasticRounding: optim === "adamw_bf16",
    eightBitMoments: optim === "adamw_8bit",
    gpu,
    signal,
  };
  return lora
    ? createLoraTrainer(model, { ...options, seed, lora, initAdapter: lora.initAdapter })
    : createFullTrainer(model, options);
}

/** Trackers that write into the output folder, and their files or folders. */
function fileTrackers(
  args: TrainingArguments,
  { directory }: OutputLock,
  runtime: Runtime,
): readonly (readonly [path: string, Tracker])[] {
  const config = { ...args };
  const path = (name: string): string => `${directory}/${name}`;
  const versions = { ortune: VERSION, onnxruntime: runtime.api.version };
  const trackers: (readonly [string, Tracker])[] = [
    [path(METRICS_FILE), createMetricsLog(path(METRICS_FILE))],
    [path(SAMPLES_FILE), createSamplesLog(path(SAMPLES_FILE))],
  ];
  if (args.reportTo.includes("tensorboard")) {
    trackers.push([
      path("tensorboard"),
      createTensorboardLog(path("tensorboard"), { config }),
    ]);
  }
  if (args.reportTo.includes("swanlab")) {
    trackers.push([path("swanlog"), createSwanlabLog(path("swanlog"), { config, versions })]);
  }
  return trackers;
}

/** The folder to resume from, if one was asked for. */
async function resolveCheckpoint(args: TrainingArguments): Promise<string | undefined> {
  const { resumeFromCheckpoint, outputDir } = args;
  if (resumeFromCheckpoint !== true) return resumeFromCheckpoint;
  const newest = (await listCheckpoints(outputDir)).at(-1);
  if (newest) return newest.directory;
  throw new Error(
    `Cannot resume: ${outputDir} has no checkpoint-N folder; ` +
      "leave --resume-from-checkpoint out to start a new run",
  );
}

/** Refuses to resume in front of checkpoints that would then belong to another past. */
async function assertNewest(resumeFrom: string, { directory }: OutputLock): Promise<void> {
  const step = Number(/(\d+)\/*$/.exec(resumeFrom)?.[1]);
  const later = (await listCheckpoints(directory)).filter((each) => each.step > step);
  if (later.length === 0) return;
  throw new Error(
    `Cannot resume from ${resumeFrom} in ${directory}: it holds the later ${
      later.map(({ step }) => `checkpoint-${step}`).join(", ")
    }; move them away, or give another --output-dir`,
  );
}

/** Refuses to delete what the run starts from. */
async function assertKept(
  { model, lora, outputDir }: TrainingArguments,
  deleted: readonly CheckpointFolder[],
): Promise<void> {
  const start = lora?.initAdapter === undefined ? [model] : [model, lora.initAdapter];
  for (const { directory } of deleted) {
    for (const each of start) {
      if (!await isSameFolder(each, directory)) continue;
      throw new Error(
        `Cannot overwrite ${outputDir}: the run starts from ${each}, which would be deleted; give ` +
          "another --output-dir",
      );
    }
  }
}

/** What a new run is to delete, so that it does not mix with an earlier one. */
async function earlierCheckpoints(
  { overwriteOutputDir }: TrainingArguments,
  { directory }: OutputLock,
): Promise<readonly CheckpointFolder[]> {
  const checkpoints = await listCheckpoints(directory);
  if (overwriteOutputDir || checkpoints.length === 0) return checkpoints;
  throw new Error(
    `Cannot start a new run in ${directory}: it holds ${
      checkpoints.map(({ step }) => `checkpoint-${step}`).join(", ")
    }; pass --resume-from-checkpoint to go on, another --output-dir, or --overwrite-output-dir ` +
      "to delete them",
  );
}
