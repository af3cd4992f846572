import assert from "node:assert/strict";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
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
