/**
 * What a run knows of an optimizer before it makes one.
 *
 * In: a row of `optimizers.ts`. Out: help, what it keeps in which type, and the optimizer itself.
 *
 * @module
 */

import type { Comm } from "../../comm/comm.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import type { Optimizer } from "../optimizer.ts";
import type { TrainingPrecision } from "../training_precision.ts";
import type { AdamWOptions } from "./adamw_graph.ts";
import type { RateFactors } from "./layout_chunks.ts";
import type { StateShapes } from "./optimizer_state.ts";
import { PRECISION_FORMATS, type StateFormat } from "./state_format.ts";

/** What an optimizer is made of. */
export interface OptimizerOptions {
  /** Where it runs. */
  readonly runtime: Runtime;
  /** What it updates. */
  readonly parameters: ParameterStore;
  /** Their gradients, in the same layout. */
  readonly gradients: ParameterStore;
  /** A rounded copy of the parameters that the model runs on, if it is not they themselves. */
  readonly copy?: ParameterStore;
  /** What is kept in which type. */
  readonly format: StateFormat;
  /** Numbers that are trained of parameters of which not all are, by name. @default all are */
  readonly sizes?: ReadonlyMap<string, number>;
  /** Factors on the learning rate of parameters by name. @default 1 for all */
  readonly rates?: RateFactors;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. */
  readonly maxGradNorm: number;
  /** Constants, of which an optimizer takes those that it knows; @default its own */
  readonly constants?: AdamWOptions;
  /** Whether the host looks at no number before results are asked for, as on a device. */
  readonly graphsOnly: boolean;
  /**
   * Processes that train together: each is given a share of an update's losses, and gradients that are
   * summed over all.
   * @default this one alone
   */
  readonly comm?: Comm;
  /** What these sum tensors with, where they lie. */
  readonly collectives?: TensorComm;
  /**
   * Whether each of them keeps the state of a part of the parameters, and updates that; it is given the
   * sums of that part's gradients alone.
   * @default false
   */
  readonly shard?: boolean;
}

/** Makes an optimizer; it allocates its state as zeros. */
export type MakeOptimizer = (options: OptimizerOptions) => Optimizer;

/** A row of the table of optimizers. */
export interface OptimizerDescription {
  /** Its name in sentences, such as AdamW. */
  readonly title: string;
  /** What `--optim`'s help says of it. @default its title */
  readonly help?: string;
  /** Names of what it keeps of each parameter, as checkpoints have them: what memory is planned by. */
  readonly state: readonly string[];
  /** Which of it is kept of a parameter, and in which shape. @default all, each of its own shape */
  readonly shapes?: StateShapes;
  /**
   * How it stores weights and state at each precision; one that is left out is refused.
   * @default what the precision stores, see `PRECISION_FORMATS`
   */
  readonly formats?: Readonly<Partial<Record<TrainingPrecision, StateFormat>>>;
  /** Why a precision is refused and what to do, after "Cannot ". */
  readonly refusal?: string;
  /**
   * Whether it goes by `comm` and `collectives`. Without that, several processes are refused: each would take its
   * own losses for all.
   * @default false
   */
  readonly several?: boolean;
  /** Whether it goes by `shard`, where several processes train. @default false */
  readonly sharded?: boolean;
  /**
   * The graphs that update whole tensors, whose intermediate values are as large.
   * @default none: tensors are updated in pieces
   */
  readonly wholeTensors?: (
    parameters: readonly ParameterSpec[],
    format: StateFormat,
  ) => readonly Graph[];
  /** Makes it in ONNX Runtime's own operators. An adapter's is of the format `float32`. */
  readonly make: MakeOptimizer;
  /**
   * Compiles ortune's own kernels of a format and constants; answers what makes it with them. What it
   * keeps is the same, so that a run may be resumed the other way.
   * @default none: it runs in operators beside the engine's kernels
   */
  readonly withKernels?: (
    gpu: Gpu,
    format: StateFormat,
    constants?: AdamWOptions,
  ) => Promise<MakeOptimizer>;
  /**
   * What to take where there are no kernels, of an optimizer that only they make.
   * @default it can do without
   */
  readonly needsKernels?: string;
}

/** How many numbers an optimizer keeps of parameters, masters not counted. */
export function keptNumbers(
  { state, shapes }: Pick<OptimizerDescription, "state" | "shapes">,
  parameters: readonly ParameterSpec[],
): number {
  return parameters.reduce((sum, spec) => {
    const kept = shapes ? Object.values(shapes(spec)) : state.map(() => spec.shape);
    return kept.reduce((total, shape) => total + elementCount(shape ?? [0]), sum);
  }, 0);
}

/**
 * Refuses an optimizer for several processes that knows of one alone.
 *
 * @param size how many processes there are
 * @param shard whether each is to keep a part of its state
 * @throws {RangeError}
 */
export function assertSeveral(
  { title, several = false, sharded = false }: OptimizerDescription,
  { size, shard }: { readonly size: number; readonly shard: boolean },
): void {
  if (size > 1 && !several) {
    throw new RangeError(
      `Cannot train with ${size} processes and ${title}: it knows of one alone; start one, or choose another ` +
        "optimizer",
    );
  }
  if (size > 1 && shard && !sharded) {
    throw new RangeError(
      `Cannot shard ${title}: each process keeps all of its state; leave --shard-optimizer out, or choose AdamW`,
    );
  }
}

/**
 * How an optimizer stores weights and state at a precision.
 *
 * @throws {RangeError} where it does not work with it
 */
export function formatOf(
  { title, formats = PRECISION_FORMATS, refusal }: OptimizerDescription,
  precision: TrainingPrecision,
): StateFormat {
  const format = formats[precision];
  if (format) return format;
  throw new RangeError(
    `Cannot ${
      refusal ??
        `train with ${title} in ${precision}: pass --precision ${Object.keys(formats).join(" or ")}`
    }`,
  );
}
