import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { writeNumbers } from "../../tests/support/numbers.ts";
import {
  type GradientNorms,
  gradientNorms,
  inSevens,
  MOST_TOGETHER,
  onceFor,
  tensorSums,
} from "./gradient_norms.ts";

const runtime = new Runtime({ threads: 2 });
const shapes = [[], [3], [2, 3], [1], [4, 1], [2, 2, 2], [5], [300], [1, 6]];
const layout = layoutParameters(
  shapes.map((shape, i) => ({ name: `${i}`, shape, decays: shape.length > 1 })),
);

/** Whole numbers, and their squares summed tensor by tensor. */
function filled(owned: DisposableStack, dtype: "float32" | "bfloat16") {
  const gradients = owned.use(new ParameterStore(runtime, layout, { dtype }));
  const squares = shapes.map((shape, i) => {
    const count = shape.reduce((product, each) => product * each, 1);
    const values = Float32Array.from({ length: count }, (_, at) => i + at % 3 - 2);
    writeNumbers(gradients.tensor(`${i}`), values);
    return values.reduce((sum, each) => sum + each * each, 0);
  });
  return { gradients, squares };
}

function sumsOf({ sums, runs }: GradientNorms): number[] {
  sums.float32().fill(-1);
  for (const each of runs) each.run();
  return [...sums.float32()];
}

Deno.test("tensorSums() has a sum of squares for each tensor, seven to a run", () => {
  using owned = new DisposableStack();
  const { gradients, squares } = filled(owned, "float32");
  const norms = owned.use(tensorSums(runtime, gradients));
  assert.deepEqual(norms.sums.shape, [9, 1]);
  assert.equal(norms.runs.length, 2);
  assert.deepEqual(sumsOf(norms), squares);
  norms[Symbol.dispose]();
  assert.throws(() => norms.sums.float32(), ReferenceError);
});

for (const dtype of ["float32", "bfloat16"] as const) {
  Deno.test(`gradientNorms() has a sum for each block of a layout in ${dtype}, or of some ranges of it`, () => {
    using owned = new DisposableStack();
    const { gradients, squares } = filled(owned, dtype);
    // 256 elements decay, of 768; the tensor of 300 is in two blocks.
    assert.deepEqual([layout.decaying, layout.length], [256, 768]);
    const norms = owned.use(gradientNorms(runtime, gradients));
    assert.deepEqual(norms.sums.shape, [3, 1]);
    const [matrices, ...vectors] = sumsOf(norms);
    const total = (some: readonly number[]) => some.reduce((sum, i) => sum + squares[i], 0);
    assert.equal(matrices, total([2, 4, 5, 8]));
    assert.equal(vectors[0] + vectors[1], total([0, 1, 3, 6, 7]));
    const ranges = [{ start: 512, length: 256 }, { start: 0, length: 256 }];
    const some = owned.use(gradientNorms(runtime, gradients, ranges));
    assert.deepEqual(sumsOf(some), [matrices, -1, vectors[1]]);
    norms[Symbol.dispose]();
    assert.throws(() => norms.sums.float32(), ReferenceError);
  });
}

Deno.test("inSevens() keeps the order, and the last has what is left", () => {
  assert.equal(MOST_TOGETHER, 7);
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  assert.deepEqual(inSevens([]), []);
  assert.deepEqual(inSevens(numbers(7)), [numbers(7)]);
  assert.deepEqual(inSevens(numbers(15)), [
    [0, 1, 2, 3, 4, 5, 6],
    [7, 8, 9, 10, 11, 12, 13],
    [14],
  ]);
});

Deno.test("onceFor() makes one thing a key", () => {
  const made: string[] = [];
  const once = onceFor((key: string) => made.push(key));
  assert.deepEqual(["a", "b", "a", "b", "c"].map(once), [1, 2, 1, 2, 3]);
  assert.deepEqual(made, ["a", "b", "c"]);
});
