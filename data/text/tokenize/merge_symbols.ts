/**
 * The merges of one word.
 *
 * In: the ids of its symbols. Out: the ids after all merges: the pair of the lowest rank first, and
 * among equals the leftmost.
 */

import type { MergeTable } from "./merge_table.ts";
import { finish, type Slices } from "./slices.ts";

// Below this, to look at all pairs each time is faster than to keep a heap.
const SHORT = 48;

/** Merges the symbols of a word. */
export function mergeSymbols(symbols: number[], merges: MergeTable): readonly number[] {
  return symbols.length <= SHORT ? mergeShort(symbols, merges) : finish(mergeLong(symbols, merges));
}

/** The same, with pauses in a long word. */
export function* mergeInSlices(symbols: number[], merges: MergeTable): Slices<readonly number[]> {
  return symbols.length <= SHORT ? mergeShort(symbols, merges) : yield* mergeLong(symbols, merges);
}

function mergeShort(symbols: number[], merges: MergeTable): readonly number[] {
  const ranks: number[] = [];
  for (let at = 0; at + 1 < symbols.length; at++) {
    ranks.push(merges.rank(symbols[at], symbols[at + 1]));
  }
  for (;;) {
    let best = -1;
    for (let at = 0; at < ranks.length; at++) {
      if (ranks[at] !== -1 && (best === -1 || ranks[at] < ranks[best])) best = at;
    }
    if (best === -1) return symbols;
    symbols[best] = merges.merged(symbols[best], symbols[best + 1]);
    symbols.splice(best + 1, 1);
    ranks.splice(best, 1);
    if (best > 0) ranks[best - 1] = merges.rank(symbols[best - 1], symbols[best]);
    if (best < ranks.length) ranks[best] = merges.rank(symbols[best], symbols[best + 1]);
  }
}

// A place in a word fits in 28 bits and a rank in 24: together they are exact in a double.
const PLACES = 2 ** 28;
/** Looks at a pair between two pauses: some 1 ms. A power of two. */
const SLICE = 4096;

/** The same with a list of links and a heap: n log n for a text of a megabyte without a blank. */
function* mergeLong(
  symbols: readonly number[],
  merges: MergeTable,
): Slices<readonly number[]> {
  const { length } = symbols;
  const ids = Int32Array.from(symbols);
  const next = new Int32Array(length);
  const previous = new Int32Array(length);
  const ranks = new Int32Array(length).fill(-1);
  const heap = new MinHeap();
  const offer = (at: number): void => {
    ranks[at] = next[at] < length ? merges.rank(ids[at], ids[next[at]]) : -1;
    if (ranks[at] !== -1) heap.push(ranks[at] * PLACES + at);
  };
  for (let at = 0; at < length; at++) {
    next[at] = at + 1;
    previous[at] = at - 1;
    offer(at);
    if (at % SLICE === SLICE - 1) yield;
  }
  let looks = 0;
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    if (++looks % SLICE === 0) yield;
    const at = top % PLACES;
    // An entry is stale if its pair has changed since.
    if (ranks[at] !== Math.floor(top / PLACES)) continue;
    const right = next[at];
    ids[at] = merges.merged(ids[at], ids[right]);
    next[at] = next[right];
    if (next[at] < length) previous[next[at]] = at;
    ranks[right] = -1;
    offer(at);
    if (previous[at] >= 0) offer(previous[at]);
  }
  const merged: number[] = [];
  for (let at = 0; at < length; at = next[at]) merged.push(ids[at]);
  return merged;
}

/** Numbers, the least first. */
class MinHeap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent] <= item) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1] < items[child]) child++;
      if (items[child] >= last) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return top;
  }
}
