/**
 * An update on a device where each tensor is a buffer of its own, in ONNX Runtime's own operators.
 *
 * In: parameters, gradients and state in float32, and a rule. Out: parameters and state in place, tensor
 * by tensor. As `GraphUpdate`, but for where the tensors lie and the order in which squares are added.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
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

/** The sum of squares of g [rows, columns] in its place among others': sums [tensors, 1], ids int64 [1, 1]. */
export function placeSumOfSquaresGraph(): Graph {
  const b = new GraphBuilder("place_sum_of_squares");
  const g = b.input("g", "float32", ["rows", "columns"]);
  const sums = b.input("sums", "float32", ["tensors", 1]);
  const ids = b.input("ids", "int64", [1, 1]);
  const total = ops.reduceSum(b, ops.reduceSum(b, ops.mul(b, g, g), 1), 0);
  b.output("sums_new", ops.scatterRows(b, sums, ids, total), { inPlaceOf: sums });
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
    const norm = compile(placeSumOfSquaresGraph());
    this.#norms = specs.map(({ name, shape }, i) => {
      const count = elementCount(shape);
      const columns = shape.at(-1) ?? 1;
      const ids = this.#own(Tensor.from(runtime, "int64", [1, 1], BigInt64Array.of(BigInt(i))));
      return this.#own(
        norm.bind({ g: view(gradients, name, [count / columns, columns]), ids, sums }),
      );
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
    const compileUpdate = (decays: boolean): CompiledGraph =>
      compile(updateGraph({ state: kept, decays, format: "float32", guarded: true, update }));
    const plain = compileUpdate(false);
    const decaying = weightDecay === 0 ? plain : compileUpdate(true);
    this.#updates = specs.map(({ name, shape, decays }) => {
      const flat = [elementCount(shape)];
      return this.#own((decays ? decaying : plain).bind({
        p: view(parameters, name, flat),
        g: view(gradients, name, flat),
        ...Object.fromEntries(
          kept.map((key) => [key, view(state.store(rule.state[key]), name, flat)]),
        ),
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
