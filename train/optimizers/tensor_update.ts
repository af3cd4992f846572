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
import type { Graph } from "../../ort/graph/ir.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import { type GradientNorms, inSevens, onceFor, tensorSums } from "./gradient_norms.ts";
import type { RateFactors } from "./layout_chunks.ts";
import { UpdateControl } from "./update_control.ts";
import { updateGraph } from "./update_graph.ts";
import type { UpdateRule } from "./update_rule.ts";

/**
 * Tensors of fewer elements are updated together. Of more, launching the kernels takes less time than
 * joining them and taking them apart.
 */
const FEW_ELEMENTS = 1 << 16;

/** The compiled graphs of an update, bound to what they work on. */
export class TensorUpdate implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #rule: UpdateRule;
  readonly #rate: Tensor;
  readonly #decay: Tensor;
  readonly #norms: GradientNorms;
  readonly #control: UpdateControl;
  readonly #updates: readonly Binding[];
  readonly #owned: Disposable[] = [];

  /** Compiles the update. */
  constructor(rule: UpdateRule, options: DeviceUpdateOptions) {
    if (options.collectives) {
      throw new RangeError("Cannot make a part of an update: each tensor is a buffer of its own");
    }
    this.#rule = rule;
    const { runtime, parameters, gradients, state, loss, maxGradNorm, rates } = options;
    const { specs } = parameters.layout;
    const floats = (...shape: number[]): Tensor =>
      this.#own(Tensor.allocate(runtime, "float32", shape));
    this.scale = floats();
    this.#rate = floats();
    this.#decay = floats();

    const compile = (graph: Graph): CompiledGraph => this.#own(new CompiledGraph(runtime, graph));
    const view = (store: ParameterStore, name: string, shape: readonly number[]): Tensor =>
      this.#own(store.tensor(name).view(0, shape));
    this.#norms = this.#own(tensorSums(runtime, gradients));
    const { sums } = this.#norms;

    this.#control = this.#own(
      new UpdateControl(rule, {
        ...{ runtime, maxGradNorm, sums, loss, rates },
        rate: this.#rate,
        decay: this.#decay,
      }),
    );
    const kept = Object.keys(rule.state);
    const { update, weightDecay } = rule;
    const graphs = [false, true].map((decays) =>
      onceFor((together: number) => {
        const how = { state: kept, decays, format: "float32", guarded: true, update } as const;
        return compile(updateGraph({ ...how, together }));
      })
    );
    this.#updates = alikeTogether(specs, rates).map((some) => {
      const together = some.length;
      const [first] = some;
      const bound = (name: string, store: ParameterStore): [string, Tensor][] =>
        some.map((spec, i) => {
          const count = elementCount(spec.shape);
          return together > 1
            ? [`${name}.${i}`, view(store, spec.name, [1, count])]
            : [name, view(store, spec.name, [count])];
        });
      const graph = graphs[Number(first.decays && weightDecay !== 0)](together);
      return this.#own(graph.bind({
        ...Object.fromEntries([
          ...bound("p", parameters),
          ...bound("g", gradients),
          ...kept.flatMap((key) => bound(key, state.store(rule.state[key]))),
        ]),
        ...this.#control.scalars(rates?.get(first.name)),
      }));
    });
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  get remembered(): ReadonlyMap<string, Tensor> {
    return this.#control.remembered;
  }

  send({ learningRate, scale }: UpdateNumbers): void {
    this.#rate.write(Float32Array.of(learningRate));
    this.#decay.write(Float32Array.of(1 - learningRate * this.#rule.weightDecay));
    this.scale.write(Float32Array.of(scale));
  }

  run(result: Tensor): Promise<void> {
    return this.#control.run({ norms: this.#norms.runs, updates: this.#updates }, result);
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
function alikeTogether(
  specs: readonly ParameterSpec[],
  rates?: RateFactors,
): readonly (readonly ParameterSpec[])[] {
  const kinds = Map.groupBy(specs, ({ name, shape, decays }) => {
    const count = elementCount(shape);
    return count < FEW_ELEMENTS ? `${decays} ${count} ${rates?.get(name)}` : name;
  });
  return [...kinds.values()].flatMap(inSevens);
}
