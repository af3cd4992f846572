/** What a resumed run must share with the one it goes on from, hashed where it is long. */

import type { BaseStorage } from "../../model/base_storage.ts";
import { sha256 } from "../checkpoints/checkpoint.ts";
import { OLD_OPTIMIZER_STATE } from "../checkpoints/optimizer_state.ts";
import type { RunFacts } from "../checkpoints/run_facts.ts";
import { DEFAULT_OBJECTIVE } from "../objectives/objectives.ts";
import { DEFAULT_BETA, isPairLoss } from "../objectives/pair_objectives.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import type { FileHasher } from "./file_hasher.ts";
import type { ScheduleSettings } from "../schedule.ts";
import type { DerivedTraining } from "./resolve_training.ts";
import { DEFAULT_TRAINING, type TrainingArguments } from "./training_arguments.ts";

/**
 * Arguments and hashes that shape the result of a run; paths and reporting do not.
 *
 * @param dataSha256 of the training examples' ids and labels, which carry the data, the template and
 *   the cut in one
 */
export async function runFacts(
  { args, precision, storage }: DerivedTraining,
  dataSha256: string,
  hash: FileHasher,
): Promise<RunFacts> {
  const file = async (name: string) => (await hash(`${args.model}/${name}`)).sha256;
  return {
    ...args.lora ? await loraFacts(args.model, args.lora, storage, hash) : { method: "full" },
    config_sha256: await file("config.json"),
    tokenizer_sha256: await file("tokenizer.json"),
    train_data_sha256: dataSha256,
    seed: args.seed,
    num_train_epochs: args.numTrainEpochs,
    max_steps: args.maxSteps,
    compat: args.compat ?? null,
    per_device_train_batch_size: args.perDeviceTrainBatchSize,
    gradient_accumulation_steps: args.gradientAccumulationSteps,
    packing: args.packing ?? false,
    // Left out where it is not asked for, so that earlier checkpoints can be resumed.
    ...args.tokensPerStep === undefined ? {} : { tokens_per_step: args.tokensPerStep },
    max_length: args.maxLength,
    learning_rate: args.learningRate,
    lr_scheduler_type: args.lrSchedulerType,
    ...args.lrSchedulerKwargs ? { lr_scheduler_kwargs: canonicalJson(args.lrSchedulerKwargs) } : {},
    warmup_steps: args.warmupSteps,
    // Left out where they are not asked for, so that earlier checkpoints can be resumed.
    ...args.warmupRatio === undefined ? {} : { warmup_ratio: args.warmupRatio },
    ...Object.fromEntries(
      ([["adam_beta1", "adamBeta1"], ["adam_beta2", "adamBeta2"], [
        "adam_epsilon",
        "adamEpsilon",
      ]] as const)
        .filter(([, name]) => args[name] !== DEFAULT_TRAINING[name])
        .map(([fact, name]) => [fact, args[name]]),
    ),
    weight_decay: args.weightDecay,
    max_grad_norm: args.maxGradNorm,
    // Left out where they are not asked for, so that earlier checkpoints can be resumed.
    ...args.loss === undefined || args.loss === DEFAULT_OBJECTIVE ? {} : { loss: args.loss },
    ...isPairLoss(args.loss) ? { beta: args.beta ?? DEFAULT_BETA } : {},
    ...args.trainLayers === undefined ? {} : { train_layers: args.trainLayers },
    ...args.neftuneNoiseAlpha ? { neftune_noise_alpha: args.neftuneNoiseAlpha } : {},
    ...args.labelSmoothingFactor ? { label_smoothing_factor: args.labelSmoothingFactor } : {},
    logging_steps: args.loggingSteps,
    // Left out in float32, so that checkpoints from before there was a choice can be resumed.
    ...precision === "fp32" ? {} : { precision },
    // All names of AdamW are one optimizer, and were left out from the start.
    ...findOptimizer(args.optim) === findOptimizer() ? {} : { optim: args.optim },
  };
}

/** The same text whatever the order of the names. */
function canonicalJson(settings: ScheduleSettings): string {
  return JSON.stringify(Object.fromEntries(Object.entries(settings).toSorted()));
}

/** An adapter is worth nothing on another base, and its settings shape its weights. */
async function loraFacts(
  model: string,
  lora: NonNullable<TrainingArguments["lora"]>,
  { name: baseDtype, quantization }: BaseStorage,
  hash: FileHasher,
): Promise<RunFacts> {
  const { rank, alpha, dropout, targetModules, rslora, dora, initAdapter } = lora;
  const { layersToTransform, layersPattern, excludeModules, rankPattern, alphaPattern } = lora;
  const { loraPlusRatio = 1, initLoraWeights = "default" } = lora;
  const chosen = { layersToTransform, layersPattern, excludeModules, rankPattern, alphaPattern };
  return {
    method: "lora",
    base_sha256: await hashSafetensors(model, hash),
    lora_rank: rank,
    lora_alpha: alpha,
    lora_dropout: dropout,
    target_modules: typeof targetModules === "string"
      ? targetModules
      : targetModules.toSorted().join(),
    // Left out where no layer differs from another, so that earlier checkpoints can be resumed.
    ...JSON.stringify(chosen) === "{}" ? {} : { lora_layers: JSON.stringify(chosen) },
    use_rslora: rslora,
    use_dora: dora,
    // Left out in float32, so that checkpoints from before there was a choice can be resumed.
    ...baseDtype === "fp32" ? {} : { base_dtype: baseDtype },
    ...quantization
      ? { base_block_size: quantization.block, base_compute: quantization.compute }
      : {},
    ...initLoraWeights === "default" ? {} : { init_lora_weights: initLoraWeights },
    ...loraPlusRatio === 1 ? {} : { lora_plus_ratio: loraPlusRatio },
    init_adapter_sha256: initAdapter ? await hashSafetensors(initAdapter, hash) : null,
  };
}

/** One hash over the hashes of a folder's safetensors files. */
export async function hashSafetensors(directory: string, hash: FileHasher): Promise<string> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (name.endsWith(".safetensors") && name !== OLD_OPTIMIZER_STATE) names.push(name);
  }
  const hashes = await Promise.all(
    names.sort().map(async (name) => `${name} ${(await hash(`${directory}/${name}`)).sha256}`),
  );
  return sha256(hashes.join("\n"));
}

/** One hash over a folder's safetensors files and the file of its settings. */
export async function hashFolder(
  directory: string,
  settings: string,
  hash: FileHasher,
): Promise<string> {
  return sha256(
    await hashSafetensors(directory, hash),
    (await hash(`${directory}/${settings}`)).sha256,
  );
}
