import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import type { HostUpdate } from "./host_optimizer.ts";
import { ShardedState } from "./sharded_state.ts";
import { ShardedUpdate } from "./sharded_update.ts";

const runtime = new Runtime({ threads: 2 });
const layout = layoutParameters([
  { name: "weight", shape: [5, 250], decays: true },
  { name: "norm", shape: [7], decays: false },
]);

Deno.test("ShardedUpdate joins norms, updates its part, and gives it to all before it is done", async () => {
  const log: unknown[] = [];
  const comms = localComms(2, ({ rank, kind, length }) => log.push([rank, kind, length]));
  using owned = new DisposableStack();
  const sides = comms.map((comm, rank) => {
    const parameters = owned.use(new ParameterStore(runtime, layout));
    parameters.flat.float32().fill(NaN);
    const state = owned.use(
      new ShardedState(runtime, layout, { names: ["m"], comm, elements: 1024 }),
    );
    const update: HostUpdate = {
      gradientNorm: () => Promise.resolve([3, 4][rank]),
      async update(options) {
        await new Promise((resolve) => setTimeout(resolve));
        log.push([rank, "updated", options]);
        for (const { start, length } of state.ranges) {
          parameters.flat.float32().fill(rank + 1, start, start + length);
        }
      },
      state: () => assert.fail("its state was asked for"),
      load: () => assert.fail("it was loaded"),
      [Symbol.dispose]: () => void log.push([rank, "released"]),
    };
    return { parameters, state, update: new ShardedUpdate({ comm, parameters, state, update }) };
  });
  const norms = await Promise.all(sides.map(({ update }) => update.gradientNorm()));
  assert.deepEqual(norms, [5, 5]);
  assert.deepEqual(log.splice(0), [[0, "allReduceSum", 1], [1, "allReduceSum", 1]]);

  const options = { learningRate: 1, clip: 0.5, step: 3 };
  await Promise.all(sides.map(({ update }) => update.update(options)));
  assert.deepEqual(
    log.splice(0),
    [0, 1].flatMap((rank) => [
      [rank, "updated", options],
      [rank, "allGather 512,512", 1024],
      [rank, "allGather 256,256", 512],
    ]),
  );
  for (const { parameters } of sides) {
    assert.deepEqual([...parameters.flat.float32()], [
      ...[...Array(512).fill(1), ...Array(512).fill(2)],
      ...[...Array(256).fill(1), ...Array(256).fill(2)],
    ]);
  }

  const [{ state, update }] = sides;
  assert.equal(update.parts, state.shared);
  assert.deepEqual(update.state().names(), ["weight.m", "norm.m"]);
  await assert.rejects(update.load(tensorSourceFromMap(new Map())), {
    message: /^Cannot find tensor "weight\.m": /,
  });
  update[Symbol.dispose]();
  assert.deepEqual(log, [[0, "released"]]);
});
