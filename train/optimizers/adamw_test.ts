import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { draws } from "../../tests/support/random.ts";
import { AdamW } from "./adamw.ts";
import { ADAMW_STATE } from "./adamw_graph.ts";
import { ShardedState } from "./sharded_state.ts";

/** Over a chunk's 262,144 elements that decay, and a few that do not. */
const SPECS: readonly ParameterSpec[] = [
  { name: "a.weight", shape: [520, 510], decays: true },
  { name: "b.weight", shape: [3, 5], decays: true },
  { name: "norm.weight", shape: [17], decays: false },
];
const MAX_NORM = 1;
const CONSTANTS = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };

/** Everything an update works on. */
interface Setup extends Disposable {
  readonly parameters: ParameterStore;
  readonly gradients: ParameterStore;
  readonly optimizer: AdamW;
}

function setUp(): Setup {
  const resources = new DisposableStack();
  const runtime = resources.use(new Runtime({ threads: 2 }));
  const layout = layoutParameters(SPECS);
  const parameters = resources.use(new ParameterStore(runtime, layout));
  const gradients = resources.use(new ParameterStore(runtime, layout));
  const optimizer = resources.use(new AdamW(runtime, parameters, gradients, CONSTANTS));
  const draw = draws(1);
  for (const { name } of SPECS) {
    const values = parameters.tensor(name).float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(-0.2, 0.2);
  }
  return { parameters, gradients, optimizer, [Symbol.dispose]: () => resources.dispose() };
}

function fillGradients({ gradients }: Setup, step: number): void {
  const draw = draws(100 + step);
  for (const { name } of SPECS) {
    const values = gradients.tensor(name).float32();
    // Over five decades, so that epsilon counts for some and not for others.
    for (let i = 0; i < values.length; i++) values[i] = draw() * 10 ** -(i % 5);
  }
}

/** torch.optim.AdamW of one tensor, in float64 and its own order of operations. */
class Reference {
  readonly p: Float64Array;
  readonly m: Float64Array;
  readonly v: Float64Array;

  constructor(values: ArrayLike<number>) {
    this.p = Float64Array.from(values);
    this.m = new Float64Array(values.length);
    this.v = new Float64Array(values.length);
  }

  update(gradients: ArrayLike<number>, { step, learningRate, clip, weightDecay }: {
    readonly step: number;
    readonly learningRate: number;
    readonly clip: number;
    readonly weightDecay: number;
  }): void {
    const { beta1, beta2, epsilon } = CONSTANTS;
    for (let i = 0; i < this.p.length; i++) {
      const g = clip * gradients[i];
      this.p[i] -= learningRate * weightDecay * this.p[i];
      this.m[i] = beta1 * this.m[i] + (1 - beta1) * g;
      this.v[i] = beta2 * this.v[i] + (1 - beta2) * g * g;
      const corrected = Math.sqrt(this.v[i]) / Math.sqrt(1 - beta2 ** step) + epsilon;
      this.p[i] -= learningRate / (1 - beta1 ** step) * this.m[i] / corrected;
    }
  }
}

Deno.test("five AdamW updates with decay and clipping follow a float64 reference", async () => {
  using setup = setUp();
  const { parameters, gradients, optimizer } = setup;
  const references = SPECS.map(({ name }) => new Reference(parameters.tensor(name).float32()));
  const starts = SPECS.map(({ name }) => parameters.tensor(name).float32().slice());
  for (let step = 1; step <= 5; step++) {
    fillGradients(setup, step);
    const learningRate = 0.01 / step;
    let squares = 0;
    for (const { name } of SPECS) {
      for (const g of gradients.tensor(name).float32()) squares += g * g;
    }
    const norm = await optimizer.gradientNorm();
    // Blocks of 256 summed in float32: 8e-9 measured.
    assertClose([norm], [Math.sqrt(squares)], { label: "norm", relative: 3e-8 });
    const clip = Math.min(1, MAX_NORM / (norm + 1e-6));
    assert.ok(clip < 0.1);
    await optimizer.update({ learningRate, clip, step });
    SPECS.forEach(({ name, decays }, i) => {
      const weightDecay = decays ? CONSTANTS.weightDecay : 0;
      references[i].update(gradients.tensor(name).float32(), {
        step,
        learningRate,
        clip,
        weightDecay,
      });
    });
  }
  const state = optimizer.state();
  for (const [i, { name }] of SPECS.entries()) {
    const { p, m, v } = references[i];
    const actual = parameters.tensor(name).float32();
    // Five updates of up to 0.01; each rounds a parameter of 0.2 by up to 8e-9: 7e-8 measured.
    const [moved, expected] = [actual, p].map((values) =>
      Float64Array.from(values, (value, j) => value - starts[i][j])
    );
    assertClose(moved, expected, { label: `${name} moved`, absolute: 1e-7 });
    const moment = (kind: string): Promise<Float32Array> => readFloat32(state, `${name}.${kind}`);
    // Terms of either sign, against the largest: 2e-7 measured.
    assertClose(await moment("exp_avg"), m, { label: `${name}.exp_avg`, relativeToMax: 5e-7 });
    // Positive terms: 4e-7 measured.
    assertClose(await moment("exp_avg_sq"), v, { label: `${name}.exp_avg_sq`, relative: 1e-6 });
  }
});

Deno.test("AdamW goes on from a loaded state to the same bytes", async () => {
  using first = setUp();
  using second = setUp();
  const update = { learningRate: 0.01, clip: 0.5 };
  fillGradients(first, 1);
  await first.optimizer.update({ ...update, step: 1 });
  await second.optimizer.load(first.optimizer.state());
  second.parameters.flat.bytes().set(first.parameters.flat.bytes());
  for (const setup of [first, second]) {
    fillGradients(setup, 2);
    await setup.optimizer.update({ ...update, step: 2 });
  }
  assert.deepEqual(second.parameters.flat.bytes(), first.parameters.flat.bytes());
});

Deno.test("AdamW names its state after the parameters, and refuses another shape", async () => {
  using setup = setUp();
  const state = setup.optimizer.state();
  assert.deepEqual(
    state.names(),
    SPECS.flatMap(({ name }) => [
      `${name}.exp_avg`,
      `${name}.exp_avg_sq`,
    ]),
  );
  assert.deepEqual(state.info("b.weight.exp_avg_sq"), { dtype: "float32", shape: [3, 5] });
  assert.throws(() => state.info("b.weight"), {
    message: "Cannot find optimizer state b.weight",
  });
  const wrong: TensorSource = {
    ...state,
    info: (name) => ({ ...state.info(name), shape: [5, 3] }),
  };
  await assert.rejects(setup.optimizer.load(wrong), {
    message: "Cannot load optimizer state a.weight.exp_avg: it is float32 [5,3], " +
      "expected float32 [520,510]",
  });
});

Deno.test("AdamW of a part takes the norm of its gradients, updates that, and releases its state", async () => {
  using runtime = new Runtime({ threads: 1 });
  const layout = layoutParameters([
    { name: "weight", shape: [2, 512], decays: true },
    { name: "norm", shape: [300], decays: false },
  ]);
  using parameters = new ParameterStore(runtime, layout);
  using gradients = new ParameterStore(runtime, layout);
  // Memory that is likely to be taken again.
  for (let i = 0; i < 4; i++) {
    using used = Tensor.allocate(runtime, "float32", [layout.length / 256]);
    used.float32().fill(NaN);
  }
  const [, comm] = localComms(2);
  const names = Object.values(ADAMW_STATE);
  const state = new ShardedState(runtime, layout, { names, comm, elements: 1024 });
  const optimizer = new AdamW(runtime, parameters, gradients, { weightDecay: 1 }, state);
  assert.deepEqual(optimizer.options, {
    ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1 },
  });
  parameters.flat.float32().fill(1);
  gradients.flat.float32().fill(NaN);
  assert.deepEqual(state.ranges, [{ start: 1280, length: 256 }, { start: 512, length: 512 }]);
  gradients.flat.float32().fill(0, 512, 1024).fill(0, 1280, 1536);
  gradients.flat.float32()[512] = 3;
  gradients.flat.float32()[1290] = -4;
  assert.equal(await optimizer.gradientNorm(), 5);
  await optimizer.update({ learningRate: 0.25, clip: 1, step: 1 });
  const expected = new Float32Array(1536).fill(1).fill(0.75, 512, 1024);
  expected[512] -= 0.25;
  expected[1290] += 0.25;
  assertClose(parameters.flat.float32(), expected, { absolute: 1e-6, label: "parameters" });
  optimizer[Symbol.dispose]();
  assert.throws(() => state.view("exp_avg", 512, 1), ReferenceError);
  await assert.rejects(optimizer.gradientNorm());
});
