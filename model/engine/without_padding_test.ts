import assert from "node:assert/strict";
import { randomExamples, tinyBatch } from "../../tests/support/tiny_model.ts";
import type { LabelledGrid } from "./batch.ts";
import {
  computedTokens,
  countTokens,
  endToEnd,
  GRID_COST,
  type LaidOut,
  rowLength,
  rowsOf,
  similarRows,
  TOKEN_MULTIPLE,
} from "./without_padding.ts";

const examples = randomExamples([70, 9, 300, 5, 280, 6], 64);
const [a, b, c, d, e, f] = examples;
/** Rows of 79, 300, 11 and 280 tokens, of 310. */
const batch = tinyBatch([[a, b], [c], [d, f], [e]], 310);

/** What each token of a batch is, by its place. */
function tokensOf({ grid, places }: LaidOut): Map<number, string> {
  const tokens = new Map<number, string>();
  grid.segmentIds.forEach((segment, at) => {
    if (segment === 0) return;
    const place = places ? places[at] : at;
    assert.ok(!tokens.has(place), `token ${place} stands there twice`);
    tokens.set(place, [grid.inputIds[at], grid.positionIds[at], grid.targets[at]].join());
  });
  return tokens;
}

/** Where each segment begins and ends, by places in the batch. */
function segmentsOf({ grid, places }: LaidOut): string[] {
  const found = new Map<string, number[]>();
  grid.segmentIds.forEach((segment, at) => {
    if (segment === 0) return;
    const key = `${Math.floor(at / grid.length)}.${segment}`;
    found.set(key, [...found.get(key) ?? [], places ? places[at] : at]);
  });
  return [...found.values()].map((all) => `${all[0]} to ${all.at(-1)} of ${all.length}`).sort();
}

Deno.test("endToEnd() holds every token once, with its position, target and segment, in one row", () => {
  const laid = endToEnd(batch);
  assert.deepEqual([laid.grid.rows, laid.grid.length], [1, 672]);
  assert.deepEqual(tokensOf(laid), tokensOf({ grid: batch }));
  assert.deepEqual(segmentsOf(laid), segmentsOf({ grid: batch }));
  // Padding is at the end, and nothing is to be predicted there.
  assert.deepEqual([...laid.grid.segmentIds.subarray(670)], [0, 0]);
  assert.deepEqual([...laid.grid.targets.subarray(670)], [-100, -100]);
  assert.deepEqual([...laid.places!.subarray(670)], [-1, -1]);
});

Deno.test("endToEnd() tells segments of two rows apart that have one id", () => {
  const two = tinyBatch([[a], [b]], 72);
  const same: LabelledGrid = { ...two, segmentIds: two.segmentIds.map((id) => Math.min(id, 1)) };
  const { grid } = endToEnd(same);
  assert.equal(grid.length, 80);
  assert.deepEqual([...new Set(grid.segmentIds)], [1, 2, 0]);
  assert.deepEqual(segmentsOf(endToEnd(same)), segmentsOf({ grid: same }));
});

Deno.test("endToEnd() leaves a row as it is that has no padding to leave out", () => {
  const row = tinyBatch([[a, b]], 80);
  assert.equal(endToEnd(row).grid, row);
  const nothing = tinyBatch([[], []], 16);
  assert.equal(endToEnd(nothing).grid, nothing);
});

Deno.test("similarRows() runs rows of unlike length apart, the longest first", () => {
  const parts = similarRows(batch);
  assert.deepEqual(parts.map(({ grid }) => [grid.rows, grid.length]), [[2, 300], [1, 79], [1, 11]]);
  const tokens = new Map(parts.flatMap((part) => [...tokensOf(part)]));
  assert.deepEqual(new Map([...tokens].sort(([a], [b]) => a - b)), tokensOf({ grid: batch }));
  assert.deepEqual(parts.flatMap(segmentsOf).sort(), segmentsOf({ grid: batch }));
});

Deno.test("similarRows() keeps rows together where that is cheaper, and leaves out empty ones", () => {
  const near = tinyBatch([[c], [e]], 300);
  const [whole, ...none] = similarRows(near);
  assert.equal(whole.grid, near);
  assert.deepEqual([whole.places, none], [undefined, []]);
  for (const length of [300, 301]) {
    const [{ grid }, ...others] = similarRows(tinyBatch([[c], [], [e]], length));
    assert.deepEqual([grid.rows, grid.length, others.length], [2, 300, 0]);
  }
  const nothing = tinyBatch([[], []], 16);
  assert.deepEqual(similarRows(nothing).map(({ grid }) => grid), [nothing]);
});

Deno.test("similarRows() weighs a grid more against all rows of neighbours that stay together", () => {
  const neighbours = (shorter: number) => {
    const [long, short] = randomExamples([100, shorter], 64);
    const parts = similarRows(tinyBatch([[long], [long], [short], [short]], 100), 2);
    return parts.map(({ grid }) => [grid.rows, grid.length]);
  };
  // Two rows less of as many tokens each as a grid costs.
  const cost = GRID_COST / 2;
  assert.deepEqual(neighbours(100 - cost), [[4, 100]]);
  assert.deepEqual(neighbours(99 - cost), [[2, 100], [2, 99 - cost]]);
});

Deno.test("computedTokens() counts the tokens of the grids that are made", () => {
  const size = (grid: LabelledGrid): number => grid.rows * grid.length;
  const rows = [79, 300, 11, 280];
  assert.equal(computedTokens(rows, "grid"), 1200);
  assert.equal(computedTokens(rows, "end-to-end"), size(endToEnd(batch).grid));
  const sum = similarRows(batch).reduce((sum, { grid }) => sum + size(grid), 0);
  assert.equal(computedTokens(rows, "similar-rows"), sum);
  assert.equal(countTokens(batch.segmentIds), 670);
  for (const layout of ["grid", "similar-rows", "end-to-end"] as const) {
    assert.equal(computedTokens([], layout), 0);
  }
});

Deno.test("no way of grouping rows costs less than similarRows()", () => {
  let seed = 3;
  const next = (): number => 1 + (seed = (seed * 1103515245 + 12345) % 2 ** 31) % 400;
  for (let round = 0; round < 50; round++) {
    const rows = Array.from({ length: 5 }, next);
    const cost = (groups: readonly (readonly number[])[]): number =>
      groups.reduce((sum, each) => sum + GRID_COST + Math.max(...each) * each.length, 0);
    // Every way of putting five rows into groups.
    let least = Infinity;
    const place = (at: number, groups: readonly (readonly number[])[]): void => {
      if (at === rows.length) {
        least = Math.min(least, cost(groups));
        return;
      }
      groups.forEach((_, to) =>
        place(at + 1, groups.map((group, i) => i === to ? [...group, rows[at]] : group))
      );
      place(at + 1, [...groups, [rows[at]]]);
    };
    place(0, []);
    const all = rows.map((length) => randomExamples([length], 64));
    const parts = similarRows(tinyBatch(all, 400));
    const ours = parts.reduce(
      (sum, { grid }) => sum + GRID_COST + grid.rows * grid.length,
      0,
    );
    assert.equal(ours, least, rows.join());
  }
});

Deno.test("a batch end to end computes fewer than TOKEN_MULTIPLE tokens of padding", () => {
  for (let tokens = 1; tokens < 100; tokens++) {
    const computed = computedTokens([tokens], "end-to-end");
    assert.ok(computed >= tokens && computed < tokens + TOKEN_MULTIPLE);
    assert.equal(computed % TOKEN_MULTIPLE, 0);
  }
});

Deno.test("tokens end to end are padded to what a tensor core takes, and grids cost what was measured", () => {
  assert.deepEqual([TOKEN_MULTIPLE, GRID_COST], [16, 32]);
});

/** Rows of 2, 0 and 4 tokens of 5, of which the last row has padding inside. */
const SMALL: LabelledGrid = {
  rows: 3,
  length: 5,
  inputIds: BigInt64Array.of(11n, 12n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 21n, 0n, 31n, 32n, 0n),
  positionIds: BigInt64Array.of(0n, 1n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 1n, 0n),
  segmentIds: Int32Array.of(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 3, 0),
  targets: Int32Array.of(
    12,
    -100,
    -100,
    -100,
    -100,
    -100,
    -100,
    -100,
    -100,
    -100,
    -100,
    -100,
    32,
    33,
    -100,
  ),
};

Deno.test("rowLength() counts up to a row's last token, countTokens() what is no padding", () => {
  assert.deepEqual([0, 1, 2].map((row) => rowLength(SMALL, row)), [2, 0, 4]);
  assert.equal(countTokens(SMALL.segmentIds), 5);
});

Deno.test("rowsOf() takes rows in the order asked for, as long as the longest of them", () => {
  assert.deepEqual(rowsOf(SMALL, [2, 0]), {
    grid: {
      rows: 2,
      length: 4,
      inputIds: BigInt64Array.of(21n, 0n, 31n, 32n, 11n, 12n, 0n, 0n),
      positionIds: BigInt64Array.of(0n, 0n, 0n, 1n, 0n, 1n, 0n, 0n),
      segmentIds: Int32Array.of(2, 0, 3, 3, 1, 1, 0, 0),
      targets: Int32Array.of(-100, -100, 32, 33, 12, -100, -100, -100),
    },
    places: Int32Array.of(10, 11, 12, 13, 0, 1, 2, 3),
  });
  const empty = rowsOf(SMALL, [1]);
  assert.deepEqual([empty.grid.rows, empty.grid.length, empty.places!.length], [1, 0, 0]);
  // What has no targets gets none.
  const { targets: _, ...unlabelled } = SMALL;
  const { grid, places } = rowsOf(unlabelled, [0]);
  assert.deepEqual(Object.keys(grid), ["rows", "length", "inputIds", "positionIds", "segmentIds"]);
  assert.deepEqual([grid.inputIds, places], [BigInt64Array.of(11n, 12n), Int32Array.of(0, 1)]);
});

Deno.test("endToEnd() leaves padding inside a row out, and tells what it parted", () => {
  const { grid, places } = endToEnd(SMALL);
  const rest = Array<number>(11);
  assert.deepEqual({ grid, places }, {
    grid: {
      rows: 1,
      length: 16,
      inputIds: BigInt64Array.of(11n, 12n, 21n, 31n, 32n, ...rest.fill(0).map(BigInt)),
      positionIds: BigInt64Array.of(0n, 1n, 0n, 0n, 1n, ...rest.fill(0).map(BigInt)),
      segmentIds: Int32Array.of(1, 1, 2, 3, 3, ...rest.fill(0)),
      targets: Int32Array.of(12, -100, -100, 32, 33, ...rest.fill(-100)),
    },
    places: Int32Array.of(0, 1, 10, 12, 13, ...rest.fill(-1)),
  });
  // A segment that goes on behind padding is one still.
  const broken = { ...SMALL, segmentIds: SMALL.segmentIds.with(10, 3) };
  assert.deepEqual([...endToEnd(broken).grid.segmentIds.subarray(0, 5)], [1, 1, 2, 2, 2]);
});

Deno.test("endToEnd() lays out anew a row that is longer than its tokens, and rows that are many", () => {
  const [sixteen, eight] = randomExamples([16, 8], 64);
  assert.equal(endToEnd(tinyBatch([[sixteen]], 16)).places, undefined);
  assert.equal(endToEnd(tinyBatch([[sixteen]], 17)).grid.length, 16);
  const { grid, places } = endToEnd(tinyBatch([[eight], [eight]], 8));
  assert.deepEqual([grid.rows, grid.length, places], [
    ...[1, 16, Int32Array.from({ length: 16 }, (_, i) => i)],
  ]);
});

Deno.test("similarRows() keeps the rows of a grid in their order, and neighbours in theirs", () => {
  const [long, short] = randomExamples([90, 3], 64);
  const four = tinyBatch([[short], [long], [short], [long]], 90);
  const parts = similarRows(four);
  assert.deepEqual(parts.map(({ grid }) => [grid.rows, grid.length]), [[2, 90], [2, 3]]);
  const firsts = parts.map(({ grid, places }) => [places![0], places![grid.length]]);
  assert.deepEqual(firsts, [[90, 270], [0, 180]]);
  const [{ places }] = similarRows(
    tinyBatch([...randomExamples([89, 90, 88, 3], 64).map((each) => [each])], 91),
  );
  assert.deepEqual([0, 90, 180].map((at) => places![at]), [0, 91, 182]);
  // Each pair is as long as its longer row.
  const pairs = similarRows(tinyBatch([[short], [short], [short], [long]], 90), 2);
  assert.deepEqual(pairs.map(({ grid }) => [grid.rows, grid.length]), [[2, 90], [2, 3]]);
  assert.deepEqual(pairs.map(({ places }) => places![0]), [180, 0]);
});

Deno.test("computedTokens() keeps neighbours together, of whom the last may be alone", () => {
  assert.equal(computedTokens([90, 3, 3, 3], "similar-rows", 2), 2 * 90 + 2 * 3);
  assert.equal(computedTokens([3, 90, 3], "similar-rows", 2), 2 * 90 + 2 * 3);
  assert.equal(computedTokens([3, 90, 80], "grid"), 270);
  assert.equal(computedTokens([3, 90, 80], "end-to-end"), 176);
});
