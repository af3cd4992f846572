/** Runs a graph in ONNX Runtime on the reference interpreter's tensors. */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import type { Device } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../ort/tensor/half.ts";
import type { DenseMap } from "./reference_interpreter.ts";
import type { Dense } from "./dense.ts";

/** Numbers as a value of a graph takes them. */
export function encode({ name, dtype }: Value, { data }: Dense): ArrayBufferView {
  if (dtype === "float32") return Float32Array.from(data);
  if (dtype === "float16") return Float16Array.from(data);
  if (dtype === "int64") return BigInt64Array.from(data, BigInt);
  if (dtype === "int32") return Int32Array.from(data);
  if (dtype === "int8") return Int8Array.from(data);
  if (dtype === "bool" || dtype === "uint8") return Uint8Array.from(data);
  if (dtype === "bfloat16") {
    const bits = new Uint16Array(data.length);
    float32ToBfloat16(Float32Array.from(data), bits);
    return bits;
  }
  throw new RangeError(`Cannot encode ${name}: no test needs ${dtype}`);
}

/** The numbers of a tensor on any device. */
export function decode(tensor: Tensor): Dense {
  const { dtype, shape } = tensor;
  const bytes = new Uint8Array(tensor.byteLength);
  tensor.read(bytes);
  const { buffer } = bytes;
  if (dtype === "int64") {
    return { shape, data: Float64Array.from(new BigInt64Array(buffer), Number) };
  }
  if (dtype === "bool") return { shape, data: Float64Array.from(bytes) };
  if (dtype === "bfloat16") {
    const numbers = new Float32Array(tensor.byteLength / 2);
    bfloat16ToFloat32(new Uint16Array(buffer), numbers);
    return { shape, data: Float64Array.from(numbers) };
  }
  const numbers = dtype === "int32" ? new Int32Array(buffer) : new Float32Array(buffer);
  return { shape, data: Float64Array.from(numbers) };
}

/** Inputs of every graph and outputs by name, on a device; aliased outputs are really written in place. */
export function runGraph(
  runtime: Runtime,
  graph: Graph,
  inputs: DenseMap,
  symbols: Symbols = {},
  device: Device = runtime.device,
): Record<string, Dense> {
  using owned = new DisposableStack();
  const tensors: Record<string, Tensor> = {};
  for (const value of graph.inputs) {
    if (graph.shapeInputs.has(value.name)) continue;
    const given = inputs[value.name];
    if (!given) throw new Error(`Cannot run graph ${graph.name}: no input ${value.name}`);
    const data = encode(value, given);
    tensors[value.name] = owned.use(Tensor.from(runtime, value.dtype, given.shape, data, device));
  }
  for (const { name, dtype, shape } of graph.outputs) {
    const shared = tensors[graph.aliases.get(name) ?? ""];
    tensors[name] = shared ??
      owned.use(Tensor.allocate(runtime, dtype, evaluateShape(shape, symbols), device));
  }
  const compiled = owned.use(new CompiledGraph(runtime, graph, device));
  compiled.run(tensors, symbols);
  return Object.fromEntries(graph.outputs.map(({ name }) => [name, decode(tensors[name])]));
}
