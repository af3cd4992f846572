import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { numbersOf, writeNumbers } from "../../tests/support/numbers.ts";
import { hostTensorComm } from "../distributed/tensor_comm.ts";
import type { DeviceUpdateOptions } from "./device_update.ts";
import { OptimizerState } from "./optimizer_state.ts";
import { ShardedState } from "./sharded_state.ts";
import { elementsOf, updatedTensors, updateShares } from "./update_shares.ts";
import { MASTER } from "./update_state.ts";

const runtime = new Runtime({ threads: 2 });
const layout = layoutParameters([
  { name: "weight", shape: [5, 250], decays: true },
  { name: "norm", shape: [7], decays: false },
]);

/** A store whose elements count up, from a number of its own on. */
function store(
  owned: DisposableStack,
  first: number,
  dtype: "float32" | "bfloat16" = "float32",
): ParameterStore {
  const made = owned.use(new ParameterStore(runtime, layout, { dtype }));
  writeNumbers(made.flat, Float32Array.from({ length: layout.length }, (_, i) => first + i));
  return made;
}

function numbers(tensor: Tensor | undefined): number[] | undefined {
  if (!tensor) return undefined;
  using taken = tensor;
  return [...numbersOf(taken)];
}

Deno.test("elementsOf() takes consecutive elements of a store of any type", () => {
  using owned = new DisposableStack();
  assert.deepEqual(
    numbers(elementsOf(store(owned, 10), { start: 3, length: 2 })),
    [13, 14],
  );
  assert.deepEqual(
    numbers(elementsOf(store(owned, 0, "bfloat16"), { start: 3, length: 4 })),
    [3, 4, 5, 6],
  );
});

Deno.test("one process updates all of its parameters, and the rounded copy, if there is one", () => {
  using owned = new DisposableStack();
  const [parameters, gradients, copy] = [store(owned, 0), store(owned, 5), store(owned, 100)];
  const state = owned.use(new OptimizerState(runtime, layout, { names: ["m"] }));
  const loss = owned.use(Tensor.allocate(runtime, "float32", []));
  const options = { runtime, parameters, gradients, loss, maxGradNorm: 0, state };
  assert.deepEqual(updateShares(options, owned), [{ range: { start: 0, length: 1536 } }]);
  const range = { start: 2, length: 3 };
  const tensorsOf = (given: DeviceUpdateOptions) => {
    const { p, weight } = updatedTensors(given, range);
    return { p: numbers(p), weight: numbers(weight) };
  };
  assert.deepEqual(tensorsOf(options), { p: [2, 3, 4], weight: undefined });
  assert.deepEqual(tensorsOf({ ...options, copy }), { p: [2, 3, 4], weight: [102, 103, 104] });
});

for (const master of [false, true]) {
  Deno.test(`a process updates its part of every bucket, ${master ? "masters and what they are rounded to" : "in place"}`, async () => {
    using owned = new DisposableStack();
    const comms = localComms(2);
    const sides = comms.map((comm) => {
      const parameters = store(owned, 0);
      const names = master ? ["m", MASTER] : ["m"];
      const state = owned.use(
        new ShardedState(runtime, layout, { names, comm, elements: 1024 }),
      );
      const loss = owned.use(Tensor.allocate(runtime, "float32", []));
      const collectives = hostTensorComm(comm);
      const gradients = parameters;
      const options = { runtime, parameters, gradients, loss, maxGradNorm: 0, state, collectives };
      return { ...options, master };
    });
    const shares = sides.map((options) => updateShares(options, owned));
    // Of buckets of 1024 and 512.
    assert.deepEqual(shares.map((each) => each.map(({ range }) => range)), [
      [{ start: 0, length: 512 }, { start: 1024, length: 256 }],
      [{ start: 512, length: 512 }, { start: 1280, length: 256 }],
    ]);
    sides.forEach((options, rank) => {
      const range = { start: 1024 + 256 * rank, length: 256 };
      if (master) {
        using kept = options.state.view(MASTER, range.start, range.length);
        kept.float32().fill(7 + rank);
      }
      const { p, weight } = updatedTensors(options, range);
      const own = Array.from({ length: 256 }, (_, i) => range.start + i);
      assert.deepEqual(
        [numbers(p), numbers(weight)],
        master ? [Array(256).fill(7 + rank), own] : [own, undefined],
      );
      options.parameters.flat.float32().fill(-1 - rank);
    });
    shares.forEach(([first]) => first.gather!());
    await Promise.all(sides.map(({ collectives }) => collectives.join()));
    for (const [rank, { parameters }] of sides.entries()) {
      assert.deepEqual([...parameters.flat.float32()], [
        ...Array(512).fill(-1),
        ...Array(512).fill(-2),
        ...Array(512).fill(-1 - rank),
      ]);
    }
  });
}
