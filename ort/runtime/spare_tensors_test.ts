import assert from "node:assert/strict";
import { Runtime } from "./runtime.ts";
import { SpareTensors } from "./spare_tensors.ts";

Deno.test("spare buffers are shared by size, and freed with the last graph that uses them", () => {
  using runtime = new Runtime({ threads: 2 });
  using other = new Runtime({ threads: 2 });
  const spares = SpareTensors.of(runtime);
  assert.equal(SpareTensors.of(runtime), spares);
  using others = SpareTensors.of(other);
  assert.notEqual(others, spares);
  assert.equal(spares.bytes, 0);
  const first = spares.find(12, []);
  assert.deepEqual([first.dtype, first.shape], ["uint8", [12]]);
  assert.equal(spares.find(12, []), first);
  const second = spares.find(12, [first]);
  assert.notEqual(second, first);
  assert.equal(spares.find(12, [first]), second);
  const small = spares.find(5, []);
  assert.notEqual(small, first);
  assert.deepEqual([spares.bytes, others.bytes], [29, 0]);
  spares[Symbol.dispose]();
  assert.equal(first.bytes().length, 12);
  spares[Symbol.dispose]();
  for (const tensor of [first, second, small]) assert.throws(() => tensor.bytes(), ReferenceError);
  assert.equal(spares.bytes, 0);
  // Whoever comes later finds new ones.
  using again = SpareTensors.of(runtime);
  assert.equal(again.find(12, []).bytes().length, 12);
});
