/** Optimizers beside PyTorch's, transformers' and their authors', update by update. */

import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { Optimizer } from "../optimizer.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import type { AdamWOptions } from "./adamw_graph.ts";
import { findOptimizer, optimizers } from "./optimizers.ts";

// Of parameters up to 1. Measured: 6.0e-8 of AdamW, 3.0e-7 of Adafactor, 4.2e-7 of Muon, 2.4e-7 without a schedule.
const ABSOLUTE = 1e-6;

interface OptimizerCase extends Required<Omit<AdamWOptions, "epsilon">> {
  readonly name: string;
  readonly parameters: Readonly<Record<string, readonly number[]>>;
  /** What the model is evaluated with, where that is something else. */
  readonly evaluated?: Readonly<Record<string, readonly number[]>>;
}

const fixture = new URL("../../tests/fixtures/optimizers/optimizers.json", import.meta.url);
const { shapes, rate, updates, warmup, cases }: {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly rate: number;
  readonly updates: number;
  readonly warmup: number;
  readonly cases: readonly OptimizerCase[];
} = JSON.parse(await Deno.readTextFile(fixture));

const runtime = new Runtime({ threads: 2 });
const specs = Object.entries(shapes).map(([name, shape]) => ({
  name,
  shape,
  decays: shape.length > 1,
}));

/** How a run is made; rates fall in a straight line, or rise to stay where the fixture has it so. */
interface RunOptions {
  readonly name: string;
  readonly constants: AdamWOptions;
  readonly graphsOnly: boolean;
  readonly peak?: number;
  readonly rates?: ReadonlyMap<string, number>;
  readonly constant?: boolean;
}

/** Makes the updates of the fixture. */
async function run(
  owned: DisposableStack,
  { name, constants, graphsOnly, peak = rate, rates, constant = false }: RunOptions,
): Promise<{ readonly parameters: ParameterStore; readonly optimizer: Optimizer }> {
  const layout = layoutParameters(specs);
  const store = () => owned.use(new ParameterStore(runtime, layout));
  const [parameters, gradients] = [store(), store()];
  const optimizer = owned.use(
    findOptimizer(name).make({
      ...{ runtime, parameters, gradients, constants, graphsOnly, rates },
      format: "float32",
      maxGradNorm: 0,
    }),
  );
  using losses = Tensor.from(runtime, "float32", [1, 1], Float32Array.of(1));
  for (const { name } of specs) {
    const values = parameters.tensor(name).float32();
    values.forEach((_, i) => values[i] = Math.cos(i));
  }
  for (let t = 0; t < updates; t++) {
    for (const { name } of specs) {
      const g = gradients.tensor(name).float32();
      g.forEach((_, i) => g[i] = (i + t) % 5 === 0 ? 0 : Math.sin(1 + i + 3 * t) * (1 + i % 3));
    }
    const share = constant ? Math.min(1, t / warmup) : 1 - t / updates;
    optimizer.begin({ learningRate: peak * share, tokens: 1, seed: t });
    optimizer.addLosses(losses);
    await optimizer.update();
  }
  return { parameters, optimizer };
}

function compare(
  parameters: ParameterStore,
  expected: (name: string) => ArrayLike<number>,
): void {
  for (const { name } of specs) {
    const { maxAbsolute } = assertClose(parameters.tensor(name).float32(), expected(name), {
      absolute: ABSOLUTE,
      label: name,
    });
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, maxAbsolute);
  }
}

for (const { name, parameters: expected, evaluated, ...constants } of cases) {
  for (const graphsOnly of [false, true]) {
    const where = graphsOnly ? "left to graphs" : "on the host";
    Deno.test(`${name} ${JSON.stringify(constants)} goes where the reference goes, ${where}`, async () => {
      using owned = new DisposableStack();
      const constant = evaluated !== undefined;
      const { parameters, optimizer } = await run(owned, { name, constants, graphsOnly, constant });
      compare(parameters, (name) => expected[name]);
      if (!evaluated) return assert.equal(optimizer.evaluation, undefined);
      const bits = parameters.flat.bytes().slice();
      optimizer.evaluation!.enter();
      compare(parameters, (name) => evaluated[name]);
      optimizer.evaluation!.leave();
      assert.deepEqual(parameters.flat.bytes(), bits, "what is trained comes back");
    });

    Deno.test(`${name} ${JSON.stringify(constants)} goes by factors on the rate, ${where}`, async () => {
      using owned = new DisposableStack();
      const rates = new Map([["wide", 3], ["norm", 3]]);
      const how = { name, constants, graphsOnly };
      const { parameters } = await run(owned, { ...how, rates });
      const [plain, scaled] = [await run(owned, how), await run(owned, { ...how, peak: 3 * rate })];
      compare(
        parameters,
        (name) => (rates.has(name) ? scaled : plain).parameters.tensor(name).float32(),
      );
    });
  }
}

Deno.test("every optimizer with an arithmetic of its own is compared", () => {
  const compared = new Set(cases.map(({ name }) => findOptimizer(name).title));
  for (const { title } of Object.values(optimizers)) assert.ok(compared.has(title), title);
});
