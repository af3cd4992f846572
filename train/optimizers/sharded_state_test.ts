import assert from "node:assert/strict";
import { layoutParameters } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import {
  readFloat32,
  type TensorData,
  tensorSourceFromMap,
} from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { ShardedState } from "./sharded_state.ts";

const runtime = new Runtime({ threads: 2 });
/** Over several buckets of 512, one tensor across many of them; the last is smaller than a block. */
const SHAPES = { "a.weight": [40, 50], "b.weight": [7, 11], "b.norm": [5] };
const NAMES = ["exp_avg", "exp_avg_sq"];
const layout = layoutParameters(
  Object.entries(SHAPES).map(([name, shape]) => ({ name, shape, decays: !name.includes("norm") })),
);
const whole: ReadonlyMap<string, TensorData> = new Map(
  Object.entries(SHAPES).flatMap(([name, shape], i) =>
    NAMES.map((of, k) => {
      const count = shape.reduce((product, each) => product * each, 1);
      const values = Float32Array.from({ length: count }, (_, at) => 10_000 * (2 * i + k) + at);
      return [`${name}.${of}`, {
        dtype: "float32",
        shape,
        data: new Uint8Array(values.buffer),
      }] as const;
    })
  ),
);

for (const size of [1, 2, 3, 5]) {
  Deno.test(`state that ${size} processes keep is read as it was loaded, in any pieces`, async () => {
    const states = localComms(size).map((comm) =>
      new ShardedState(runtime, layout, { names: NAMES, comm, elements: 512 })
    );
    for (const state of states) await state.load(tensorSourceFromMap(whole));
    const [first, ...others] = states;
    const waiting = others.map((state) => state.shared.settle());
    const source = first.source();
    assert.deepEqual(source.names(), [...whole.keys()]);
    // Asked for all at once, and a part that begins and ends within an element.
    const read = source.names().map(async (name) =>
      [name, await readFloat32(source, name)] as const
    );
    const part = new Uint8Array(2049);
    await source.read("a.weight.exp_avg", part, 2046);
    for (const [name, values] of await Promise.all(read)) {
      assert.deepEqual(new Uint8Array(values.buffer), whole.get(name)!.data, name);
    }
    assert.deepEqual(part, whole.get("a.weight.exp_avg")!.data.slice(2046, 2046 + 2049));
    await first.shared.settle();
    await Promise.all(waiting);
    for (const state of states) state[Symbol.dispose]();
  });
}

Deno.test("state of another shape is refused by name", async () => {
  const [comm] = localComms(1);
  using state = new ShardedState(runtime, layout, { names: NAMES, comm });
  const wrong = new Map(whole).set("b.norm.exp_avg", {
    dtype: "float32",
    shape: [4],
    data: new Uint8Array(16),
  });
  await assert.rejects(
    state.load(tensorSourceFromMap(wrong)),
    /^Error: Cannot load optimizer state b\.norm\.exp_avg: it is float32 \[4\], expected float32 \[5\]/,
  );
});
