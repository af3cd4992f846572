import assert from "node:assert/strict";
import { randomOdd } from "../../model/engine/keep_mask.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../ort/tensor/half.ts";
import { type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { draws } from "../../tests/support/random.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import type { Optimizer } from "../optimizer.ts";
import { AdamW } from "./adamw.ts";
import { adamW } from "./adamw_optimizers.ts";
import { DeviceOptimizer, type DeviceOptimizerOptions, MOST_PENDING } from "./device_optimizer.ts";
import type { DeviceUpdateOptions } from "./device_update.ts";
import { OptimizerState } from "./optimizer_state.ts";
import { roundParameters } from "./round_parameters.ts";
import { ShardedState } from "./sharded_state.ts";
import type { GraphStateFormat } from "./state_format.ts";

// Measured worst against the host's optimizer over 40 updates: 3.0e-7, at weights up to 1.1.
const RELATIVE = 1e-6;
const TOKENS = 4;
// Weights up to 1.1, of which the last bit is 2⁻⁸: half of one in a copy, and what updates of 0.01
// lose where they are rounded away or at random. Measured over 12 updates: 3.9e-3, 3.9e-2, 2.8e-2.
const FORMAT_ABSOLUTE = {
  master: 2 ** -8,
  "bfloat16-stochastic": 2 ** -4,
  bfloat16: 2 ** -4,
};

const runtime = new Runtime({ threads: 2 });
const layout = layoutParameters([
  { name: "weight", shape: [37, 19], decays: true },
  { name: "norm", shape: [300], decays: false },
]);

function store(owned: DisposableStack, seed: number): ParameterStore {
  const made = owned.use(new ParameterStore(runtime, layout));
  const draw = draws(seed);
  for (const name of made.names()) {
    const values = made.tensor(name).float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(-1, 1);
  }
  return made;
}

/** AdamW as a device makes it. */
function onDevice(
  owned: DisposableStack,
  { format, maxGradNorm, ...stores }: {
    readonly parameters: ParameterStore;
    readonly gradients: ParameterStore;
    readonly copy?: ParameterStore;
    readonly format: GraphStateFormat;
    readonly maxGradNorm: number;
  },
): Optimizer {
  const how = { format, maxGradNorm, constants: { weightDecay: 0.1 }, graphsOnly: true };
  return owned.use(adamW.make({ runtime, ...stores, ...how }));
}

/** The same weights under both optimizers, with the same gradients. */
function pair(owned: DisposableStack, maxGradNorm: number) {
  const gradients = store(owned, 2);
  const [expected, parameters] = [store(owned, 1), store(owned, 1)];
  const host = owned.use(new AdamW(runtime, expected, gradients, { weightDecay: 0.1 }));
  const device = onDevice(owned, { parameters, gradients, format: "float32", maxGradNorm });
  return { gradients, expected, parameters, host, device };
}

function losses(owned: DisposableStack, values: readonly number[]): Tensor {
  const shape = [values.length, 1];
  return owned.use(Tensor.from(runtime, "float32", shape, Float32Array.from(values)));
}

for (const maxGradNorm of [0, 1, 1000]) {
  Deno.test(`DeviceOptimizer makes AdamW's updates, clipped to ${maxGradNorm || "nothing"}`, async () => {
    using owned = new DisposableStack();
    const { gradients, expected, parameters, host, device } = pair(owned, maxGradNorm);
    const batches = [[1, 2, 3], [], [6]].map((values) => losses(owned, values));
    const draw = draws(3);
    const norms: number[] = [];
    let worst = 0;
    for (let step = 1; step <= 40; step++) {
      const values = gradients.tensor("weight").float32();
      for (let i = 0; i < values.length; i++) values[i] = draw(-1, 1) * (step % 3 ? 1 : 1e-3);
      const learningRate = 0.1 / step;
      const norm = await host.gradientNorm();
      norms.push(norm);
      const clip = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (norm + 1e-6)) : 1;
      await host.update({ learningRate, clip, step });
      device.begin({ learningRate, tokens: TOKENS, seed: step });
      batches.forEach((batch) => device.addLosses(batch));
      await device.update();
      const { maxAbsolute } = assertClose(parameters.flat.float32(), expected.flat.float32(), {
        relativeToMax: RELATIVE,
        label: `update ${step}`,
      });
      worst = Math.max(worst, maxAbsolute);
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log({ maxGradNorm, worst });
    const results = device.results();
    assert.deepEqual(
      results.map(({ loss, skipped }) => [loss, skipped]),
      norms.map(() => [3, false]),
    );
    assertClose(results.map(({ gradNorm }) => gradNorm), norms, { relative: 1e-6, label: "norms" });
    assert.deepEqual(device.results(), []);
  });
}

for (const bad of [NaN, Infinity, -Infinity]) {
  for (const where of ["gradient", "loss"]) {
    Deno.test(`an update whose ${where} is ${bad} changes no bit, and does not count`, async () => {
      using owned = new DisposableStack();
      const { gradients, expected, parameters, host, device } = pair(owned, 1);
      const state = async () => {
        const source = device.state();
        const bytes = source.names().map(async (name) => {
          const into = new Uint8Array(4 * source.info(name).shape.reduce((a, b) => a * b));
          await source.read(name, into);
          return into;
        });
        return [parameters.flat.bytes().slice(), ...await Promise.all(bytes)];
      };
      const before = await state();
      const values = gradients.tensor("weight").float32();
      const kept = values[5];
      if (where === "gradient") values[5] = bad;
      device.begin({ learningRate: 0.1, tokens: 1, seed: 0 });
      device.addLosses(losses(owned, [1, where === "loss" ? bad : 1]));
      await device.update();
      assert.deepEqual(await state(), before);
      values[5] = kept;
      device.begin({ learningRate: 0.1, tokens: 1, seed: 0 });
      device.addLosses(losses(owned, [1, 1]));
      await device.update();
      const clip = 1 / (await host.gradientNorm() + 1e-6);
      await host.update({ learningRate: 0.1, clip, step: 1 });
      assertClose(parameters.flat.float32(), expected.flat.float32(), {
        relativeToMax: RELATIVE,
        label: "parameters",
      });
      assert.deepEqual(device.results().map(({ skipped }) => skipped), [true, false]);
    });
  }
}

Deno.test("an update without any token is skipped, one with some in a later batch is not", async () => {
  using owned = new DisposableStack();
  const { device } = pair(owned, 1);
  const [none, some] = [losses(owned, []), losses(owned, [2])];
  device.begin({ learningRate: 0.1, tokens: 0, seed: 0 });
  device.addLosses(none);
  await device.update();
  device.begin({ learningRate: 0.1, tokens: 1, seed: 0 });
  device.addLosses(none);
  device.addLosses(some);
  await device.update();
  const [first, second] = device.results();
  assert.deepEqual([first.skipped, first.loss], [true, NaN]);
  assert.deepEqual([second.skipped, second.loss], [false, 2]);
});

Deno.test("a resumed optimizer goes on to the bit", async () => {
  using owned = new DisposableStack();
  const run = async (device: Optimizer, steps: number) => {
    for (let step = 0; step < steps; step++) {
      device.begin({ learningRate: 0.1, tokens: 1, seed: step });
      device.addLosses(losses(owned, [1]));
      await device.update();
    }
  };
  const whole = pair(owned, 1);
  await run(whole.device, 3);
  const [first, second] = [pair(owned, 1), pair(owned, 1)];
  await run(first.device, 2);
  second.parameters.flat.write(first.parameters.flat.bytes());
  await second.device.load(first.device.state());
  second.device.resumeAt(2);
  await run(second.device, 1);
  assert.deepEqual(second.parameters.flat.bytes(), whole.parameters.flat.bytes());
});

Deno.test("more unread updates than there is room for are refused", async () => {
  using owned = new DisposableStack();
  const { device } = pair(owned, 1);
  device.begin({ learningRate: 0.1, tokens: 1, seed: 0 });
  device.addLosses(losses(owned, [1]));
  for (let i = 0; i < MOST_PENDING; i++) await device.update();
  await assert.rejects(device.update(), /results are unread; read them$/);
  assert.equal(device.results().length, MOST_PENDING);
  await device.update();
});

const FORMATS = ["master", "bfloat16-stochastic", "bfloat16"] as const;

/** An optimizer over bfloat16 weights of the same values as the float32 ones of `store`. */
function narrow(owned: DisposableStack, format: typeof FORMATS[number]) {
  const wide = store(owned, 1);
  const rounded = (from: ParameterStore): ParameterStore => {
    const made = owned.use(new ParameterStore(runtime, layout, { dtype: "bfloat16" }));
    const bits = new Uint16Array(layout.length);
    float32ToBfloat16(from.flat.float32(), bits);
    made.flat.write(bits);
    return made;
  };
  const weights = rounded(wide);
  const parameters = format === "master" ? wide : weights;
  const optimizer = onDevice(owned, {
    parameters,
    copy: format === "master" ? weights : undefined,
    gradients: rounded(store(owned, 2)),
    format,
    maxGradNorm: 1,
  });
  const run = async (from: number, to: number): Promise<void> => {
    for (let step = from; step < to; step++) {
      optimizer.begin({ learningRate: 0.01, tokens: 1, seed: step });
      optimizer.addLosses(losses(owned, [1]));
      await optimizer.update();
    }
  };
  return { optimizer, weights, parameters, run };
}

for (const format of FORMATS) {
  Deno.test(`${format} follows float32 to the width of a bfloat16, and resumes to the bit`, async () => {
    using owned = new DisposableStack();
    const whole = narrow(owned, format);
    await whole.run(0, 12);
    const expected = store(owned, 1);
    const reference = onDevice(owned, {
      parameters: expected,
      gradients: store(owned, 2),
      format: "float32",
      maxGradNorm: 1,
    });
    for (let step = 0; step < 12; step++) {
      reference.begin({ learningRate: 0.01, tokens: 1, seed: step });
      reference.addLosses(losses(owned, [1]));
      await reference.update();
    }
    const values = new Float32Array(layout.length);
    bfloat16ToFloat32(new Uint16Array(whole.weights.flat.bytes().buffer), values);
    const { maxAbsolute } = assertClose(values, expected.flat.float32(), {
      absolute: FORMAT_ABSOLUTE[format],
      label: format,
    });
    if (Deno.env.get("ORTUNE_REPORT")) console.log(format, maxAbsolute);

    const [first, second] = [narrow(owned, format), narrow(owned, format)];
    await first.run(0, 5);
    second.weights.flat.write(first.weights.flat.bytes());
    const state = first.optimizer.state();
    const masters = state.names().filter((name) => name.endsWith(".master"));
    assert.equal(masters.length, format === "master" ? 2 : 0);
    await second.optimizer.load(state);
    second.optimizer.resumeAt(5);
    await second.run(5, 12);
    assert.deepEqual(second.weights.flat.bytes(), whole.weights.flat.bytes());
    assert.deepEqual(second.parameters.flat.bytes(), whole.parameters.flat.bytes());
  });
}

Deno.test("what the graphs run on is the master rounded, also after it was filled from elsewhere", async () => {
  using owned = new DisposableStack();
  const { weights, parameters, run } = narrow(owned, "master");
  const assertRounded = () => {
    const bits = new Uint16Array(layout.length);
    float32ToBfloat16(parameters.flat.float32(), bits);
    assert.deepEqual(new Uint16Array(weights.flat.bytes().buffer), bits);
  };
  await run(0, 3);
  assertRounded();
  parameters.flat.float32().fill(0.3);
  roundParameters(runtime, parameters, weights);
  assertRounded();
});

const NORM = 7;

/** An optimizer whose update only tells of what it is asked for, and takes 7 for the norm. */
function telling(
  owned: DisposableStack,
  log: unknown[],
  { remembered, ...options }: Partial<DeviceOptimizerOptions> & {
    readonly remembered?: ReadonlyMap<string, Tensor>;
  } = {},
) {
  const [parameters, gradients] = [store(owned, 1), store(owned, 2)];
  const scale = owned.use(Tensor.allocate(runtime, "float32", []));
  const made: DeviceUpdateOptions[] = [];
  const optimizer = owned.use(
    new DeviceOptimizer({
      ...{ runtime, parameters, gradients, format: "float32", maxGradNorm: 3, state: ["a"] },
      makeUpdate: (given) => {
        made.push(given);
        return {
          ...{ scale, remembered },
          send(numbers) {
            log.push(numbers);
            scale.write(Float32Array.of(numbers.scale));
          },
          run(result) {
            log.push("run");
            result.write(Float32Array.of(given.loss.float32()[0], NORM));
            return Promise.resolve();
          },
          resumeAt: (step) => void log.push(`resumed at ${step}`),
          [Symbol.dispose]: () => void log.push("released"),
        };
      },
      ...options,
    }),
  );
  return { optimizer, parameters, gradients, made: made[0] };
}

Deno.test("DeviceOptimizer sends a mean's scale and a seed, adds up batches, and tells results once", async () => {
  using owned = new DisposableStack();
  const log: unknown[] = [];
  const { optimizer } = telling(owned, log);
  assert.equal(optimizer.maxUnread, 1024);
  assert.deepEqual(optimizer.results(), []);
  const update = async (tokens: number, ...batches: number[][]): Promise<void> => {
    optimizer.begin({ learningRate: 0.25, tokens, seed: tokens + 1 });
    for (const each of batches) optimizer.addLosses(losses(owned, each));
    await optimizer.update();
  };
  await update(8, [1, 2, 3], [], [4, 6]);
  await update(4, [2]);
  // All losses are another process's; then there are none at all.
  await update(1);
  await update(0);
  assert.deepEqual(optimizer.results(), [
    { loss: 2, gradNorm: NORM, skipped: false },
    { loss: 0.5, gradNorm: NORM, skipped: false },
    { loss: 0, gradNorm: NORM, skipped: false },
    { loss: NaN, gradNorm: NORM, skipped: true },
  ]);
  assert.deepEqual(optimizer.results(), []);
  await update(2, [3]);
  assert.deepEqual(optimizer.results(), [{ loss: 1.5, gradNorm: NORM, skipped: false }]);
  const sent = (tokens: number) => [{
    learningRate: 0.25,
    scale: 1 / tokens,
    seed: randomOdd(1, [tokens + 1, "rounding"])[0],
  }, "run"];
  assert.deepEqual(log.splice(0), [8, 4, 1, 0, 2].flatMap(sent));
  optimizer.resumeAt(9);
  const state = optimizer.state();
  optimizer[Symbol.dispose]();
  assert.deepEqual(log, ["resumed at 9", "released"]);
  await assert.rejects(state.read("norm.a", new Uint8Array(4)), {
    message: "Cannot use a tensor: it was disposed of",
  });
});

/** Tensors of float32 whose numbers count up from one of their own each, read a while after they are asked for. */
function counting(shapes: Readonly<Record<string, readonly number[]>>) {
  const numbers = new Map(
    Object.entries(shapes).map(([name, shape], i) => {
      const count = shape.reduce((product, each) => product * each, 1);
      return [name, Float32Array.from({ length: count }, (_, at) => 10_000 * (i + 1) + at)];
    }),
  );
  const tensors = new Map(
    [...numbers].map(([name, data]): [string, TensorData] => [
      name,
      { dtype: "float32", shape: shapes[name], data: new Uint8Array(data.buffer) },
    ]),
  );
  const source = tensorSourceFromMap(tensors);
  const read: typeof source.read = async (...asked) => {
    await new Promise((resolve) => setTimeout(resolve));
    await source.read(...asked);
  };
  return { numbers, source: { ...source, read } };
}

Deno.test("DeviceOptimizer's state has moments, masters of a rounded copy, and what the update remembers", async () => {
  const [weight, norm] = [[37, 19], [300]];
  for (const copied of [false, true]) {
    for (const remembers of [false, true]) {
      using owned = new DisposableStack();
      const scalar = owned.use(Tensor.from(runtime, "float32", [], Float32Array.of(5)));
      const { optimizer, parameters } = telling(owned, [], {
        copy: copied ? store(owned, 3) : undefined,
        remembered: remembers ? new Map([["sum.of rates", scalar]]) : undefined,
      });
      const before = parameters.tensor("norm").float32().slice();
      const shapes = {
        ...{ "weight.a": weight, "norm.a": norm },
        ...copied ? { "weight.master": weight, "norm.master": norm } : {},
        ...remembers ? { "sum.of rates": [] } : {},
      };
      const state = optimizer.state();
      assert.deepEqual(state.names(), Object.keys(shapes));
      for (const [name, shape] of Object.entries(shapes)) {
        const { dtype, shape: own } = state.info(name);
        assert.deepEqual([dtype, own], ["float32", shape], name);
      }
      const read = async (name: string, count: number, offset?: number) => {
        const into = new Float32Array(count);
        await state.read(name, new Uint8Array(into.buffer), offset);
        return into;
      };
      assert.deepEqual(await read("weight.a", 703), new Float32Array(703));
      if (copied) assert.deepEqual(await read("norm.master", 2, 12), before.slice(3, 5));
      if (remembers) assert.deepEqual(await read("sum.of rates", 1), Float32Array.of(5));

      const { numbers, source } = counting(shapes);
      await optimizer.load(source);
      for (const [name, values] of numbers) {
        assert.deepEqual(await read(name, values.length), values, name);
      }
      assert.deepEqual(
        parameters.tensor("norm").float32().slice(),
        copied ? numbers.get("norm.master")! : before,
      );
    }
  }
});

Deno.test("masters of a checkpoint are for runs with a rounded copy, which also load one without any", async () => {
  using owned = new DisposableStack();
  const moments = { "weight.a": [37, 19], "norm.a": [300] };
  const masters = { "weight.master": [37, 19], "norm.master": [300] };
  const exact = telling(owned, []);
  const before = exact.parameters.flat.float32().slice();
  await exact.optimizer.load(counting({ ...moments, ...masters }).source);
  assert.deepEqual(exact.parameters.flat.float32(), before);
  const copied = telling(owned, [], { copy: store(owned, 3) });
  await copied.optimizer.load(counting(moments).source);
  assert.deepEqual(copied.parameters.flat.float32(), before);
});

Deno.test("DeviceOptimizer keeps 8-bit codes and their scales where its format has them", () => {
  using owned = new DisposableStack();
  const state = telling(owned, [], { format: "bfloat16-8bit", state: ["a", "b"] }).optimizer
    .state();
  assert.deepEqual(
    state.names().map((name) => [name, state.info(name)]),
    [
      ...["weight.a", "weight.b"].map((name) => [name, { dtype: "uint8", shape: [37, 19] }]),
      ...["norm.a", "norm.b"].map((name) => [name, { dtype: "uint8", shape: [300] }]),
      ...["a.scales", "b.scales"].map((name) => [name, {
        dtype: "float32",
        shape: [layout.length / 256],
      }]),
    ],
  );
});

/** Collective operations that only tell of themselves, and take a while. */
function tellingComm(log: unknown[]): TensorComm {
  const wait = async (): Promise<void> => {
    log.push("join");
    await new Promise((resolve) => setTimeout(resolve));
    log.push("joined");
  };
  return {
    ...{ rank: 0, size: 1, join: wait, finish: wait, [Symbol.dispose]: () => {} },
    allReduceSum: ({ shape }) => void log.push(`sum of [${shape}]`),
    reduceScatterSum: () => assert.fail("parts are summed"),
    allGather: () => assert.fail("parts are gathered"),
  };
}

for (const format of ["float32", "master"] as const) {
  for (const given of ["comm", "collectives", "both"]) {
    for (const shard of [undefined, false, true]) {
      const sharded = given === "both" && shard === true;
      Deno.test(`DeviceOptimizer in ${format} with ${given}, shard ${shard}, keeps ${sharded ? "a part" : "all"}`, async () => {
        using owned = new DisposableStack();
        const log: unknown[] = [];
        const collectives = given === "comm" ? undefined : tellingComm(log);
        const comm = given === "collectives" ? undefined : localComms(1)[0];
        const copy = sharded ? undefined : store(owned, 3);
        const { optimizer, made, parameters, gradients } = telling(owned, log, {
          ...{ format, comm, collectives, copy, shard },
        });
        const { state, loss, ...others } = made;
        assert.ok(state instanceof (sharded ? ShardedState : OptimizerState));
        assert.deepEqual(loss.shape, []);
        assert.deepEqual(Object.keys(others).sort(), [
          ...sharded ? ["collectives"] : ["copy"],
          ...["gradients"],
          ...sharded ? ["master"] : [],
          ...["maxGradNorm", "parameters", "rates", "runtime"],
        ]);
        assert.deepEqual(
          [made.parameters, made.gradients, made.maxGradNorm, made.rates],
          [parameters, gradients, 3, undefined],
        );
        if (made.collectives) {
          assert.equal(made.collectives, collectives);
          assert.equal(made.master, format === "master");
        } else assert.equal(made.copy, copy);
        assert.equal(optimizer.parts, state instanceof ShardedState ? state.shared : undefined);

        optimizer.begin({ learningRate: 1, tokens: 1, seed: 0 });
        log.splice(0);
        await optimizer.update();
        assert.deepEqual(log, [
          ...collectives ? ["sum of []", "join", "joined"] : [],
          "run",
          ...sharded ? ["join", "joined"] : [],
        ]);

        const { numbers, source } = counting({ weight: [37, 19], norm: [300] });
        await optimizer.takeWeights(source);
        const kept = sharded && format === "master";
        if (state instanceof ShardedState) {
          assert.equal(state.names().includes("norm.master"), kept);
          // A checkpoint in float32 has no masters.
          await optimizer.load(counting({ "weight.a": [37, 19], "norm.a": [300] }).source);
        }
        if (!kept) return;
        const into = new Float32Array(300);
        await optimizer.state().read("norm.master", new Uint8Array(into.buffer));
        assert.deepEqual(into, numbers.get("norm"));
      });
    }
  }
}
