import assert from "node:assert/strict";
import { graphOf, graphText, wide } from "../../tests/support/graph_text.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { gradient } from "./gradient.ts";
import { indicator, unitLowerInverse } from "./unit_lower_inverse.ts";

Deno.test("unitLowerInverse() times 1 + A is 1, of any size", () => {
  const draw = draws(1);
  for (const size of [2, 3, 4, 5, 8, 9]) {
    const graph = graphOf({ a: wide("n", size, size) }, (b, { a }) => unitLowerInverse(b, a));
    // What is not below the diagonal is not read.
    const a = dense([2, size, size], () => draw());
    const { y } = interpret(graph, { a }, { n: 2 });
    const at = (matrix: number, i: number, j: number) => (matrix * size + i) * size + j;
    const below = (matrix: number, i: number, j: number): number =>
      i === j ? 1 : i > j ? a.data[at(matrix, i, j)] : 0;
    const products = a.data.map((_, index) => {
      const [matrix, i, j] = [
        Math.floor(index / size ** 2),
        Math.floor(index / size) % size,
        index % size,
      ];
      let sum = 0;
      for (let k = 0; k < size; k++) sum += below(matrix, i, k) * y.data[at(matrix, k, j)];
      return sum;
    });
    const ones = products.map((_, index) =>
      Number(Math.floor(index / size) % size === index % size)
    );
    assertClose(products, ones, { relativeToMax: 1e-12, label: `${size}` });
  }
});

Deno.test("unitLowerInverse() joins blocks of 1, 2 and so on, and its gradient is −X⁻ᵀ·dy·X⁻ᵀ below the diagonal", () => {
  const four = ["n", 4, 4] as const;
  const graph = graphOf({ a: wide(...four), dy: wide(...four) }, (b, { a, dy }) => {
    const inverse = unitLowerInverse(b, a);
    const seeds = new Map([[inverse, dy]]);
    return [inverse, gradient(b, { seeds, wrt: new Map([[a, undefined]]) }).get(a)!];
  });
  assert.deepEqual(graphText(graph), [
    "Reshape_0 float32 [4,4] = Reshape([1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1], int64[4 4])",
    "Reshape_1 float32 [4,4] = Reshape([0 0 0 0 1 0 0 0 0 0 0 0 0 0 1 0], int64[4 4])",
    "Mul_2 float32 [n,4,4] = Mul(a, Reshape_1)",
    "Sub_3 float32 [n,4,4] = Sub(Reshape_0, Mul_2)",
    "Reshape_4 float32 [4,4] = Reshape([0 0 0 0 0 0 0 0 1 1 0 0 1 1 0 0], int64[4 4])",
    "Mul_5 float32 [n,4,4] = Mul(a, Reshape_4)",
    "FusedMatMul_6 float32 [n,4,4] = com.microsoft:FusedMatMul(Sub_3, Mul_5) transA=0 transB=0 alpha=1f",
    "FusedMatMul_7 float32 [n,4,4] = com.microsoft:FusedMatMul(FusedMatMul_6, Sub_3) transA=0 " +
    "transB=0 alpha=1f",
    "y float32 [n,4,4] = Sub(Sub_3, FusedMatMul_7)",
    "FusedMatMul_9 float32 [n,4,4] = com.microsoft:FusedMatMul(y, dy) transA=1 transB=0 alpha=1f",
    "FusedMatMul_10 float32 [n,4,4] = com.microsoft:FusedMatMul(FusedMatMul_9, y) transA=0 transB=1 " +
    "alpha=-1f",
    "Reshape_11 float32 [4,4] = Reshape([0 0 0 0 1 0 0 0 1 1 0 0 1 1 1 0], int64[4 4])",
    "y1 float32 [n,4,4] = Mul(FusedMatMul_10, Reshape_11)",
  ]);
});

Deno.test("indicator() is 1 where its rows and columns are among those asked for", () => {
  const graph = graphOf({}, (b) => indicator(b, 3, (row, column) => row === 1 && column === 2));
  assert.deepEqual(graphText(graph), [
    "y float32 [3,3] = Reshape([0 0 0 0 0 1 0 0 0], int64[3 3])",
  ]);
});
