import assert from "node:assert/strict";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { ParameterStore } from "../model/engine/parameter_store.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { randomWeights, tinyConfig } from "../tests/support/tiny_model.ts";
import { type AdaptedModel, adaptModel } from "./load_adapter.ts";
import { DEFAULT_LORA } from "./lora_options.ts";
import { PissaHalves, type PissaProgress } from "./pissa.ts";

const config = tinyConfig();
/** Twice the ranks 2, and 1 of one layer, which has more rows in memory. */
const LORA = {
  ...{ ...DEFAULT_LORA, rank: 4, alpha: 8, dropout: 0, targetModules: ["q_proj", "down_proj"] },
  ...{ rankPattern: { "layers.1.self_attn.q_proj": 2 }, layersToTransform: 1 },
};
const Q = "model.layers.1.self_attn.q_proj";
const DOWN = "model.layers.1.mlp.down_proj";
/** Of each layer the rank of its halves, its factor, and [out, in]. */
const LAYERS = [
  { layer: Q, rank: 1, scale: 4, outputs: 32, inputs: 16 },
  { layer: DOWN, rank: 2, scale: 2, outputs: 16, inputs: 24 },
] as const;

/** The same in all blocks: q_proj of the first block has the larger rank. */
const WIDER = { ...LORA, layersToTransform: [0, 1] };

/** Numbers of A and B, [width, in] and [out, width]. */
function matricesOf({ trained }: AdaptedModel, layer: string) {
  const [a, b] = ["A", "B"].map((of) => trained.tensor(`${layer}.lora_${of}.weight`));
  return { a: a.float32(), b: b.float32(), width: a.shape[0] };
}

Deno.test("PiSSA starts both halves from the largest singular values, so that they cancel each other", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  using adapted = adaptModel(runtime, { config, base, lora: WIDER });
  const halves = new PissaHalves(config, adapted);
  const told: PissaProgress[] = [];
  await halves.initialize(runtime, base, { onProgress: (each) => told.push(each) });
  assert.deepEqual(told, [0, 1, 2, 3, 4].map((done) => ({ done, total: 4 })));
  for (const { layer, rank, scale, outputs, inputs } of LAYERS) {
    const { a, b, width } = matricesOf(adapted, layer);
    assert.equal(width, 4);
    const w = base.tensor(`${layer}.weight`).float32();
    const { diagonal } = new SingularValueDecomposition(
      Matrix.from1DArray(outputs, inputs, w),
      { autoTranspose: true },
    );
    for (let i = 0; i < rank; i++) {
      const row = a.slice(i * inputs, (i + 1) * inputs);
      const columnOf = (at: number): Float32Array =>
        Float32Array.from({ length: outputs }, (_, o) => b[o * width + at]);
      const column = columnOf(i);
      // A = √(σ ÷ scale)·vᵀ, and W·Aᵀ = σ·B.
      const square = row.reduce((sum, each) => sum + each ** 2, 0);
      assertClose([square * scale], [diagonal[i]], { relativeToMax: 1e-5, label: `σ of ${layer}` });
      const image = column.map((_, o) =>
        row.reduce((sum, each, k) => sum + each * w[o * inputs + k], 0)
      );
      assertClose(image, column.map((each) => each * diagonal[i]), {
        relativeToMax: 1e-4,
        label: layer,
      });
      assert.deepEqual(a.slice((rank + i) * inputs, (rank + i + 1) * inputs), row);
      assert.deepEqual(
        columnOf(rank + i),
        column.map((each) => -each),
      );
    }
    // Beyond a block's own rank there is nothing.
    assert.ok(a.slice(2 * rank * inputs).every((each) => each === 0));
    assert.ok(b.every((each, at) => at % width < 2 * rank || each === 0));
  }
  // What it began with is what is put back.
  const { a } = matricesOf(adapted, Q);
  const began = a.slice(16, 32);
  a.fill(7);
  halves.restore();
  assert.deepEqual(a.slice(16, 32), began);
  assert.ok(a.slice(0, 16).every((each) => each === 7));
});

Deno.test("PiSSA is stopped by a signal, and may be left to nobody", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  using adapted = adaptModel(runtime, { config, base, lora: LORA });
  const halves = new PissaHalves(config, adapted);
  const signal = AbortSignal.abort(new Error("stopped"));
  await assert.rejects(halves.initialize(runtime, base, { signal }), /stopped/);
  await halves.initialize(runtime, base);
});

Deno.test("the second halves of PiSSA are kept, put back, and have no gradient", () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  using adapted = adaptModel(runtime, { config, base, lora: WIDER });
  const halves = new PissaHalves(config, adapted);
  const { trained } = adapted;
  /** Numbers of the second halves. */
  const seconds = { A: 0, B: 0 };
  const fill = (store: ParameterStore, number: (i: number) => number): void => {
    const values = store.flat.float32();
    values.forEach((_, i) => values[i] = number(i));
  };
  const original = Float32Array.from(trained.flat.float32(), (_, i) => i + 1);
  fill(trained, (i) => original[i]);
  halves.keep();
  fill(trained, (i) => -original[i]);
  halves.restore();
  using gradients = new ParameterStore(runtime, trained.layout);
  fill(gradients, () => 5);
  halves.clear(gradients);
  const all = [{ ...LAYERS[0], layer: Q.replace("1", "0"), rank: 2 }, ...LAYERS];
  for (const { layer, rank, inputs } of all) {
    for (const factor of ["A", "B"] as const) {
      const name = `${layer}.lora_${factor}.weight`;
      const offset = trained.layout.offsets.get(name)!;
      const width = 4;
      trained.tensor(name).float32().forEach((value, i) => {
        const at = factor === "A" ? Math.floor(i / inputs) : i % width;
        const second = at >= rank && at < 2 * rank;
        assert.equal(value, second ? original[offset + i] : -original[offset + i], `${name} ${i}`);
        assert.equal(gradients.tensor(name).float32()[i], second ? 0 : 5);
        if (second) seconds[factor]++;
      });
    }
  }
  assert.deepEqual(seconds, { A: 2 * 16 + 16 + 2 * 24, B: 2 * 32 + 32 + 2 * 16 });
});

Deno.test("what PiSSA trains of each matrix is its first half", () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  using adapted = adaptModel(runtime, { config, base, lora: LORA });
  assert.deepEqual([...new PissaHalves(config, adapted).sizes], [
    [`${Q}.lora_A.weight`, 1 * 16],
    [`${Q}.lora_B.weight`, 1 * 32],
    [`${DOWN}.lora_A.weight`, 2 * 24],
    [`${DOWN}.lora_B.weight`, 2 * 16],
  ]);
});
