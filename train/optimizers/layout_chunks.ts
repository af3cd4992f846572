/** A layout cut into chunks of one kind. In: a layout. Out: where each chunk lies, and whether it decays. */

import type { ParameterLayout } from "../../model/engine/parameter_store.ts";
import { type Device, deviceTraits } from "../../ort/runtime/device.ts";

// Elements of a chunk of which four arrays fit a core's cache.
const HOST_CHUNK = 1 << 19;
// Enough to fill a GPU, and few enough that a graph's own intermediate values stay small beside the arrays.
const DEVICE_CHUNK = 1 << 24;

/** Part of a layout whose elements are treated alike. */
export interface Chunk {
  /** First element. */
  readonly start: number;
  /** Elements. */
  readonly length: number;
  /** Whether weight decay applies to them. */
  readonly decays: boolean;
}

/**
 * Equal chunks of the elements that decay and of those that do not, but for the last of each.
 *
 * @param device where they are computed, which decides how large they are
 */
export function chunksOf({ decaying, length }: ParameterLayout, device: Device): readonly Chunk[] {
  const size = deviceTraits(device).hostMemory ? HOST_CHUNK : DEVICE_CHUNK;
  const chunks = [];
  for (const [from, to, decays] of [[0, decaying, true], [decaying, length, false]] as const) {
    for (let start = from; start < to; start += size) {
      chunks.push({ start, length: Math.min(size, to - start), decays });
    }
  }
  return chunks;
}
