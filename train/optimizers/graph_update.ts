/**
 * AdamW on a device in ONNX Runtime's own operators.
 *
 * In: parameters, gradients and moments of one layout. Out: parameters and moments in place, chunk by
 * chunk.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { randomOdd } from "../../model/engine/keep_mask.ts";
import { Pacer } from "../../model/engine/pacer.ts";
import { LAYOUT_BLOCK, type ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { Precision } from "../../model/precision.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, type DType } from "../../ort/tensor/dtype.ts";
import { chunksOf } from "./adamw.ts";
import { adamWGraph, type AdamWKind, sumOfSquaresGraph } from "./adamw_graph.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import { correctionAfter, FACTORS, updateControlGraph } from "./update_control_graph.ts";

/**
 * Elements updated by one run: enough to fill a GPU, and few enough that the graph's own
 * intermediate values stay small beside the arrays.
 */
export const DEVICE_CHUNK = 1 << 24;

const FLOAT_BYTES = 4;

/** The compiled graphs of an update, bound to what they work on. */
export class GraphUpdate implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #options: DeviceUpdateOptions;
  /** rate, decay_rate, scale and seed in one piece, so that one copy brings a step's numbers. */
  readonly #numbers: Tensor;
  readonly #corrections: readonly Tensor[];
  readonly #norms: readonly Binding[];
  readonly #control: { readonly graph: CompiledGraph; readonly binding: Binding };
  readonly #updates: readonly Binding[];
  readonly #pacer = new Pacer();
  readonly #owned: Disposable[] = [];

  /** Compiles the update. */
  constructor(kind: AdamWKind, options: DeviceUpdateOptions) {
    this.#options = options;
    const { runtime, parameters, gradients, copy, moments, loss, constants, maxGradNorm } = options;
    const { beta1, beta2, weightDecay } = constants;
    const { layout } = parameters;
    const floats = (...shape: number[]): Tensor =>
      this.#own(Tensor.allocate(runtime, "float32", shape));
    this.#numbers = floats(4);
    const number = (i: number, dtype?: DType): Tensor =>
      this.#own(this.#numbers.view(i * FLOAT_BYTES, [], dtype));
    this.scale = number(2);
    this.#corrections = [floats(), floats()];
    this.resumeAt(0);

    const compile = (graph: Graph): CompiledGraph => this.#own(new CompiledGraph(runtime, graph));
    const blocks = layout.length / LAYOUT_BLOCK;
    const sums = floats(blocks, 1);
    const norms = compile(sumOfSquaresGraph(asPrecision(gradients.flat.dtype)));
    this.#norms = chunksOf(layout, DEVICE_CHUNK).map(({ start, length }) => {
      const count = length / LAYOUT_BLOCK;
      const at = start * byteWidth(gradients.flat.dtype);
      const g = this.#own(gradients.flat.view(at, [count, LAYOUT_BLOCK]));
      const into = this.#own(sums.view(start / LAYOUT_BLOCK * FLOAT_BYTES, [count, 1]));
      return this.#own(norms.bind({ g, sums: into }));
    });

    const factors = Object.fromEntries(FACTORS.map((name) => [
      name,
      this.#own(Tensor.allocate(runtime, name === "finite" ? "bool" : "float32", [])),
    ]));
    const control = compile(updateControlGraph(constants, maxGradNorm));
    const binding = this.#own(control.bind({
      sums,
      loss,
      rate: number(0),
      decay_rate: number(1),
      correction1: this.#corrections[0],
      correction2: this.#corrections[1],
      ...factors,
    }));
    this.#control = { graph: control, binding };

    const graphs = new Map([false, ...weightDecay === 0 ? [] : [true]].map(
      (decays) => [decays, compile(adamWGraph({ beta1, beta2, guarded: true }, decays, kind))],
    ));
    const stochastic = kind === "adamw-bf16";
    const draws = stochastic
      ? this.#own(Tensor.from(runtime, "int32", [blocks, 1], randomOdd(blocks, ["blocks"])))
      : undefined;
    this.#updates = chunksOf(layout, DEVICE_CHUNK).map(({ start, length, decays }) => {
      const count = length / LAYOUT_BLOCK;
      const shape = stochastic ? [count, LAYOUT_BLOCK] : [length];
      const view = ({ flat }: ParameterStore): Tensor =>
        this.#own(flat.view(start * byteWidth(flat.dtype), shape));
      return this.#own(
        graphs.get(decays && weightDecay !== 0)!.bind({
          p: view(parameters),
          g: view(gradients),
          m: view(moments.exp_avg),
          v: view(moments.exp_avg_sq),
          ...(copy ? { weight: view(copy) } : {}),
          ...(draws
            ? {
              blocks: this.#own(draws.view(start / LAYOUT_BLOCK * FLOAT_BYTES, [count, 1])),
              seed: number(3, "int32"),
            }
            : {}),
          ...factors,
        }),
      );
    });
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  send({ learningRate, scale, seed }: UpdateNumbers): void {
    const decay = 1 - learningRate * this.#options.constants.weightDecay;
    const numbers = Float32Array.of(learningRate, decay, scale, 0);
    new Int32Array(numbers.buffer)[3] = seed;
    this.#numbers.write(numbers);
  }

  async run(result: Tensor): Promise<void> {
    for (const binding of this.#norms) binding.run();
    const { graph, binding } = this.#control;
    graph.bindMore(binding, { result });
    binding.run();
    for (const update of this.#updates) {
      await this.#pacer.turn();
      update.run();
    }
  }

  resumeAt(step: number): void {
    const { beta1, beta2 } = this.#options.constants;
    [beta1, beta2].forEach((beta, i) =>
      this.#corrections[i].write(Float32Array.of(correctionAfter(step, beta)))
    );
  }

  /** Releases graphs and scalars. */
  [Symbol.dispose](): void {
    for (const resource of this.#owned.reverse()) resource[Symbol.dispose]();
  }
}

function asPrecision(dtype: DType): Precision {
  if (dtype === "float32" || dtype === "bfloat16") return dtype;
  throw new RangeError(`Cannot optimize from ${dtype} gradients: expected float32 or bfloat16`);
}
