/** A layout, or parts of it, cut into chunks of one kind. In: a layout. Out: where each chunk lies, and whether it decays. */

import type { ParameterLayout } from "../../model/engine/parameter_store.ts";
import { type Device, deviceTraits } from "../../ort/runtime/device.ts";
import { overlap, type Range } from "../distributed/buckets.ts";

// Elements of a chunk of which four arrays fit a core's cache.
const HOST_CHUNK = 1 << 19;
// Enough to fill a GPU, and few enough that a graph's own intermediate values stay small beside the arrays.
const DEVICE_CHUNK = 1 << 24;

/** Part of a layout whose elements are treated alike. */
export interface Chunk extends Range {
  /** Whether weight decay applies to them. */
  readonly decays: boolean;
  /** Factor on the learning rate. */
  readonly rate: number;
}

/** Factors on the learning rate by parameter, of those whose is not 1. */
export type RateFactors = ReadonlyMap<string, number>;

/** Elements of a chunk that goes element by element. */
export function chunkElements(device: Device): number {
  return deviceTraits(device).hostMemory ? HOST_CHUNK : DEVICE_CHUNK;
}

/**
 * Equal chunks of the elements that decay and of those that do not, but for the last of each.
 *
 * @param device where they are computed, which decides how large they are
 * @param options.ranges what of the layout is cut; @default all
 * @param options.rates what does not go by the learning rate itself, in chunks of its own
 */
export function chunksOf(
  layout: ParameterLayout,
  device: Device,
  { ranges = [{ start: 0, length: layout.length }], rates = new Map() }: {
    readonly ranges?: readonly Range[];
    readonly rates?: RateFactors;
  } = {},
): readonly Chunk[] {
  const { decaying } = layout;
  const size = chunkElements(device);
  const chunks = [];
  const parts = ratesOf(layout, rates);
  for (const range of ranges) {
    for (const { rate, ...part } of parts) {
      const own = overlap(range, part);
      const cut = own.start + own.length;
      const middle = Math.min(Math.max(decaying, own.start), cut);
      for (const [from, to, decays] of [[own.start, middle, true], [middle, cut, false]] as const) {
        for (let start = from; start < to; start += size) {
          chunks.push({ start, length: Math.min(size, to - start), decays, rate });
        }
      }
    }
  }
  return chunks;
}

/** The whole layout in parts of one factor each; gaps go with what is before them. */
function ratesOf(
  { offsets, length }: ParameterLayout,
  rates: RateFactors,
): readonly (Range & { readonly rate: number })[] {
  const starts = [...offsets].toSorted(([, a], [, b]) => a - b)
    .map(([name, start]) => ({ start, rate: rates.get(name) ?? 1 }));
  const parts = starts.filter(({ rate }, i) => i === 0 || rate !== starts[i - 1].rate);
  return parts.map(({ start, rate }, i) => ({
    start,
    length: (parts[i + 1]?.start ?? length) - start,
    rate,
  }));
}
