/**
 * The memory of a batch's cache, and how sequences are moved in it.
 *
 * In: a layout of rows and capacity. Out: a layer's keys and values over some rows. A row is one
 * sequence: kvHeads runs of `capacity` positions, D numbers each.
 */

import type { LayerCache } from "./kv_cache.ts";

/** How the rows of a cache lie. */
export interface CacheLayout {
  /** Positions of a row. */
  readonly capacity: number;
  /** Tokens of each row's sequence so far. */
  readonly lengths: readonly number[];
}

/** Where keys and values lie. */
export interface CacheMemory extends Disposable {
  /** Takes the rows of a layout to where they lie under another capacity. */
  resize(layout: CacheLayout, capacity: number): void;
  /** Lets two rows change places. */
  swap(layout: CacheLayout, row: number, other: number): void;
  /** A layer's tensors for `count` rows from `start` on, as the decode graph takes them. */
  layer(index: number, rows: CacheRows): LayerCache & Disposable;
}

/** Rows of a cache. */
export interface CacheRows {
  readonly start: number;
  readonly count: number;
  /** Positions of each. */
  readonly capacity: number;
}

/** Views of a layer's keys and values, from a byte on. */
export function viewPair(
  { key, value }: LayerCache,
  offset: number,
  shape: readonly number[],
): LayerCache & Disposable {
  using stack = new DisposableStack();
  const views = {
    key: stack.use(key.view(offset, shape)),
    value: stack.use(value.view(offset, shape)),
  };
  const owned = stack.move();
  return { ...views, [Symbol.dispose]: () => owned.dispose() };
}
