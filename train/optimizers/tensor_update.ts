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
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { DeviceUpdateOptions, WholeUpdateOptions } from "./device_update.ts";
import { inSevens, onceFor, tensorSums } from "./gradient_norms.ts";
import type { RateFactors } from "./layout_chunks.ts";
import { UpdateByTensors } from "./update_by_tensors.ts";
import type { UpdateControl } from "./update_control.ts";
import { updateGraph } from "./update_graph.ts";
import type { UpdateRule } from "./update_rule.ts";

/**
 * Tensors of fewer elements are updated together. Of more, launching the kernels takes less time than
 * joining them and taking them apart.
 */
const FEW_ELEMENTS = 1 << 16;

/** An update of tensors that are a buffer each. */
export class TensorUpdate extends UpdateByTensors {
  /** Compiles the update. */
  constructor(rule: UpdateRule, options: DeviceUpdateOptions) {
    if (options.collectives) {
      throw new RangeError("Cannot make a part of an update: each tensor is a buffer of its own");
    }
    super(rule, options, {
      norms: tensorSums,
      bind: (control, owned) => bindTensors(rule, options, control, owned),
    });
  }
}

/** A run for each tensor, or for some small ones. */
function bindTensors(
  rule: UpdateRule,
  { runtime, parameters, gradients, state, rates }: WholeUpdateOptions,
  control: UpdateControl,
  owned: DisposableStack,
): readonly Binding[] {
  const { specs } = parameters.layout;
  const compile = (graph: Graph): CompiledGraph => owned.use(new CompiledGraph(runtime, graph));
  const view = (store: ParameterStore, name: string, shape: readonly number[]): Tensor =>
    owned.use(store.tensor(name).view(0, shape));
  const kept = Object.keys(rule.state);
  const { update, weightDecay } = rule;
  const graphs = [false, true].map((decays) =>
    onceFor((together: number) => {
      const how = { state: kept, decays, format: "float32", guarded: true, update } as const;
      return compile(updateGraph({ ...how, together }));
    })
  );
  return alikeTogether(specs, rates).map((some) => {
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
    return owned.use(graph.bind({
      ...Object.fromEntries([
        ...bound("p", parameters),
        ...bound("g", gradients),
        ...kept.flatMap((key) => bound(key, state.store(rule.state[key]))),
      ]),
      ...control.scalars(rates?.get(first.name)),
    }));
  });
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
