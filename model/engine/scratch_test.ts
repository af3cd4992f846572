import assert from "node:assert/strict";
import { cpu } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { openObjects } from "../../tests/support/open_objects.ts";
import { recordedRuntime } from "../../tests/support/recorded_runtime.ts";
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

Deno.test("a buffer is as large as its tensor, or one element, and there is one of each name", () => {
  using own = new Runtime({ threads: 1 });
  const open = openObjects(own);
  using scratch = new Scratch(own);
  const small = scratch.atLeast("a", 8);
  assert.equal(scratch.atLeast("a", 8), small);
  scratch.tensor("a", "float32", [2]);
  assert.equal(scratch.atLeast("a", 8), small);
  assert.deepEqual([small.byteLength, open().tensors], [8, 2]);
  // A larger one takes its place, and the view's of it.
  const large = scratch.atLeast("a", 9);
  assert.deepEqual([large.byteLength, open().tensors], [9, 1]);
  scratch.tensor("b", "float32", [0, 4]);
  assert.deepEqual([scratch.atLeast("b", 1).byteLength, open().tensors], [4, 3]);
  scratch[Symbol.dispose]();
  assert.equal(open().tensors, 0);
  // What is asked for afterwards is new.
  assert.equal(scratch.write("b", "float32", [1], Float32Array.of(3)).float32()[0], 3);
});

Deno.test("buffers are on the runtime's device, or another that is asked for", () => {
  const { runtime: own } = recordedRuntime({ kind: "webgpu" });
  assert.deepEqual(new Scratch(own).atLeast("a", 8).device, { kind: "webgpu" });
  assert.deepEqual(new Scratch(own, cpu).atLeast("a", 8).device, cpu);
});
