/**
 * The optimizer in kernels beside the optimizer in graphs, both on host memory: the kernels are
 * compiled for the processor, behind a stand-in for libcuda.
 */

import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../ort/tensor/half.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { draws } from "../../tests/support/random.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { hostGpu } from "../../tests/support/test_gpu.ts";
import type { Optimizer } from "../optimizer.ts";
import { adamW } from "./adamw_optimizers.ts";
import { STATE_TYPES, type StateFormat } from "./state_format.ts";

const host = await hostGpu();
const ignore = !host;
if (ignore) console.warn("kernel update tests skipped: they need Linux, gcc and g++");

const runtime = new Runtime({ threads: 2 });
const layout = layoutParameters([
  { name: "weight", shape: [37, 19], decays: true },
  { name: "other", shape: [700], decays: true },
  { name: "norm", shape: [300], decays: false },
]);
const CONSTANTS = { weightDecay: 0.1 };
const UPDATES = 20;
const RATE = 0.01;

/**
 * Worst difference of weights and moments after 20 updates, as a part of the largest of the tensor.
 * Measured: master 5.8e-8, bfloat16 9.6e-4, bfloat16-stochastic 2.6e-2, where each way draws random
 * numbers of its own.
 */
const TOLERANCES = {
  float32: { weights: 1e-6, moments: 1e-6 },
  master: { weights: 1e-6, moments: 1e-6 },
  bfloat16: { weights: 2 ** -8, moments: 2 ** -8 },
  "bfloat16-stochastic": { weights: 2 ** -4, moments: 2 ** -4 },
} as const;

function floats(owned: DisposableStack, seed: number): ParameterStore {
  const made = owned.use(new ParameterStore(runtime, layout));
  fill(made, seed);
  return made;
}

/** Random bfloat16 within ±1, in the type of the store. */
function fill(store: ParameterStore, seed: number): void {
  const draw = draws(seed);
  for (const name of store.names()) {
    const tensor = store.tensor(name);
    const values = Float32Array.from(
      { length: tensor.byteLength / (tensor.dtype === "float32" ? 4 : 2) },
      () => draw(-1, 1),
    );
    const bits = new Uint16Array(values.length);
    float32ToBfloat16(values, bits);
    bfloat16ToFloat32(bits, values);
    tensor.write(tensor.dtype === "float32" ? values : bits);
  }
}

interface Side {
  readonly optimizer: Optimizer;
  /** What the model runs on. */
  readonly weights: ParameterStore;
  readonly parameters: ParameterStore;
  readonly gradients: ParameterStore;
}

async function side(
  owned: DisposableStack,
  format: StateFormat,
  { kernels, maxGradNorm = 1 }: { kernels: boolean; maxGradNorm?: number },
): Promise<Side> {
  const narrow = (seed: number): ParameterStore => {
    const made = owned.use(new ParameterStore(runtime, layout, { dtype: "bfloat16" }));
    fill(made, seed);
    return made;
  };
  const make = format === "float32" ? (seed: number) => floats(owned, seed) : narrow;
  const weights = make(1);
  const master = STATE_TYPES[format].parameters === "master";
  const parameters = master ? floats(owned, 1) : weights;
  const gradients = make(2);
  const makeOptimizer = kernels
    ? await adamW.withKernels!(host!.gpu, format, CONSTANTS)
    : adamW.make;
  const optimizer = owned.use(makeOptimizer({
    runtime,
    parameters,
    gradients,
    copy: master ? weights : undefined,
    format,
    maxGradNorm,
    constants: CONSTANTS,
    graphsOnly: true,
  }));
  return { optimizer, weights, parameters, gradients };
}

/** Updates `from` to `to`, each with gradients of its own. */
async function run(
  owned: DisposableStack,
  { optimizer, gradients }: Side,
  from: number,
  to: number,
  { loss = 1, gradient }: { loss?: number; gradient?: number } = {},
): Promise<void> {
  for (let step = from; step < to; step++) {
    fill(gradients, 100 + step);
    if (gradient !== undefined) {
      const bits = new Uint16Array(1);
      float32ToBfloat16(Float32Array.of(gradient), bits);
      const wide = gradients.flat.dtype === "float32";
      gradients.tensor("other").write(wide ? Float32Array.of(gradient) : bits, 0);
    }
    optimizer.begin({ learningRate: RATE / (1 + step), tokens: 2, seed: step });
    const losses = [loss, 3].map((value) =>
      owned.use(Tensor.from(runtime, "float32", [1, 1], Float32Array.of(value)))
    );
    losses.forEach((each) => optimizer.addLosses(each));
    await optimizer.update();
  }
}

async function bytesOf(source: TensorSource): Promise<Map<string, Uint8Array>> {
  const width = { float32: 4, bfloat16: 2, uint8: 1 } as Record<string, number>;
  const read = source.names().map(async (name): Promise<[string, Uint8Array]> => {
    const { dtype, shape } = source.info(name);
    const into = new Uint8Array(width[dtype] * shape.reduce((a, b) => a * b, 1));
    await source.read(name, into);
    return [name, into];
  });
  return new Map(await Promise.all(read));
}

function numbers(bytes: Uint8Array, dtype: string): Float32Array {
  if (dtype === "float32") return new Float32Array(bytes.slice().buffer);
  const bits = new Uint16Array(bytes.slice().buffer);
  const values = new Float32Array(bits.length);
  bfloat16ToFloat32(bits, values);
  return values;
}

/** Worst difference of two sources of the same names and types, as a part of the largest. */
async function compare(
  actual: TensorSource,
  expected: TensorSource,
  relativeToMax: number,
): Promise<number> {
  const [a, b] = [await bytesOf(actual), await bytesOf(expected)];
  assert.deepEqual([...a.keys()], [...b.keys()]);
  let worst = 0;
  for (const name of a.keys()) {
    const info = actual.info(name);
    assert.deepEqual(info, expected.info(name));
    const values = numbers(b.get(name)!, info.dtype);
    const { maxAbsolute } = assertClose(numbers(a.get(name)!, info.dtype), values, {
      relativeToMax,
      label: name,
    });
    worst = Math.max(worst, maxAbsolute / values.reduce((most, x) => Math.max(most, Math.abs(x))));
  }
  return worst;
}

for (const format of Object.keys(TOLERANCES) as (keyof typeof TOLERANCES)[]) {
  for (const maxGradNorm of [0, 1, 1000]) {
    Deno.test({
      name: `${format} in kernels makes the updates of graphs, clipped to ${
        maxGradNorm || "nothing"
      }`,
      ignore,
      async fn() {
        using owned = new DisposableStack();
        const expected = await side(owned, format, { kernels: false, maxGradNorm });
        const actual = await side(owned, format, { kernels: true, maxGradNorm });
        for (const each of [expected, actual]) await run(owned, each, 0, UPDATES);
        const { weights, moments } = TOLERANCES[format];
        const worst = {
          weights: await compare(
            actual.weights,
            expected.weights,
            format === "master" ? 2 ** -7 : weights,
          ),
          parameters: await compare(actual.parameters, expected.parameters, weights),
          state: await compare(actual.optimizer.state(), expected.optimizer.state(), moments),
        };
        if (Deno.env.get("ORTUNE_REPORT")) console.log(format, maxGradNorm, worst);
        const [told, known] = [actual.optimizer.results(), expected.optimizer.results()];
        assert.equal(told.length, UPDATES);
        assert.deepEqual(told.map(({ loss }) => loss), known.map(({ loss }) => loss));
        assert.deepEqual(told.map(({ skipped }) => skipped), known.map(() => false));
        const norms = (results: typeof told): number[] => results.map(({ gradNorm }) => gradNorm);
        assertClose(norms(told), norms(known), { relative: 1e-6, label: "norms" });
      },
    });
  }
}

for (const format of Object.keys(STATE_TYPES) as StateFormat[]) {
  Deno.test({
    name: `${format} in kernels leaves all bits alone where loss or gradient is not finite`,
    ignore,
    async fn() {
      using owned = new DisposableStack();
      const made = await side(owned, format, { kernels: true });
      const all = async () => [
        ...await bytesOf(made.weights),
        ...await bytesOf(made.parameters),
        ...await bytesOf(made.optimizer.state()),
      ];
      await run(owned, made, 0, 2);
      const before = await all();
      await run(owned, made, 2, 3, { loss: NaN });
      await run(owned, made, 3, 4, { gradient: -Infinity });
      assert.deepEqual(await all(), before);
      await run(owned, made, 4, 5);
      assert.notDeepEqual(await all(), before);
      const skipped = made.optimizer.results().map((each) => each.skipped);
      assert.deepEqual(skipped, [false, false, true, true, false]);

      // As if the two had never been.
      const other = await side(owned, format, { kernels: true });
      await run(owned, other, 0, 2);
      await run(owned, other, 4, 5);
      assert.deepEqual(other.parameters.flat.bytes(), made.parameters.flat.bytes());
    },
  });

  Deno.test({
    name: `${format} in kernels is resumed from a file to the bit`,
    ignore,
    async fn() {
      using owned = new DisposableStack();
      const whole = await side(owned, format, { kernels: true });
      await run(owned, whole, 0, 12);
      const [first, second] = [
        await side(owned, format, { kernels: true }),
        await side(owned, format, { kernels: true }),
      ];
      await run(owned, first, 0, 5);
      for (const name of layout.specs.map((spec) => spec.name)) {
        second.weights.tensor(name).write(first.weights.tensor(name).bytes());
      }
      await using folder = await tempFolder();
      const path = `${folder.path}/optimizer.state`;
      await writeSafetensors(path, first.optimizer.state());
      await using saved = await openSafetensors(path);
      await second.optimizer.load(saved);
      second.optimizer.resumeAt(5);
      await run(owned, second, 5, 12);
      assert.deepEqual(await bytesOf(second.weights), await bytesOf(whole.weights));
      assert.deepEqual(
        await bytesOf(second.optimizer.state()),
        await bytesOf(whole.optimizer.state()),
      );
    },
  });
}

Deno.test({
  name: "an update is three launches on the runtime's stream, whatever the size",
  ignore,
  async fn() {
    using owned = new DisposableStack();
    const made = await side(owned, "master", { kernels: true });
    host!.records();
    await run(owned, made, 0, 2);
    const names = ["sumOfSquares", "decide", "update"];
    assert.deepEqual(host!.records().map(({ name }) => name), [...names, ...names]);
  },
});

Deno.test({
  name: "what kernels began, graphs go on with, and the other way round",
  ignore,
  async fn() {
    for (const kernels of [true, false]) {
      using owned = new DisposableStack();
      const whole = await side(owned, "float32", { kernels });
      await run(owned, whole, 0, 12);
      const first = await side(owned, "float32", { kernels });
      const second = await side(owned, "float32", { kernels: !kernels });
      await run(owned, first, 0, 5);
      second.weights.flat.write(first.weights.flat.bytes());
      await second.optimizer.load(first.optimizer.state());
      second.optimizer.resumeAt(5);
      await run(owned, second, 5, 12);
      await compare(second.weights, whole.weights, TOLERANCES.float32.weights);
      await compare(second.optimizer.state(), whole.optimizer.state(), TOLERANCES.float32.moments);
    }
  },
});

Deno.test({
  name: "8-bit moments stray from float32's path by a twentieth of it at most",
  ignore,
  async fn() {
    using owned = new DisposableStack();
    const exact = await side(owned, "float32", { kernels: true });
    const coarse = await side(owned, "bfloat16-8bit", { kernels: true });
    const start = exact.weights.flat.float32().slice();
    for (const each of [exact, coarse]) await run(owned, each, 0, UPDATES);
    const end = exact.weights.flat.float32();
    const actual = numbers(coarse.weights.flat.bytes(), "bfloat16");
    // Rounding at random is fair, so what strays is taken as a mean over all of a tensor.
    const along = actual.reduce((sum, x, i) => sum + (x - start[i]) * (end[i] - start[i]), 0);
    const length = end.reduce((sum, x, i) => sum + (x - start[i]) ** 2, 0);
    if (Deno.env.get("ORTUNE_REPORT")) console.log("8 bits go", along / length, "of the way");
    assert.ok(Math.abs(along / length - 1) < 0.05, `${along / length} of the way`);
  },
});

Deno.test("8-bit moments without kernels are refused", () => {
  using owned = new DisposableStack();
  const [parameters, gradients] = [floats(owned, 1), floats(owned, 2)];
  assert.throws(
    () =>
      adamW.make({
        runtime,
        parameters,
        gradients,
        format: "bfloat16-8bit",
        maxGradNorm: 1,
        graphsOnly: true,
      }),
    /^Error: Cannot keep 8-bit moments without ortune's CUDA kernels.*take another optimizer/,
  );
});

Deno.test({
  name: "moments in 8 bits are kept as codes and scales, and nothing else takes them",
  ignore,
  async fn() {
    using owned = new DisposableStack();
    const { optimizer } = await side(owned, "bfloat16-8bit", { kernels: true });
    const state = optimizer.state();
    assert.deepEqual(state.info("weight.exp_avg"), { dtype: "uint8", shape: [37, 19] });
    assert.deepEqual(state.info("weight.exp_avg_sq"), { dtype: "uint8", shape: [37, 19] });
    for (const name of ["exp_avg.scales", "exp_avg_sq.scales"]) {
      assert.deepEqual(state.info(name), { dtype: "float32", shape: [layout.length / 256] });
    }
    const other = await side(owned, "master", { kernels: true });
    await assert.rejects(
      other.optimizer.load(state),
      /Cannot load optimizer state weight\.exp_avg: it is uint8 .*expected float32/,
    );
  },
});
