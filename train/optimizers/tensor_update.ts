/**
 * An update on a device where each tensor is a buffer of its own, in ONNX Runtime's own operators.
 *
 * In: parameters, gradients and state in float32, and a rule. Out: parameters and state in place, tensor
 * by tensor or some small ones in a run. As `GraphUpdate`, but for where the tensors lie and the order in
 * which squares are added.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import { UpdateControl } from "./update_control.ts";
import { updateGraph } from "./update_graph.ts";
import type { UpdateRule } from "./update_rule.ts";

/**
 * The most tensors that one run updates. The kernel that joins them binds a buffer for each and one for
 * the result; every WebGPU device allows 8 to a kernel.
 */
export const MOST_TOGETHER = 7;
/**
 * Tensors of fewer elements are updated together. Of more, launching the kernels takes less time than
 * joining them and taking them apart.
 */
const FEW_ELEMENTS = 1 << 16;

/**
 * Sums of squares of `g.0` [rows.0, columns.0] and so on in their places among others': sums [tensors, 1],
 * ids int64 [count, 1].
 */
export function placeSumsOfSquaresGraph(count: number): Graph {
  const b = new GraphBuilder(`place_sums_of_squares_${count}`);
  const each = Array.from({ length: count }, (_, i) => {
    const g = b.input(`g.${i}`, "float32", [`rows.${i}`, `columns.${i}`]);
    // Over the last dimension both times: of another one WebGPU's kernel transposes first.
    return ops.reduceSum(b, ops.reduceSumSquare(b, g, 1, { keepDims: false }), 0);
  });
  const sums = b.input("sums", "float32", ["tensors", 1]);
  const ids = b.input("ids", "int64", [count, 1]);
  const [joined] = b.node("Concat", each, [{ dtype: "float32", shape: [count] }], {
    attributes: { axis: 0n },
  });
  const placed = ops.scatterRows(b, sums, ids, ops.unsqueeze(b, joined, 1));
  b.output("sums_new", placed, { inPlaceOf: sums });
  return b.build();
}

/** The compiled graphs of an update, bound to what they work on. */
export class TensorUpdate implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #rule: UpdateRule;
  readonly #rate: Tensor;
  readonly #decay: Tensor;
  readonly #norms: readonly Binding[];
  readonly #control: UpdateControl;
  readonly #updates: readonly Binding[];
  readonly #owned: Disposable[] = [];

  /** Compiles the update. */
  constructor(rule: UpdateRule, options: DeviceUpdateOptions) {
    if (options.collectives) {
      throw new RangeError("Cannot make a part of an update: each tensor is a buffer of its own");
    }
    this.#rule = rule;
    const { runtime, parameters, gradients, state, loss, maxGradNorm } = options;
    const { specs } = parameters.layout;
    const floats = (...shape: number[]): Tensor =>
      this.#own(Tensor.allocate(runtime, "float32", shape));
    this.scale = floats();
    this.#rate = floats();
    this.#decay = floats();

    const compile = (graph: Graph): CompiledGraph => this.#own(new CompiledGraph(runtime, graph));
    const view = (store: ParameterStore, name: string, shape: readonly number[]): Tensor =>
      this.#own(store.tensor(name).view(0, shape));
    const sums = floats(specs.length, 1);
    const norms = onceFor((count) => compile(placeSumsOfSquaresGraph(count)));
    this.#norms = chunked(specs.map((spec, id) => ({ ...spec, id }))).map((some) => {
      const numbers = BigInt64Array.from(some, ({ id }) => BigInt(id));
      const ids = this.#own(Tensor.from(runtime, "int64", [some.length, 1], numbers));
      const parts = some.map(({ name, shape }, i) => {
        const columns = shape.at(-1) ?? 1;
        const rows = elementCount(shape) / columns;
        return [`g.${i}`, view(gradients, name, [rows, columns])];
      });
      const graph = norms(some.length);
      return this.#own(graph.bind({ ...Object.fromEntries(parts), ids, sums }));
    });

    this.#control = this.#own(
      new UpdateControl(rule, {
        ...{ runtime, maxGradNorm, sums, loss },
        rate: this.#rate,
        decay: this.#decay,
      }),
    );
    const { scalars } = this.#control;

    const kept = Object.keys(rule.state);
    const { update, weightDecay } = rule;
    const graphs = [false, true].map((decays) =>
      onceFor((together) => {
        const how = { state: kept, decays, format: "float32", guarded: true, update } as const;
        return compile(updateGraph({ ...how, together }));
      })
    );
    this.#updates = alikeTogether(specs).map((some) => {
      const together = some.length;
      const [{ decays }] = some;
      const bound = (name: string, store: ParameterStore): [string, Tensor][] =>
        some.map((spec, i) => {
          const count = elementCount(spec.shape);
          return together > 1
            ? [`${name}.${i}`, view(store, spec.name, [1, count])]
            : [name, view(store, spec.name, [count])];
        });
      const graph = graphs[Number(decays && weightDecay !== 0)](together);
      return this.#own(graph.bind({
        ...Object.fromEntries([
          ...bound("p", parameters),
          ...bound("g", gradients),
          ...kept.flatMap((key) => bound(key, state.store(rule.state[key]))),
        ]),
        ...scalars,
      }));
    });
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  send({ learningRate, scale }: UpdateNumbers): void {
    this.#rate.write(Float32Array.of(learningRate));
    this.#decay.write(Float32Array.of(1 - learningRate * this.#rule.weightDecay));
    this.scale.write(Float32Array.of(scale));
  }

  run(result: Tensor): Promise<void> {
    return this.#control.run({ norms: this.#norms, updates: this.#updates }, result);
  }

  resumeAt(step: number): void {
    this.#control.resumeAt(step);
  }

  /** Releases graphs and scalars. */
  [Symbol.dispose](): void {
    for (const resource of this.#owned.reverse()) resource[Symbol.dispose]();
  }
}

/** Tensors for a run each: small ones of as many elements, treated alike, in one. */
function alikeTogether(specs: readonly ParameterSpec[]): readonly (readonly ParameterSpec[])[] {
  const kinds = Map.groupBy(specs, ({ name, shape, decays }) => {
    const count = elementCount(shape);
    return count < FEW_ELEMENTS ? `${decays} ${count}` : name;
  });
  return [...kinds.values()].flatMap(chunked);
}

function chunked<T>(all: readonly T[]): T[][] {
  return Array.from(
    { length: Math.ceil(all.length / MOST_TOGETHER) },
    (_, i) => all.slice(i * MOST_TOGETHER, (i + 1) * MOST_TOGETHER),
  );
}

/** Makes one thing for each count, when it is first asked for. */
function onceFor<T>(make: (count: number) => T): (count: number) => T {
  const known = new Map<number, T>();
  return (count) => {
    if (!known.has(count)) known.set(count, make(count));
    return known.get(count)!;
  };
}
