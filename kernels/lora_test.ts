import assert from "node:assert/strict";
import {
  assertKernel,
  DeviceArray,
  elements,
  testGpu,
  toBfloat16,
  toNumbers,
} from "../tests/support/test_gpu.ts";
import { draws } from "../tests/support/random.ts";
import { LORA_PARTS, LoraKernels } from "./lora.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;
const SCALE = 4 / 0.9;
const ABOVE = Math.round(0.1 * 2 ** 32) - 2 ** 31 - 1;

// Of the largest of a result, which is rounded to bfloat16 (2⁻⁹) or is float32; measured 0.0035 and 1.5e-7.
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

for (
  const { tokens, width, rank, drops, gap } of [
    { tokens: 37, width: 192, rank: 8, drops: true, gap: 64 },
    { tokens: 130, width: 64, rank: 16, drops: false, gap: 0 },
    { tokens: 300, width: 1088, rank: 8, drops: true, gap: 0 },
    { tokens: 5, width: 320, rank: 64, drops: true, gap: 128 },
    { tokens: 16, width: 64, rank: 24, drops: false, gap: 0 },
  ]
) {
  const draw = draws(tokens + width);
  const numbers = (count: number) => Float32Array.from({ length: count }, () => draw());
  const odd = (length: number): Int32Array<ArrayBuffer> =>
    Int32Array.from({ length }, () => Math.floor(draw(-1, 1) * 2 ** 31) | 1);

  Deno.test({
    name: `LoRA of rank ${rank} on [${tokens}, ${width}]${drops ? " with dropout" : ""}${
      gap ? ` beside ${gap} columns` : ""
    } and its gradients are float64's`,
    ignore,
    async fn() {
      const kernels = await LoraKernels.load(host!.gpu, rank);
      const [x, dy, base] = [0, 1, 2].map(() => elements("bfloat16", numbers(tokens * width)));
      const [hidden, dHidden] = [0, 1].map(() => elements("bfloat16", numbers(tokens * rank)));
      const a = new DeviceArray(numbers(rank * width));
      const b = new DeviceArray(numbers(width * rank));
      const [rows, columns] = [tokens, width].map((length) => new DeviceArray(odd(length)));
      const partials = new DeviceArray(new Float32Array(LORA_PARTS * rank * width).fill(NaN));
      const dropout = { rows: rows.address, columns: columns.address, above: ABOVE };
      // On the side of B rows are longer than wide.
      const stride = width + gap;
      const sizes = { tokens, width, stride };
      const apart = (columns: ArrayLike<number>, between: number): Float32Array =>
        Float32Array.from(
          { length: tokens * stride },
          (_, i) =>
            i % stride < width ? columns[Math.floor(i / stride) * width + i % stride] : between,
        );
      const wideDy = elements("bfloat16", apart(toNumbers(dy.data), NaN));
      const wideBase = elements("bfloat16", apart(toNumbers(base.data), 7));
      const down = { tokens, width, scale: SCALE, dropout: drops ? dropout : undefined };
      const kept = (data: ArrayLike<number>): Float64Array =>
        Float64Array.from(data, (each, i) => {
          const hash = Math.imul(rows.data[Math.floor(i / width)], columns.data[i % width]);
          return drops && hash <= ABOVE ? 0 : each;
        });
      const [wide, narrow, ofA, ofB]: Matrix[] = [
        { rows: tokens, columns: width, data: kept(toNumbers(x.data)) },
        { rows: tokens, columns: rank, data: toNumbers(hidden.data) },
        { rows: rank, columns: width, data: toNumbers(toBfloat16(a.data)) },
        { rows: width, columns: rank, data: toNumbers(toBfloat16(b.data)) },
      ];
      const dNarrow = { ...narrow, data: toNumbers(dHidden.data) };
      const dWide = { ...wide, data: toNumbers(dy.data) };
      const past = toNumbers(base.data);
      const before = numbers(rank * width);
      const expected: Record<string, Float64Array | Float32Array> = {
        hidden: scaled(product(wide, ofA, { transB: true })),
        dX: kept(scaled(product(dNarrow, ofA))),
        "dX and past": plus(kept(scaled(product(dNarrow, ofA))), past),
        dA: scaled(product(dNarrow, wide, { transA: true })),
        "dA and before": plus(scaled(product(dNarrow, wide, { transA: true })), before),
        y: apart(product(narrow, ofB, { transB: true }), 7),
        "y and base": apart(plus(product(narrow, ofB, { transB: true }), past), 7),
        dHidden: product(dWide, ofB),
        dB: product(dWide, narrow, { transA: true }),
      };
      const results: unknown[] = [];
      for (const order of [0, 5]) {
        host!.setOrder(order);
        const blank = (count: number) => elements("bfloat16", new Float32Array(count).fill(NaN));
        const weight = () => new DeviceArray(new Float32Array(rank * width).fill(NaN));
        const got: Record<string, DeviceArray<Float32Array | Uint16Array>> = {
          hidden: blank(tokens * rank),
          dX: blank(tokens * width),
          "dX and past": elements("bfloat16", past),
          dA: weight(),
          "dA and before": new DeviceArray(before),
          y: elements("bfloat16", new Float32Array(tokens * stride).fill(7)),
          "y and base": elements("bfloat16", new Float32Array(tokens * stride).fill(7)),
          dHidden: blank(tokens * rank),
          dB: weight(),
        };
        const at = Object.fromEntries(
          Object.entries({ ...got, x, a, b, dy, hiddenIn: hidden, dHiddenIn: dHidden }).map((
            [name, { address }],
          ) => [name, address]),
        );
        const input = { dHidden: at.dHiddenIn, a: at.a };
        const gradient = { partials: partials.address, accumulate: false };
        kernels.down(STREAM, { x: at.x, a: at.a, hidden: at.hidden }, down);
        kernels.downInput(STREAM, { ...input, dX: at.dX }, down);
        const there = at["dX and past"];
        kernels.downInput(STREAM, { ...input, past: there, dX: there }, down);
        const ofX = { x: at.x, dHidden: at.dHiddenIn };
        kernels.downWeight(STREAM, { ...ofX, ...gradient, to: at.dA }, down);
        kernels.downWeight(
          STREAM,
          { ...ofX, ...gradient, to: at["dA and before"], accumulate: true },
          down,
        );
        kernels.up(STREAM, { hidden: at.hiddenIn, b: at.b, y: at.y }, sizes);
        kernels.up(
          STREAM,
          { hidden: at.hiddenIn, b: at.b, past: wideBase.address, y: at["y and base"] },
          sizes,
        );
        kernels.upHidden(STREAM, { dy: wideDy.address, b: at.b, dHidden: at.dHidden }, sizes);
        kernels.upWeight(
          STREAM,
          { hidden: at.hiddenIn, dy: wideDy.address, ...gradient, to: at.dB },
          sizes,
        );
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
      assert.deepEqual(results[1], results[0]);
      if (drops) assert.ok(expected.dX.includes(0) && expected.dX.some((each) => each !== 0));
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
      () => kernels.up(0n, { hidden: 0n, b: 0n, y: 0n }, { tokens: 1, width: 96 }),
      /a layer of width 96 in rows of 96: a width must be a multiple of 64, and a row's of 8/,
    );
  },
});
