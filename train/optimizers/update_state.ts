/**
 * What an update on the host keeps, whole or in part. In: elements of a layout. Out: tensors of them, and all
 * as a `TensorSource` for checkpoints.
 */

import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";

/** State of an optimizer in float32, by names such as `exp_avg`. */
export interface UpdateState extends Disposable {
  /** Consecutive elements of one name, to be disposed of by the caller. */
  view(name: string, start: number, length: number): Tensor;
  /** Every parameter's under `<parameter>.<name>`. */
  source(): TensorSource;
  /** Takes all from what {@linkcode UpdateState.source} was written to. */
  load(source: TensorSource): Promise<void>;
}
