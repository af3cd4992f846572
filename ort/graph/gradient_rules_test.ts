/** Every gradient rule against central differences in float64, and as the nodes that it writes. */

import assert from "node:assert/strict";
import { alongDirection, dot, weightedSum } from "../../tests/support/central_differences.ts";
import type { Dense } from "../../tests/support/dense.ts";
import {
  declare,
  type Declared,
  graphText,
  half,
  type Values,
  wide,
} from "../../tests/support/graph_text.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import { ownRuleCases, ruleCases, SYMBOLS } from "../../tests/support/rule_cases.ts";
import {
  beforeName,
  fillInputs,
  gradientOf,
  ruleBackward,
  ruleForward,
} from "../../tests/support/rule_graphs.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { GraphBuilder } from "./builder.ts";
import { gradient } from "./gradient.ts";
import { gradientRules } from "./gradient_rules.ts";
import type { Value } from "./ir.ts";
import * as ops from "./ops.ts";

// Times the largest derivative.
const FLOAT64 = 2e-7;
// An element that is wrong shows along nearly every direction.
const DIRECTIONS = 2;

Deno.test("every gradient rule has a case", () => {
  const covered = new Set(ruleCases.map(({ op }) => op));
  assert.deepEqual([...covered].sort(), Object.keys(gradientRules).sort());
  for (const each of [...ruleCases, ...ownRuleCases]) {
    const { nodes } = ruleForward(each, false);
    assert.ok(nodes.some(({ op }) => op === each.op), `${each.name} has no ${each.op}`);
  }
});

for (const each of [...ruleCases, ...ownRuleCases]) {
  for (const fanOut of [false, true]) {
    const title = `gradient rule of ${each.op}: ${each.name}${fanOut ? ", read twice" : ""}`;
    Deno.test(title, () => {
      const draw = draws(1);
      const forward = ruleForward(each, fanOut);
      const inputs = fillInputs(forward, draw, each.magnitude);
      const { y } = interpret(forward, inputs, SYMBOLS);
      const dy = dense(y.shape, () => draw());
      const loss = weightedSum(forward, "y", dy, SYMBOLS);
      const before: Record<string, Dense> = {};
      const moved = Object.keys(each.inputs).map((name) => {
        const { shape, data } = inputs[name];
        before[beforeName(name)] = dense(shape, () => draw());
        const directions = Array.from({ length: DIRECTIONS }, () => data.map(() => draw()));
        const slopes = directions.map((each) => alongDirection(loss, inputs, name, each));
        return { name, directions, slopes };
      });
      for (const accumulate of [false, true]) {
        const backward = ruleBackward(each, fanOut, accumulate);
        const exact = interpret(backward, { ...inputs, ...before, dy }, SYMBOLS);
        for (const { name, directions, slopes } of moved) {
          const start = before[beforeName(name)].data;
          const found = directions.map((each) => dot(exact[gradientOf(name)].data, each));
          const wanted = slopes.map((slope, i) =>
            accumulate ? slope + dot(start, directions[i]) : slope
          );
          const label = `d${name}${accumulate ? ", accumulated" : ""}`;
          assertClose(found, wanted, { relativeToMax: FLOAT64, label });
        }
      }
    });
  }
}

/** A case of one operation: the types and shapes of its inputs, those after `fixed` without a gradient. */
interface Written {
  readonly inputs: Declared;
  readonly fixed?: Declared;
  readonly build: (b: GraphBuilder, v: Values) => Value;
  readonly nodes: readonly string[];
}

/** The nodes of a case's gradients, which are called after their inputs. */
function writtenBy({ inputs, fixed = {}, build }: Written): string[] {
  const b = new GraphBuilder("g");
  const values = declare(b, { ...inputs, ...fixed });
  const y = build(b, values);
  const seeds = new Map([[y, b.input("dy", y.dtype, y.shape)]]);
  const names = Object.keys(inputs);
  const wrt = new Map(names.map((name) => [values[name], undefined]));
  const gradients = gradient(b, { seeds, wrt });
  for (const name of names) b.output(gradientOf(name), gradients.get(values[name])!);
  return graphText(b.build());
}

const positions = ["int64", [1, "n"]] as const;

const WRITTEN: Readonly<Record<string, Written>> = {
  "a bias in bfloat16, summed in a fixed order": {
    inputs: { x: half("n", 4), z: half(4) },
    build: (b, { x, z }) => ops.add(b, x, z),
    nodes: [
      "Expand_1 bfloat16 [1,n] = Expand(bfloat16(1), shape:1,n)",
      "Gemm_2 bfloat16 [1,4] = Gemm(Expand_1, dy) transA=0 transB=0",
      "d.z bfloat16 [4] = Reshape(Gemm_2, int64[4])",
      "d.x bfloat16 [n,4] = Identity(dy)",
    ],
  },
  "a column and a matrix, each summed where it was repeated": {
    inputs: { x: wide("n", 1, 4), z: wide(3, 1) },
    build: (b, { x, z }) => ops.add(b, x, z),
    nodes: [
      "d.x float32 [n,1,4] = ReduceSum(dy, int64[1]) keepdims=1",
      "ReduceSum_2 float32 [1,3,4] = ReduceSum(dy, int64[0]) keepdims=1",
      "ReduceSum_3 float32 [1,3,1] = ReduceSum(ReduceSum_2, int64[2]) keepdims=1",
      "d.z float32 [3,1] = Reshape(ReduceSum_3, int64[3 1])",
    ],
  },
  "one number in every row, not summed over a dimension of 1": {
    inputs: { x: wide("n", 1), z: wide(1, 1) },
    build: (b, { x, z }) => ops.add(b, x, z),
    nodes: [
      "d.z float32 [1,1] = ReduceSum(dy, int64[0]) keepdims=1",
      "d.x float32 [n,1] = Identity(dy)",
    ],
  },
  "a vector along the last of three dimensions": {
    inputs: { x: wide(2, "n", 4), z: wide(4) },
    build: (b, { x, z }) => ops.mul(b, x, z),
    nodes: [
      "d.x float32 [2,n,4] = Mul(dy, z)",
      "Mul_2 float32 [2,n,4] = Mul(dy, x)",
      "ReduceSum_3 float32 [1,n,4] = ReduceSum(Mul_2, int64[0]) keepdims=1",
      "ReduceSum_4 float32 [1,1,4] = ReduceSum(ReduceSum_3, int64[1]) keepdims=1",
      "d.z float32 [4] = Reshape(ReduceSum_4, int64[4])",
    ],
  },
  "a difference in bfloat16": {
    inputs: { x: half(2, 4), z: half(2, 4) },
    build: (b, { x, z }) => ops.sub(b, x, z),
    nodes: [
      "d.z bfloat16 [2,4] = Mul(dy, bfloat16(-1))",
      "d.x bfloat16 [2,4] = Identity(dy)",
    ],
  },
  "a quotient in bfloat16": {
    inputs: { x: half(2, 4), z: half(2, 4) },
    build: (b, { x, z }) => ops.div(b, x, z),
    nodes: [
      "Div_0 bfloat16 [2,4] = Div(x, z)",
      "d.x bfloat16 [2,4] = Div(dy, z)",
      "Mul_2 bfloat16 [2,4] = Mul(Div_0, bfloat16(-1))",
      "Div_3 bfloat16 [2,4] = Div(Mul_2, z)",
      "d.z bfloat16 [2,4] = Mul(dy, Div_3)",
    ],
  },
  "a cast, back in the type that the value came in": {
    inputs: { x: half("n", 4) },
    build: (b, { x }) => ops.cast(b, x, "float32"),
    nodes: ["d.x bfloat16 [n,4] = Cast(dy) to=16"],
  },
  "a linear layer with a bias": {
    inputs: { x: wide("n", 3), w: wide(4, 3), c: wide(4) },
    build: (b, { x, w, c }) => ops.linear(b, x, w, c),
    nodes: [
      "d.x float32 [n,3] = Gemm(dy, w) transA=0 transB=0",
      "d.w float32 [4,3] = Gemm(dy, x) transA=1 transB=0",
      "d.c float32 [4] = ReduceSum(dy, int64[0]) keepdims=0",
    ],
  },
  "a linear layer with an addend": {
    inputs: { x: wide("n", 3), w: wide(4, 3), c: wide("n", 4) },
    build: (b, { x, w, c }) => ops.linear(b, x, w, c),
    nodes: [
      "d.x float32 [n,3] = Gemm(dy, w) transA=0 transB=0",
      "d.w float32 [4,3] = Gemm(dy, x) transA=1 transB=0",
      "d.c float32 [n,4] = Identity(dy)",
    ],
  },
  "a matrix product": {
    inputs: { a: half(2, "n", 3), c: half(2, 4, 3) },
    build: (b, { a, c }) => ops.matmul(b, a, c, { transB: true, alpha: 0.5 }),
    nodes: [
      "d.a bfloat16 [2,n,3] = com.microsoft:FusedMatMul(dy, c) transA=0 transB=0 alpha=0.5f",
      "d.c bfloat16 [2,4,3] = com.microsoft:FusedMatMul(dy, a) transA=1 transB=0 alpha=0.5f",
    ],
  },
  "RMSNorm of bfloat16, in float32": {
    inputs: { x: half("n", 4), w: half(4) },
    build: (b, { x, w }) => ops.rmsNorm(b, x, w, 0.5)[0],
    nodes: [
      "SimplifiedLayerNormalization_0 bfloat16 [n,4], SimplifiedLayerNormalization_0.1 float32 [n,1] = " +
      "SimplifiedLayerNormalization(x, w) axis=-1 epsilon=0.5f stash_type=1",
      "Cast_1 float32 [n,4] = Cast(x) to=1",
      "Mul_2 float32 [n,4] = Mul(Cast_1, SimplifiedLayerNormalization_0.1)",
      "Cast_3 float32 [n,4] = Cast(dy) to=1",
      "Mul_4 float32 [n,4] = Mul(Cast_3, Mul_2)",
      "Reshape_5 float32 [n,4] = Reshape(Mul_4, int64[-1 4])",
      "ReduceSum_6 float32 [4] = ReduceSum(Reshape_5, int64[0]) keepdims=0",
      "d.w bfloat16 [4] = Cast(ReduceSum_6) to=16",
      "Cast_8 float32 [4] = Cast(w) to=1",
      "Mul_9 float32 [n,4] = Mul(Mul_4, Cast_8)",
      "ReduceSum_10 float32 [n,1] = ReduceSum(Mul_9, int64[-1]) keepdims=1",
      "Mul_11 float32 [n,1] = Mul(ReduceSum_10, (0.25))",
      "Mul_12 float32 [n,4] = Mul(Cast_3, Cast_8)",
      "Mul_13 float32 [n,4] = Mul(Mul_2, Mul_11)",
      "Sub_14 float32 [n,4] = Sub(Mul_12, Mul_13)",
      "Mul_15 float32 [n,4] = Mul(Sub_14, SimplifiedLayerNormalization_0.1)",
      "d.x bfloat16 [n,4] = Cast(Mul_15) to=16",
    ],
  },
  "softmax of bfloat16, in float32": {
    inputs: { x: half("n", 4) },
    build: (b, { x }) => ops.softmax(b, x),
    nodes: [
      "Softmax_0 bfloat16 [n,4] = Softmax(x) axis=-1",
      "Cast_1 float32 [n,4] = Cast(Softmax_0) to=1",
      "Cast_2 float32 [n,4] = Cast(dy) to=1",
      "Mul_3 float32 [n,4] = Mul(Cast_2, Cast_1)",
      "ReduceSum_4 float32 [n,1] = ReduceSum(Mul_3, int64[-1]) keepdims=1",
      "Sub_5 float32 [n,4] = Sub(Cast_2, ReduceSum_4)",
      "Mul_6 float32 [n,4] = Mul(Cast_1, Sub_5)",
      "d.x bfloat16 [n,4] = Cast(Mul_6) to=16",
    ],
  },
  "a rotation of whole heads": {
    inputs: { x: half(1, "n", 24) },
    fixed: { positions, cos: half("p", 4), sin: half("p", 4) },
    build: (b, { x, positions, cos, sin }) => ops.rope(b, x, { positions, cos, sin, heads: 3 }),
    nodes: [
      "Mul_1 bfloat16 [p,4] = Mul(sin, bfloat16(-1))",
      "d.x bfloat16 [1,n,24] = com.microsoft:RotaryEmbedding(dy, positions, cos, Mul_1)",
    ],
  },
  "a rotation of a part of heads": {
    inputs: { x: half(1, "n", 24) },
    fixed: { positions, cos: half("p", 2), sin: half("p", 2) },
    build: (b, { x, positions, cos, sin }) => ops.rope(b, x, { positions, cos, sin, heads: 3 }),
    nodes: [
      "Mul_1 bfloat16 [p,2] = Mul(sin, bfloat16(-1))",
      "d.x bfloat16 [1,n,24] = com.microsoft:RotaryEmbedding(dy, positions, cos, Mul_1) num_heads=3 " +
      "rotary_embedding_dim=4",
    ],
  },
  "a slice that is all there is": {
    inputs: { x: half("n", 6) },
    build: (b, { x }) => ops.slice(b, x, { axis: 1, start: 0, end: 6 }),
    nodes: ["d.x bfloat16 [n,6] = Identity(dy)"],
  },
  "the first rows": {
    inputs: { x: half(5, 6) },
    build: (b, { x }) => ops.slice(b, x, { axis: 0, start: 0, end: 4 }),
    nodes: [
      "Expand_1 bfloat16 [1,6] = Expand(bfloat16(0), int64[1 6])",
      "d.x bfloat16 [5,6] = Concat(dy, Expand_1) axis=0",
    ],
  },
  "the last column": {
    inputs: { x: half(5, 6) },
    build: (b, { x }) => ops.slice(b, x, { axis: 1, start: 5, end: 6 }),
    nodes: [
      "Expand_1 bfloat16 [5,5] = Expand(bfloat16(0), int64[5 5])",
      "d.x bfloat16 [5,6] = Concat(Expand_1, dy) axis=1",
    ],
  },
  "columns in between": {
    inputs: { x: wide("n", 6) },
    build: (b, { x }) => ops.slice(b, x, { axis: 1, start: 1, end: 3 }),
    nodes: [
      "Expand_1 float32 [n,1] = Expand((0), shape:n,1)",
      "Expand_2 float32 [n,3] = Expand((0), shape:n,3)",
      "d.x float32 [n,6] = Concat(Expand_1, dy, Expand_2) axis=1",
    ],
  },
  "what was repeated": {
    inputs: { x: wide("n", 1, 3) },
    build: (b, { x }) => ops.expand(b, x, ["n", 2, 3]),
    nodes: ["d.x float32 [n,1,3] = ReduceSum(dy, int64[1]) keepdims=1"],
  },
};

for (const [name, each] of Object.entries(WRITTEN)) {
  Deno.test(`the gradient of ${name} has the nodes of its formula`, () => {
    assert.deepEqual(writtenBy(each), each.nodes);
  });
}
