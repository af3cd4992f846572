/**
 * Places for values that are needed for a while, in one piece of memory or in several.
 *
 * In: sizes, and from which step to which each is needed. Out: offsets, such that what is needed at the
 * same time does not overlap, and the bytes of it all; or buffers that values share one after another,
 * for a device on which nothing can begin inside a buffer.
 *
 * The largest come first, each at the lowest offset that is free for its time: Pisarchyk and Lee 2020,
 * https://arxiv.org/abs/2001.03288, which comes within a few per cent of the bound.
 *
 * @module
 */

/** Every place begins at a multiple of this, as cudaMalloc's do. */
const GRAIN = 256;

/** Something that is needed for a while. */
export interface PlannedItem {
  /** Its size. */
  readonly bytes: number;
  /** The first step that needs it. */
  readonly from: number;
  /** The last one. */
  readonly to: number;
}

/** Where everything lies. */
export interface MemoryPlan {
  /** The first byte of each item, in their order. */
  readonly offsets: readonly number[];
  /** What all need together. */
  readonly bytes: number;
}

/**
 * Gives each item a place.
 *
 * @example
 * ```ts
 * import { planMemory } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const { offsets, bytes } = planMemory([
 *   { bytes: 1000, from: 0, to: 1 },
 *   { bytes: 500, from: 1, to: 2 },
 *   { bytes: 900, from: 2, to: 3 },
 * ]);
 * assert.deepEqual(offsets, [0, 1024, 0]); // the third lies where the first was
 * assert.equal(bytes, 1536);
 * ```
 */
export function planMemory(items: readonly PlannedItem[]): MemoryPlan {
  const placed: (PlannedItem & { readonly start: number; readonly end: number })[] = [];
  const offsets = new Array<number>(items.length);
  for (const { item, i } of largestFirst(items)) {
    const size = Math.max(1, Math.ceil(item.bytes / GRAIN)) * GRAIN;
    const rivals = placed
      .filter(({ from, to }) => from <= item.to && item.from <= to)
      .sort((a, b) => a.start - b.start);
    let start = 0;
    for (const rival of rivals) {
      if (rival.start - start >= size) break;
      start = Math.max(start, rival.end);
    }
    offsets[i] = start;
    placed.push({ ...item, start, end: start + size });
  }
  return { offsets, bytes: placed.reduce((most, { end }) => Math.max(most, end), 0) };
}

/** Items with their places in the list; equal ones stay in its order. */
function largestFirst(items: readonly PlannedItem[]): { item: PlannedItem; i: number }[] {
  return items.map((item, i) => ({ item, i })).sort((a, b) => b.item.bytes - a.item.bytes);
}

/** Which buffer each value lies in. */
export interface BufferPlan {
  /** The buffer of each item, in their order, and the byte at which the item begins there. */
  readonly places: readonly { readonly buffer: number; readonly offset: number }[];
  /** Bytes of each buffer. */
  readonly buffers: readonly number[];
}

/**
 * Gives each item a buffer from its start on, the largest first: the smallest one that nothing else needs
 * at the time, or a new one.
 *
 * @example
 * ```ts
 * import { planBuffers } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const { places, buffers } = planBuffers([
 *   { bytes: 1000, from: 0, to: 1 },
 *   { bytes: 500, from: 1, to: 2 },
 *   { bytes: 900, from: 2, to: 3 },
 * ]);
 * assert.deepEqual(places.map(({ buffer }) => buffer), [0, 1, 0]);
 * assert.deepEqual(buffers, [1000, 500]);
 * ```
 */
export function planBuffers(items: readonly PlannedItem[]): BufferPlan {
  const members: PlannedItem[][] = [];
  const places = new Array<BufferPlan["places"][number]>(items.length);
  for (const { item, i } of largestFirst(items)) {
    const free = members.findLastIndex((each) =>
      each.every(({ from, to }) => from > item.to || item.from > to)
    );
    const buffer = free < 0 ? members.push([]) - 1 : free;
    members[buffer].push(item);
    places[i] = { buffer, offset: 0 };
  }
  return { places, buffers: members.map(([largest]) => largest.bytes) };
}
