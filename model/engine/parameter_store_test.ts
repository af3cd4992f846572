import assert from "node:assert/strict";
import { modelParameters } from "../parameters.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { readAll, readFloat32 } from "../../ort/tensor/tensor_source.ts";
import { openObjects } from "../../tests/support/open_objects.ts";
import { recordedRuntime } from "../../tests/support/recorded_runtime.ts";
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

Deno.test("parameters that lie one after the other are one tensor, row after row", () => {
  const layout = layoutParameters([
    { name: "norm", shape: [4], decays: false },
    { name: "a", shape: [4, 4], decays: true },
    { name: "b", shape: [8, 4], decays: true },
    { name: "c", shape: [3, 4], decays: true },
    { name: "d", shape: [2, 4], decays: true },
  ]);
  for (const dtype of ["float32", "bfloat16"] as const) {
    using store = new ParameterStore(runtime, layout, { dtype });
    const bytes = store.flat.bytes();
    bytes.forEach((_, i) => bytes[i] = i % 251);
    const width = dtype === "float32" ? 4 : 2;
    const stack = store.stacked(["b", "c"]);
    assert.deepEqual([stack.dtype, stack.shape], [dtype, [11, 4]]);
    assert.deepEqual(stack.bytes(), bytes.subarray(16 * width, 60 * width));
    // The same tensor each time, and no parameter more.
    assert.equal(store.stacked(["b", "c"]), stack);
    assert.deepEqual(store.stacked(["a", "b", "c"]).shape, [15, 4]);
    assert.deepEqual(store.stacked(["d"]).shape, [2, 4]);
    assert.deepEqual(store.names(), ["norm", "a", "b", "c", "d"]);
    // c has 12 numbers of a cache line's 16.
    assert.throws(() => store.stacked(["b", "c", "d"]), {
      message: "Cannot stack d on c: it does not begin where that ends",
    });
    assert.throws(() => store.stacked(["b", "a"]), {
      message: "Cannot stack a on b: it does not begin where that ends",
    });
  }
});

Deno.test("tensors of several types have memory of their own each", async () => {
  const dtypes = new Map([["matrix", "float16"]] as const);
  using store = new ParameterStore(runtime, layoutParameters(specs), { dtype: "bfloat16", dtypes });
  assert.deepEqual(
    specs.map(({ name }) => store.info(name).dtype),
    ["bfloat16", "float16", "bfloat16", "bfloat16"],
  );
  assert.equal(store.byteLength, 2 * (5 + 21 + 16 + 40));
  assert.deepEqual([store.has("matrix"), store.has("other")], [true, false]);
  for (const { name } of specs) store.tensor(name).bytes().fill(3);
  store.zero();
  for (const { name } of specs) assert.ok(store.tensor(name).bytes().every((byte) => byte === 0));
  assert.throws(() => store.flat, {
    name: "RangeError",
    message: "Cannot take parameters on cpu as one tensor: each is a buffer of its own",
  });
  store.tensor("table").bytes().forEach((_, i, bytes) => bytes[i] = i);
  const part = new Uint8Array(4);
  await store.read("table", part, 6);
  assert.deepEqual([...part], [6, 7, 8, 9]);
});

Deno.test("zero() clears all of a store, and its bytes are those of its layout", () => {
  using store = new ParameterStore(runtime, layoutParameters(specs));
  assert.equal(store.byteLength, 4 * 512);
  store.flat.float32().fill(5);
  store.zero();
  assert.ok(store.flat.float32().every((each) => each === 0));
});

Deno.test("where no piece of a tensor can be read alone, pieces are those of one read", async () => {
  const device = { kind: "webgpu" } as const;
  const { runtime: own, take } = recordedRuntime(device, { viewsAtOffset: false });
  let reads = 0;
  own.place(device).tensors!.download = (_, into) => {
    reads++;
    into.forEach((_, i) => into[i] = 25 * reads + i);
  };
  const store = new ParameterStore(own, layoutParameters([specs[0], specs[2]]));
  /** Of which of the device's reads the bytes are. */
  const read = async (name: string, offset: number, bytes: number) => {
    const into = new Uint8Array(bytes);
    await store.read(name, into, offset);
    assert.deepEqual([...into], Array.from(into, (_, i) => into[0] + i));
    return (into[0] - offset) / 25;
  };
  assert.equal(await read("norm", 0, 20), 1);
  assert.deepEqual([await read("norm", 0, 8), await read("norm", 8, 8)], [2, 2]);
  assert.equal(await read("norm", 16, 4), 2);
  // Read to its end, it is read anew.
  assert.equal(await read("norm", 16, 4), 3);
  assert.equal(await read("norm", 12, 4), 4);
  // As it is from its start on, and where another was read meanwhile.
  assert.deepEqual([await read("norm", 0, 4), await read("norm", 4, 4)], [5, 5]);
  assert.deepEqual([await read("bias", 4, 4), await read("norm", 4, 4)], [6, 7]);
  assert.deepEqual([await read("norm", 0, 20), await read("norm", 8, 4)], [8, 7]);
  await assert.rejects(store.read("norm", new Uint8Array(8), 16), {
    name: "RangeError",
    message: /"norm"/,
  });
  assert.equal(reads, 8);
  take();
  store[Symbol.dispose]();
  assert.equal(take().filter((line) => line.startsWith("free ")).length, 2);
});

Deno.test("a store takes what it allocated with it", () => {
  using own = new Runtime({ threads: 1 });
  const open = openObjects(own);
  for (const dtypes of [new Map(), new Map([["matrix", "float16"]] as const)]) {
    const store = new ParameterStore(own, layoutParameters(specs), { dtypes });
    assert.equal(open().tensors, dtypes.size === 0 ? 5 : 4);
    store[Symbol.dispose]();
    assert.equal(open().tensors, 0);
  }
});
