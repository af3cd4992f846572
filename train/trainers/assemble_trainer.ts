/**
 * A trainer from the names of its parts. In: what is trained, and options. Out: a `Trainer` with
 * gradients, an engine and an optimizer over it.
 */

import type { Comm } from "../../comm/comm.ts";
import { ParameterStore } from "../../model/engine/parameter_store.ts";
import { TrainingEngine } from "../../model/engine/training_engine.ts";
import type { Objective } from "../../model/graphs/objective.ts";
import { deviceName, deviceTraits } from "../../ort/runtime/device.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { assertDistributed } from "../distributed/assert_distributed.ts";
import { widenedBuckets } from "../distributed/buckets.ts";
import { GradientSums } from "../distributed/gradient_sums.ts";
import { openTensorComm, type TensorComm } from "../distributed/tensor_comm.ts";
import { findObjective } from "../objectives/objectives.ts";
import type { AdamWOptions } from "../optimizers/adamw_graph.ts";
import { assertSeveral, type OptimizerDescription } from "../optimizers/optimizer_description.ts";
import type { PairObjective } from "../pair_objective.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import type { StateFormat } from "../optimizers/state_format.ts";
import type { TrainingPrecision } from "../training_precision.ts";
import { ModelTrainer } from "./model_trainer.ts";
import type { TrainedParameters } from "./trained_parameters.ts";
import type { TrainingKernels } from "./training_kernels.ts";

/** How any trainer works. */
export interface TrainerOptions {
  /** Where the graphs run. */
  readonly runtime: Runtime;
  /**
   * What updates the trained weights: a name of `optimizers`, or a description of one's own. Formats in
   * bfloat16 have no effect on an adapter, which is float32.
   * @default "adamw_torch"
   */
  readonly optim?: string | OptimizerDescription;
  /** The optimizer's constants; @default betas 0.9 and 0.999, epsilon 1e-8, no weight decay */
  readonly optimizer?: AdamWOptions;
  /** What is minimized: a name of `objectives`, or an objective of one's own. @default "cross_entropy" */
  readonly objective?: string | Objective;
  /**
   * What is minimized where examples are pairs, a chosen reply and a rejected one in turns, in place of
   * `objective`. Nothing is drawn at random then: an adapter's dropout has no effect, as in TRL.
   * @default each example is trained on by itself
   */
  readonly pairs?: PairObjective;
  /**
   * NEFTune: uniform noise on embeddings in training, at most this over √(tokens of an example · hidden size).
   * @default 0
   */
  readonly neftuneNoiseAlpha?: number;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. @default 1 */
  readonly maxGradNorm?: number;
  /** Supervised tokens whose logits are held at once. @default as `headChunkOf` says */
  readonly headChunk?: number;
  /** Recomputes each block in backward: slower, with less memory. @default true */
  readonly gradientCheckpointing?: boolean;
  /** Leaves padding out of what is computed, as the engine does. @default true */
  readonly skipPadding?: boolean;
  /** What the model runs in and the optimizer keeps. @default bf16 on CUDA, fp32 on the CPU */
  readonly precision?: TrainingPrecision;
  /**
   * The runtime's device, opened for ortune's own kernels, which then take the place of graphs in the
   * optimizer and the loss. It stays the caller's, who disposes of it after the trainer.
   * @default none: graphs of ONNX Runtime's operators alone
   */
  readonly gpu?: Gpu;
  /**
   * Ids that replies are taught to end with: among `eos_token_id` in the config.json that is saved.
   * @default none but those of the base model
   */
  readonly eosTokenIds?: readonly number[];
  /**
   * Leaves the trained weights unset, where a checkpoint's are loaded by `resume` anyway.
   * @default false
   */
  readonly deferLoad?: boolean;
  /**
   * Leaves everything to graphs and reads results when asked, as where tensors are out of the host's
   * reach.
   * @default on a device
   */
  readonly graphsOnly?: boolean;
  /**
   * Processes that train together, each of which takes a share of every update's rows, on CUDA with a GPU
   * each.
   * @default this one alone
   */
  readonly comm?: Comm;
  /**
   * What they sum tensors with, which the trainer takes over.
   * @default opened for the runtime's device
   */
  readonly collectives?: TensorComm;
  /**
   * Whether each of them keeps the optimizer's state of a part of the parameters, and float32 masters of that part
   * where the model runs on a rounded copy of them.
   * @default false
   */
  readonly shardOptimizer?: boolean;
  /** Stops the load between two chunks. */
  readonly signal?: AbortSignal;
}

/** What was found out, and loaded, before there was anything to train. */
export interface AssembleOptions extends TrainerOptions {
  /** What the optimizer keeps of the trained parameters. */
  readonly format: StateFormat;
  /** Own kernels of that format, used where everything is left to the device. @default none */
  readonly kernels?: TrainingKernels;
}

/** Whether several processes keep a part of the optimizer's state each. */
export function isSharded(
  { comm, shardOptimizer = false }: Pick<TrainerOptions, "comm" | "shardOptimizer">,
): boolean {
  return shardOptimizer && comm !== undefined && comm.size > 1;
}

/** What several processes sum with: what they were given, or opened for the runtime's device. */
export async function openCollectives(
  { runtime, comm, collectives }: Pick<TrainerOptions, "runtime" | "comm" | "collectives">,
): Promise<TensorComm | undefined> {
  if (comm === undefined || comm.size === 1) return undefined;
  return collectives ?? await openTensorComm(comm, runtime);
}

/** Allocates gradients and optimizer state beside the given parameters, which the trainer then owns. */
export async function assembleTrainer(
  parameters: TrainedParameters,
  { runtime, format, kernels, maxGradNorm = 1, optim, optimizer: constants, ...options }:
    AssembleOptions,
): Promise<ModelTrainer> {
  const { graphsOnly = !deviceTraits(runtime.device).hostMemory } = options;
  const { headChunk, gradientCheckpointing, skipPadding, pairs } = options;
  if (pairs && runtime.device.kind === "cuda") {
    throw new RangeError(
      `Cannot train on pairs on ${
        deviceName(runtime.device)
      }: their losses are weighed on the host between the ` +
        "forward and the backward pass; pass --device cpu or webgpu",
    );
  }
  const comm = options.comm && options.comm.size > 1 ? options.comm : undefined;
  const shard = isSharded(options);
  assertDistributed(runtime.device, { size: comm?.size ?? 1 });
  const { store, sizes, rates, rounded, config, weights, firstTrained, adapter } = parameters;
  const make = kernels?.optimizer ?? findOptimizer(optim).make;
  assertSeveral(findOptimizer(optim), { size: comm?.size ?? 1, shard });
  const objective = findObjective(options.objective);
  using owned = new DisposableStack();
  const opened = await openCollectives({ ...options, runtime });
  const collectives = opened && owned.use(opened);
  const gradients = owned.use(
    new ParameterStore(runtime, store.layout, { dtype: (rounded ?? store).dtype }),
  );
  const optimizer = owned.use(make({
    runtime,
    parameters: store,
    gradients,
    copy: rounded,
    sizes,
    rates,
    format,
    maxGradNorm,
    constants,
    graphsOnly,
    comm,
    collectives,
    shard,
  }));
  const engine = new TrainingEngine(runtime, config, weights, gradients, {
    headChunk,
    gradientCheckpointing,
    skipPadding,
    rowsTogether: pairs ? 2 : 1,
    firstTrained,
    adapter: pairs && adapter ? { ...adapter, block: { ...adapter.block, dropout: 0 } } : adapter,
    objective,
    noiseAlpha: options.neftuneNoiseAlpha,
    graphsOnly,
    kernels: graphsOnly ? kernels?.engine : undefined,
  });
  const sums = collectives && owned.use(
    new GradientSums(runtime, collectives, gradients, {
      scatter: shard,
      widened: widenedBuckets(config),
    }),
  );
  owned.move();
  return new ModelTrainer({
    runtime,
    parameters,
    gradients,
    engine,
    optimizer,
    pairs,
    comm,
    collectives,
    sums,
  });
}
