/**
 * The flags of training, under TrainingArguments' names. In: a commander command. Out: the flags
 * added, and the type they parse to.
 */

import { COMM_CHOICES, type CommChoice } from "../../comm/open_comm.ts";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  DEFAULT_TRAINING as DEFAULTS,
  MOST_LENGTH,
  type TrainingArguments,
} from "../../train/runs/training_arguments.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { schedules } from "../../train/schedules/schedules.ts";
import { DEFAULT_BETA } from "../../train/objectives/pair_objectives.ts";
import { optimizersHelp } from "../../train/optimizers/optimizers.ts";
import {
  ARGUMENT_CHOICES as CHOICES,
  ARGUMENT_RANGES as RANGES,
} from "../../train/runs/argument_rules.ts";
import { device, DEVICE_HELP, numberIn } from "./flag_values.ts";
import { columnsFlag } from "./columns_flag.ts";
import { chatTemplateFlag, emptyThinkFlag, teachFlag, truncationFlag } from "./teach_flags.ts";
import { toggle } from "./toggle.ts";

/** Parsed flags: what is left open has a default that depends on the rest. */
export type TrainingFlags =
  & Partial<CommandFlags>
  & Omit<TrainingArguments, "trainFile" | "outputDir" | "system" | "maxLength" | "lora">
  & Partial<Pick<TrainingArguments, "trainFile" | "outputDir" | "system" | "maxLength">>;

/** Flags that say what the command does with the others. */
export interface CommandFlags {
  readonly config: string;
  readonly printConfig: boolean;
  readonly dryRun: boolean;
  readonly distributed: CommChoice;
}

function reportTo(text: string): readonly string[] {
  if (text === "none") return [];
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => (CHOICES.reportTo as readonly string[]).includes(name))) return names;
  throw new InvalidArgumentError(`It must name ${CHOICES.reportTo.join(" or ")}, or be none.`);
}

function shares(text: string): readonly number[] {
  const numbers = text.split(",").map((each) => each.trim() === "" ? NaN : Number(each));
  if (numbers.every((each) => each > 0 && each <= 1)) return numbers;
  throw new InvalidArgumentError("It must be shares above 0 with commas between, such as 0.7,0.3.");
}

/** Which layers are trained in full: the last so many. A file of a run has the number alone. */
function lastLayers(text: string): number {
  const [, count] = /^(?:last:)?([1-9]\d{0,8})$/.exec(text.trim()) ?? [];
  if (count !== undefined) return Number(count);
  throw new InvalidArgumentError("It must be last: and a whole number from 1 up, such as last:4.");
}

/** Adds the flags. */
export function addTrainingFlags(command: Command): void {
  command
    .option(
      "--config <path>",
      "YAML file of flags by their names, or a run.json; flags beside it win over it",
    )
    .addOption(toggle("--print-config", "print all arguments as such a file, and do nothing else"))
    .option(
      "--model <dir>",
      "base model: its folder or a checkpoint in Hugging Face's layout, the output folder of a run, or a " +
        "model's id below models/",
      DEFAULTS.model,
    )
    .option(
      "--train-file <paths...>",
      "rows of chats, of questions with answers, or of prompts with completions: files of JSON Lines, JSON, " +
        "CSV, TSV or Parquet (.gz and .zst too), folders or patterns (default: data/train.jsonl)",
    )
    .option(
      "--validation-file <paths...>",
      "rows to evaluate on, likewise (default: with --train-file none, else data/val.jsonl)",
    )
    .option(
      "--validation-split-percentage <n>",
      "in place of a validation file: percent of the rows to hold back, drawn with --seed",
      numberIn(RANGES.validationSplitPercentage),
    )
    .option(
      "--mix <shares>",
      "share of each --train-file in the rows of an epoch, such as 0.7,0.3; as datasets.interleave_datasets " +
        "(default: all rows of each)",
      shares,
    )
    .option("--mix-seed <n>", "seed of the mix (default: 42)", numberIn(RANGES.mixSeed))
    .addOption(
      new Option(
        "--mix-strategy <name>",
        "end an epoch with the first of them that has no more rows (the default), or once all rows of all " +
          "came, those of smaller ones again",
      ).choices(CHOICES.mixStrategy),
    )
    .option("--max-rows <n>", "rows to read of each --train-file", numberIn(RANGES.maxRows))
    .addOption(
      toggle(
        "--dedup",
        "leave out rows that repeat others, or nearly so, and those to be evaluated on",
      ),
    )
    .option(
      "--output-dir <dir>",
      "where checkpoints, curves and the report go (default: output/<the model's name>, of an " +
        "adapter output/<the model's name>-lora)",
    )
    .addOption(toggle("--overwrite-output-dir", "delete checkpoints of an earlier run there"))
    .option(
      "--system <text>",
      "system prompt of rows that have none; empty for none (default: Qwen3-Medical-SFT's for its own " +
        "data and with --compat seed, else none)",
    )
    .addOption(chatTemplateFlag())
    .addOption(emptyThinkFlag())
    .addOption(columnsFlag())
    .addOption(teachFlag())
    .option(
      "--num-train-epochs <n>",
      "passes over the data, may be fractional",
      numberIn(RANGES.numTrainEpochs),
      DEFAULTS.numTrainEpochs,
    )
    .option(
      "--max-steps <n>",
      "updates to make; above 0 it wins over epochs",
      numberIn(RANGES.maxSteps),
      DEFAULTS.maxSteps,
    )
    .option(
      "--per-device-train-batch-size <n>",
      "rows a batch",
      numberIn(RANGES.perDeviceTrainBatchSize),
      DEFAULTS.perDeviceTrainBatchSize,
    )
    .option(
      "--per-device-eval-batch-size <n>",
      "rows an evaluation batch (default: as training)",
      numberIn(RANGES.perDeviceEvalBatchSize),
    )
    .option(
      "--gradient-accumulation-steps <n>",
      "batches an update",
      numberIn(RANGES.gradientAccumulationSteps),
      DEFAULTS.gradientAccumulationSteps,
    )
    .addOption(
      new Option(
        "--tokens-per-step <n>",
        "in place of accumulation: packed rows an update until they have this many tokens; " +
          "--per-device-train-batch-size of them in one run",
      ).argParser(numberIn(RANGES.tokensPerStep)).implies({ packing: true })
        .conflicts(["gradientAccumulationSteps", "compat"]),
    )
    .option(
      "--learning-rate <rate>",
      "peak learning rate",
      numberIn(RANGES.learningRate),
      DEFAULTS.learningRate,
    )
    .addOption(
      new Option("--lr-scheduler-type <name>", "how the learning rate changes")
        .choices(CHOICES.lrSchedulerType).default(DEFAULTS.lrSchedulerType),
    )
    .addOption(schedulerKwargsFlag())
    .option(
      "--warmup-steps <n>",
      "updates over which the learning rate rises; below 1 a share of the run",
      numberIn(RANGES.warmupSteps),
      DEFAULTS.warmupSteps,
    )
    .option(
      "--warmup-ratio <x>",
      "the same as a share of the run; --warmup-steps above 0 wins over it",
      numberIn(RANGES.warmupRatio),
    )
    .option(
      "--adam-beta1 <x>",
      "decay of AdamW's first moment, and of Lion's momentum where its sign is taken",
      numberIn(RANGES.adamBeta1),
      DEFAULTS.adamBeta1,
    )
    .option(
      "--adam-beta2 <x>",
      "decay of AdamW's second moment, and of Lion's momentum from update to update",
      numberIn(RANGES.adamBeta2),
      DEFAULTS.adamBeta2,
    )
    .option(
      "--adam-epsilon <x>",
      "added to the root of AdamW's second moment",
      numberIn(RANGES.adamEpsilon),
      DEFAULTS.adamEpsilon,
    )
    .option(
      "--weight-decay <x>",
      "weights shrink by the learning rate times this, but not norms and biases",
      numberIn(RANGES.weightDecay),
      DEFAULTS.weightDecay,
    )
    .option(
      "--max-grad-norm <x>",
      "gradients are clipped to this norm; 0 for never",
      numberIn(RANGES.maxGradNorm),
      DEFAULTS.maxGradNorm,
    )
    .addOption(
      new Option(
        "--loss <name>",
        "what is minimized: cross_entropy (the default), dft: that times the target's own probability, or of rows of " +
          "chosen and rejected replies dpo, dpo_hinge, ipo or orpo",
      ).choices(CHOICES.loss),
    )
    .option(
      "--beta <x>",
      "how strongly DPO and IPO hold to the model that training starts from, or how much ORPO's odds ratio counts " +
        `(default: ${DEFAULT_BETA})`,
      numberIn(RANGES.beta),
    )
    .option(
      "--label-smoothing-factor <x>",
      "share of each target that is spread over the whole vocabulary (default: 0)",
      numberIn(RANGES.labelSmoothingFactor),
    )
    .option(
      "--train-layers <last:n>",
      "trains so many of the last layers alone, such as last:4; embedding, norm, head and the others are frozen " +
        "(default: all weights)",
      lastLayers,
    )
    .option(
      "--neftune-noise-alpha <x>",
      "NEFTune: uniform noise on embeddings in training, at most this over the root of an example's tokens " +
        "times the hidden size (default: 0)",
      numberIn(RANGES.neftuneNoiseAlpha),
    )
    .option(
      "--max-length <n>",
      "tokens an example is cut to, and a packed row holds " +
        `(default: ${MOST_LENGTH}, or the model's max_position_embeddings where those are fewer)`,
      numberIn(RANGES.maxLength),
    )
    .addOption(truncationFlag())
    .addOption(
      toggle(
        "--drop-unlabelled",
        "leave out rows that have no answer left, instead of refusing them",
      ),
    )
    .addOption(
      toggle(
        "--drop-refused-rows",
        "leave out rows that cannot be used, instead of stopping at the first; they are counted, and " +
          "listed in the report",
      ),
    )
    .addOption(toggle("--packing", "put several examples in a row, without mixing them"))
    .addOption(
      toggle("--gradient-checkpointing", "recompute activations in backward, for less memory")
        .default(DEFAULTS.gradientCheckpointing),
    )
    .option(
      "--no-gradient-checkpointing",
      "keep activations instead of recomputing them: faster, with more memory; the same numbers",
    )
    .addOption(
      new Option(
        "--report-to <names>",
        "also write run files of tensorboard, swanlab, both with a comma between, or none",
      ).argParser(reportTo).default(DEFAULTS.reportTo, DEFAULTS.reportTo.join()),
    )
    .option("--run-name <name>", "what swanlab calls the run (default: its folder)")
    .option(
      "--logging-steps <n>",
      "updates between two log lines; below 1 a share of the run",
      numberIn(RANGES.loggingSteps),
      DEFAULTS.loggingSteps,
    )
    .addOption(toggle("--logging-first-step", "log the first update too"))
    .addOption(
      new Option(
        "--eval-strategy <name>",
        "evaluate every --eval-steps updates and at the end, after each epoch and at the end, or never",
      ).choices(CHOICES.evalStrategy).default(DEFAULTS.evalStrategy),
    )
    .option(
      "--eval-steps <n>",
      "updates between two evaluations; below 1 a share of the run, 0 for the end only",
      numberIn(RANGES.evalSteps),
      DEFAULTS.evalSteps,
    )
    .option(
      "--eval-generate <n>",
      "validation rows that are answered greedily at each evaluation and measured as deno task eval does: " +
        "eval_rouge_l, eval_choice_accuracy and so on (default: none)",
      numberIn(RANGES.evalGenerate),
    )
    .option(
      "--eval-max-new-tokens <n>",
      "most tokens of such an answer (default: 256)",
      numberIn(RANGES.evalMaxNewTokens),
    )
    .addOption(
      new Option(
        "--save-strategy <name>",
        "save every --save-steps updates and at the end, after each epoch and at the end, or never: " +
          "then nothing of the weights is left",
      ).choices(CHOICES.saveStrategy).default(DEFAULTS.saveStrategy),
    )
    .option(
      "--save-steps <n>",
      "updates between two checkpoints; below 1 a share of the run, 0 for the end only",
      numberIn(RANGES.saveSteps),
      DEFAULTS.saveSteps,
    )
    .option(
      "--save-total-limit <n>",
      "checkpoints to keep (default: all)",
      numberIn(RANGES.saveTotalLimit),
    )
    .addOption(
      toggle(
        "--save-only-model",
        "checkpoints without the optimizer's state: smaller, but none can be resumed",
      ),
    )
    .addOption(
      new Option("--metric-for-best-model <name>", "what the best evaluation is chosen by")
        .choices(CHOICES.metricForBestModel).default(DEFAULTS.metricForBestModel),
    )
    .addOption(
      toggle(
        "--load-best-model-at-end",
        "save every best evaluation so far, and end with the best one's weights",
      ),
    )
    .option(
      "--early-stopping-patience <n>",
      "end after this many evaluations in a row that are no better (default: never)",
      numberIn(RANGES.earlyStoppingPatience),
    )
    .option(
      "--early-stopping-threshold <x>",
      "by how much the metric must fall to count as better",
      numberIn(RANGES.earlyStoppingThreshold),
      DEFAULTS.earlyStoppingThreshold,
    )
    .option(
      "--prediction-samples <n>",
      "validation questions that are answered and logged after training",
      numberIn(RANGES.predictionSamples),
      DEFAULTS.predictionSamples,
    )
    .option(
      "--prediction-max-new-tokens <n>",
      "most tokens of such an answer",
      numberIn(RANGES.predictionMaxNewTokens),
      DEFAULTS.predictionMaxNewTokens,
    )
    .option(
      "--seed <n>",
      "seed of the data order, and of sampling",
      numberIn(RANGES.seed),
      DEFAULTS.seed,
    )
    .addOption(
      new Option(
        "--compat <name>",
        "seed: Qwen3-Medical-SFT to the letter, its encoding and its count of updates",
      ).choices(CHOICES.compat),
    )
    .addOption(
      new Option(
        "--optim <name>",
        optimizersHelp(),
      ).choices(CHOICES.optim).default(DEFAULTS.optim),
    )
    .option(
      "--resume-from-checkpoint [dir]",
      "go on from a checkpoint; without a folder, the newest",
    )
    .option("--device <name>", DEVICE_HELP, device, DEFAULTS.device)
    .addOption(
      new Option(
        "--precision <name>",
        "bf16: computes in bfloat16, keeps float32; bf16-pure: keeps bfloat16 too " +
          "(default: bf16 on cuda, fp32 on cpu)",
      ).choices(CHOICES.precision),
    )
    .addOption(toggle("--bf16", "--precision bf16; with false, --precision fp32"))
    .addOption(
      new Option(
        "--kernels <name>",
        "auto: ortune's own CUDA kernels where NVRTC is found; off: ONNX Runtime's alone; sync: as auto, " +
          "but waits for each of them, so that a fault names its kernel",
      ).choices(CHOICES.kernels).default(DEFAULTS.kernels),
    )
    .option("--threads <n>", "processor threads (default: all cores)", numberIn(RANGES.threads))
    .addOption(
      new Option(
        "--distributed <how>",
        "train with all processes that mpirun, srun or an MPIJob started (auto, the default), with MPI in any " +
          "case, or alone: each takes a share of every update's rows",
      ).choices(COMM_CHOICES),
    )
    .addOption(
      toggle(
        "--shard-optimizer",
        "keep the optimizer's state of a part of the weights on each of these processes (ZeRO-1)",
      ),
    )
    .addOption(
      toggle("--dry-run", "check data and memory, time two updates, show tokens; write nothing"),
    )
    .on("option:bf16", () => {
      const precision = command.getOptionValue("bf16") ? "bf16" : "fp32";
      command.setOptionValueWithSource("precision", precision, "cli");
      command.setOptionValue("bf16", undefined);
    });
}

/** `--lr-scheduler-kwargs`; whether the schedule has such settings is looked at with the other arguments. */
function schedulerKwargsFlag(): Option {
  const own = Object.entries(schedules).filter(([, { settings }]) => settings !== undefined)
    .map(([name, { settings = {} }]) => `${name}: ${Object.keys(settings).join(", ")}`);
  return new Option(
    "--lr-scheduler-kwargs <json>",
    `the schedule's own settings as JSON, such as {"num_cycles": 2} (${own.join("; ")})`,
  ).argParser(parseSettings);
}

function parseSettings(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // As a value that is no object.
  }
  if (isRecord(value)) return value;
  throw new InvalidArgumentError("It must be a JSON object, such as '{\"num_cycles\": 2}'.");
}
