/** The trainer that a run's arguments ask for. In: an opened run. Out: a trainer of all weights or of an adapter. */

import { createFullTrainer } from "../trainers/full_trainer.ts";
import { createLoraTrainer, type LoraTrainerOptions } from "../trainers/lora_trainer.ts";
import type { TrainerOptions } from "../trainers/assemble_trainer.ts";
import type { Trainer } from "../trainer.ts";
import { objectiveOf, pairObjectiveOf } from "./objective_of.ts";
import type { OpenedRun } from "./open_run.ts";

/** Loads the model and makes it, or an adapter on it, trainable. */
export function createTrainer(
  { args, precision, gpu, runtime }: Pick<OpenedRun, "args" | "precision" | "gpu" | "runtime">,
  { onRounding, onPissa, ...more }:
    & Pick<TrainerOptions, "eosTokenIds" | "deferLoad" | "comm" | "collectives" | "signal">
    & Pick<LoraTrainerOptions, "onRounding" | "onPissa">,
): Promise<Trainer> {
  const { adamBeta1: beta1, adamBeta2: beta2, adamEpsilon: epsilon, weightDecay } = args;
  const { model, maxGradNorm, gradientCheckpointing, seed, optim, shardOptimizer, lora } = args;
  const options: TrainerOptions = {
    ...more,
    runtime: runtime(),
    optimizer: { beta1, beta2, epsilon, weightDecay },
    objective: objectiveOf(args),
    pairs: pairObjectiveOf(args),
    neftuneNoiseAlpha: args.neftuneNoiseAlpha,
    maxGradNorm,
    gradientCheckpointing,
    precision,
    optim,
    shardOptimizer,
    gpu,
  };
  if (!lora) {
    // Without noise nothing is drawn but how bfloat16 is rounded, which never went by the run's seed.
    return createFullTrainer(model, {
      ...options,
      ...args.neftuneNoiseAlpha ? { seed } : {},
      lastLayers: args.trainLayers,
    });
  }
  const { initAdapter, initLoraWeights, loraPlusRatio } = lora;
  const { baseDtype, baseBlockSize, baseCompute } = lora;
  return createLoraTrainer(model, {
    ...options,
    ...{ seed, lora, initAdapter, initLoraWeights, loraPlusRatio },
    ...{ baseDtype, baseBlockSize, baseCompute, onRounding, onPissa },
  });
}
