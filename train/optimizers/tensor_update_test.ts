import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import * as ops from "../../ort/graph/ops.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { draws } from "../../tests/support/random.ts";
import { hostTensorComm } from "../distributed/tensor_comm.ts";
import { adamWRule } from "./adamw_graph.ts";
import { DeviceOptimizer } from "./device_optimizer.ts";
import type { DeviceUpdate, DeviceUpdateOptions } from "./device_update.ts";
import { GraphUpdate } from "./graph_update.ts";
import { OptimizerState } from "./optimizer_state.ts";
import { ShardedState } from "./sharded_state.ts";
import { TensorUpdate } from "./tensor_update.ts";

// Of weights below 1.1, whose gradients are clipped by norms that are added in another order. Measured: 0.
const ABSOLUTE = 1e-7;

const runtime = new Runtime({ threads: 2 });
const rule = adamWRule({ weightDecay: 0.1 });
const alike = (name: string, count: number, shape: readonly number[], decays: boolean) =>
  Array.from({ length: count }, (_, i) => ({ name: `${name}.${i}`, shape, decays }));
// Tensors alone, for being large or like no other; and more than one run takes, of equal sizes too.
const layout = layoutParameters([
  { name: "large", shape: [256, 256], decays: true },
  { name: "alone", shape: [37, 19], decays: true },
  ...alike("norm", 9, [24], false),
  ...alike("weight", 3, [4, 6], true),
]);

function store(owned: DisposableStack, seed: number): ParameterStore {
  const made = owned.use(new ParameterStore(runtime, layout));
  fill(made, draws(seed));
  return made;
}

function fill(into: ParameterStore, draw: (low: number, high: number) => number): void {
  for (const name of into.names()) {
    const values = into.tensor(name).float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(-1, 1);
  }
}

/** Parameters, state and results after some updates, the third of which is of an infinite gradient. */
async function run(
  makeUpdate: (options: DeviceUpdateOptions) => DeviceUpdate,
  maxGradNorm: number,
): Promise<Map<string, Float32Array>> {
  using owned = new DisposableStack();
  const [parameters, gradients] = [store(owned, 1), store(owned, 2)];
  const optimizer = owned.use(
    new DeviceOptimizer({
      ...{ runtime, parameters, gradients, maxGradNorm, makeUpdate },
      ...{ format: "float32", state: Object.values(rule.state) },
    }),
  );
  const loss = owned.use(Tensor.from(runtime, "float32", [1, 1], Float32Array.of(2)));
  const draw = draws(3);
  for (let step = 1; step <= 5; step++) {
    fill(gradients, draw);
    if (step === 3) gradients.tensor("norm.8").float32()[5] = Infinity;
    optimizer.begin({ learningRate: 0.01, tokens: 1, seed: `${step}` });
    optimizer.addLosses(loss);
    await optimizer.update();
  }
  const results = optimizer.results();
  assert.deepEqual(results.map(({ skipped }) => skipped), [false, false, true, false, false]);
  const found = new Map<string, Float32Array>();
  for (const name of parameters.names()) {
    found.set(name, parameters.tensor(name).float32().slice());
  }
  const state = optimizer.state();
  for (const name of state.names()) {
    const values = new Float32Array(found.get(name.slice(0, name.lastIndexOf(".")))!.length);
    await state.read(name, new Uint8Array(values.buffer));
    found.set(name, values);
  }
  return found;
}

for (const maxGradNorm of [0, 1]) {
  Deno.test(`TensorUpdate does tensor by tensor what GraphUpdate does, clipped to ${maxGradNorm || "nothing"}`, async () => {
    const expected = await run((made) => new GraphUpdate(rule, "float32", made), maxGradNorm);
    const found = await run((made) => new TensorUpdate(rule, made), maxGradNorm);
    assert.equal(expected.size, 3 * layout.specs.length);
    for (const [name, values] of expected) {
      if (maxGradNorm === 0) assert.deepEqual(found.get(name), values, name);
      assertClose(found.get(name)!, values, { label: name, absolute: ABSOLUTE });
    }
  });
}

Deno.test("updates release what they made, and TensorUpdate makes no part of one", () => {
  using owned = new DisposableStack();
  const [parameters, gradients] = [store(owned, 1), store(owned, 2)];
  const names = Object.values(rule.state);
  const state = owned.use(new OptimizerState(runtime, layout, { names }));
  const loss = owned.use(Tensor.allocate(runtime, "float32", []));
  const options = { runtime, parameters, gradients, loss, maxGradNorm: 1 };
  const remembering = { ...rule, remembered: { sum: "sum" } };
  const scalars: typeof rule.scalars = (b, { running: { sum, ...running }, ...step }) => ({
    ...rule.scalars(b, { ...step, running }),
    sum: ops.add(b, sum, step.made),
  });
  const updates: DeviceUpdate[] = [
    new GraphUpdate({ ...remembering, scalars }, "float32", { ...options, state }),
    new TensorUpdate({ ...remembering, scalars }, { ...options, state }),
  ];
  for (const update of updates) {
    const tensors = [update.scale, update.remembered!.get("sum")!];
    assert.deepEqual(tensors.map(({ shape }) => shape), [[], []]);
    assert.equal(tensors[1].float32()[0], 0);
    update[Symbol.dispose]();
    for (const tensor of tensors) assert.throws(() => tensor.float32(), ReferenceError);
  }
  const [comm] = localComms(1);
  const part = owned.use(new ShardedState(runtime, layout, { names, comm }));
  const collectives = hostTensorComm(comm);
  assert.throws(
    () => new TensorUpdate(rule, { ...options, state: part, collectives, master: false }),
    {
      name: "RangeError",
      message: "Cannot make a part of an update: each tensor is a buffer of its own",
    },
  );
});
