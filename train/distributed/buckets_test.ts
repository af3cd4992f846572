import assert from "node:assert/strict";
import { familyConfig, tinyConfig } from "../../tests/support/tiny_model.ts";
import { BUCKET, bucketsOf, overlap, ownPart, parts, widenedBuckets } from "./buckets.ts";

/** Five blocks: `a` and `b` before a gap, `c` after it, and nothing in the last block. */
const layout = {
  specs: [
    { name: "a", shape: [300], decays: true },
    { name: "b", shape: [20, 10], decays: true },
    { name: "c", shape: [256], decays: true },
  ],
  offsets: new Map([["a", 0], ["b", 320], ["c", 768]]),
  decaying: 1280,
  length: 1280,
};

Deno.test("bucketsOf() tells where buckets lie, whose they are, what they hold, and in which order they are done", () => {
  const of = (size: number) => bucketsOf(layout, size, 512);
  const shared = (counts: readonly (readonly number[])[]) => [
    { start: 1024, length: 256, counts: counts[0], used: 0 },
    // Eight elements of b, and c.
    { start: 512, length: 512, counts: counts[1], used: 264 },
    { start: 0, length: 512, counts: counts[2], used: 492 },
  ];
  assert.deepEqual(of(1), shared([[256], [512], [512]]));
  assert.deepEqual(of(2), shared([[256, 0], [256, 256], [256, 256]]));
  assert.deepEqual(of(3), shared([[256, 0, 0], [256, 256, 0], [256, 256, 0]]));
  // Backward ends with what comes first in a checkpoint, wherever it lies.
  const specs = layout.specs.toReversed();
  const starts = bucketsOf({ ...layout, specs }, 1, 512).map(({ start }) => start);
  assert.deepEqual(starts, [1024, 0, 512]);
  assert.deepEqual(bucketsOf(layout, 2), [
    { start: 0, length: 1280, counts: [768, 512], used: 756 },
  ]);
});

Deno.test("parts() cuts elements at the ends of buckets", () => {
  assert.deepEqual([...parts(500, 600, 256)], [
    { bucket: 1, shared: 12 },
    { bucket: 2, shared: 256 },
    { bucket: 3, shared: 256 },
    { bucket: 4, shared: 76 },
  ]);
  assert.deepEqual([...parts(512, 256, 256)], [{ bucket: 2, shared: 256 }]);
  assert.deepEqual([...parts(512, 0, 256)], []);
  // 16 MiB of float32.
  assert.equal(BUCKET, 4 * 1024 * 1024);
  assert.deepEqual([...parts(BUCKET - 1, 3)], [{ bucket: 0, shared: 1 }, { bucket: 1, shared: 2 }]);
});

Deno.test("ownPart() comes after the parts of the processes before", () => {
  const bucket = { start: 1000, length: 768, counts: [256, 512, 0], used: 700 };
  assert.deepEqual([0, 1, 2].map((rank) => ownPart(bucket, rank)), [
    { start: 1000, length: 256 },
    { start: 1256, length: 512 },
    { start: 1768, length: 0 },
  ]);
});

Deno.test("overlap() is what two ranges share", () => {
  const cases = [
    [[0, 10], [3, 4], [3, 4]],
    [[3, 4], [0, 10], [3, 4]],
    [[2, 5], [4, 9], [4, 3]],
    [[4, 9], [2, 5], [4, 3]],
    [[0, 3], [3, 5], [3, 0]],
    [[0, 3], [7, 5], [7, 0]],
    [[6, 6], [6, 6], [6, 6]],
  ];
  for (const [a, b, shared] of cases) {
    const [x, y, z] = [a, b, shared].map(([start, length]) => ({ start, length }));
    assert.deepEqual(overlap(x, y), z);
  }
});

Deno.test("widenedBuckets() is one more than a layer fills, of the kind that is largest", () => {
  // Projections of 32, 16 and 16 heads' widths and back, three matrices of the MLP, and norms.
  const layer = 16 * (32 + 16 + 16 + 32 + 3 * 24) + 2 * 16 + 2 * 8;
  const config = tinyConfig();
  assert.equal(widenedBuckets(config, layer), 2);
  assert.equal(widenedBuckets(config, layer - 1), 3);
  assert.equal(widenedBuckets(config, 256), Math.ceil(layer / 256) + 1);
  assert.equal(widenedBuckets(config), 2);
  // Its layers with a state have more weights than those with attention.
  const mixed = widenedBuckets(familyConfig("qwen3_5_text"), 1);
  assert.ok(mixed > layer, `${mixed}`);
});
