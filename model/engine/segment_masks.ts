/**
 * What keeps the examples of a packed row apart in layers that carry a state from token to token.
 *
 * In: the segments of a grid. Out: masks by the names of graph inputs, as `Sequences` has them.
 */

import { SEGMENT_MASKS } from "../graphs/sequences.ts";
import { HIDDEN } from "../parts/block_scope.ts";
import type { DeltaSizes } from "../parts/layer_kind.ts";
import type { TokenGrid } from "./batch.ts";

/** A mask and its sizes. */
export interface SegmentMask {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** The masks of a grid. */
export function segmentMasks(
  { rows, length, segmentIds }: Pick<TokenGrid, "rows" | "length" | "segmentIds">,
  { taps, chunk: size }: Pick<DeltaSizes, "taps" | "chunk">,
): Readonly<Record<string, SegmentMask>> {
  const chunks = Math.ceil(length / size);
  const earlier = taps - 1;
  const read = new Float32Array(rows * length * earlier);
  const places = chunks * rows * size;
  const pairs = new Float32Array(places * size).fill(HIDDEN);
  const carried = new Float32Array(places).fill(HIDDEN);
  const kept = new Float32Array(places).fill(HIDDEN);
  for (let row = 0; row < rows; row++) {
    const ids = segmentIds.subarray(row * length, (row + 1) * length);
    for (let at = 0; at < length; at++) {
      for (let back = 1; back <= earlier; back++) {
        const same = at >= back && ids[at - back] === ids[at];
        read[(row * length + at) * earlier + back - 1] = Number(same);
      }
    }
    for (let chunk = 0; chunk < chunks; chunk++) {
      const first = chunk * size;
      // What stands for the end of a row does nothing: its last segment goes on.
      const own = Int32Array.from(
        { length: size },
        (_, i) => ids[Math.min(first + i, length - 1)],
      );
      const start = (chunk * rows + row) * size;
      const before: number | undefined = ids[first - 1];
      for (let i = 0; i < size; i++) {
        if (own[i] === before) carried[start + i] = 0;
        if (own[i] === own[size - 1]) kept[start + i] = 0;
        for (let j = 0; j <= i; j++) {
          if (own[i] === own[j]) pairs[(start + i) * size + j] = 0;
        }
      }
    }
  }
  const shape = [chunks, rows, 1, size, 1];
  return {
    [SEGMENT_MASKS.taps]: { shape: [rows * length, earlier], values: read },
    [SEGMENT_MASKS.pairs]: { shape: shape.with(4, size), values: pairs },
    [SEGMENT_MASKS.carried]: { shape, values: carried },
    [SEGMENT_MASKS.kept]: { shape, values: kept },
  };
}

/** Numbers of all masks of a grid. */
export function segmentMaskSize(
  { rows, length }: { readonly rows: number; readonly length: number },
  { taps, chunk }: Pick<DeltaSizes, "taps" | "chunk">,
): number {
  const places = Math.ceil(length / chunk) * rows * chunk;
  return rows * length * (taps - 1) + places * (chunk + 2);
}
