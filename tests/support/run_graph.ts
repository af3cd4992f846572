/** Runs a graph in ONNX Runtime on the reference interpreter's tensors. */

import { CompiledGraph } from "../../engine/compiled_graph.ts";
import { evaluateShape, type Symbols } from "../../graph/dim.ts";
import type { Graph, Value } from "../../graph/ir.ts";
import type { Runtime } from "../../ort/runtime.ts";
import { Tensor } from "../../ort/tensor.ts";
import type { Dense, DenseMap } from "./reference_interpreter.ts";

function encode({ name, dtype }: Value, { data }: Dense): ArrayBufferView {
  if (dtype === "float32") return Float32Array.from(data);
  if (dtype === "int64") return BigInt64Array.from(data, BigInt);
  if (dtype === "int32") return Int32Array.from(data);
  if (dtype === "bool" || dtype === "uint8") return Uint8Array.from(data);
  throw new RangeError(`Cannot encode ${name}: no test needs ${dtype}`);
}

function decode(tensor: Tensor): Dense {
  const { dtype, shape } = tensor;
  if (dtype === "int64") return { shape, data: Float64Array.from(tensor.int64(), Number) };
  if (dtype === "bool") return { shape, data: Float64Array.from(tensor.bytes()) };
  return { shape, data: Float64Array.from(dtype === "int32" ? tensor.int32() : tensor.float32()) };
}

/** Inputs of every graph and outputs by name; aliased outputs are really written in place. */
export function runGraph(
  runtime: Runtime,
  graph: Graph,
  inputs: DenseMap,
  symbols: Symbols = {},
): Record<string, Dense> {
  using owned = new DisposableStack();
  const tensors: Record<string, Tensor> = {};
  for (const value of graph.inputs) {
    if (graph.shapeInputs.has(value.name)) continue;
    const given = inputs[value.name];
    if (!given) throw new Error(`Cannot run graph ${graph.name}: no input ${value.name}`);
    const data = encode(value, given);
    tensors[value.name] = owned.use(Tensor.from(runtime, value.dtype, given.shape, data));
  }
  for (const { name, dtype, shape } of graph.outputs) {
    const shared = tensors[graph.aliases.get(name) ?? ""];
    tensors[name] = shared ??
      owned.use(Tensor.allocate(runtime, dtype, evaluateShape(shape, symbols)));
  }
  const compiled = owned.use(new CompiledGraph(runtime, graph));
  compiled.run(tensors, symbols);
  return Object.fromEntries(graph.outputs.map(({ name }) => [name, decode(tensors[name])]));
}
