import assert from "node:assert/strict";
import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { roundToBfloat16 } from "../../ort/tensor/half.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { numbersOf, writeNumbers } from "../../tests/support/numbers.ts";
import { draws } from "../../tests/support/random.ts";
import { adamWConstants, adamWGraph } from "./adamw_graph.ts";
import type { GraphStateFormat } from "./state_format.ts";
import { sumOfSquaresGraph } from "./sum_of_squares_graph.ts";

const runtime = new Runtime({ threads: 2 });
const betas = { beta1: 0.9, beta2: 0.999 };
const BLOCKS = 8;
const N = 256 * BLOCKS;

/** An optimizer's tensors and a way to update them, emulated where they are bfloat16. */
function optimizer(format: GraphStateFormat, owned: DisposableStack) {
  const graph = adamWGraph(betas, true, format);
  const compiled = owned.use(new CompiledGraph(runtime, graph));
  const shape = format === "bfloat16-stochastic" ? [BLOCKS, 256] : [N];
  const tensors: Record<string, Tensor> = {};
  const random = MersenneTwister.fromSeed(3);
  const odd = () => (random.nextUint32() | 1) | 0;
  for (const { name, dtype, shape: { length } } of [...graph.inputs, ...graph.outputs]) {
    const input = graph.aliases.get(name);
    const sizes = name === "blocks" ? [BLOCKS, 1] : length === 0 ? [] : shape;
    tensors[name] = input ? tensors[input] : owned.use(Tensor.allocate(runtime, dtype, sizes));
    if (!input) tensors[name].bytes().fill(0);
  }
  tensors.blocks?.int32().forEach((_, i, all) => all[i] = odd());
  return {
    tensors,
    set: (name: string, make: (i: number) => number) =>
      writeNumbers(tensors[name], Float32Array.from({ length: N }, (_, i) => make(i))),
    get: (name: string) => numbersOf(tensors[name]),
    step: (learningRate: number, clip = 1) => {
      const scalars = { clip, step_size: learningRate, epsilon: 1e-8, decay: 1 };
      for (const [name, value] of Object.entries(scalars)) tensors[name].float32()[0] = value;
      if (tensors.seed) tensors.seed.int32()[0] = odd();
      compiled.run(tensors, { n: N, blocks: BLOCKS });
    },
  };
}

Deno.test("master keeps float32 parameters, and its bfloat16 copy is that rounded", () => {
  using owned = new DisposableStack();
  const [exact, mixed] = (["float32", "master"] as const).map((format) => optimizer(format, owned));
  for (const each of [exact, mixed]) {
    const draw = draws(1);
    each.set("p", () => draw());
    for (let step = 0; step < 5; step++) {
      each.set("g", () => roundToBfloat16(draw()));
      each.step(1e-3, 0.5);
    }
  }
  for (const name of ["p", "m", "v"]) assert.deepEqual(mixed.get(name), exact.get(name));
  assert.deepEqual(mixed.get("weight"), exact.get("p").map(roundToBfloat16));
});

Deno.test("bfloat16 computes in float32 and rounds what it stores to nearest", () => {
  using owned = new DisposableStack();
  const pure = optimizer("bfloat16", owned);
  const draw = draws(2);
  const [p, g] = [0, 1].map(() => Array.from({ length: N }, () => roundToBfloat16(draw())));
  pure.set("p", (i) => p[i]);
  pure.set("g", (i) => g[i]);
  pure.step(0.01);
  const m = g.map((each) => 0.1 * each);
  const v = g.map((each) => 0.001 * each * each);
  assertClose(pure.get("m"), m.map(roundToBfloat16), { relative: 2 ** -7, label: "m" });
  assertClose(pure.get("v"), v.map(roundToBfloat16), { relative: 2 ** -7, label: "v" });
  const moved = p.map((each, i) => roundToBfloat16(each - 0.01 * m[i] / (Math.sqrt(v[i]) + 1e-8)));
  assertClose(pure.get("p"), moved, { absolute: 2 ** -8, label: "p" });
  // Updates of a thousandth of a weight vanish.
  pure.set("p", () => 1);
  const stays = pure.get("p");
  for (let step = 0; step < 20; step++) pure.step(1e-4);
  assert.deepEqual(pure.get("p"), stays);
});

Deno.test("bfloat16-stochastic stores one of the two bfloat16 beside what was computed, right on average", () => {
  using owned = new DisposableStack();
  const stochastic = optimizer("bfloat16-stochastic", owned);
  // From a power of two down, where steps above and below differ.
  stochastic.set("p", () => 1);
  stochastic.set("g", () => 1);
  const exact = optimizer("float32", owned);
  exact.set("p", () => 1);
  exact.set("g", () => 1);
  const mean = (values: Float32Array) => values.reduce((sum, x) => sum + x, 0) / values.length;
  for (let step = 1; step <= 30; step++) {
    for (const each of [stochastic, exact]) each.step(1e-4);
    const values = stochastic.get("p");
    if (step > 1) continue;
    const [below, above] = [1 - 2 ** -8, 1];
    assert.ok(values.every((x) => x === below || x === above));
    const [wanted] = exact.get("p");
    const deviation = Math.sqrt((wanted - below) * (above - wanted) / N);
    assert.ok(Math.abs(mean(values) - wanted) < 4 * deviation, `${mean(values)}, not ${wanted}`);
  }
  for (const name of ["p", "m", "v"]) {
    const [got, wanted] = [mean(stochastic.get(name)), exact.get(name)[0]];
    const share = name === "p"
      ? Math.abs((got - wanted) / (1 - wanted))
      : Math.abs(got / wanted - 1);
    // Measured: 0.55 % of the way that p went, m 0.001 %, v 0.02 %.
    assert.ok(share < 0.01, `${name}: ${got}, not ${wanted}`);
  }
  const distinct = new Set(stochastic.get("p"));
  assert.ok(distinct.size > 2, "elements are rounded apart from each other");
});

Deno.test("bfloat16-stochastic is right on average between any two powers of two", () => {
  using owned = new DisposableStack();
  const stochastic = optimizer("bfloat16-stochastic", owned);
  // A moment that an update with no gradient takes to 0.9 of itself: numbers on and off the grid.
  const starts = Array.from({ length: 16 }, (_, i) => roundToBfloat16(1.115 * 2 ** (i / 8)));
  const sums = new Float64Array(starts.length);
  const trials = 40;
  for (let trial = 0; trial < trials; trial++) {
    stochastic.set("m", (i) => (i % 2 ? -1 : 1) * starts[i % 16]);
    stochastic.set("g", () => 0);
    stochastic.step(0);
    stochastic.get("m").forEach((m, i) => sums[i % 16] += (i % 2 ? -1 : 1) * m);
  }
  const draws = trials * N / 16;
  starts.forEach((start, i) => {
    const wanted = Math.fround(Math.fround(0.9) * start);
    const step = 2 ** (Math.floor(Math.log2(wanted)) - 7);
    const above = wanted / step - Math.floor(wanted / step);
    const deviation = step * Math.sqrt(above * (1 - above) / draws) + step * 1e-4;
    const error = Math.abs(sums[i] / draws - wanted);
    assert.ok(error < 4.5 * deviation, `${wanted}: off by ${error / deviation} deviations`);
  });
});

Deno.test("the sum of squares of bfloat16 gradients is float32's", () => {
  using owned = new DisposableStack();
  const draw = draws(5);
  const values = Float32Array.from({ length: 512 }, () => roundToBfloat16(draw(-40, 40)));
  const sums = (["float32", "bfloat16"] as const).map((dtype) => {
    const graph = sumOfSquaresGraph(dtype);
    const compiled = owned.use(new CompiledGraph(runtime, graph));
    const g = owned.use(Tensor.allocate(runtime, dtype, [2, 256]));
    writeNumbers(g, values);
    const sums = owned.use(Tensor.allocate(runtime, "float32", [2, 1]));
    compiled.run({ g, sums }, { blocks: 2 });
    return sums.float32().slice();
  });
  assert.deepEqual(sums[0], sums[1]);
});

Deno.test("AdamW's constants are torch's, without weight decay, but for those that are given", () => {
  const usual = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
  assert.deepEqual(adamWConstants(), usual);
  assert.deepEqual(adamWConstants({}), usual);
  const own = { beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.1 };
  for (const [name, value] of Object.entries(own)) {
    assert.deepEqual(adamWConstants({ [name]: value }), { ...usual, [name]: value });
  }
});
