import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Scratch } from "./scratch.ts";

const runtime = new Runtime({ threads: 2 });

Deno.test("the same name and shape answer the same tensor with its contents", () => {
  using scratch = new Scratch(runtime);
  const first = scratch.tensor("a", "float32", [2, 3]);
  first.float32().fill(5);
  assert.equal(scratch.tensor("a", "float32", [2, 3]), first);
  assert.notEqual(scratch.tensor("b", "float32", [2, 3]), first);
  assert.deepEqual([...first.float32()], [5, 5, 5, 5, 5, 5]);
});

Deno.test("a smaller shape reuses the memory, and a larger one after it does so too", () => {
  using scratch = new Scratch(runtime);
  scratch.write("a", "float32", [4], Float32Array.of(1, 2, 3, 4));
  assert.deepEqual([...scratch.tensor("a", "float32", [2]).float32()], [1, 2]);
  assert.deepEqual([...scratch.tensor("a", "float32", [2, 2]).float32()], [1, 2, 3, 4]);
  assert.deepEqual([...scratch.tensor("a", "int32", [1]).int32()], [0x3f800000]);
});

Deno.test("another shape takes the memory from the tensor before", () => {
  using scratch = new Scratch(runtime);
  for (const shape of [[2], [8]]) {
    const before = scratch.tensor("a", "float32", [4]);
    scratch.tensor("a", "float32", shape);
    assert.throws(() => before.float32(), /it was disposed of/);
  }
});

Deno.test("a buffer grows, and empty tensors and scalars are fine", () => {
  using scratch = new Scratch(runtime);
  scratch.tensor("a", "float32", [1]);
  const large = scratch.tensor("a", "float32", [1000]);
  large.float32().fill(1);
  assert.equal(large.byteLength, 4000);
  assert.equal(scratch.tensor("b", "float32", [0, 4]).float32().length, 0);
  assert.deepEqual([...scratch.write("c", "int64", [], BigInt64Array.of(9n)).int64()], [9n]);
});

Deno.test("disposing frees all, and twice is harmless", () => {
  const scratch = new Scratch(runtime);
  const tensor = scratch.tensor("a", "float32", [1]);
  scratch[Symbol.dispose]();
  scratch[Symbol.dispose]();
  assert.throws(() => tensor.float32(), /it was disposed of/);
});
