import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { valueText } from "../../tests/support/graph_text.ts";
import { hostTensorComm } from "../distributed/tensor_comm.ts";
import { adafactor } from "./adafactor.ts";
import { adamW } from "./adamw_optimizers.ts";
import { lion } from "./lion.ts";
import { muon } from "./muon.ts";
import type { MakeOptimizer, OptimizerOptions } from "./optimizer_description.ts";
import { optimizers } from "./optimizers.ts";

const runtime = new Runtime({ threads: 2 });
const SPECS = [
  { name: "weight", shape: [2, 3], decays: true },
  { name: "norm", shape: [4], decays: false },
];

function setUp(
  owned: DisposableStack,
  make: MakeOptimizer,
  { specs = SPECS, ...options }: Partial<OptimizerOptions> & { specs?: typeof SPECS } = {},
) {
  const layout = layoutParameters(specs);
  const store = () => owned.use(new ParameterStore(runtime, layout));
  const [parameters, gradients] = [store(), store()];
  parameters.zero();
  gradients.zero();
  const optimizer = owned.use(make({
    ...{ runtime, parameters, gradients, format: "float32", maxGradNorm: 0, graphsOnly: true },
    ...options,
  }));
  const update = async (learningRate: number): Promise<void> => {
    optimizer.begin({ learningRate, tokens: 1, seed: 1 });
    using losses = Tensor.from(runtime, "float32", [1, 1], Float32Array.of(1));
    optimizer.addLosses(losses);
    await optimizer.update();
  };
  return { parameters, gradients, optimizer, update };
}

for (const row of new Set(Object.values(optimizers))) {
  for (const graphsOnly of [false, true]) {
    const where = graphsOnly ? "in graphs" : "on the host";
    Deno.test(`${row.title} shrinks what decays by the rate times the weight decay, ${where}: ${row.help}`, async () => {
      for (const weightDecay of [undefined, 0, 1]) {
        using owned = new DisposableStack();
        const constants = weightDecay === undefined ? undefined : { weightDecay };
        const { parameters, update, optimizer } = setUp(owned, row.make, { constants, graphsOnly });
        for (const name of parameters.names()) parameters.tensor(name).float32().fill(1);
        await update(0.25);
        const [weight, norm] = ["weight", "norm"].map((name) => [
          ...parameters.tensor(name).float32(),
        ]);
        const expected = weightDecay === 1 ? 0.75 : 1;
        for (const each of weight) assert.ok(Math.abs(each - expected) < 1e-7, `${each}`);
        assert.deepEqual(norm, [1, 1, 1, 1]);
        const state = optimizer.state();
        optimizer[Symbol.dispose]();
        const [first] = state.names();
        await assert.rejects(state.read(first, new Uint8Array(4)), ReferenceError);
      }
    });

    Deno.test(`${row.title}'s first update leaves no trace where it is skipped, ${where}: ${row.help}`, async () => {
      using owned = new DisposableStack();
      const { parameters, gradients, optimizer, update } = setUp(owned, row.make, {
        ...{ graphsOnly, constants: { weightDecay: 0.5 } },
      });
      for (const name of parameters.names()) parameters.tensor(name).float32().fill(1);
      gradients.tensor("norm").float32()[2] = NaN;
      await update(0.25);
      const { names, info, read } = optimizer.state();
      for (const name of names()) {
        // The weights that are trained, where others are evaluated.
        if (name.endsWith(".master")) continue;
        const { shape } = info(name);
        const into = new Float32Array(shape.reduce((product, each) => product * each, 1));
        await read(name, new Uint8Array(into.buffer));
        assert.deepEqual(into, new Float32Array(into.length), name);
      }
      for (const name of parameters.names()) {
        assert.ok(parameters.tensor(name).float32().every((each) => each === 1), name);
      }
      assert.deepEqual(optimizer.results(), [{ loss: 1, gradNorm: NaN, skipped: true }]);
    });
  }
}

Deno.test("what rules cannot do is refused", () => {
  using owned = new DisposableStack();
  const refused = (make: MakeOptimizer, options: Partial<OptimizerOptions>, message: string) =>
    assert.throws(() => setUp(owned, make, options), { name: "RangeError", message });
  const codes = "Cannot keep 8-bit state in operators: only own kernels have its codes";
  for (const { make } of [lion, muon]) refused(make, { format: "bfloat16-8bit" }, codes);
  for (const { make } of [adafactor, muon]) {
    refused(
      make,
      { format: "bfloat16-stochastic" },
      "Cannot round whole tensors at random: take another format",
    );
    const [comm] = localComms(1);
    refused(
      make,
      { comm, collectives: hostTensorComm(comm), shard: true },
      "Cannot share out the state of whole tensors",
    );
  }
});

Deno.test("AdamW on the host keeps a part of the state where that is asked for, of several processes", () => {
  using owned = new DisposableStack();
  const [comm] = localComms(1);
  const parts = (options: Partial<OptimizerOptions>): boolean =>
    setUp(owned, adamW.make, { graphsOnly: false, ...options }).optimizer.parts !== undefined;
  assert.deepEqual(
    [{}, { shard: true }, { comm }, { comm, shard: false }, { comm, shard: true }].map(parts),
    [false, false, false, false, true],
  );
});

Deno.test("Adafactor brings steps to a root mean square of 1 over the numbers that are trained", async () => {
  const specs = [
    { name: "one", shape: [1], decays: false },
    { name: "half", shape: [2], decays: false },
    { name: "none", shape: [3], decays: false },
  ];
  using owned = new DisposableStack();
  const { parameters, gradients, update } = setUp(owned, adafactor.make, {
    ...{ specs, sizes: new Map([["half", 1], ["none", 0]]) },
  });
  // The second step is of 1.25 times the root of the second moment.
  for (const gradient of [4, 10]) {
    for (const name of ["one", "half"]) gradients.tensor(name).float32()[0] = gradient;
    await update(0.5);
  }
  const [one, half, none] = specs.map(({ name }) => [...parameters.tensor(name).float32()]);
  for (const each of [one[0], half[0]]) assert.ok(Math.abs(each + 1) < 1e-6, `${each}`);
  assert.deepEqual([half[1], ...none], [0, 0, 0, 0]);
});

Deno.test("rules over tensors have a graph for each shape that is updated whole", () => {
  const specs = [
    { name: "model.embed_tokens.weight", shape: [7, 4], decays: true },
    { name: "up", shape: [5, 4], decays: true },
    { name: "gate", shape: [5, 4], decays: true },
    { name: "down", shape: [4, 5], decays: true },
    { name: "frozen", shape: [4, 5], decays: false },
    { name: "norm", shape: [4], decays: false },
    { name: "lm_head.weight", shape: [7, 4], decays: true },
  ];
  const graphs = (row: typeof muon) =>
    row.wholeTensors!(specs, "float32").map(({ name, inputs }) => [
      name,
      ...inputs.filter(({ shape }) => shape.length > 0).map(valueText),
    ]);
  const matrix = (shape: string, row: string, column: string) => [
    ...["optimizer_no_decay", `p float32 [${shape}]`, `g float32 [${shape}]`],
    ...[`row float32 [${row}]`, `column float32 [${column}]`],
  ];
  assert.deepEqual(graphs(adafactor), [
    matrix("7,4", "7", "4"),
    matrix("5,4", "5", "4"),
    matrix("4,5", "4", "5"),
    matrix("4,5", "4", "5"),
    ["optimizer_no_decay", "p float32 [4]", "g float32 [4]", "square float32 [4]"],
  ]);
  assert.deepEqual(
    graphs(muon),
    ["5,4", "4,5", "4,5"].map((shape) => [
      "optimizer_no_decay",
      ...["p", "g", "momentum"].map((name) => `${name} float32 [${shape}]`),
    ]),
  );
});

Deno.test("what goes element by element among whole tensors is updated in pieces, to its end", async () => {
  // 524,288 elements are a piece.
  const specs = [{ name: "model.embed_tokens.weight", shape: [1025, 512], decays: true }];
  using owned = new DisposableStack();
  const [expected, actual] = await Promise.all([adamW, muon].map(async ({ make }) => {
    const { parameters, gradients, update } = setUp(owned, make, { specs });
    gradients.flat.float32().forEach((_, i, all) => all[i] = 1 + i % 7);
    await update(0.5);
    return parameters.flat.float32();
  }));
  assert.ok(expected.every((each) => Math.abs(each + 0.5) < 1e-5));
  assert.deepEqual(actual, expected);
});
