/**
 * An update of whole tensors, in ONNX Runtime's own operators.
 *
 * In: parameters, gradients and state, and a rule over tensors. Out: parameters and state in place, tensor by
 * tensor; those that go element by element in pieces.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import type { WholeUpdateOptions } from "./device_update.ts";
import { gradientNorms, onceFor } from "./gradient_norms.ts";
import { chunkElements } from "./layout_chunks.ts";
import type { GraphStateFormat } from "./state_format.ts";
import type { TensorPart, TensorRule, TensorSize } from "./tensor_rule.ts";
import { UpdateByTensors } from "./update_by_tensors.ts";
import type { UpdateControl } from "./update_control.ts";
import { updateGraph } from "./update_graph.ts";

/** The graph that updates a tensor of a shape, or pieces of tensors. */
export function wholeTensorGraph(
  { state, shapeOf, elementwise, update }: TensorPart,
  { shape, elements, decays, format }: TensorSize & {
    readonly shape: readonly number[];
    readonly decays: boolean;
    readonly format: GraphStateFormat;
  },
): Graph {
  return updateGraph({
    state: Object.keys(state),
    decays,
    format,
    guarded: true,
    shapes: elementwise
      ? undefined
      : { tensor: shape, state: (name) => shapeOf?.(name, shape) ?? shape },
    update: (b, values) => update(b, values, { elements }),
  });
}

/** Those of all tensors that do not come in pieces, one of each shape. */
export function wholeTensorGraphs(
  rule: TensorRule,
  parameters: readonly ParameterSpec[],
  format: GraphStateFormat,
): readonly Graph[] {
  const whole = parameters.filter((spec) => !rule.partOf(spec).elementwise);
  const alike = Map.groupBy(whole, ({ shape, decays }) => `${shape} ${decays}`);
  return [...alike.values()].map(([spec]) =>
    wholeTensorGraph(rule.partOf(spec), {
      shape: spec.shape,
      elements: elementCount(spec.shape),
      decays: spec.decays && rule.weightDecay !== 0,
      format,
    })
  );
}

/** An update of whole tensors. */
export class WholeTensorUpdate extends UpdateByTensors {
  /**
   * Compiles the update.
   *
   * @param sizes numbers that are trained of tensors of which not all are, by name
   */
  constructor(
    rule: TensorRule,
    format: GraphStateFormat,
    options: WholeUpdateOptions,
    sizes: ReadonlyMap<string, number> = new Map(),
  ) {
    super(rule, options, {
      norms: gradientNorms,
      bind: (control, owned) => bindTensors({ rule, format, options, sizes }, control, owned),
    });
  }
}

/** A run for each tensor, or piece of one. */
function bindTensors(
  { rule, format, options, sizes }: {
    readonly rule: TensorRule;
    readonly format: GraphStateFormat;
    readonly options: WholeUpdateOptions;
    readonly sizes: ReadonlyMap<string, number>;
  },
  control: UpdateControl,
  owned: DisposableStack,
): readonly Binding[] {
  const { runtime, parameters, gradients, copy, state, rates } = options;
  const graphs = onceFor((part: TensorPart) => {
    const made = new Map<string, CompiledGraph>();
    return (how: Parameters<typeof wholeTensorGraph>[1]): CompiledGraph => {
      const key = part.elementwise ? `${how.decays}` : `${how.shape} ${how.elements} ${how.decays}`;
      let graph = made.get(key);
      if (!graph) {
        graph = owned.use(new CompiledGraph(runtime, wholeTensorGraph(part, how)));
        made.set(key, graph);
      }
      return graph;
    };
  });
  const { viewsAtOffset } = deviceTraits(runtime.device);
  const most = viewsAtOffset ? chunkElements(runtime.device) : Infinity;
  const bind = (spec: ParameterSpec): Binding[] => {
    const { name, shape } = spec;
    const part = rule.partOf(spec);
    const count = elementCount(shape);
    const graph = graphs(part)({
      shape,
      elements: sizes.get(name) ?? count,
      decays: spec.decays && rule.weightDecay !== 0,
      format,
    });
    const pieces = part.elementwise ? Math.ceil(count / most) : 1;
    return Array.from({ length: pieces }, (_, i) => {
      const start = i === 0 ? 0 : i * most;
      const view = (store: ParameterStore): Tensor => {
        const tensor = store.tensor(name);
        if (!part.elementwise) return tensor;
        const length = Math.min(most, count - start);
        return owned.use(tensor.view(start * byteWidth(tensor.dtype), [length]));
      };
      const kept = Object.entries(part.state).map(([key, saved]) =>
        [key, view(state.store(saved))] as const
      );
      return owned.use(graph.bind({
        p: view(parameters),
        g: view(gradients),
        ...Object.fromEntries(kept),
        ...(copy ? { weight: view(copy) } : {}),
        ...control.scalars(rates?.get(name)),
      }));
    });
  };
  return parameters.layout.specs.flatMap(bind);
}
