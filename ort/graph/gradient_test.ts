import assert from "node:assert/strict";
import { graphText } from "../../tests/support/graph_text.ts";
import { type GradientContext, GraphBuilder } from "./builder.ts";
import { gradient } from "./gradient.ts";
import type { Value } from "./ir.ts";
import * as ops from "./ops.ts";

/** A builder with x [n, 4] and weight w [4, 4]. */
function start(): { b: GraphBuilder; x: Value; w: Value } {
  const b = new GraphBuilder("g");
  return { b, x: b.input("x", "float32", ["n", 4]), w: b.input("w", "float32", [4, 4]) };
}

/** The gradient of y by the wanted values, seeded with an input of y's shape. */
function differentiate(
  b: GraphBuilder,
  y: Value,
  wrt: readonly (readonly [Value, Value | undefined])[],
): Map<Value, Value> {
  const dy = b.input("dy", "float32", y.shape);
  return gradient(b, { seeds: new Map([[y, dy]]), wrt: new Map(wrt) });
}

Deno.test("gradient() says which operation has no rule", () => {
  const { b, x } = start();
  const y = ops.sqrt(b, ops.mul(b, x, x));
  assert.throws(() => differentiate(b, y, [[x, undefined]]), {
    name: "Error",
    message: `Cannot differentiate graph g: no gradient rule for Sqrt (${y.name})`,
  });
});

Deno.test("gradient() needs no rule for what does not depend on a wanted value", () => {
  const { b, x, w } = start();
  const y = ops.add(b, ops.linear(b, x, w), ops.sqrt(b, x));
  b.output("dw", differentiate(b, y, [[w, undefined]]).get(w)!);
  assert.deepEqual(b.build().nodes.map(({ op }) => op), ["Gemm"]);
});

/** What a rule cannot do: the message, and a graph's value with the input that is wanted. */
type Refusal = [RegExp, (b: GraphBuilder, x: Value, w: Value) => [Value, Value]];

const refusals: readonly Refusal[] = [
  [
    /^Cannot differentiate Add \(Add_1\): no gradient rule for its broadcast input bias \[1,4\]$/,
    (b, x) => {
      const bias = b.input("bias", "bfloat16", [1, 4]);
      return [ops.cast(b, ops.add(b, ops.cast(b, x, "bfloat16"), bias), "float32"), bias];
    },
  ],
  [
    /^Cannot differentiate Mul \(Mul_1\): no gradient rule for its broadcast input factor \[\]$/,
    (b, x) => {
      const factor = b.input("factor", "bfloat16", []);
      return [ops.cast(b, ops.mul(b, ops.cast(b, x, "bfloat16"), factor), "float32"), factor];
    },
  ],
  [
    /^Cannot differentiate Gemm: no gradient rule but for x·Wᵀ$/,
    (b, x, w) => [ops.gemm(b, x, w), x],
  ],
  [
    /^Cannot differentiate QuickGelu: no gradient rule but for alpha 1$/,
    (b, x) => [b.node("QuickGelu", [x], [x], { attributes: { alpha: 1.702 } })[0], x],
  ],
  [
    /no gradient rule for the second output of SimplifiedLayerNormalization$/,
    (b, x) => {
      const [y, invStd] = ops.rmsNorm(b, x, b.float32([1, 1, 1, 1]), 1e-6);
      const column = b.input("column", "float32", [4, 1]);
      return [ops.mul(b, y, ops.linear(b, invStd, column)), x];
    },
  ],
  [
    /^Cannot differentiate RMSNorm of wide: its width n is not fixed$/,
    (b) => {
      const wide = b.input("wide", "float32", [3, "n"]);
      return [ops.rmsNorm(b, wide, b.input("g", "float32", ["n"]), 1e-6)[0], wide];
    },
  ],
  [
    /^Cannot differentiate RMSNorm of deep: expected \[rows, width\]$/,
    (b) => {
      const deep = b.input("deep", "float32", ["n", 2, 4]);
      const weight = b.input("weight", "float32", [4]);
      return [ops.rmsNorm(b, deep, weight, 1e-6)[0], weight];
    },
  ],
];

Deno.test("gradient() refuses what its rules do not cover instead of answering wrongly", () => {
  for (const [message, make] of refusals) {
    const { b, x, w } = start();
    const [y, wanted] = make(b, x, w);
    assert.throws(() => differentiate(b, y, [[wanted, undefined]]), { name: "Error", message });
  }
});

Deno.test("gradient() names the wanted values that the seeds do not depend on", () => {
  for (const accumulated of [false, true]) {
    const { b, x, w } = start();
    const other = b.input("other", "float32", [4, 4]);
    const before = accumulated ? b.input("before", "float32", [4, 4]) : undefined;
    assert.throws(() => differentiate(b, ops.linear(b, x, w), [[w, undefined], [other, before]]), {
      message: "Cannot differentiate graph g: the seeds do not depend on other",
    });
  }
});

Deno.test("gradient() refuses a seed of another shape", () => {
  const { b, x, w } = start();
  const seeds = new Map([[ops.linear(b, x, w), w]]);
  assert.throws(() => gradient(b, { seeds, wrt: new Map([[w, undefined]]) }), {
    name: "RangeError",
    message: "Cannot start at Gemm_0 [n,4] with a gradient of shape [4,4]",
  });
});

Deno.test("gradient() refuses to accumulate where the gradient is passed on", () => {
  const { b, x, w } = start();
  const h = ops.linear(b, x, w);
  const before = b.input("before", "float32", h.shape);
  assert.throws(() => differentiate(b, ops.silu(b, h), [[w, undefined], [h, before]]), {
    message: "Cannot differentiate graph g: Gemm_0 has an accumulator but is no input",
  });
  const other = start();
  const seeds = new Map([[other.w, other.b.input("dw", "float32", [4, 4])]]);
  const accumulator = other.b.input("before", "float32", [4, 4]);
  assert.throws(
    () => gradient(other.b, { seeds, wrt: new Map([[other.w, accumulator]]) }),
    { message: "Cannot differentiate graph g: w has both a seed and an accumulator" },
  );
});

Deno.test("gradient() starts at a value that has become an output", () => {
  const { b, x, w } = start();
  const y = ops.linear(b, x, w);
  b.output("y", y);
  b.output("dw", differentiate(b, y, [[w, undefined]]).get(w)!);
  assert.deepEqual(b.build().nodes.map(({ op }) => op), ["Gemm", "Gemm"]);
});

Deno.test("gradient() of several readers needs no Add where a Gemm can take the sum so far", () => {
  const { b, x, w } = start();
  const y = ops.linear(b, ops.linear(b, x, w), w);
  const before = b.input("before", "float32", [4, 4]);
  const dw = differentiate(b, y, [[w, before]]).get(w)!;
  b.output("dw", dw, { inPlaceOf: before });
  const { nodes } = b.build();
  assert.deepEqual(nodes.map(({ op }) => op), ["Gemm", "Gemm", "Gemm", "Gemm"]);
  assert.equal(nodes.filter(({ inputs }) => inputs.length === 3).length, 2);
});

Deno.test("the built backward graph recomputes only what the gradients read", () => {
  const { b, x, w } = start();
  const y = ops.silu(b, ops.linear(b, x, w));
  const gradients = differentiate(b, y, [[x, undefined]]);
  b.output("dx", gradients.get(x)!);
  const { nodes, outputs } = b.build();
  assert.ok(!nodes.some(({ attributes }) => attributes.transA === 1n), "dw is not computed");
  assert.deepEqual(outputs.map(({ name }) => name), ["dx"]);
});

Deno.test("gradient() starts at several values, and adds what comes back along each way", () => {
  const { b, x, w } = start();
  const [y, z] = [ops.linear(b, x, w), ops.mul(b, x, x)];
  const [dy, dz] = ["dy", "dz"].map((name) => b.input(name, "float32", ["n", 4]));
  const before = b.input("before", "float32", ["n", 4]);
  const gradients = gradient(b, {
    seeds: new Map([[y, dy], [z, dz]]),
    wrt: new Map([[w, undefined], [x, before]]),
  });
  assert.deepEqual([...gradients.keys()], [w, x]);
  b.output("dx", gradients.get(x)!);
  b.output("dw", gradients.get(w)!);
  assert.deepEqual(graphText(b.build()), [
    "Mul_2 float32 [n,4] = Mul(dz, x)",
    "Add_3 float32 [n,4] = Add(before, Mul_2)",
    "Mul_4 float32 [n,4] = Mul(dz, x)",
    "Add_5 float32 [n,4] = Add(Add_3, Mul_4)",
    "dx float32 [n,4] = Gemm(dy, w, Add_5) transA=0 transB=0",
    "dw float32 [4,4] = Gemm(dy, x) transA=1 transB=0",
  ]);
});

Deno.test("gradient() of a computed value stops there, and goes on where more is wanted", () => {
  const { b, x, w } = start();
  const h = ops.linear(b, x, w);
  const gradients = differentiate(b, ops.exp(b, h), [[h, undefined], [w, undefined]]);
  b.output("dh", gradients.get(h)!);
  b.output("dw", gradients.get(w)!);
  assert.deepEqual(graphText(b.build()), [
    "Gemm_0 float32 [n,4] = Gemm(x, w) transA=0 transB=1",
    "Exp_1 float32 [n,4] = Exp(Gemm_0)",
    "dh float32 [n,4] = Mul(dy, Exp_1)",
    "dw float32 [4,4] = Gemm(dh, x) transA=1 transB=0",
  ]);
});

Deno.test("gradient() takes the second output's operation where only its first is read", () => {
  const { b, x } = start();
  const weight = b.float32([1, 2, 3, 4]);
  const [y, invStd] = ops.rmsNorm(b, x, weight, 1e-6);
  // Read by what no seed depends on.
  b.output("inv", ops.exp(b, invStd));
  const dx = differentiate(b, y, [[x, undefined]]).get(x)!;
  assert.deepEqual(dx.shape, ["n", 4]);
});

Deno.test("a value's own gradient is taken in place of its operations', and told what it may give", () => {
  const { b, x, w } = start();
  const mask = b.input("mask", "float32", [4]);
  const before = b.input("before", "float32", ["n", 4]);
  const seen: unknown[] = [];
  const square = ops.mul(b, x, x);
  const y = ops.sqrt(b, square);
  b.differentiate(y, {
    inputs: [mask, x, w],
    rule: ({ dy, needs, partial, give }: GradientContext) => {
      seen.push(dy.name, [0, 1, 2, 3].map(needs), [0, 1, 2].map((i) => partial(i)?.name));
      give(0, () => assert.fail("needs none"));
      give(3, () => assert.fail("there is none"));
      give(1, (past) => {
        seen.push(past?.name);
        return ops.add(b, past!, dy);
      });
      give(2, (past) => {
        seen.push(past?.name);
        return w;
      });
      seen.push([0, 1, 2].map((i) => partial(i)?.name));
    },
  });
  b.output("y", y);
  const gradients = differentiate(b, y, [[x, before], [w, undefined]]);
  assert.deepEqual(seen, [
    ...["dy", [false, true, true, false], [undefined, "before", undefined], "before", undefined],
    [undefined, gradients.get(x)!.name, "w"],
  ]);
  b.output("dx", gradients.get(x)!);
  assert.deepEqual(graphText(b.build()), [
    "Mul_0 float32 [n,4] = Mul(x, x)",
    "y float32 [n,4] = Sqrt(Mul_0)",
    "dx float32 [n,4] = Add(before, dy)",
  ]);
});

Deno.test("an own gradient's inputs are what they have become", () => {
  const { b, x, w } = start();
  const h = ops.linear(b, x, w);
  const y = ops.sqrt(b, h);
  b.differentiate(y, { inputs: [h], rule: ({ dy, give }) => give(0, () => dy) });
  b.output("h", h);
  b.output("dw", differentiate(b, y, [[w, undefined]]).get(w)!);
  assert.deepEqual(graphText(b.build()), [
    "h float32 [n,4] = Gemm(x, w) transA=0 transB=1",
    "dw float32 [4,4] = Gemm(dy, x) transA=1 transB=0",
  ]);
});

Deno.test("gradient() of a seeded value is its seed, and what comes back from its readers is added", () => {
  const { b, x } = start();
  const [dx, dy] = ["dx", "dy"].map((name) => b.input(name, "float32", ["n", 4]));
  const wrt = new Map([[x, undefined]]);
  assert.equal(gradient(b, { seeds: new Map([[x, dx]]), wrt }).get(x), dx);
  const y = ops.exp(b, x);
  b.output("d", gradient(b, { seeds: new Map([[x, dx], [y, dy]]), wrt }).get(x)!);
  assert.deepEqual(graphText(b.build()), [
    "Exp_0 float32 [n,4] = Exp(x)",
    "Mul_1 float32 [n,4] = Mul(dy, Exp_0)",
    "d float32 [n,4] = Add(dx, Mul_1)",
  ]);
});
