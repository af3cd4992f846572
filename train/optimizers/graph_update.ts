/**
 * An update on a device in ONNX Runtime's own operators.
 *
 * In: parameters, gradients and state of one layout, and a rule. Out: parameters and state in place, chunk
 * by chunk.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { randomOdd } from "../../model/engine/keep_mask.ts";
import { LAYOUT_BLOCK } from "../../model/engine/parameter_store.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import { type GradientNorms, gradientNorms } from "./gradient_norms.ts";
import { type Chunk, chunksOf } from "./layout_chunks.ts";
import { type GraphStateFormat, STATE_TYPES } from "./state_format.ts";
import { UpdateControl } from "./update_control.ts";
import { updateGraph } from "./update_graph.ts";
import type { UpdateRule } from "./update_rule.ts";
import { elementsOf, updatedTensors, updateShares } from "./update_shares.ts";

const FLOAT_BYTES = 4;

/** The compiled graphs of an update, bound to what they work on. */
export class GraphUpdate implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #rule: UpdateRule;
  /** rate, decay, scale and seed in one piece, so that one copy brings a step's numbers. */
  readonly #numbers: Tensor;
  readonly #norms: GradientNorms;
  readonly #control: UpdateControl;
  readonly #updates: readonly Pick<Binding, "run">[];
  readonly #collectives: TensorComm | undefined;
  readonly #owned = new DisposableStack();

  /** Compiles the update. */
  constructor(rule: UpdateRule, format: GraphStateFormat, options: DeviceUpdateOptions) {
    this.#rule = rule;
    const { runtime, parameters, gradients, state, collectives, loss, maxGradNorm, rates } =
      options;
    const { layout } = parameters;
    this.#collectives = collectives;
    const shares = updateShares(options, this.#owned).map(({ range, gather }) => ({
      chunks: chunksOf(layout, runtime.device, { ranges: [range], rates }),
      gather,
    }));
    const floats = (...shape: number[]): Tensor =>
      this.#own(Tensor.allocate(runtime, "float32", shape));
    this.#numbers = floats(4);
    const number = (i: number, dtype?: DType): Tensor =>
      this.#own(this.#numbers.view(i * FLOAT_BYTES, [], dtype));
    this.scale = number(2);

    const compile = (graph: Graph): CompiledGraph => this.#own(new CompiledGraph(runtime, graph));
    const blocks = layout.length / LAYOUT_BLOCK;
    const types = STATE_TYPES[format];
    this.#norms = this.#own(gradientNorms(runtime, gradients, collectives && state.ranges));
    const { sums } = this.#norms;

    this.#control = this.#own(
      new UpdateControl(rule, {
        ...{ runtime, maxGradNorm, sums, loss, rates },
        rate: number(0),
        decay: number(1),
      }),
    );
    const names = Object.keys(rule.state);
    const graphs = new Map([false, ...rule.weightDecay === 0 ? [] : [true]].map((decays) => {
      const { update } = rule;
      return [
        decays,
        compile(updateGraph({ state: names, decays, format, guarded: true, update })),
      ];
    }));
    const stochastic = types.rounding === "stochastic";
    const draws = stochastic
      ? this.#own(Tensor.from(runtime, "int32", [blocks, 1], randomOdd(blocks, ["blocks"])))
      : undefined;
    const bind = (chunk: Chunk): Binding => {
      const { start, length, decays, rate } = chunk;
      const count = length / LAYOUT_BLOCK;
      const shape = stochastic ? [count, LAYOUT_BLOCK] : [length];
      const shaped = (elements: Tensor): Tensor => this.#own(this.#own(elements).view(0, shape));
      const { p, weight } = updatedTensors(options, chunk);
      return this.#own(
        graphs.get(decays && rule.weightDecay !== 0)!.bind({
          p: shaped(p),
          g: shaped(elementsOf(gradients, chunk)),
          ...Object.fromEntries(
            names.map((name) => [name, shaped(state.view(rule.state[name], start, length))]),
          ),
          ...(weight ? { weight: shaped(weight) } : {}),
          ...(draws
            ? {
              blocks: this.#own(draws.view(start / LAYOUT_BLOCK * FLOAT_BYTES, [count, 1])),
              seed: number(3, "int32"),
            }
            : {}),
          ...this.#control.scalars(rate),
        }),
      );
    };
    // While a bucket's parameters go to the others, the next one's are updated.
    this.#updates = shares.flatMap(({ chunks, gather }) => [
      ...chunks.map(bind),
      ...gather ? [{ run: gather }] : [],
    ]);
  }

  #own<T extends Disposable>(resource: T): T {
    return this.#owned.use(resource);
  }

  get remembered(): ReadonlyMap<string, Tensor> {
    return this.#control.remembered;
  }

  send({ learningRate, scale, seed }: UpdateNumbers): void {
    const decay = 1 - learningRate * this.#rule.weightDecay;
    const numbers = Float32Array.of(learningRate, decay, scale, 0);
    new Int32Array(numbers.buffer)[3] = seed;
    this.#numbers.write(numbers);
  }

  run(result: Tensor): Promise<void> {
    const collectives = this.#collectives;
    // Every block's sum is one process's; with zeros of the others all add up to the bits of one process.
    if (collectives) this.#norms.sums.zero();
    const summed = collectives && (() => {
      collectives.allReduceSum(this.#norms.sums);
      return collectives.join();
    });
    return this.#control.run({ norms: this.#norms.runs, summed, updates: this.#updates }, result);
  }

  resumeAt(step: number): void {
    this.#control.resumeAt(step);
  }

  /** Releases graphs and scalars. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
