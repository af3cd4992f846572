/**
 * A whole training run. In: options under TrainingArguments' names. Out: events to trackers,
 * checkpoints and run.json in the output folder, and the trainer, still open.
 */

import { checkSameOnAllRanks } from "../../comm/check_same_on_all_ranks.ts";
import type { Comm } from "../../comm/comm.ts";
import { broadcastJson } from "../../comm/json_between_ranks.ts";
import { assertDistributed } from "../distributed/assert_distributed.ts";
import { processorShare } from "../../comm/processor_share.ts";
import { soloComm } from "../../comm/solo_comm.ts";
import type { FormatTokenTableOptions } from "../../data/examples/token_table.ts";
import type { ChatSettings } from "../../data/text/chat_settings.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { PissaProgress } from "../../lora/pissa.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { removeCheckpoint } from "../checkpoints/checkpoint.ts";
import { companionFiles } from "../checkpoints/model_files.ts";
import type { EndEvent, EvaluateEvent, SaveEvent, StartEvent, TrainEvent } from "../events.ts";
import { train } from "../loop/loop.ts";
import { schedules } from "../schedules/schedules.ts";
import { createSafeTracker } from "../track/safe_tracker.ts";
import type { Tracker } from "../track/tracker.ts";
import type { Trainer } from "../trainer.ts";
import { hashSafetensors, runFacts } from "./collect_run_facts.ts";
import { openCollectives } from "../trainers/assemble_trainer.ts";
import { createTrainer } from "./create_trainer.ts";
import { describeLengthened } from "./describe_lengthened.ts";
import { describeRanks } from "./describe_ranks.ts";
import { describeBaseLoss, floatBaseLoss } from "./compare_base.ts";
import { describeBase } from "./describe_base.ts";
import { describeData } from "./describe_data.ts";
import { createFileHasher } from "./file_hasher.ts";
import { fileTrackers } from "./file_trackers.ts";
import { describeWarmup } from "./idle_settings.ts";
import { generatedMetrics } from "./generated_metrics.ts";
import { kernelCacheDir } from "./kernel_cache_dir.ts";
import {
  bufferFault,
  checkMemory,
  describeDeviceMemory,
  describeMemory,
  memoryWarning,
} from "./memory.ts";
import { openRun } from "./open_run.ts";
import { formatCount } from "../track/format_units.ts";
import type { ProgressLineOptions } from "./progress_line.ts";
import { assertSeveral } from "../optimizers/optimizer_description.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import { rankDevice } from "./rank_device.ts";
import { resolveTraining } from "./resolve_training.ts";
import { expandRows } from "./row_paths.ts";
import { openReferences } from "./reference_file.ts";
import { openRunFolder } from "./run_folder.ts";
import { currentVersions, type StartedManifest, startManifest } from "./run_manifest.ts";
import { describePlan, planRun, stepRuleOf } from "./run_plan.ts";
import { chatTexts, taughtChat } from "./taught_chat.ts";
import { createWaitLine, type WaitLine } from "./wait_line.ts";
import { warmupUpdates } from "./warmup_updates.ts";
import type { TrainingArguments, TrainingOptions } from "./training_arguments.ts";
import { readTrainingData, type TrainingData } from "./training_data.ts";

/** Where a run's output goes besides its folder. */
export interface RunTrainingContext {
  /** Ends the run after the step under way, with a checkpoint. @default it runs to its end */
  readonly signal?: AbortSignal;
  /** Takes a line that a user should read. @default nobody does */
  readonly say?: (line: string) => void;
  /** Told of every event. @default none but those that write into the output folder */
  readonly trackers?: readonly Tracker[];
  /** How the run was started, for its manifest. @default not told */
  readonly command?: string;
  /** Where to tell how far the data are prepared. @default nowhere */
  readonly progress?: ProgressLineOptions;
  /** Shows the first example token by token, and what the data teach. @default neither */
  readonly table?: FormatTokenTableOptions;
  /** ONNX Runtime's library. @default npm's */
  readonly libraryPath?: string;
  /**
   * Processes that train together: each calls this with the same options, and the first one tells of it
   * and writes. It stays the caller's.
   * @default this one alone
   */
  readonly comm?: Comm;
}

/** A finished or interrupted run; its trainer can still generate. */
export interface TrainingRun extends AsyncDisposable {
  /** All arguments, with what was left open filled in. */
  readonly args: TrainingArguments;
  /** Where the trainer runs. */
  readonly runtime: Runtime;
  /** The trainer, with the last or the best weights. */
  readonly trainer: Trainer;
  /** The tokenizer that the data were encoded with. */
  readonly tokenizer: Tokenizer;
  /** How the data chat, as the checkpoints keep it. */
  readonly chat: ChatSettings;
  /** What was trained and evaluated on. */
  readonly data: TrainingData;
  /** The first event. */
  readonly start: StartEvent;
  /** The last event. */
  readonly end: EndEvent;
  /** When it was started, as ISO 8601. */
  readonly started: string;
  /**
   * The folder of the checkpoint that the trainer holds: the last one, or the best. It is empty where
   * none was asked for, or the run was ended before its first update.
   */
  readonly checkpoint: string;
  /** The trackers that write into the output folder, to be told what comes after training. */
  readonly trackers: readonly Tracker[];
}

/**
 * Trains as the options say.
 *
 * @example
 * ```ts
 * import {
 *   byteTokenizerFiles, parseConfig, Runtime, runTraining, writeSafetensors,
 * } from "@ortune/ortune";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const json = { model_type: "qwen3", hidden_size: 16, intermediate_size: 32, vocab_size: 261,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 };
 * using runtime = new Runtime({ threads: 1 });
 * using random = new ParameterStore(runtime, layoutParameters(modelParameters(parseConfig(json))));
 * new TorchGenerator(42).normal(random.flat.float32(), 0, 0.1);
 * await writeFile(`${folder}/config.json`, JSON.stringify(json));
 * await writeSafetensors(`${folder}/model.safetensors`, random);
 * const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
 * await writeFile(`${folder}/tokenizer.json`, JSON.stringify(tokenizerJson));
 * await writeFile(`${folder}/tokenizer_config.json`, JSON.stringify(tokenizerConfig));
 * const row = JSON.stringify({ question: "2 + 2?", think: "Add.", answer: "4" });
 * await writeFile(`${folder}/rows.jsonl`, row);
 *
 * {
 *   await using run = await runTraining({
 *     model: folder,
 *     trainFile: `${folder}/rows.jsonl`,
 *     outputDir: `${folder}/output`,
 *     maxSteps: 2,
 *     reportTo: [],
 *     threads: 1,
 *   });
 *   assert.equal(run.end.step, 2);
 *   assert.equal(run.checkpoint, `${folder}/output/checkpoint-2`);
 * }
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {UsageError} where options contradict each other
 * @throws {Error} saying what is missing or does not fit, before anything is written
 */
export async function runTraining(
  options: TrainingOptions,
  {
    signal = new AbortController().signal,
    say: print = () => {},
    trackers = [],
    command,
    progress,
    table,
    libraryPath,
    comm = soloComm(),
  }: RunTrainingContext = {},
): Promise<TrainingRun> {
  await using resources = new AsyncDisposableStack();
  const tells = comm.rank === 0;
  const shown = tells ? progress : undefined;
  const waiting = resources.use(createWaitLine(shown));
  const say = (line: string): void => {
    if (!tells) return;
    waiting.clear();
    print(line);
  };
  const found = await resolveTraining(options, { libraryPath });
  const { args, config } = found;
  const { shardOptimizer: shard = false } = args;
  assertDistributed(found.device, { size: comm.size });
  assertSeveral(findOptimizer(args.optim), { size: comm.size, shard });
  const resolved = { ...found, device: rankDevice(found.device, comm) };
  for (const line of resolved.found) say(line);
  const share = await processorShare(comm);
  for (const line of describeRanks(comm, share, resolved)) say(line);
  const opened = resources.use(
    await openRun(resolved, {
      libraryPath,
      kernelCacheDir: kernelCacheDir(args.outputDir),
      threads: comm.size > 1 ? share.threads : undefined,
    }),
  );
  const { tokenizer } = opened;
  for (const line of opened.lines) say(line);
  // What a device sums with is opened before data are prepared, which a missing library would be found out after.
  const collectives = resolved.device.kind === "cuda"
    ? await openCollectives({ runtime: opened.runtime(), comm })
    : undefined;
  if (collectives) resources.use(collectives);
  const folder = resources.use(await openRunFolder(args, comm));
  const { directory: output, resumeFrom } = folder;
  const data = resources.use(
    await inTurns(
      comm,
      () => readTrainingData(args, tokenizer, { output, progress: shown, signal }),
    ),
  );
  for (const note of data.notes) say(`note: ${note}`);

  const memoryOptions = {
    told: opened.told,
    available: opened.deviceFree,
    kernels: opened.gpu !== undefined,
    comm,
  };
  const memory = checkMemory(opened, data, memoryOptions);
  const fault = bufferFault(memory, opened);
  if (fault !== undefined) throw new RangeError(fault);
  if (memory.tooMuch) say(memoryWarning(memory, opened));
  const chat = taughtChat(data.report, args);
  waiting.doing(`loading ${args.model}`);
  const comparison = resumeFrom === undefined && tells
    ? await floatBaseLoss(opened, data, { ...memoryOptions, signal })
    : undefined;
  const trainer = resources.use(
    await createTrainer(opened, {
      eosTokenIds: chat.eosTokenIds,
      deferLoad: resumeFrom !== undefined,
      comm,
      collectives,
      onRounding: (rounding) => say(describeBase(rounding, opened)),
      onPissa: tellPissa(waiting, say),
      signal,
    }),
  );
  if (comparison) say(await describeBaseLoss(comparison, trainer, opened, data, signal));
  const runtime = opened.runtime();
  // Only now, when nothing is left that a wrong flag or file can stop.
  for (const each of folder.earlier) await removeCheckpoint(output, each);
  const onnxRuntime = runtime.api.version;
  const files = (tells ? fileTrackers(args, { directory: output, onnxRuntime }) : [])
    .map(([path, tracker]) => resources.use(createSafeTracker(tracker, { path, say })));
  // A base model's gigabytes are hashed for the checkpoints and for the manifest.
  const hash = createFileHasher();

  waiting.doing(`hashing ${args.model}`);
  let start: StartEvent | undefined;
  let end: EndEvent | undefined;
  let saved: SaveEvent | undefined;
  let evaluation: EvaluateEvent | undefined;
  let manifest: StartedManifest | undefined;
  const facts = await runFacts(opened, data.sha256, hash);
  if (comm.size > 1) {
    const { ortune, deno, onnxruntime, system } = currentVersions(onnxRuntime, runtime.threads);
    await checkSameOnAllRanks(comm, {
      ...{ ortune, deno, onnxruntime, system },
      arguments: args,
      ...facts,
      validation_file_sha256: await Promise.all(
        (await expandRows(args.validationFile, "validation")).flatMap(({ files }) => files)
          .map(async (file) => (await hash(file)).sha256),
      ),
      model_sha256: await hashSafetensors(args.model, hash),
    });
  }
  if (trainer.pairs?.reference) {
    waiting.doing("computing the reference of the pairs");
  }
  const references = await openReferences(trainer, {
    ...{ args, data, padId: opened.padId, facts, directory: output, resumeFrom, comm, signal },
    onProgress: (done, all) =>
      waiting.reached(`${formatCount(done)} of ${formatCount(all)} replies`),
    modelSha256: await hashSafetensors(args.model, hash),
  });
  const schedule = (totalSteps: number) =>
    schedules[args.lrSchedulerType].make({
      peak: args.learningRate,
      totalSteps,
      warmupSteps: warmupUpdates(args, totalSteps),
      settings: args.lrSchedulerKwargs,
    });
  const events = train(trainer, {
    examples: data.train,
    evalExamples: data.validation,
    references,
    padId: opened.padId,
    schedule,
    evalMetrics: await generatedMetrics({ args, runtime, trainer, tokenizer, chat, data }),
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
    loggingFirstStep: args.loggingFirstStep,
    evalStrategy: args.evalStrategy,
    evalSteps: args.evalSteps,
    saveStrategy: args.saveStrategy,
    saveSteps: args.saveSteps,
    best: {
      metric: args.metricForBestModel,
      load: args.loadBestModelAtEnd,
      patience: args.earlyStoppingPatience,
      threshold: args.earlyStoppingThreshold,
    },
    // One process writes.
    output: !tells ? undefined : {
      directory: output,
      saveTotalLimit: args.saveTotalLimit,
      modelOnly: args.saveOnlyModel,
      copyFiles: await companionFiles(args.model),
      texts: await chatTexts(chat, {
        model: args.model,
        chatTemplate: opened.chatTemplate,
        eosTokenId: config.raw.eos_token_id,
      }),
      facts,
      whileTraining: memory.copy?.fits,
      isHeld: folder.isHeld,
    },
    resumeFrom,
    signal,
    comm,
  });
  const failed = async (cause: unknown): Promise<void> => {
    // Not into another folder that has taken the place of the run's.
    if (await folder.isHeld()) await manifest?.fail(cause, signal.aborted ? "aborted" : "failed");
  };
  if (resumeFrom !== undefined) waiting.doing(`checking and loading ${resumeFrom}`);
  for await (const event of tellFailure(events, failed)) {
    if (event.type === "start" && tells) {
      waiting.doing("hashing data and model");
      // After what a wrong checkpoint would stop, so that the manifest of its run stays.
      manifest = await startManifest(args, {
        directory: output,
        command,
        hash,
        config: config.raw,
        onnxRuntime,
        threads: runtime.threads,
        comm,
        resumed: resumeFrom !== undefined,
        rows: { training: data.report.rows, validation: data.validation.length },
      });
      waiting.done();
      const taught = table ? await describeData(args, { data, config, tokenizer, table }) : [];
      for (const line of taught) say(line);
      const plan = planRun(args, data.train, opened.layout);
      say(describePlan(plan));
      for (const line of describeWarmup(args, plan.updates)) say(`note: ${line}`);
      for (const line of describeLengthened(event, args, schedule)) say(`note: ${line}`);
      say(describeMemory(memory));
    }
    for (const tracker of tells ? [...trackers, ...files] : []) await tracker.event(event);
    if (event.type === "start") start = event;
    if (event.type === "save") saved = event;
    if (event.type === "evaluate") evaluation = event;
    if (event.type === "end") end = event;
  }
  const checkpoint = end?.best?.loaded ? end.best.directory : saved?.directory ?? resumeFrom;
  if (runtime.cuda) say(describeDeviceMemory(runtime.cuda.memory(), args.device));
  if (!await folder.isHeld()) {
    throw new Error(
      `Cannot finish in ${output}: the folder was moved, removed or replaced after the last ` +
        `checkpoint, ${
          checkpoint ?? "of which there is none"
        }, which went with it; run.json and the report are not written`,
    );
  }
  try {
    await manifest?.end({ end: end!, evaluation, checkpoint });
  } catch (cause) {
    if ((cause as Error).cause instanceof Deno.errors.NotCapable) throw cause;
    // The weights, which the run was for, are saved by then.
    say(
      `warning: ${(cause as Error).message}; it tells of a run that has not ended` +
        (checkpoint === undefined ? "" : `, and all is saved in ${checkpoint}`),
    );
  }
  // What the first process knows.
  const told = { started: manifest?.started ?? "", checkpoint: checkpoint ?? "" };
  const owned = resources.move();
  return {
    args,
    runtime,
    trainer,
    tokenizer,
    chat,
    data,
    start: start!,
    end: end!,
    ...await broadcastJson(comm, told),
    trackers: files,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The events; what ends them early is told of first. */
async function* tellFailure(
  events: AsyncIterable<TrainEvent>,
  failed: (cause: unknown) => Promise<void>,
): AsyncGenerator<TrainEvent, void> {
  try {
    yield* events;
  } catch (cause) {
    // The failure counts, not that it could not be written down, as on a full disk.
    await failed(cause).catch(() => {});
    throw cause;
  }
}

/**
 * Work that leaves files: the first process does it, then one on each other machine, which may have a disk
 * of its own, then all others, who find what was left.
 */
async function inTurns<T>(comm: Comm, work: () => Promise<T>): Promise<T> {
  const own = comm.rank === 0 ? 0 : comm.localRank === 0 ? 1 : 2;
  let result: T;
  for (const turn of [0, 1, 2]) {
    if (turn === own) result = await work();
    await comm.barrier();
  }
  return result!;
}

/** A line that moves while PiSSA's singular values are computed, and one when they are. */
function tellPissa(
  waiting: WaitLine,
  say: (line: string) => void,
): (progress: PissaProgress) => void {
  let began: number | undefined;
  return ({ done, total }) => {
    if (began === undefined) waiting.doing("PiSSA: computing singular values");
    began ??= performance.now();
    waiting.reached(`${done} of ${total} matrices`);
    if (done < total) return;
    const seconds = (performance.now() - began) / 1000;
    say(`pissa: singular values of ${total} matrices took ${seconds.toFixed(1)} s`);
  };
}
