import assert from "node:assert/strict";
import {
  assertKernel,
  assertSameBits,
  DeviceArray,
  elements,
  testGpu,
  toBfloat16,
  toNumbers,
} from "../../tests/support/test_gpu.ts";
import { draws, factorOf } from "../../tests/support/random.ts";
import { LORA_PARTS, LoraKernels } from "./lora_kernels.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;
const SCALE = 4 / 0.9;
const ABOVE = Math.round(0.1 * 2 ** 32) - 2 ** 31 - 1;

// Of the largest of a result, which is rounded to bfloat16 (2⁻⁹) or is float32; measured 0.0034 and 1.8e-7.
const ROUNDED = { relativeToMax: 2 ** -8 };
const EXACT = { relativeToMax: 1e-6 };

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayLike<number>;
}

/** a · b, or aᵀ · b, or a · bᵀ. */
function product(
  a: Matrix,
  b: Matrix,
  { transA = false, transB = false }: { transA?: boolean; transB?: boolean } = {},
): Float64Array {
  const [rows, inner] = transA ? [a.columns, a.rows] : [a.rows, a.columns];
  const columns = transB ? b.rows : b.columns;
  const left = (i: number, k: number) => a.data[transA ? k * a.columns + i : i * a.columns + k];
  const right = (k: number, j: number) => b.data[transB ? j * b.columns + k : k * b.columns + j];
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += left(i, k) * right(k, j);
      result[i * columns + j] = sum;
    }
  }
  return result;
}

const scaled = (data: Float64Array): Float64Array => data.map((each) => SCALE * each);
const plus = (data: Float64Array, past: ArrayLike<number>): Float64Array =>
  data.map((each, i) => each + past[i]);

/** Columns of matrices with equally many rows, side by side. */
function beside(rows: number, parts: readonly ArrayLike<number>[]): Float64Array {
  const widths = parts.map(({ length }) => length / rows);
  const all = widths.reduce((sum, each) => sum + each, 0);
  const result = new Float64Array(rows * all);
  let from = 0;
  parts.forEach((part, i) => {
    for (let at = 0; at < part.length; at++) {
      result[Math.floor(at / widths[i]) * all + from + at % widths[i]] = part[at];
    }
    from += widths[i];
  });
  return result;
}

/** The same, taken apart. */
function apart(data: ArrayLike<number>, widths: readonly number[]): Matrix[] {
  const all = widths.reduce((sum, each) => sum + each, 0);
  const rows = data.length / all;
  let from = 0;
  return widths.map((columns) => {
    const first = from;
    from += columns;
    const part = Float64Array.from(
      { length: rows * columns },
      (_, i) => data[Math.floor(i / columns) * all + first + i % columns],
    );
    return { rows, columns, data: part };
  });
}

/** One A's width, and the columns of each layer's B. */
const CASES = [
  { tokens: 37, width: 192, rank: 8, drops: true, widths: [128, 64, 64] },
  { tokens: 130, width: 64, rank: 16, drops: false, widths: [64] },
  { tokens: 300, width: 1088, rank: 8, drops: true, widths: [192, 192] },
  { tokens: 5, width: 320, rank: 64, drops: true, widths: [64, 128, 64] },
  { tokens: 16, width: 64, rank: 24, drops: false, widths: [320, 64] },
];

for (const { tokens, width, rank, drops, widths } of CASES) {
  const draw = draws(tokens + width);
  const numbers = (count: number) => Float32Array.from({ length: count }, () => draw());
  const odd = (length: number): Int32Array<ArrayBuffer> =>
    Int32Array.from({ length }, () => Math.floor(draw(-1, 1) * 2 ** 31) | 1);

  Deno.test({
    name: `LoRA of rank ${rank} from [${tokens}, ${width}] to [${tokens}, ${widths.join(" + ")}]${
      drops ? " with dropout" : ""
    } and its gradients are float64's`,
    ignore,
    async fn() {
      const kernels = await LoraKernels.load(host!.gpu, rank);
      const parts = widths.length;
      const all = widths.reduce((sum, each) => sum + each, 0);
      const ranks = widths.map(() => rank);
      const x = elements("bfloat16", numbers(tokens * width));
      const [dy, base] = [0, 1].map(() => elements("bfloat16", numbers(tokens * all)));
      const pastX = elements("bfloat16", numbers(tokens * width));
      const [hidden, dHidden] = [0, 1].map(() =>
        elements("bfloat16", numbers(tokens * parts * rank))
      );
      const as = widths.map(() => new DeviceArray(numbers(rank * width)));
      const bs = widths.map((each) => new DeviceArray(numbers(each * rank)));
      const rows = new DeviceArray(odd(tokens));
      const columns = widths.map(() => new DeviceArray(odd(width)));
      // One product is the threshold itself, which is dropped.
      for (const { data } of columns) data[0] = factorOf(ABOVE, rows.data[0]);
      const partials = new DeviceArray(
        new Float32Array(LORA_PARTS * rank * Math.max(parts * width, all)).fill(NaN),
      );
      const addresses = (arrays: readonly { address: bigint }[]) =>
        arrays.map(({ address }) => address);
      const dropout = { rows: rows.address, columns: addresses(columns), above: ABOVE };
      const down = { tokens, width, parts, scale: SCALE, dropout: drops ? dropout : undefined };
      const up = { tokens, widths };
      const kept = (data: ArrayLike<number>, part: number): Float64Array =>
        Float64Array.from(data, (each, i) => {
          const own = columns[part].data;
          const hash = Math.imul(rows.data[Math.floor(i / width)], own[i % width]);
          return drops && hash <= ABOVE ? 0 : each;
        });
      const rounded = (rows: number, columns: number) => ({ data }: { data: Float32Array }) => ({
        ...{ rows, columns },
        data: toNumbers(toBfloat16(data)),
      });
      const ofA = as.map(rounded(rank, width));
      const ofB = bs.map((b, i) => rounded(widths[i], rank)(b));
      const wide = widths.map((_, i) => ({
        ...{ rows: tokens, columns: width },
        data: kept(toNumbers(x.data), i),
      }));
      const narrow = apart(toNumbers(hidden.data), ranks);
      const dNarrow = apart(toNumbers(dHidden.data), ranks);
      const dWide = apart(toNumbers(dy.data), widths);
      const zeros = (count: number) => new Float64Array(count);
      const dX = dNarrow.map((each, i) => kept(scaled(product(each, ofA[i])), i))
        .reduce((sum, each) => plus(sum, each), zeros(tokens * width));
      const y = beside(tokens, narrow.map((each, i) => product(each, ofB[i], { transB: true })));
      const dA = dNarrow.map((each, i) => scaled(product(each, wide[i], { transA: true })));
      const dB = dWide.map((each, i) => product(each, narrow[i], { transA: true }));
      const before = [...dA, ...dB].map(({ length }) => numbers(length));
      const expected: Record<string, Float64Array> = {
        hidden: beside(
          tokens,
          wide.map((each, i) => scaled(product(each, ofA[i], { transB: true }))),
        ),
        dX,
        "dX and past": plus(dX, toNumbers(pastX.data)),
        y,
        "y and base": plus(y, toNumbers(base.data)),
        dHidden: beside(tokens, dWide.map((each, i) => product(each, ofB[i]))),
        ...Object.fromEntries([...dA, ...dB].flatMap((each, i) => [
          [`gradient ${i}`, each],
          [`gradient ${i} and before`, plus(each, before[i])],
        ])),
      };
      const results: unknown[] = [];
      for (const order of [0, 4, 5]) {
        host!.setOrder(order);
        const blank = (count: number) => elements("bfloat16", new Float32Array(count).fill(NaN));
        const fresh = before.map(({ length }) =>
          new DeviceArray(new Float32Array(length).fill(NaN))
        );
        const grown = before.map((each) => new DeviceArray(each));
        const got: Record<string, DeviceArray<Float32Array | Uint16Array>> = {
          hidden: blank(tokens * parts * rank),
          dX: blank(tokens * width),
          "dX and past": elements("bfloat16", toNumbers(pastX.data)),
          y: blank(tokens * all),
          "y and base": blank(tokens * all),
          dHidden: blank(tokens * parts * rank),
          ...Object.fromEntries(fresh.flatMap((each, i) => [
            [`gradient ${i}`, each],
            [`gradient ${i} and before`, grown[i]],
          ])),
        };
        const at = (name: string): bigint => got[name].address;
        const [a, b] = [as, bs].map(addresses);
        kernels.down(STREAM, { x: x.address, a, hidden: at("hidden") }, down);
        const input = { dHidden: dHidden.address, a };
        kernels.downInput(STREAM, { ...input, dX: at("dX") }, down);
        const there = at("dX and past");
        kernels.downInput(STREAM, { ...input, past: there, dX: there }, down);
        kernels.up(STREAM, { hidden: hidden.address, b, y: at("y") }, up);
        const onBase = { past: base.address, y: at("y and base") };
        kernels.up(STREAM, { hidden: hidden.address, b, ...onBase }, up);
        kernels.upHidden(STREAM, { dy: dy.address, b, dHidden: at("dHidden") }, up);
        for (const [accumulate, to] of [[false, fresh], [true, grown]] as const) {
          const into = { partials: partials.address, accumulate };
          kernels.downWeight(STREAM, {
            ...{ x: x.address, dHidden: dHidden.address },
            ...{ ...into, to: addresses(to.slice(0, parts)) },
          }, down);
          kernels.upWeight(STREAM, {
            ...{ hidden: hidden.address, dy: dy.address },
            ...{ ...into, to: addresses(to.slice(parts)) },
          }, up);
        }
        for (const [name, array] of Object.entries(got)) {
          assertKernel(toNumbers(array.data), expected[name], {
            ...array.data instanceof Float32Array ? EXACT : ROUNDED,
            label: name,
          });
          array.assertGuards();
        }
        partials.assertGuards();
        results.push(Object.values(got).map(({ data }) => data.slice()));
      }
      assertSameBits(results);
      if (drops) assert.ok(wide[0].data.includes(0) && wide[0].data.some((each) => each !== 0));
    },
  });
}

Deno.test({
  name: "LoRA's kernels refuse other ranks and widths",
  ignore,
  async fn() {
    for (const rank of [0, 12, 72]) {
      await assert.rejects(
        LoraKernels.load(host!.gpu, rank),
        new RegExp(`LoRA of rank ${rank}: it must be a multiple of 8 up to 64`),
      );
    }
    const kernels = await LoraKernels.load(host!.gpu, 8);
    assert.throws(
      () => kernels.up(0n, { hidden: 0n, b: [0n, 0n], y: 0n }, { tokens: 1, widths: [64, 96] }),
      /layers of widths 64, 96: they must be multiples of 64/,
    );
  },
});
