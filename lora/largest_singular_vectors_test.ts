import assert from "node:assert/strict";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { draws } from "../tests/support/random.ts";
import { largestSingularVectors } from "./largest_singular_vectors.ts";

// Of the largest singular value, 1. Measured: 2.4e-7.
const ABSOLUTE = 1e-5;

/** Q of a random matrix: [size, count] with orthonormal columns. */
function orthonormal(size: number, count: number, seed: number): number[][] {
  const draw = draws(seed);
  const columns: number[][] = [];
  while (columns.length < count) {
    const column = Array.from({ length: size }, () => draw(-1, 1));
    for (let pass = 0; pass < 2; pass++) {
      for (const other of columns) {
        const share = column.reduce((sum, x, i) => sum + x * other[i], 0);
        other.forEach((x, i) => column[i] -= share * x);
      }
    }
    const norm = Math.hypot(...column);
    columns.push(column.map((x) => x / norm));
  }
  return columns;
}

// Of more and of fewer columns than are iterated, and of all.
for (const [outputs, inputs] of [[90, 70], [40, 120], [12, 9], [9, 30], [32, 50], [33, 33]]) {
  Deno.test(`largestSingularVectors() finds those of a [${outputs}, ${inputs}] matrix that was made of them`, async () => {
    using runtime = new Runtime({ threads: 1 });
    const least = Math.min(outputs, inputs);
    const [lefts, rights] = [orthonormal(outputs, least, 1), orthonormal(inputs, least, 2)];
    // Falls slowly, as a model's do.
    const values = Array.from({ length: least }, (_, i) => 1 / (1 + 0.1 * i));
    const matrix = new Float32Array(outputs * inputs);
    for (let row = 0; row < outputs; row++) {
      for (let column = 0; column < inputs; column++) {
        matrix[row * inputs + column] = values.reduce(
          (sum, value, i) => sum + value * lefts[i][row] * rights[i][column],
          0,
        );
      }
    }
    using tensor = Tensor.from(runtime, "float32", [outputs, inputs], matrix);
    const found = await largestSingularVectors(runtime, tensor, 4);
    let worst = 0;
    for (const [i, { value, left, right }] of found.entries()) {
      worst = Math.max(worst, Math.abs(value - values[i]));
      const sign = Math.sign(right.reduce((sum, x, k) => sum + x * rights[i][k], 0));
      right.forEach((x, k) => worst = Math.max(worst, Math.abs(x - sign * rights[i][k])));
      left.forEach((x, k) => worst = Math.max(worst, Math.abs(x - sign * lefts[i][k])));
      assert.ok(right.reduce((most, x) => Math.abs(x) > Math.abs(most) ? x : most, 0) > 0);
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(outputs, inputs, worst);
    assert.ok(worst < ABSOLUTE, `${worst}`);
    await assert.rejects(largestSingularVectors(runtime, tensor, least + 1), {
      name: "RangeError",
      message:
        `Cannot take ${least + 1} singular values of a matrix of [${outputs}, ${inputs}]: it has ` +
        `${least}; lower the rank`,
    });
  });
}

/** A signal that is never aborted, and counts how often it is asked: once in each iteration. */
class CountingSignal extends EventTarget {
  count = 0;
  throwIfAborted(): void {
    this.count++;
  }
}

/** A matrix with numbers on its diagonal alone, and how many iterations its largest singular values take. */
async function ofDiagonal(
  runtime: Runtime,
  [outputs, inputs]: readonly number[],
  diagonal: (i: number) => number,
) {
  const matrix = new Float32Array(outputs * inputs);
  for (let i = 0; i < Math.min(outputs, inputs); i++) matrix[i * inputs + i] = diagonal(i);
  using tensor = Tensor.from(runtime, "float32", [outputs, inputs], matrix);
  const signal = new CountingSignal();
  const found = await largestSingularVectors(runtime, tensor, 2, signal as unknown as AbortSignal);
  return { found, iterations: signal.count };
}

Deno.test("vectors are iterated twice as long as values take to converge, 31 times at most", async () => {
  using runtime = new Runtime({ threads: 1 });
  const cases: readonly (readonly [string, readonly number[], (i: number) => number, number])[] = [
    // 24 columns of 24 are all there are.
    ["all columns", [30, 24], (i) => 1 + i, 1],
    // Equal ones are what they were at the second look, and twice one and one more is three.
    ["equal values", [40, 40], () => 1, 4],
    // The second iteration finds them, the third that they did not change.
    ["values far apart", [40, 40], (i) => i < 2 ? 2 - i : 1e-3, 6],
    ["values close to each other", [150, 150], (i) => 1 - 0.001 * i, 31],
  ];
  for (const [name, shape, diagonal, iterations] of cases) {
    assert.equal((await ofDiagonal(runtime, shape, diagonal)).iterations, iterations, name);
  }
});

Deno.test("the vectors of a diagonal matrix are unit vectors, positive on the right", async () => {
  using runtime = new Runtime({ threads: 1 });
  const { found } = await ofDiagonal(runtime, [30, 28], (i) => i === 3 ? -2 : i === 5 ? 1 : 1e-3);
  const unit = (length: number, at: number, value: number) =>
    Array.from({ length }, (_, i) => i === at ? value : 0);
  const expected = [
    { value: 2, left: unit(30, 3, -1), right: unit(28, 3, 1) },
    { value: 1, left: unit(30, 5, 1), right: unit(28, 5, 1) },
  ];
  for (const [i, { value, left, right }] of expected.entries()) {
    assertClose([found[i].value], [value], { relativeToMax: ABSOLUTE, label: `σ ${i}` });
    assertClose(found[i].left, left, { relativeToMax: ABSOLUTE, label: `left ${i}` });
    assertClose(found[i].right, right, { relativeToMax: ABSOLUTE, label: `right ${i}` });
  }
});

Deno.test("a matrix of zeros has singular values of 0, and no vectors", async () => {
  using runtime = new Runtime({ threads: 1 });
  const { found, iterations } = await ofDiagonal(runtime, [40, 30], () => 0);
  const nothing = { value: 0, left: new Float64Array(40), right: new Float64Array(30) };
  assert.deepEqual([found, iterations], [[nothing, nothing], 2]);
});
