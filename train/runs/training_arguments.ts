/**
 * What a training run is asked for, under TrainingArguments' names, and the defaults:
 * Qwen3-Medical-SFT's train.py.
 */

import type { Teach } from "../../data/examples/taught_turns.ts";
import type { MixStrategy } from "../../data/examples/interleave_rows.ts";
import type { EmptyThink } from "../../data/examples/to_examples.ts";
import type { Truncation } from "../../data/examples/truncation.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import type { InitLoraWeights } from "../../lora/init_lora_weights.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import type { ScheduleSettings } from "../schedule.ts";
import type { BestMetric } from "../best_evaluation.ts";
import type { IntervalStrategy } from "../interval.ts";
import type { RowPaths } from "./row_paths.ts";
import { DEFAULT_OPTIMIZER } from "../optimizers/optimizers.ts";
import type { BaseOptions } from "../resolve_base_storage.ts";
import type { TrainingPrecision } from "../training_precision.ts";

/** The system prompt of Qwen3-Medical-SFT. */
export const DEFAULT_SYSTEM = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";

/** What is trained as an adapter, and on what. */
export type LoraArguments = LoraOptions & BaseOptions & {
  /** Folder of the adapter that it starts from. @default a new adapter */
  readonly initAdapter?: string;
  /** How a new adapter starts. @default "default": A at random, B zero */
  readonly initLoraWeights?: InitLoraWeights;
  /** The learning rate of B is that of A times this: LoRA+. @default 1 */
  readonly loraPlusRatio?: number;
};

/** All that a training run is made of, as its run.json records it. */
export interface TrainingArguments {
  /** The base model's folder. */
  readonly model: string;
  /**
   * Rows to train on: a file, a folder or a pattern of files of JSON Lines, JSON, CSV, TSV or Parquet,
   * packed by gzip or zstd or not; or several, whose rows come one after another.
   */
  readonly trainFile: RowPaths;
  /** Rows to evaluate on, named as those to train on. @default none */
  readonly validationFile?: RowPaths;
  /** In place of `validationFile`: this many percent of the rows of each source are held back. */
  readonly validationSplitPercentage?: number;
  /** Shares of the sources in the rows of an epoch, which add up to 1. @default all rows of each */
  readonly mix?: readonly number[];
  /** Seed of the mix. @default 42 */
  readonly mixSeed?: number;
  /** When an epoch of a mix ends. @default "first_exhausted" */
  readonly mixStrategy?: MixStrategy;
  /** Rows to read of each source to train on. @default all */
  readonly maxRows?: number;
  /** Leaves out rows that repeat others, or nearly so. @default false: they are told of */
  readonly dedup?: boolean;
  /** Where checkpoints, curves and the report go. */
  readonly outputDir: string;
  /** Deletes checkpoints of an earlier run there. @default false */
  readonly overwriteOutputDir?: boolean;
  /** System prompt of rows that have none; empty for none. */
  readonly system: string;
  /** Passes over the data, may be fractional. */
  readonly numTrainEpochs: number;
  /** Optimizer steps to make; above 0 it wins over epochs. */
  readonly maxSteps: number;
  /** Rows a batch. */
  readonly perDeviceTrainBatchSize: number;
  /** Rows an evaluation batch. @default as training */
  readonly perDeviceEvalBatchSize?: number;
  /** Batches an optimizer step. */
  readonly gradientAccumulationSteps: number;
  /** In place of accumulation: packed rows a step until they have this many tokens. */
  readonly tokensPerStep?: number;
  /** Peak learning rate. */
  readonly learningRate: number;
  /** The name of a schedule. */
  readonly lrSchedulerType: string;
  /** The schedule's own settings, such as `{ min_lr_rate: 0.1 }`. @default its own defaults */
  readonly lrSchedulerKwargs?: ScheduleSettings;
  /** Steps over which the learning rate rises; below 1 a share of all steps. */
  readonly warmupSteps: number;
  /** The same as a share of all steps; `warmupSteps` wins over it where above 0. @default none */
  readonly warmupRatio?: number;
  /** Decay of AdamW's first moment. */
  readonly adamBeta1: number;
  /** Decay of AdamW's second moment. */
  readonly adamBeta2: number;
  /** Added to the root of AdamW's second moment. */
  readonly adamEpsilon: number;
  /** AdamW's, not on norms and biases. */
  readonly weightDecay: number;
  /** L2 norm that gradients are clipped to; 0 for never. */
  readonly maxGradNorm: number;
  /** Trains so many of the last layers alone, in full. @default all weights, or an adapter */
  readonly trainLayers?: number;
  /** NEFTune's noise on embeddings. @default 0 */
  readonly neftuneNoiseAlpha?: number;
  /** The name of what is minimized, of single replies or of pairs. @default "cross_entropy" */
  readonly loss?: string;
  /** How strongly DPO holds to the reference, or how much ORPO's odds ratio counts. @default 0.1 */
  readonly beta?: number;
  /** The share of each target that is spread over the whole vocabulary. @default 0 */
  readonly labelSmoothingFactor?: number;
  /**
   * Tokens an example is cut to, and a packed row holds.
   * @default the smaller of 2048 and the model's max_position_embeddings
   */
  readonly maxLength: number;
  /** Puts several examples in a row, without mixing them. @default false */
  readonly packing?: boolean;
  /** Which column of a row means what. @default as well-known data sets name them */
  readonly columns?: RowColumns;
  /** Which replies of a chat are learned. @default "all" */
  readonly teach?: Teach;
  /** What becomes of an example that is longer than `maxLength`. @default "right": its end is cut off */
  readonly truncation?: Truncation;
  /** Leaves rows out that have no answer left, instead of refusing them. @default false */
  readonly dropUnlabelled?: boolean;
  /** Leaves rows out that cannot be used, instead of stopping at the first. @default false */
  readonly dropRefusedRows?: boolean;
  /** Path of a Jinja file in place of the model's chat template. @default the model's */
  readonly chatTemplate?: string;
  /** The empty thinking block of replies without thinking. @default "teach" */
  readonly emptyThink?: EmptyThink;
  /** Recomputes activations in backward, for less memory; the same numbers. */
  readonly gradientCheckpointing: boolean;
  /** Run files besides metrics.jsonl: of `tensorboard`, `swanlab`, both or none. */
  readonly reportTo: readonly string[];
  /** What SwanLab calls the run. @default the name of its folder */
  readonly runName?: string;
  /** Steps between two log lines; below 1 a share of all steps. */
  readonly loggingSteps: number;
  /** Logs the first step too. @default false */
  readonly loggingFirstStep?: boolean;
  /** Whether evaluations come by steps, by epochs, or not at all. */
  readonly evalStrategy: IntervalStrategy;
  /** Steps between two evaluations; below 1 a share of all steps, 0 for the end only. */
  readonly evalSteps: number;
  /** Validation rows that are answered greedily at each evaluation, and measured. @default none */
  readonly evalGenerate?: number;
  /** Most tokens of such an answer. @default 256 */
  readonly evalMaxNewTokens?: number;
  /** Whether checkpoints come by steps, by epochs, or not at all. */
  readonly saveStrategy: IntervalStrategy;
  /** Steps between two checkpoints; below 1 a share of all steps, 0 for the end only. */
  readonly saveSteps: number;
  /** Leaves out of checkpoints what only a resumed run reads. @default false */
  readonly saveOnlyModel?: boolean;
  /** Checkpoints to keep. @default all */
  readonly saveTotalLimit?: number;
  /** What the best evaluation is chosen by. */
  readonly metricForBestModel: BestMetric;
  /** Saves every best evaluation so far, and ends with the best one's weights. @default false */
  readonly loadBestModelAtEnd?: boolean;
  /** Ends after this many evaluations in a row that are no better. @default never */
  readonly earlyStoppingPatience?: number;
  /** By how much the metric must fall to count as better. */
  readonly earlyStoppingThreshold: number;
  /** Validation questions that are answered and logged after training. */
  readonly predictionSamples: number;
  /** Most tokens of such an answer. */
  readonly predictionMaxNewTokens: number;
  /** Seed of the data order, of a new adapter, of dropout and of sampling. */
  readonly seed: number;
  /** `seed`: Qwen3-Medical-SFT to the letter. @default none */
  readonly compat?: "seed";
  /** The name of an optimizer. */
  readonly optim: string;
  /**
   * Keeps the optimizer's state of a part of the parameters on each of several processes (ZeRO-1).
   * @default false: each keeps all
   */
  readonly shardOptimizer?: boolean;
  /** Goes on from a checkpoint's folder, or from the newest in `outputDir`. @default a new run */
  readonly resumeFromCheckpoint?: string | true;
  /** `cpu`, `cuda`, `cuda:N`, `webgpu`, or `auto` for the best that this machine has. */
  readonly device: string;
  /** What the model computes in. @default bf16 on CUDA, fp32 on the CPU */
  readonly precision?: TrainingPrecision;
  /** ortune's own CUDA kernels; `sync` waits for each, so that a fault names its kernel. */
  readonly kernels: "auto" | "off" | "sync";
  /** Processor threads. @default all cores */
  readonly threads?: number;
  /** Trains an adapter in place of all weights. @default all weights */
  readonly lora?: LoraArguments;
}

/** What a run may be asked for; what is left out has the default of the command line. */
export type TrainingOptions =
  & Partial<Omit<TrainingArguments, "lora">>
  & { readonly lora?: Partial<LoraArguments> };

/** Arguments that have a default of their own, whatever the others are. */
export type DefaultArgument = Exclude<
  {
    [Name in keyof TrainingArguments]-?: undefined extends TrainingArguments[Name] ? never : Name;
  }[keyof TrainingArguments],
  "trainFile" | "outputDir" | "system" | "maxLength"
>;

/** Tokens of an example where nothing is said and the model takes as many. */
export const MOST_LENGTH = 2048;

/** The defaults, those of the flags too; of `lora` they are `DEFAULT_LORA`. */
export const DEFAULT_TRAINING: Readonly<Pick<TrainingArguments, DefaultArgument>> = {
  model: "Qwen/Qwen3-1.7B",
  numTrainEpochs: 2,
  maxSteps: 0,
  perDeviceTrainBatchSize: 1,
  gradientAccumulationSteps: 4,
  learningRate: 1e-4,
  lrSchedulerType: "linear",
  warmupSteps: 0,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
  gradientCheckpointing: true,
  reportTo: ["tensorboard", "swanlab"],
  loggingSteps: 10,
  evalStrategy: "steps",
  evalSteps: 100,
  saveStrategy: "steps",
  saveSteps: 400,
  metricForBestModel: "eval_loss",
  earlyStoppingThreshold: 0,
  predictionSamples: 3,
  predictionMaxNewTokens: 2048,
  seed: 42,
  optim: DEFAULT_OPTIMIZER,
  device: "cpu",
  kernels: "auto",
};
