/**
 * A graph compiled for a device, that knows its own symbolic shapes.
 *
 * In: a `Graph`. Out: bindings whose shape inputs are filled from the symbols.
 *
 * @module
 */

import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import { emulateBfloat16 } from "../../ort/graph/emulate_bfloat16.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { lowerForWebGpu } from "../../ort/graph/lower_webgpu.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { cpu, type Device, deviceTraits, sameDevice } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Binding, Session, type TensorMap } from "../../ort/runtime/session.ts";
import { SpareTensors } from "../../ort/runtime/spare_tensors.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";

/**
 * A compiled graph. In bfloat16 the CPU runs it emulated, slowly: what a GPU would compute.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { CompiledGraph } from "@ortune/ortune/unstable-engine";
 * import { GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import { Tensor } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("double");
 * const x = b.input("x", "float32", ["n"]);
 * b.output("y", ops.add(b, x, x));
 *
 * using runtime = new Runtime({ threads: 1 });
 * using graph = new CompiledGraph(runtime, b.build());
 * using input = Tensor.from(runtime, "float32", [3], Float32Array.of(1, 2, 3));
 * using output = Tensor.allocate(runtime, "float32", [3]);
 * graph.run({ x: input, y: output }, { n: 3 });
 * assert.deepEqual([...output.float32()], [2, 4, 6]);
 * ```
 */
export class CompiledGraph implements Disposable {
  /** The graph as it was written. */
  readonly graph: Graph;
  readonly #runtime: Runtime;
  readonly #session: Session;
  /** Where outputs in place are written first, if they may not be. */
  readonly #spares: SpareTensors | undefined;

  /**
   * Compiles the graph.
   *
   * @throws {Error} where ONNX Runtime refuses it, with its message
   */
  constructor(runtime: Runtime, graph: Graph, device: Device = runtime.device) {
    this.graph = graph;
    this.#runtime = runtime;
    const model = writeOnnx(runnableOn(device, graph));
    this.#session = new Session(runtime, model, { name: graph.name, device });
    const apart = !runtime.writesInPlace && sameDevice(device, runtime.device);
    if (apart && graph.aliases.size > 0) this.#spares = SpareTensors.of(runtime);
  }

  /**
   * A binding with the tensors that stay the same from run to run, such as a layer's weights.
   * Outputs that the graph writes in place may be left out: they go to their input's memory.
   */
  bind(tensors: TensorMap): Binding {
    const binding = new Binding(this.#session);
    this.bindMore(binding, tensors);
    return binding;
  }

  /** Binds tensors by the names of inputs and outputs; a later one replaces an earlier one. */
  bindMore(binding: Binding, tensors: TensorMap, symbols?: Symbols): void {
    for (const { name } of this.graph.inputs) {
      if (tensors[name]) binding.input(name, tensors[name]);
    }
    for (const { name } of this.graph.outputs) {
      const replaced = this.graph.aliases.get(name);
      const tensor = tensors[name] ?? tensors[replaced ?? ""];
      if (!tensor) continue;
      if (this.#spares && replaced !== undefined) binding.outputByCopy(name, tensor, this.#spares);
      else binding.output(name, tensor);
    }
    if (!symbols) return;
    for (const [name, shape] of this.graph.shapeInputs) {
      const sizes = BigInt64Array.from(evaluateShape(shape, symbols), BigInt);
      using tensor = Tensor.from(this.#runtime, "int64", [sizes.length], sizes, cpu);
      binding.input(name, tensor);
    }
  }

  /**
   * Binds, runs once and releases.
   *
   * @throws {Error} naming all inputs and outputs that were given no tensor
   */
  run(tensors: TensorMap, symbols: Symbols = {}): void {
    const missing = [...this.graph.inputs, ...this.graph.outputs].map((value) => value.name).filter(
      (name) =>
        !tensors[name] && !this.graph.shapeInputs.has(name) &&
        !tensors[this.graph.aliases.get(name) ?? ""],
    );
    if (missing.length > 0) {
      throw new Error(`Cannot run graph ${this.graph.name}: no tensor for ${missing.join(", ")}`);
    }
    using binding = new Binding(this.#session);
    this.bindMore(binding, tensors, symbols);
    binding.run();
  }

  /** Releases the session; bindings made from it must be gone by then. */
  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
    this.#spares?.[Symbol.dispose]();
  }
}

/** The graph as the device has kernels for it. */
function runnableOn(device: Device, graph: Graph): Graph {
  const { bfloat16, everyOperation } = deviceTraits(device);
  const computable = bfloat16 ? graph : emulateBfloat16(graph);
  return everyOperation ? computable : lowerForWebGpu(computable);
}
