/**
 * An update on a device where each tensor is a buffer of its own, in ONNX Runtime's own operators.
 *
 * In: parameters, gradients and state in float32, and a rule. Out: parameters and state in place, tensor
 * by tensor. As `GraphUpdate`, but for where the tensors lie and the order in which squares are added.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { YieldTimer } from "../../model/engine/yield_timer.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import { updateControlGraph } from "./update_control_graph.ts";
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
  readonly #running: ReadonlyMap<string, Tensor>;
  readonly #norms: readonly Binding[];
  readonly #control: { readonly graph: CompiledGraph; readonly binding: Binding };
  readonly #updates: readonly Binding[];
  readonly #yieldTimer = new YieldTimer();
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
    this.#running = new Map(Object.keys(rule.running ?? {}).map((name) => [name, floats()]));
    this.resumeAt(0);

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

    const controlGraph = updateControlGraph(rule, maxGradNorm);
    const scalars = Object.fromEntries(
      controlGraph.outputs
        .filter(({ name, shape }) => shape.length === 0 && !controlGraph.aliases.has(name))
        .map(({ name, dtype }) => [name, this.#own(Tensor.allocate(runtime, dtype, []))]),
    );
    const control = compile(controlGraph);
    const binding = this.#own(control.bind({
      "step.sums": sums,
      "step.loss": loss,
      "step.rate": this.#rate,
      "step.decay": this.#decay,
      ...Object.fromEntries(this.#running),
      ...scalars,
    }));
    this.#control = { graph: control, binding };

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

  async run(result: Tensor): Promise<void> {
    for (const norm of this.#norms) {
      await this.#yieldTimer.turn();
      norm.run();
    }
    const { graph, binding } = this.#control;
    graph.bindMore(binding, { "step.result": result });
    binding.run();
    for (const update of this.#updates) {
      await this.#yieldTimer.turn();
      update.run();
    }
  }

  resumeAt(step: number): void {
    for (const [name, tensor] of this.#running) {
      tensor.write(Float32Array.of(this.#rule.running![name](step)));
    }
  }

  /** Releases graphs and scalars. */
  [Symbol.dispose](): void {
    for (const resource of this.#owned.reverse()) resource[Symbol.dispose]();
  }
}
