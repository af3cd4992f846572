import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { segmentMasks, segmentMaskSize } from "./segment_masks.ts";

const H = -1e9;

Deno.test("masks of segments tell what reads what, by row, chunk and token", () => {
  // Two rows of five tokens in chunks of two, and a convolution over three.
  const grid = { rows: 2, length: 5, segmentIds: Int32Array.of(1, 1, 2, 2, 2, 3, 3, 3, 3, 0) };
  const masks = segmentMasks(grid, { taps: 3, chunk: 2 });
  assert.deepEqual(
    Object.fromEntries(
      Object.entries(masks).map(([name, { shape, values }]) => [name, [shape, [...values]]]),
    ),
    {
      segment_taps: [
        [10, 2],
        // Of the token one and two places before: the row's first has none.
        [
          ...[0, 0, 1, 0, 0, 0, 1, 0, 1, 1],
          ...[0, 0, 1, 0, 1, 1, 1, 1, 0, 0],
        ],
      ],
      segment_pairs: [
        [3, 2, 1, 2, 2],
        [
          // Chunk 0: tokens 1 1 and 3 3.
          ...[0, H, 0, 0, 0, H, 0, 0],
          // Chunk 1: tokens 2 2 and 3 3.
          ...[0, H, 0, 0, 0, H, 0, 0],
          // Chunk 2: token 2, which goes on behind the row's end, and padding.
          ...[0, H, 0, 0, 0, H, 0, 0],
        ],
      ],
      // Whether a token's segment began before its chunk.
      segment_carried: [[3, 2, 1, 2, 1], [H, H, H, H, H, H, 0, 0, 0, 0, H, H]],
      // Whether it goes on to its chunk's end.
      segment_kept: [[3, 2, 1, 2, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    },
  );
});

Deno.test("masks of segments hide what is of another segment inside a chunk", () => {
  const grid = { rows: 1, length: 6, segmentIds: Int32Array.of(1, 2, 2, 2, 3, 3) };
  const { segment_pairs, segment_carried, segment_kept, segment_taps } = segmentMasks(grid, {
    ...{ taps: 2, chunk: 4 },
  });
  assert.deepEqual([...segment_pairs.values], [
    ...[0, H, H, H],
    ...[H, 0, H, H],
    ...[H, 0, 0, H],
    ...[H, 0, 0, 0],
    // The second chunk's last two stand for the row's end.
    ...[0, H, H, H],
    ...[0, 0, H, H],
    ...[0, 0, 0, H],
    ...[0, 0, 0, 0],
  ]);
  assert.deepEqual([...segment_carried.values], [H, H, H, H, H, H, H, H]);
  assert.deepEqual([...segment_kept.values], [H, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual([...segment_taps.values], [0, 0, 1, 1, 0, 1]);
});

Deno.test("a segment that ends or begins inside a chunk is neither carried into it nor kept behind it", () => {
  const grid = { rows: 2, length: 4, segmentIds: Int32Array.of(1, 2, 2, 3, 4, 4, 5, 5) };
  const masks = segmentMasks(grid, { taps: 2, chunk: 2 });
  // By chunk and row.
  assert.deepEqual([...masks.segment_carried.values], [H, H, H, H, 0, H, H, H]);
  assert.deepEqual([...masks.segment_kept.values], [H, 0, 0, 0, H, 0, 0, 0]);
  const [apart, together] = [[0, H, H, 0], [0, H, 0, 0]];
  assert.deepEqual([...masks.segment_pairs.values], [
    ...[...apart, ...together],
    ...[...apart, ...together],
  ]);
  assert.deepEqual([...masks.segment_taps.values], [0, 0, 1, 0, 0, 1, 0, 1]);
});

Deno.test("segmentMaskSize() counts the numbers of all masks", () => {
  const draw = draws(5);
  for (
    const [rows, length, taps, chunk] of [[1, 1, 2, 1], [2, 5, 4, 2], [3, 8, 3, 4], [2, 9, 2, 8]]
  ) {
    const segmentIds = Int32Array.from({ length: rows * length }, () => Math.floor(draw(0, 3)));
    const masks = Object.values(segmentMasks({ rows, length, segmentIds }, { taps, chunk }));
    assert.equal(
      segmentMaskSize({ rows, length }, { taps, chunk }),
      masks.reduce((sum, { values }) => sum + values.length, 0),
    );
    for (const { shape, values } of masks) {
      assert.equal(shape.reduce((product, size) => product * size), values.length);
    }
  }
});
