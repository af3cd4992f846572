/** A layout, or parts of it, cut into chunks of one kind. In: a layout. Out: where each chunk lies, and whether it decays. */

import type { ParameterLayout } from "../../model/engine/parameter_store.ts";
import { type Device, deviceTraits } from "../../ort/runtime/device.ts";
import type { Range } from "../distributed/buckets.ts";

// Elements of a chunk of which four arrays fit a core's cache.
const HOST_CHUNK = 1 << 19;
// Enough to fill a GPU, and few enough that a graph's own intermediate values stay small beside the arrays.
const DEVICE_CHUNK = 1 << 24;

/** Part of a layout whose elements are treated alike. */
export interface Chunk extends Range {
  /** Whether weight decay applies to them. */
  readonly decays: boolean;
}

/** Elements of a chunk that goes element by element. */
export function chunkElements(device: Device): number {
  return deviceTraits(device).hostMemory ? HOST_CHUNK : DEVICE_CHUNK;
}

/**
 * Equal chunks of the elements that decay and of those that do not, but for the last of each.
 *
 * @param device where they are computed, which decides how large they are
 * @param ranges what of the layout is cut; @default all
 */
export function chunksOf(
  { decaying, length }: ParameterLayout,
  device: Device,
  ranges: readonly Range[] = [{ start: 0, length }],
): readonly Chunk[] {
  const size = chunkElements(device);
  const chunks = [];
  for (const range of ranges) {
    const cut = range.start + range.length;
    const middle = Math.min(Math.max(decaying, range.start), cut);
    for (const [from, to, decays] of [[range.start, middle, true], [middle, cut, false]] as const) {
      for (let start = from; start < to; start += size) {
        chunks.push({ start, length: Math.min(size, to - start), decays });
      }
    }
  }
  return chunks;
}
