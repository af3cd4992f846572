import assert from "node:assert/strict";
import { modelParameters } from "../parameters.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { readAll, readFloat32 } from "../../ort/tensor/tensor_source.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { LAYOUT_BLOCK, layoutParameters, ParameterStore } from "./parameter_store.ts";

const runtime = new Runtime({ threads: 2 });
const specs = [
  { name: "norm", shape: [5], decays: false },
  { name: "matrix", shape: [3, 7], decays: true },
  { name: "bias", shape: [16], decays: false },
  { name: "table", shape: [10, 4], decays: true },
];

Deno.test("a layout puts decaying tensors first, each at a cache line, in order", () => {
  const layout = layoutParameters(specs);
  assert.deepEqual([...layout.offsets], [
    ["matrix", 0],
    ["table", 32],
    ["norm", LAYOUT_BLOCK],
    ["bias", LAYOUT_BLOCK + 16],
  ]);
  assert.equal(layout.decaying, LAYOUT_BLOCK);
  assert.equal(layout.length, 2 * LAYOUT_BLOCK);
  assert.equal(layout.specs, specs);
});

Deno.test("a model's layout holds every tensor once and none overlaps another", () => {
  for (const tie_word_embeddings of [true, false]) {
    const all = modelParameters(tinyConfig({ tie_word_embeddings }));
    const layout = layoutParameters(all);
    const spans = all.map(({ name, shape, decays }) => {
      const start = layout.offsets.get(name)!;
      assert.equal(start % 16, 0, name);
      assert.equal(start < layout.decaying, decays, name);
      return [start, start + elementCount(shape)];
    }).sort(([a], [b]) => a - b);
    spans.forEach(([start], i) => assert.ok(i === 0 || start >= spans[i - 1][1]));
    assert.ok(spans.at(-1)![1] <= layout.length);
    assert.equal(layout.decaying % LAYOUT_BLOCK, 0);
    assert.equal(layout.length % LAYOUT_BLOCK, 0);
  }
});

Deno.test("a store's tensors are views of its flat memory, and the gaps between are zero", () => {
  const layout = layoutParameters(specs);
  // Dirty memory that the next allocation of that size is likely to get.
  using dirty = new ParameterStore(runtime, layout);
  dirty.flat.float32().fill(NaN);
  dirty[Symbol.dispose]();
  using store = new ParameterStore(runtime, layout);
  for (const { name } of specs) store.tensor(name).float32().fill(1);
  const flat = store.flat.float32();
  assert.equal(flat.length, layout.length);
  const filled = new Set(
    specs.flatMap(({ name, shape }) =>
      Array.from({ length: elementCount(shape) }, (_, i) => layout.offsets.get(name)! + i)
    ),
  );
  flat.forEach((value, i) => assert.equal(value, filled.has(i) ? 1 : 0, `element ${i}`));
});

Deno.test("a store is a tensor source", async () => {
  using store = new ParameterStore(runtime, layoutParameters(specs));
  store.tensor("matrix").float32().set(Array.from({ length: 21 }, (_, i) => i));
  assert.deepEqual(store.names(), ["norm", "matrix", "bias", "table"]);
  assert.deepEqual(store.info("matrix"), { dtype: "float32", shape: [3, 7] });
  assert.deepEqual(
    [...await readFloat32(store, "matrix")],
    Array.from({ length: 21 }, (_, i) => i),
  );
  const part = new Uint8Array(8);
  await store.read("matrix", part, 12);
  assert.deepEqual([...new Float32Array(part.buffer)], [3, 4]);
  assert.equal((await readAll(store, "norm")).byteLength, 20);
});

Deno.test("a store refuses unknown names and reads past a tensor's end", async () => {
  using store = new ParameterStore(runtime, layoutParameters(specs));
  assert.throws(() => store.tensor("matrx"), { name: "RangeError", message: /"matrx".*"matrix"/ });
  await assert.rejects(store.read("nothing", new Uint8Array(4)), RangeError);
  await assert.rejects(store.read("norm", new Uint8Array(8), 16), RangeError);
});

Deno.test("a store of bfloat16 has the layout of one of float32, in half the bytes", () => {
  const layout = layoutParameters(specs);
  using wide = new ParameterStore(runtime, layout);
  using narrow = new ParameterStore(runtime, layout, { dtype: "bfloat16" });
  assert.equal(narrow.flat.byteLength, wide.flat.byteLength / 2);
  assert.deepEqual(narrow.info("matrix"), { dtype: "bfloat16", shape: [3, 7] });
  narrow.flat.bytes().fill(1);
  for (const name of narrow.names()) narrow.tensor(name).zero();
  const gaps = layout.length - specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  assert.equal(narrow.flat.bytes().filter((byte) => byte === 1).length, 2 * gaps);
});
