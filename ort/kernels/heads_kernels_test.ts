import assert from "node:assert/strict";
import {
  assertKernel,
  assertSameBits,
  DeviceArray,
  elements,
  testGpu,
  toNumbers,
} from "../../tests/support/test_gpu.ts";
import { draws } from "../../tests/support/random.ts";
import type { HeadDim } from "./attention_kernels.ts";
import { PARTIAL_BLOCKS } from "./column_sums.ts";
import type { ElementType } from "./element.ts";
import { HeadsKernels } from "./heads_kernels.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;
const EPSILON = 1e-6;
const POSITIONS = 50;

interface Case {
  readonly type: ElementType;
  readonly headDim: HeadDim;
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly stacked: boolean;
  readonly normed: boolean;
}

/** One head's vector, normed and turned, and back. */
function reference(
  { headDim, normed }: Case,
  { x, weight, dy, cos, sin }: Record<"x" | "weight" | "dy" | "cos" | "sin", Float64Array>,
): Record<"y" | "dx" | "dWeight", Float64Array> & { readonly invStd: number } {
  const half = headDim / 2;
  const mean = x.reduce((sum, each) => sum + each * each, 0) / headDim;
  const invStd = normed ? 1 / Math.sqrt(mean + EPSILON) : 1;
  const scaled = x.map((each, i) => each * invStd * (normed ? weight[i] : 1));
  const turn = (from: Float64Array, direction: number) =>
    from.map((each, i) => {
      const other = i < half ? -from[i + half] : from[i - half];
      return each * cos[i % half] + direction * other * sin[i % half];
    });
  const g = turn(dy, -1);
  const dWeight = g.map((each, i) => each * x[i] * invStd);
  const product = normed
    ? g.reduce((sum, each, i) => sum + each * weight[i] * x[i] * invStd, 0)
    : 0;
  const dx = g.map((each, i) =>
    normed ? invStd * (each * weight[i] - x[i] * invStd * product / headDim) : each
  );
  return { y: turn(scaled, 1), dx, dWeight, invStd };
}

const CASES: readonly Omit<Case, "type">[] = [
  { headDim: 128, tokens: 5, heads: 4, kvHeads: 2, stacked: true, normed: true },
  // More heads than a block has groups of lanes, and more tokens than there are blocks.
  { headDim: 128, tokens: 3, heads: 40, kvHeads: 5, stacked: true, normed: true },
  { headDim: 64, tokens: 300, heads: 2, kvHeads: 1, stacked: true, normed: true },
  { headDim: 64, tokens: 7, heads: 9, kvHeads: 3, stacked: false, normed: true },
  { headDim: 64, tokens: 7, heads: 4, kvHeads: 4, stacked: true, normed: false },
  { headDim: 128, tokens: 6, heads: 3, kvHeads: 1, stacked: false, normed: false },
];

for (
  const each of CASES.flatMap((one): Case[] => [
    { ...one, type: "float32" },
    { ...one, type: "bfloat16" },
  ])
) {
  const { type, headDim, tokens, heads, kvHeads, stacked, normed } = each;
  Deno.test({
    name: `${heads} and ${kvHeads} heads of ${headDim} of ${tokens} tokens, ${type}, ${
      stacked ? "stacked" : "apart"
    }, ${normed ? "normed and " : ""}turned, and their gradients are float64's`,
    ignore,
    async fn() {
      const kernels = await HeadsKernels.load(host!.gpu, headDim, type);
      const half = headDim / 2;
      const draw = draws(tokens);
      const random = (count: number, scale = 1, add = 0) =>
        elements(type, Float32Array.from({ length: count }, () => scale * draw() + add));
      const blank = (count: number) => elements(type, new Float32Array(count).fill(NaN));
      const counts = { q: heads, k: kvHeads, v: kvHeads };
      const kinds = Object.entries(counts) as [keyof typeof counts, number][];
      const stride = (heads + 2 * kvHeads) * headDim;
      const projected = (make: (count: number) => DeviceArray<Float32Array | Uint16Array>) => {
        const all = stacked ? make(tokens * stride) : undefined;
        const apart = (count: number) => all ?? make(tokens * count * headDim);
        return { q: apart(heads), k: apart(kvHeads), v: all };
      };
      // Of every three heads one is so small that epsilon outweighs it, and one is 0.
      const sizesOfHeads = [3, 1e-4, 0];
      const x = projected((count) =>
        elements(
          type,
          Float32Array.from(
            { length: count },
            (_, i) => sizesOfHeads[Math.floor(i / headDim) % 3] * draw(),
          ),
        )
      );
      const dx = projected(blank);
      const dense = (make: (count: number) => DeviceArray<Float32Array | Uint16Array>) =>
        Object.fromEntries(
          kinds.map(([kind, count]) => [kind, make(tokens * count * headDim)]),
        ) as Record<keyof typeof counts, DeviceArray<Float32Array | Uint16Array>>;
      const [y, dy] = [dense(blank), dense((count) => random(count))];
      const places = Array.from({ length: tokens }, (_, i) => (i * 17) % POSITIONS);
      const positions = new DeviceArray(BigInt64Array.from(places, BigInt));
      const [cos, sin] = [Math.cos, Math.sin].map((f) =>
        elements(
          type,
          Float32Array.from(
            { length: POSITIONS * half },
            (_, i) => f(Math.floor(i / half) * (i % half)),
          ),
        )
      );
      const weights = { q: random(headDim, 0.5, 1), k: random(headDim, 0.5, 1) };
      const invStd = new DeviceArray(new Float32Array(tokens * (heads + kvHeads)).fill(NaN));
      const before = { q: random(headDim), k: random(headDim) };
      const ofWeights = () =>
        [before.q, before.k].map(({ data }) => Float64Array.from(toNumbers(data)));
      const start = ofWeights();
      const partials = new DeviceArray(new Float32Array(PARTIAL_BLOCKS * 2 * headDim).fill(NaN));

      const tables = { positions: positions.address, cos: cos.address, sin: sin.address };
      const norms = normed
        ? { qWeight: weights.q.address, kWeight: weights.k.address, invStd: invStd.address }
        : undefined;
      const apart = ({ q, k }: typeof x) => ({ q: q.address, k: stacked ? undefined : k.address });
      const addresses = ({ q, k, v }: typeof y) => ({
        q: q.address,
        k: k.address,
        v: stacked ? v.address : undefined,
      });
      const sizes = { tokens, heads, kvHeads, stacked };
      const results: unknown[] = [];
      let added: unknown;
      for (const order of [0, 4, 5]) {
        host!.setOrder(order);
        kernels.forward(STREAM, {
          from: apart(x),
          to: addresses(y),
          tables,
          norms: norms && { ...norms, epsilon: EPSILON },
        }, sizes);
        kernels.backward(STREAM, {
          from: apart(x),
          gradients: addresses(dy),
          to: apart(dx),
          tables,
          norms,
          weightGradients: normed
            ? {
              partials: partials.address,
              qWeight: before.q.address,
              kWeight: before.k.address,
              accumulate: order === 0,
            }
            : undefined,
        }, sizes);
        results.push([y.q, y.k, dx.q, dx.k].map(({ data }) => data.slice()));
        added ??= ofWeights();
      }
      assertSameBits(results);

      const expected = { q: new Float64Array(headDim), k: new Float64Array(headDim) };
      const [cosines, sines] = [cos, sin].map(({ data }) => Float64Array.from(toNumbers(data)));
      const relative = type === "bfloat16" ? 2 ** -8 + 1e-5 : 2e-6;
      const close = (label: string, actual: ArrayLike<number>, to: ArrayLike<number>) =>
        assertKernel(actual, to, { relative, relativeToMax: 2e-6, label });
      const numbers = (array: DeviceArray<Float32Array | Uint16Array>) => toNumbers(array.data);
      const begins = { q: 0, k: heads * headDim, v: (heads + kvHeads) * headDim };
      const got = {
        x: { q: numbers(x.q), k: numbers(x.k), v: x.v && numbers(x.v) },
        dx: { q: numbers(dx.q), k: numbers(dx.k), v: dx.v && numbers(dx.v) },
        y: { q: numbers(y.q), k: numbers(y.k), v: numbers(y.v) },
        dy: { q: numbers(dy.q), k: numbers(dy.k), v: numbers(dy.v) },
      };
      for (let token = 0; token < tokens; token++) {
        for (const [kind, count] of kinds) {
          for (let head = 0; head < count; head++) {
            const at = (token * count + head) * headDim;
            const among = stacked ? token * stride + begins[kind] + head * headDim : at;
            const slice = (from: ArrayLike<number>, start: number) =>
              Float64Array.from({ length: headDim }, (_, i) => from[start + i]);
            if (kind === "v") {
              if (!stacked) continue;
              assert.deepEqual(slice(got.y.v, at), slice(got.x.v!, among));
              assert.deepEqual(slice(got.dx.v!, among), slice(got.dy.v, at));
              continue;
            }
            const row = (table: Float64Array) =>
              table.slice(places[token] * half, (places[token] + 1) * half);
            const wanted = reference(each, {
              x: slice(got.x[kind], among),
              weight: Float64Array.from(numbers(weights[kind])),
              dy: slice(got.dy[kind], at),
              cos: row(cosines),
              sin: row(sines),
            });
            const where = `${kind} ${token}, ${head}`;
            close(`${where}: y`, slice(got.y[kind], at), wanted.y);
            close(`${where}: dx`, slice(got.dx[kind], among), wanted.dx);
            if (!normed) continue;
            const slot = token * (heads + kvHeads) + (kind === "q" ? head : heads + head);
            close(`${where}: invStd`, [invStd.data[slot]], [wanted.invStd]);
            wanted.dWeight.forEach((value, i) => expected[kind][i] += value);
          }
        }
      }
      for (const kind of normed ? ["q", "k"] as const : []) {
        close(`dWeight of ${kind}`, numbers(before[kind]), expected[kind]);
        const at = kind === "q" ? 0 : 1;
        const sums = expected[kind].map((sum, i) => sum + start[at][i]);
        close(`added to ${kind}`, (added as Float64Array[])[at], sums);
      }
      for (const array of [x.q, x.k, dx.q, dx.k, ...Object.values(y), ...Object.values(dy)]) {
        array.assertGuards();
      }
      for (const array of [invStd, partials, before.q, before.k]) array.assertGuards();
    },
  });
}
