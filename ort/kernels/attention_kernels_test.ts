import assert from "node:assert/strict";
import {
  assertKernel,
  assertSameBits,
  DeviceArray,
  elements,
  HARDWARE_SLACK,
  testGpu,
  toNumbers,
} from "../../tests/support/test_gpu.ts";
import { draws } from "../../tests/support/random.ts";
import {
  AttentionKernels,
  type HeadDim,
  longestSegment,
  segmentBounds,
} from "./attention_kernels.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;

interface Case {
  readonly headDim: HeadDim;
  readonly heads: number;
  readonly kvHeads: number;
  /** Lengths of segments; a negative one is padding. */
  readonly rows: readonly (readonly number[])[];
  /** Scores are up to some 4 times that. */
  readonly spread: number;
  /** How many tokens each sees. @default its whole segment before it */
  readonly window?: number;
}

/** Attention and its gradients in float64, query by query. */
function reference(
  { headDim, heads, kvHeads }: Case,
  starts: Int32Array,
  [q, k, v, dMixed]: readonly ArrayLike<number>[],
): Record<"mixed" | "sums" | "dQ" | "dK" | "dV", Float64Array> {
  const tokens = starts.length;
  const scale = headDim ** -0.5;
  const mixed = new Float64Array(tokens * heads * headDim);
  const sums = new Float64Array(heads * tokens);
  const [dQ, dK, dV] = [heads, kvHeads, kvHeads].map((n) => new Float64Array(tokens * n * headDim));
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor(head * kvHeads / heads);
    const atQ = (t: number): number => (t * heads + head) * headDim;
    const atKv = (t: number): number => (t * kvHeads + kvHead) * headDim;
    const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number): number => {
      let sum = 0;
      for (let d = 0; d < headDim; d++) sum += a[i + d] * b[j + d];
      return sum;
    };
    for (let t = 0; t < tokens; t++) {
      const seen = Array.from({ length: t + 1 - starts[t] }, (_, i) => starts[t] + i);
      const scores = seen.map((s) => scale * dot(q, atQ(t), k, atKv(s)));
      const sum = scores.reduce((sum, score) => sum + Math.exp(score), 0);
      sums[head * tokens + t] = Math.log2(sum);
      const p = scores.map((score) => Math.exp(score) / sum);
      seen.forEach((s, i) => {
        for (let d = 0; d < headDim; d++) mixed[atQ(t) + d] += p[i] * v[atKv(s) + d];
      });
      const own = dot(mixed, atQ(t), dMixed, atQ(t));
      seen.forEach((s, i) => {
        const slope = scale * p[i] * (dot(dMixed, atQ(t), v, atKv(s)) - own);
        for (let d = 0; d < headDim; d++) {
          dQ[atQ(t) + d] += slope * k[atKv(s) + d];
          dK[atKv(s) + d] += slope * q[atQ(t) + d];
          dV[atKv(s) + d] += p[i] * dMixed[atQ(t) + d];
        }
      });
    }
  }
  return { mixed, sums, dQ, dK, dV };
}

const CASES: readonly Case[] = [
  { headDim: 64, heads: 2, kvHeads: 1, rows: [[150]], spread: 1 },
  { headDim: 128, heads: 4, kvHeads: 2, rows: [[40, 3, 70, -7], [100, 20]], spread: 1 },
  { headDim: 64, heads: 3, kvHeads: 3, rows: [[1, 1, 2, 64, 65]], spread: 1 },
  { headDim: 128, heads: 1, kvHeads: 1, rows: [[17]], spread: 1 },
  // Segments that begin and end at the edges of a warp's 32 rows, of tiles of 64 and 128, and beside them.
  { headDim: 128, heads: 4, kvHeads: 1, rows: [[31, 2, 95, 1, 130, -2]], spread: 1 },
  { headDim: 64, heads: 4, kvHeads: 1, rows: [[64, 64, 127, 33, 96]], spread: 1 },
  { headDim: 64, heads: 2, kvHeads: 2, rows: [[1]], spread: 1 },
  // A tile begins in the midst of a segment, which ends in it or in the next one.
  { headDim: 128, heads: 2, kvHeads: 1, rows: [[100, 157, 32]], spread: 1 },
  // Two rows of 129 and 128.
  { headDim: 64, heads: 2, kvHeads: 1, rows: [[129], [128]], spread: 1 },
  // Maxima grow by more than the headroom from tile to tile.
  { headDim: 128, heads: 1, kvHeads: 1, rows: [[300]], spread: 10 },
  // Windows within a tile, over several, and longer than one of the segments.
  { headDim: 64, heads: 2, kvHeads: 1, rows: [[150, 20], [7, 160]], spread: 1, window: 9 },
  { headDim: 128, heads: 2, kvHeads: 1, rows: [[230, 60]], spread: 1, window: 100 },
];

for (const each of CASES) {
  const { headDim, heads, kvHeads, rows, spread, window } = each;
  Deno.test({
    name: `attention with ${heads} heads of ${headDim} over ${kvHeads}, segments ` +
      `${JSON.stringify(rows)}${window ? ` and windows of ${window}` : ""}, ` +
      `scores to ±${4 * spread}, and its gradients are float64's`,
    ignore,
    async fn() {
      const kernels = await AttentionKernels.load(host!.gpu, headDim);
      const length = rows[0].reduce((sum, part) => sum + Math.abs(part), 0);
      const ids = rows.flatMap((row) => {
        const row0 = row.flatMap((part, i) => Array(Math.abs(part)).fill(part < 0 ? 0 : i + 1));
        return [...row0, ...Array(length - row0.length).fill(0)];
      });
      const tokens = ids.length;
      const { starts, ends } = segmentBounds(Int32Array.from(ids), length, { window });
      const draw = draws(tokens);
      const random = (count: number, scale: number) =>
        elements("bfloat16", Float32Array.from({ length: count }, () => scale * draw()));
      // Such scores that a few keys weigh most.
      const q = random(tokens * heads * headDim, 3 * spread);
      const [k, v] = [3, 1].map((scale) => random(tokens * kvHeads * headDim, scale));
      const dMixed = random(tokens * heads * headDim, 1);
      const blank = (heads: number) =>
        elements("bfloat16", new Float32Array(tokens * heads * headDim).fill(NaN));
      const [mixed, dQ, dK, dV] = [heads, heads, kvHeads, kvHeads].map(blank);
      const rowFloats = () => new DeviceArray(new Float32Array(heads * tokens).fill(NaN));
      const [sums, dots] = [rowFloats(), rowFloats()];
      const arrays = { q, k, v, mixed, sums, dMixed, dots, dQ, dK, dV };
      const bounds = { starts: new DeviceArray(starts), ends: new DeviceArray(ends) };
      const pointers = Object.fromEntries(
        Object.entries({ ...arrays, ...bounds }).map(([name, { address }]) => [name, address]),
      ) as Record<keyof typeof arrays | keyof typeof bounds, bigint>;
      const sizes = { tokens, heads, kvHeads };
      const expected = reference(
        each,
        starts,
        [q, k, v, dMixed].map(({ data }) => toNumbers(data)),
      );
      const results: unknown[] = [];
      for (const order of [0, 6, 1, 5]) {
        host!.setOrder(order);
        kernels.forward(STREAM, pointers, sizes);
        kernels.backward(STREAM, pointers, sizes);
        results.push([mixed, sums, dQ, dK, dV].map(({ data }) => data.slice()));
      }
      assertSameBits(results);
      assertKernel(sums.data, expected.sums, {
        absolute: 5e-6 * HARDWARE_SLACK * spread,
        label: "sums",
      });
      for (const [name, actual] of Object.entries({ mixed, dQ, dK, dV })) {
        // Weights and slopes are bfloat16 inside (2⁻⁹ of each on average); measured up to 0.0071.
        assertKernel(
          toNumbers(actual.data),
          expected[name as "mixed" | "dQ" | "dK" | "dV"],
          { relativeToMax: 2 ** -7, label: name },
        );
      }
      for (const array of Object.values(arrays)) array.assertGuards();
    },
  });
}

Deno.test("segmentBounds() ends segments at their last token, at a row's end, and pads alone", () => {
  const { starts, ends } = segmentBounds(Int32Array.of(1, 1, 2, 0, 0, 1, 1, 1, 2, 2), 5);
  assert.deepEqual([...starts], [0, 0, 2, 3, 4, 5, 5, 5, 8, 8]);
  assert.deepEqual([...ends], [2, 2, 3, 4, 5, 8, 8, 8, 10, 10]);
  // The same id across a row's end is another segment.
  assert.deepEqual([...segmentBounds(Int32Array.of(1, 1, 1, 1), 2).starts], [0, 0, 2, 2]);
  assert.equal(longestSegment({ starts }), 3);
  assert.equal(longestSegment({ starts: new Int32Array(0) }), 0);
  const windowed = segmentBounds(Int32Array.of(1, 1, 1, 1, 2, 2), 6, { window: 3 });
  assert.deepEqual([...windowed.starts], [0, 0, 0, 1, 4, 4]);
  assert.deepEqual([...windowed.ends], [3, 4, 4, 4, 6, 6]);
});

Deno.test({
  name: "attention refuses heads that do not divide",
  ignore,
  async fn() {
    const kernels = await AttentionKernels.load(host!.gpu, 64);
    const pointers = { q: 0n, k: 0n, v: 0n, starts: 0n, mixed: 0n, sums: 0n };
    assert.throws(
      () => kernels.forward(0n, pointers, { tokens: 1, heads: 3, kvHeads: 2 }),
      /Cannot attend with 3 heads over 2 key heads/,
    );
  },
});
