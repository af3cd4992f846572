/**
 * What of the parameters an update changes: all, or where processes make a part each, this one's share of every
 * bucket. In: what an update works on. Out: the shares, and the tensors of their elements.
 */

import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import type { Range } from "../distributed/buckets.ts";
import type { DeviceUpdateOptions } from "./device_update.ts";
import { MASTER } from "./update_state.ts";

/** Elements that this process updates. */
export interface UpdateShare {
  readonly range: Range;
  /** What is to follow: all get their bucket's parameters. */
  readonly gather?: () => void;
}

/** The shares, in the order in which they are updated. */
export function updateShares(
  options: DeviceUpdateOptions,
  owned: DisposableStack,
): readonly UpdateShare[] {
  const { parameters, collectives, state } = options;
  if (!collectives) return [{ range: { start: 0, length: parameters.layout.length } }];
  return state.buckets.map((bucket, i) => {
    const view = owned.use(elementsOf(parameters, bucket));
    return {
      range: state.ranges[i],
      gather: () => collectives.allGather(view, bucket.counts),
    };
  });
}

/** Elements that an update changes. */
export interface UpdatedTensors {
  /** What is computed with. */
  readonly p: Tensor;
  /** What it is rounded to, if the model runs on that. */
  readonly weight?: Tensor;
}

/** The parameters in a range, to be disposed of by the caller. */
export function updatedTensors(options: DeviceUpdateOptions, range: Range): UpdatedTensors {
  const { parameters } = options;
  if (options.collectives && options.master) {
    const p = options.state.view(MASTER, range.start, range.length);
    return { p, weight: elementsOf(parameters, range) };
  }
  const copy = options.collectives ? undefined : options.copy;
  const p = elementsOf(parameters, range);
  return copy ? { p, weight: elementsOf(copy, range) } : { p };
}

/** Elements of a store as a tensor, to be disposed of by the caller. */
export function elementsOf({ flat }: ParameterStore, { start, length }: Range): Tensor {
  return flat.view(start * byteWidth(flat.dtype), [length]);
}
