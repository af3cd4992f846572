/**
 * ortune's own CUDA kernels, as training uses them.
 *
 * In: a device. Out: a GPU to load kernels on, or the reason why there is none; and of a GPU the
 * kernels of one kind of training.
 */

import { loadBlockKernels } from "../../model/engine/kernel_nodes.ts";
import type { EngineKernels } from "../../model/engine/engine_context.ts";
import { crossEntropySource } from "../../ort/kernels/cross_entropy_kernels.ts";
import { type Gpu, type GpuOptions, openGpu } from "../../ort/kernels/gpu.ts";
import type { BlockAdapter } from "../../model/graphs/block.ts";
import type { Objective } from "../../model/graphs/objective.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Precision } from "../../model/precision.ts";
import type { Device } from "../../ort/runtime/device.ts";
import { findObjective } from "../objectives/objectives.ts";
import type { AdamWOptions } from "../optimizers/adamw_graph.ts";
import type { MakeOptimizer, OptimizerDescription } from "../optimizers/optimizer_description.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import type { StateFormat } from "../optimizers/state_format.ts";

/** What a trainer launches in place of graphs. */
export interface TrainingKernels {
  /** Makes the optimizer, in kernels where it has any. */
  readonly optimizer: MakeOptimizer;
  /** Those of blocks and loss. */
  readonly engine: EngineKernels;
}

/** A GPU with a compiler that works, or why there is none. */
export type FoundGpu =
  | { readonly gpu: Gpu; readonly reason?: undefined }
  | { readonly gpu?: undefined; readonly reason: string };

/**
 * Opens driver and compiler, and tries them on a kernel that training needs anyway.
 *
 * @param options where compiled kernels are kept, and what else is to be known to open a GPU
 */
export async function findGpu(
  device: Device,
  precision: Precision,
  options: Omit<GpuOptions, "device"> = {},
): Promise<FoundGpu> {
  if (device.kind !== "cuda") return { reason: "they run on NVIDIA GPUs only" };
  let gpu: Gpu | undefined;
  try {
    gpu = openGpu({ ...options, device: device.index });
    await gpu.load(crossEntropySource(precision));
    return { gpu };
  } catch (error) {
    gpu?.[Symbol.dispose]();
    // A compiler's log follows on lines of its own.
    return { reason: (error instanceof Error ? error.message : String(error)).split("\n")[0] };
  }
}

/** Compiles and loads the kernels. */
export async function loadTrainingKernels(
  gpu: Gpu,
  { config, precision, optim, format, optimizer: constants, objective, adapter }: {
    readonly config: ModelConfig;
    /** What the model runs in. */
    readonly precision: Precision;
    /** What updates the trained weights. @default AdamW */
    readonly optim?: string | OptimizerDescription;
    /** What it keeps of them. */
    readonly format: StateFormat;
    /** Its constants. @default its own */
    readonly optimizer?: AdamWOptions;
    /** What is minimized. @default cross-entropy */
    readonly objective?: string | Objective;
    /** What is trained in place of the model's weights. */
    readonly adapter?: BlockAdapter;
  },
): Promise<TrainingKernels> {
  const { make, withKernels } = findOptimizer(optim);
  return {
    optimizer: await withKernels?.(gpu, format, constants) ?? make,
    engine: {
      // The kernel reads the product as logits.
      loss: config.logitCap === undefined
        ? await findObjective(objective).loadKernel?.(gpu, precision)
        : undefined,
      blocks: await loadBlockKernels(gpu, { config, precision, adapter }),
    },
  };
}
