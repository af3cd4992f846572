import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { readFloat32 } from "../../ort/tensor/tensor_source.ts";
import { layeredWeights } from "./layered_weights.ts";
import { layoutParameters, ParameterStore } from "./parameter_store.ts";

Deno.test("stores are one set of names, of which the first has those that several have", async () => {
  using runtime = new Runtime({ threads: 1 });
  const store = (
    specs: Readonly<Record<string, readonly number[]>>,
    value: number,
  ): ParameterStore => {
    const all = Object.entries(specs).map(([name, shape]) => ({ name, shape, decays: true }));
    const made = new ParameterStore(runtime, layoutParameters(all));
    made.flat.float32().fill(value);
    return made;
  };
  using adapter = store({ a: [2, 8], both: [3] }, 1);
  using base = store({ both: [4], w: [2, 8], v: [1, 8] }, 2);
  const layered = layeredWeights([adapter, base]);
  assert.deepEqual([...layered.names()].sort(), ["a", "both", "v", "w"]);
  assert.deepEqual(["a", "both", "w", "x"].map((name) => layered.has(name)), [
    true,
    true,
    true,
    false,
  ]);
  assert.deepEqual(layered.info("both"), { dtype: "float32", shape: [3] });
  assert.equal(layered.tensor("w"), base.tensor("w"));
  assert.deepEqual([...await readFloat32(layered, "both")], [1, 1, 1]);
  assert.deepEqual(layered.stacked(["w", "v"]).shape, [3, 8]);
  assert.throws(() => layered.tensor("x"), {
    name: "RangeError",
    message: /"x".*the model and its adapter/,
  });
  assert.deepEqual([layered.storage, layered.products], [undefined, undefined]);
  const storage = { name: "fp16" } as const;
  const stored = Object.assign(store({ w: [1] }, 0), { storage });
  using _stored = stored;
  assert.equal(layeredWeights([adapter, stored]).storage, storage);
});
