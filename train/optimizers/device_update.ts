/**
 * How an update on a device is made: in ONNX Runtime's own operators, or in ortune's kernels.
 *
 * In: gradients, a loss and a few numbers, all on the device. Out: parameters and state updated in
 * place, loss and norm in a row of results.
 */

import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import type { RateFactors } from "./layout_chunks.ts";
import type { OptimizerState } from "./optimizer_state.ts";
import type { ShardedState } from "./sharded_state.ts";

/** The numbers of one update. */
export interface UpdateNumbers {
  readonly learningRate: number;
  /** Factor on the sum of losses. */
  readonly scale: number;
  /** An odd int32 that decides how this update is rounded, where it is at random. */
  readonly seed: number;
}

interface UpdateOptions {
  readonly runtime: Runtime;
  readonly parameters: ParameterStore;
  readonly gradients: ParameterStore;
  /** The update's loss, float32 []. */
  readonly loss: Tensor;
  readonly maxGradNorm: number;
  /** Factors on the learning rate. @default 1 for all */
  readonly rates?: RateFactors;
}

/** What an update of all parameters works on. */
export interface WholeUpdateOptions extends UpdateOptions {
  /** A rounded copy of the parameters. */
  readonly copy?: ParameterStore;
  readonly state: OptimizerState;
  readonly collectives?: undefined;
}

/** What an update of which each process makes a part works on: gradients have the sums of that part alone. */
export interface PartUpdateOptions extends UpdateOptions {
  readonly state: ShardedState;
  /** What gives the parameters of a process to all. */
  readonly collectives: TensorComm;
  /** Whether the state has float32 masters, of which the parameters are rounded copies. */
  readonly master: boolean;
}

/** What an update works on. */
export type DeviceUpdateOptions = WholeUpdateOptions | PartUpdateOptions;

/** Norm, clipping and update in one piece. */
export interface DeviceUpdate extends Disposable {
  /** Where the scale of the losses lies, float32 []. */
  readonly scale: Tensor;
  /** Scalars that checkpoints have, float32 [] each, by their names there. @default none */
  readonly remembered?: ReadonlyMap<string, Tensor>;
  /** Sends an update's numbers in one copy. */
  send(numbers: UpdateNumbers): void;
  /** Queues norm, clipping and update; writes loss and norm into `result`, float32 [2]. */
  run(result: Tensor): Promise<void>;
  /** Goes on as after `step` updates, to the bit. */
  resumeAt(step: number): void;
}
