/**
 * A batch laid out anew, so that next to no padding is computed.
 *
 * In: a grid of tokens, [rows, length]. Out: one grid or several that hold its tokens once each, and where in
 * the first one each of theirs stood.
 */

import { type LabelledGrid, NO_TARGET, type TokenGrid } from "./batch.ts";

/**
 * End to end, tokens are padded to a multiple of this: what one tensor-core instruction takes of them at a
 * time. Matrix products compute whole tiles of 64 to 256 tokens, whether tokens or padding fill them, so a
 * larger multiple would save them nothing and cost everything else.
 */
export const TOKEN_MULTIPLE = 16;

/**
 * What running a grid costs on the host besides its tokens, in tokens: weights are read and packed anew and
 * gradients added to, whatever it holds. As a token's products do, that grows with the parameters. Measured by
 * bench/padding.ts as 1 to 15; twice that, so that no batch is cut for little.
 */
export const GRID_COST = 32;

/** How the rows of a batch become what is computed. */
export type Layout =
  /** As they are, padded to the longest. */
  | "grid"
  /** In grids of similar length: on the host, where attention has a mask. */
  | "similar-rows"
  /** In one row: where attention goes by segments. */
  | "end-to-end";

/**
 * Tokens that a batch of rows of these lengths computes, padding included.
 *
 * @param together how many neighbours stay in one grid, as in {@linkcode similarRows}
 *
 * @example
 * ```ts
 * import { computedTokens } from "./without_padding.ts";
 * import assert from "node:assert/strict";
 *
 * const rows = [500, 490, 100];
 * assert.equal(computedTokens(rows, "grid"), 1500);
 * assert.equal(computedTokens(rows, "similar-rows"), 1100);
 * assert.equal(computedTokens(rows, "end-to-end"), 1104);
 * ```
 */
export function computedTokens(rows: readonly number[], layout: Layout, together = 1): number {
  const lengths = rows.toSorted((a, b) => b - a);
  if (layout === "grid") return lengths.length * (lengths[0] ?? 0);
  if (layout === "end-to-end") return roundUp(lengths.reduce((sum, each) => sum + each, 0));
  const longest = Int32Array.from(
    { length: Math.ceil(rows.length / together) },
    (_, unit) => Math.max(...rows.slice(unit * together, (unit + 1) * together)),
  ).sort((a, b) => b - a);
  return cheapestGroups(longest, together)
    .reduce((sum, { start, end }) => sum + longest[start] * (end - start) * together, 0);
}

function roundUp(tokens: number): number {
  return Math.ceil(tokens / TOKEN_MULTIPLE) * TOKEN_MULTIPLE;
}

/** A grid that takes the place of a batch, or of some of its rows. */
export interface LaidOut<Grid extends TokenGrid = LabelledGrid> {
  readonly grid: Grid;
  /** Where in the batch each of its tokens stands, −1 for padding. @default where it stands here */
  readonly places?: Int32Array;
}

/** Some rows of a grid, as long as the longest of them; their places are the grid's. */
export function rowsOf<Grid extends TokenGrid>(grid: Grid, rows: readonly number[]): LaidOut<Grid> {
  const longest = rows.reduce((most, row) => Math.max(most, rowLength(grid, row)), 0);
  const places = new Int32Array(rows.length * longest);
  rows.forEach((row, i) => {
    for (let at = 0; at < longest; at++) places[i * longest + at] = row * grid.length + at;
  });
  return { grid: take(grid, { rows: rows.length, length: longest, places }), places };
}

/** Lays all tokens end to end in one row, for attention that goes by segments. */
export function endToEnd<Grid extends TokenGrid>(grid: Grid): LaidOut<Grid> {
  const { rows, length, segmentIds } = grid;
  const tokens = countTokens(segmentIds);
  const computed = roundUp(tokens);
  if (tokens === 0 || rows === 1 && length === computed) return { grid };
  const places = new Int32Array(computed).fill(-1);
  // Numbered anew, as segments of two rows may have one id.
  const segments = new Int32Array(computed);
  let to = 0;
  for (let row = 0, segment = 0; row < rows; row++) {
    let last = 0;
    for (let at = row * length; at < (row + 1) * length; at++) {
      const id = segmentIds[at];
      if (id === 0) continue;
      if (id !== last) segment++;
      last = id;
      places[to] = at;
      segments[to++] = segment;
    }
  }
  return { grid: take(grid, { rows: 1, length: computed, places, segments }), places };
}

/**
 * Groups rows of similar length into grids, for attention over a grid with a mask: rows share one where
 * that costs less padding than running another grid does. The longest rows come first.
 *
 * @param together how many neighbours stay in one grid: 2 for rows 0 and 1, 2 and 3, and so on
 */
export function similarRows<Grid extends TokenGrid>(
  grid: Grid,
  together = 1,
): readonly LaidOut<Grid>[] {
  const { rows, length } = grid;
  const members = (unit: number): number[] =>
    Array.from({ length: together }, (_, i) => unit * together + i);
  const lengths = Int32Array.from(
    { length: rows / together },
    (_, unit) => Math.max(...members(unit).map((row) => rowLength(grid, row))),
  );
  const order = [...lengths.keys()].filter((unit) => lengths[unit] > 0)
    .sort((a, b) => lengths[b] - lengths[a]);
  const groups = cheapestGroups(order.map((unit) => lengths[unit]), together);
  const whole = groups.length === 1 && order.length === lengths.length &&
    lengths[order[0]] === length;
  if (whole || groups.length === 0) return [{ grid }];
  return groups.map(({ start, end }) => {
    return rowsOf(grid, order.slice(start, end).sort((a, b) => a - b).flatMap(members));
  });
}

/** Cuts lengths, the longest first, each of so many rows, into runs of the least cost. */
function cheapestGroups(
  lengths: ArrayLike<number>,
  rows: number,
): readonly { readonly start: number; readonly end: number }[] {
  // The least cost of the first n, and where the last group of that way starts.
  const cost = [0];
  const start: number[] = [];
  for (let n = 1; n <= lengths.length; n++) {
    cost[n] = Infinity;
    for (let from = 0; from < n; from++) {
      const sum = cost[from] + GRID_COST + lengths[from] * (n - from) * rows;
      if (sum < cost[n]) [cost[n], start[n]] = [sum, from];
    }
  }
  const groups: { start: number; end: number }[] = [];
  for (let end = lengths.length; end > 0; end = start[end]) {
    groups.unshift({ start: start[end], end });
  }
  return groups;
}

/** Tokens of a row up to its last one that is not padding. */
export function rowLength({ length, segmentIds }: TokenGrid, row: number): number {
  let end = (row + 1) * length;
  while (end > row * length && segmentIds[end - 1] === 0) end--;
  return end - row * length;
}

/** How many tokens are not padding. */
export function countTokens(segmentIds: Int32Array): number {
  let tokens = 0;
  for (const id of segmentIds) if (id !== 0) tokens++;
  return tokens;
}

/** A grid of the tokens at `places`. */
function take<Grid extends TokenGrid>(
  grid: Grid,
  { rows, length, places, segments }: {
    readonly rows: number;
    readonly length: number;
    readonly places: Int32Array;
    readonly segments?: Int32Array;
  },
): Grid {
  const targets = (grid as Partial<LabelledGrid>).targets;
  return {
    ...grid,
    rows,
    length,
    // Padding is token 0 at position 0, as any would do.
    inputIds: gather(grid.inputIds, new BigInt64Array(places.length), places),
    positionIds: gather(grid.positionIds, new BigInt64Array(places.length), places),
    segmentIds: segments ?? gather(grid.segmentIds, new Int32Array(places.length), places),
    ...targets
      ? { targets: gather(targets, new Int32Array(places.length).fill(NO_TARGET), places) }
      : {},
  };
}

/** Copies what stands at `places`, a run of neighbours at a time; the rest stays. */
function gather<T extends BigInt64Array | Int32Array>(from: T, to: T, places: Int32Array): T {
  for (let at = 0; at < places.length;) {
    const start = places[at];
    let end = at + 1;
    if (start >= 0) {
      while (end < places.length && places[end] === start + end - at) end++;
      to.set(from.subarray(start, start + end - at) as never, at);
    }
    at = end;
  }
  return to;
}
