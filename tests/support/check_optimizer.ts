/**
 * What every optimizer must do, in each of its formats. In: a row of the table of optimizers. Out: tests of
 * its state, of skipped updates, of going on from a checkpoint, and of the way that parameters go.
 */

import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { readAll } from "../../ort/tensor/tensor_source.ts";
import type { Optimizer } from "../../train/optimizer.ts";
import type { OptimizerDescription } from "../../train/optimizers/optimizer_description.ts";
import { roundParameters } from "../../train/optimizers/round_parameters.ts";
import {
  PRECISION_FORMATS,
  STATE_TYPES,
  type StateFormat,
} from "../../train/optimizers/state_format.ts";
import { numbersOf, writeNumbers } from "./numbers.ts";
import { draws } from "./random.ts";
import { tempFolder } from "./temp_folder.ts";
import { hostGpu } from "./test_gpu.ts";

const SPECS = [
  { name: "weight", shape: [37, 19], decays: true },
  { name: "norm", shape: [300], decays: false },
];
const CONSTANTS = { weightDecay: 0.1 };
const RATE = 0.01;
const UPDATES = 12;

/** An optimizer and what it works on. */
interface Subject {
  readonly optimizer: Optimizer;
  /** What it updates. */
  readonly parameters: ParameterStore;
  /** What the model would run on. */
  readonly weights: ParameterStore;
  readonly gradients: ParameterStore;
}

/** Tests an optimizer on parameters whose gradients are they themselves, so that they go to 0. */
export async function checkOptimizer(name: string, row: OptimizerDescription): Promise<void> {
  const runtime = new Runtime({ threads: 2 });
  const host = row.needsKernels === undefined ? undefined : await hostGpu();

  const make = async (
    owned: DisposableStack,
    format: StateFormat,
    graphsOnly: boolean,
  ): Promise<Subject> => {
    const types = STATE_TYPES[format];
    const master = types.parameters === "master";
    const layout = layoutParameters(SPECS);
    const store = (dtype: "float32" | "bfloat16"): ParameterStore =>
      owned.use(new ParameterStore(runtime, layout, { dtype }));
    const parameters = store(types.parameters === "master" ? "float32" : types.parameters);
    const weights = master ? store("bfloat16") : parameters;
    const gradients = store(types.gradients);
    const draw = draws(1);
    for (const { name } of SPECS) {
      const tensor = parameters.tensor(name);
      writeNumbers(tensor, numbersOf(tensor).map(() => draw(-1, 1)));
    }
    if (master) roundParameters(runtime, parameters, weights);
    const makeOptimizer = types.state === "int8"
      ? await row.withKernels!(host!.gpu, format, CONSTANTS)
      : row.make;
    const optimizer = owned.use(makeOptimizer({
      runtime,
      parameters,
      gradients,
      copy: master ? weights : undefined,
      format,
      maxGradNorm: 1,
      constants: CONSTANTS,
      graphsOnly,
    }));
    return { optimizer, parameters, weights, gradients };
  };

  const run = async (
    { optimizer, weights, gradients }: Subject,
    [from, to]: readonly [number, number],
    spoil?: "loss" | "gradient",
  ): Promise<void> => {
    for (let step = from; step < to; step++) {
      for (const { name } of SPECS) {
        const numbers = numbersOf(weights.tensor(name));
        if (spoil === "gradient") numbers[7] = -Infinity;
        writeNumbers(gradients.tensor(name), numbers);
      }
      optimizer.begin({ learningRate: RATE, tokens: 2, seed: step });
      for (const loss of [3, spoil === "loss" ? NaN : 1]) {
        using losses = Tensor.from(runtime, "float32", [1, 1], Float32Array.of(loss));
        optimizer.addLosses(losses);
      }
      await optimizer.update();
    }
  };

  /** All bits that an update may change. */
  const bits = async ({ optimizer, parameters, weights }: Subject): Promise<unknown> => {
    const state = optimizer.state();
    return [
      parameters.flat.bytes().slice(),
      weights.flat.bytes().slice(),
      ...await Promise.all(state.names().map((name) => readAll(state, name))),
    ];
  };

  const norm = ({ parameters }: Subject): number =>
    Math.hypot(...SPECS.flatMap(({ name }) => [...numbersOf(parameters.tensor(name))]));

  const formats = new Set<StateFormat>([
    ...Object.values(row.formats ?? PRECISION_FORMATS),
    // An adapter's.
    "float32",
  ]);
  const variants = [...formats].flatMap((format) =>
    (format === "float32" ? [false, true] : [true]).map((graphsOnly) => ({ format, graphsOnly }))
  );
  for (const { format, graphsOnly } of variants) {
    const what = `${name} in ${format}${graphsOnly ? ", read when asked" : ""}`;
    const types = STATE_TYPES[format];
    const inKernels = types.state === "int8";
    const ignore = inKernels && !host;
    // Graphs round what is stored once more, and at random take a power of two for the number below it.
    const exact = types.rounding === "nearest" || inKernels;

    Deno.test({
      name: `${what}: names its state, and brings parameters down`,
      ignore,
      async fn() {
        using owned = new DisposableStack();
        const subject = await make(owned, format, graphsOnly);
        const before = norm(subject);
        await run(subject, [0, UPDATES]);
        assert.ok(norm(subject) < 0.95 * before, `${norm(subject)} of ${before}`);
        const kept = subject.optimizer.state().names()
          .filter((each) => each.includes(".") && !/\.(master|scales)$/.test(each));
        assert.deepEqual(
          kept,
          SPECS.flatMap((spec) =>
            Object.keys(
              row.shapes?.(spec) ?? Object.fromEntries(row.state.map((each) => [each, []])),
            )
              .map((state) => `${spec.name}.${state}`)
          ),
        );
        const results = subject.optimizer.results();
        assert.deepEqual(
          results.map(({ loss, skipped }) => [loss, skipped]),
          Array(UPDATES).fill([2, false]),
        );
        assert.ok(Math.abs(results[0].gradNorm / before - 1) < 0.01, "the norm is before clipping");
        assert.deepEqual(subject.optimizer.results(), []);
      },
    });

    Deno.test({
      name: `${what}: skips an update whose loss or gradient is not finite${
        exact ? ", without a trace" : ""
      }`,
      ignore,
      async fn() {
        using owned = new DisposableStack();
        const [subject, other] = [
          await make(owned, format, graphsOnly),
          await make(owned, format, graphsOnly),
        ];
        for (const each of [subject, other]) await run(each, [0, 3]);
        const before = await bits(subject);
        await run(subject, [3, 4], "loss");
        await run(subject, [3, 4], "gradient");
        if (exact) assert.deepEqual(await bits(subject), before);
        const skipped = subject.optimizer.results().map((each) => each.skipped);
        assert.deepEqual(skipped, [false, false, false, true, true]);
        for (const each of [subject, other]) await run(each, [3, 5]);
        if (exact) assert.deepEqual(await bits(subject), await bits(other));
      },
    });

    Deno.test({
      name: `${what}: goes on from a file to the bit`,
      ignore,
      async fn() {
        using owned = new DisposableStack();
        const whole = await make(owned, format, graphsOnly);
        await run(whole, [0, UPDATES]);
        const [first, second] = [
          await make(owned, format, graphsOnly),
          await make(owned, format, graphsOnly),
        ];
        await run(first, [0, 5]);
        await using folder = await tempFolder();
        const path = `${folder.path}/optimizer.state`;
        await writeSafetensors(path, first.optimizer.state());
        await using saved = await openSafetensors(path);
        second.weights.flat.write(first.weights.flat.bytes());
        await second.optimizer.load(saved);
        second.optimizer.resumeAt(5);
        await run(second, [5, UPDATES]);
        assert.deepEqual(await bits(second), await bits(whole));
      },
    });
  }
}
