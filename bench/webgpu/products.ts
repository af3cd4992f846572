/**
 * The rate of matrix products at Qwen3-0.6B's shapes. In: a runtime of a device, seconds. Out: GFLOP/s of each,
 * on the device and on the CPU.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { cpu, type Device, deviceName } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { PRODUCT_KINDS, productGraph } from "../product_graph.ts";
import { fillRandom } from "../measure.ts";
import type { TimeBudget } from "../gpu/time_budget.ts";

/** A product's rate. */
export interface ProductRate {
  readonly device: string;
  /** Layer and kind. */
  readonly product: string;
  /** Tokens, outputs and inputs of the layer. */
  readonly sizes: readonly [tokens: number, out: number, width: number];
  readonly flopsPerSecond: number;
}

/** Outputs and inputs of layers. */
const LAYERS: Readonly<Record<string, readonly [out: number, width: number]>> = {
  "queries": [2048, 1024],
  "gate or up": [3072, 1024],
  "down": [1024, 3072],
};
/** Tokens, the most first; the last are measured in any case, and tell how long the others take. */
const TOKENS = [2048, 512, 128, 32];
// A run and a wait that are timed together are few enough, and long enough.
const [LEAST_SECONDS, MOST_RUNS] = [0.15, 64];
/** Runs of a product that is measured: one before, and those that are timed. */
const RUNS = 4;

/** Measures all products, with as many tokens as there is time for. */
export function measureProducts(runtime: Runtime, budget: TimeBudget): readonly ProductRate[] {
  const devices = [runtime.device, cpu];
  const few = TOKENS.at(-1)!;
  const [[name, layer]] = Object.entries(LAYERS);
  const slowest = Math.min(
    ...devices.map((device) =>
      measureLayer(runtime, device, { name, layer, tokens: few })[0].flopsPerSecond
    ),
  );
  const seconds = (tokens: number): number =>
    Object.values(LAYERS).reduce(
      (sum, [out, width]) =>
        sum + devices.length * PRODUCT_KINDS.length *
          Math.max(LEAST_SECONDS, RUNS * 2 * tokens * out * width / slowest),
      0,
    );
  const tokens = TOKENS.find((tokens) => seconds(tokens) < budget.left()) ?? few;
  return Object.entries(LAYERS).flatMap(([name, layer], i) =>
    i > 0 && budget.left() === 0
      ? []
      : devices.flatMap((device) => measureLayer(runtime, device, { name, layer, tokens }))
  );
}

/** The three products of a layer. */
function measureLayer(runtime: Runtime, device: Device, { name, layer: [n, k], tokens: t }: {
  readonly name: string;
  readonly layer: readonly [out: number, width: number];
  readonly tokens: number;
}): ProductRate[] {
  using owned = new DisposableStack();
  const filled = (...shape: readonly [number, number]): Tensor => {
    const values = new Float32Array(shape[0] * shape[1]);
    fillRandom(values, 0.1);
    return owned.use(Tensor.from(runtime, "float32", shape, values, device));
  };
  const [x, w, y, sum] = [filled(t, k), filled(n, k), filled(t, n), filled(n, k)];
  return PRODUCT_KINDS.map((kind) => {
    using graph = new CompiledGraph(runtime, productGraph(kind, "float32"), device);
    const shape = kind === "forwards" ? [t, n] : [t, k];
    const c = kind === "weights' gradient, added"
      ? sum
      : owned.use(Tensor.allocate(runtime, "float32", shape, device));
    using binding = graph.bind({ x, w, y, sum, c });
    return {
      device: deviceName(device),
      product: `${name}, ${kind}`,
      sizes: [t, n, k] as const,
      flopsPerSecond: 2 * t * n * k / timeRuns(binding, c),
    };
  });
}

/** Seconds of a run, of many that are queued together and waited for. */
function timeRuns(binding: Binding, made: Tensor): number {
  const some = new Float32Array(1);
  binding.run();
  made.read(some);
  for (let runs = 1;; runs *= 2) {
    const began = performance.now();
    for (let i = 0; i < runs; i++) binding.run();
    made.read(some);
    const seconds = (performance.now() - began) / 1000;
    if (seconds >= LEAST_SECONDS || runs >= MOST_RUNS) return seconds / runs;
  }
}
