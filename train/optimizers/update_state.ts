/**
 * What an update keeps, whole or in part. In: elements of a layout. Out: tensors of them, and all
 * as a `TensorSource` for checkpoints.
 */

import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";

/** The name of float32 weights that an optimizer updates where the model runs on a rounded copy of them. */
export const MASTER = "master";

/** State of an optimizer, by names such as `exp_avg`. */
export interface UpdateState extends Disposable {
  /** Consecutive elements of one name, to be disposed of by the caller. */
  view(name: string, start: number, length: number): Tensor;
  /**
   * float32 [length / 256] of elements of one name that begin and end with a block of 256, where it is scaled; to
   * be disposed of by the caller.
   */
  scales(name: string, start: number, length: number): Tensor | undefined;
  /** Every parameter's under `<parameter>.<name>`. */
  source(): TensorSource;
  /** Takes all from what {@linkcode UpdateState.source} was written to. */
  load(source: TensorSource): Promise<void>;
}
