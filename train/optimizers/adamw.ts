/**
 * AdamW over a parameter store in host memory: two moments in the same layout, updated chunk by
 * chunk in place. Its scalars are computed in float64.
 *
 * In: parameters and gradients, [layout.length] each. Out: parameters updated in place. A chunk of
 * all four arrays fits a core's cache, which is what makes an elementwise graph fast.
 *
 * @module
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { YieldTimer } from "../../model/engine/yield_timer.ts";
import { LAYOUT_BLOCK, type ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { ADAMW_STATE, adamWConstants, adamWGraph, type AdamWOptions } from "./adamw_graph.ts";
import type { HostUpdate, HostUpdateOptions } from "./host_optimizer.ts";
import type { Range } from "../distributed/buckets.ts";
import { chunksOf, type RateFactors } from "./layout_chunks.ts";
import { OptimizerState } from "./optimizer_state.ts";
import { sumOfSquaresGraph } from "./sum_of_squares_graph.ts";
import type { UpdateState } from "./update_state.ts";

const FLOAT_BYTES = 4;
const SCALARS = ["clip", "step_size", "epsilon", "decay"] as const;

/**
 * The optimizer's state and its compiled update.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { layoutParameters, ParameterStore } from "@ortune/ortune/model";
 * import { AdamW } from "./adamw.ts";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * const layout = layoutParameters([{ name: "weight", shape: [2], decays: true }]);
 * using parameters = new ParameterStore(runtime, layout);
 * using gradients = new ParameterStore(runtime, layout);
 * parameters.flat.float32().fill(0);
 * gradients.flat.float32().fill(0);
 * gradients.tensor("weight").float32().set([3, -4]);
 *
 * using optimizer = new AdamW(runtime, parameters, gradients);
 * assert.equal(await optimizer.gradientNorm(), 5);
 * await optimizer.update({ learningRate: 0.5, clip: 1 / 5, step: 1 });
 * const [first, second] = parameters.tensor("weight").float32();
 * assert.ok(Math.abs(first + 0.5) < 1e-6 && Math.abs(second - 0.5) < 1e-6);
 * ```
 */
export class AdamW implements HostUpdate {
  /** The constants, defaults filled in. */
  readonly options: Required<AdamWOptions>;
  readonly #moments: UpdateState;
  /** By the factor on the learning rate. */
  readonly #scalars: ReadonlyMap<number, Readonly<Record<typeof SCALARS[number], Tensor>>>;
  readonly #updates: Binding[] = [];
  readonly #sums: Binding[] = [];
  readonly #blockSums: Tensor;
  readonly #owned: Disposable[] = [];
  readonly #yieldTimer = new YieldTimer();

  /**
   * Compiles the update.
   *
   * @param part the part that is updated, and its moments, which are released with this;
   *   without it all, with moments of zeros
   * @param rates factors on the learning rate; without them it is everywhere the same
   */
  constructor(
    runtime: Runtime,
    parameters: ParameterStore,
    gradients: ParameterStore,
    options?: AdamWOptions,
    part?: UpdateState & { readonly ranges: readonly Range[] },
    rates?: RateFactors,
  ) {
    this.options = adamWConstants(options);
    const { layout } = parameters;
    const names = Object.values(ADAMW_STATE);
    this.#moments = this.#own(part ?? new OptimizerState(runtime, layout, { names }));
    const updated = chunksOf(layout, runtime.device, { ranges: part?.ranges, rates });
    this.#scalars = new Map([...new Set(updated.map(({ rate }) => rate))].map((rate) => {
      const own = SCALARS.map((name) =>
        [name, this.#own(Tensor.allocate(runtime, "float32", []))] as const
      );
      return [rate, Object.fromEntries(own) as Record<typeof SCALARS[number], Tensor>];
    }));

    const sumOfSquares = this.#own(new CompiledGraph(runtime, sumOfSquaresGraph()));
    const plain = this.#own(new CompiledGraph(runtime, adamWGraph(this.options, false)));
    const decaying = this.options.weightDecay === 0
      ? plain
      : this.#own(new CompiledGraph(runtime, adamWGraph(this.options, true)));
    this.#blockSums = this.#own(
      Tensor.allocate(runtime, "float32", [layout.length / LAYOUT_BLOCK]),
    );
    this.#blockSums.zero();
    for (const { start, length, decays, rate } of updated) {
      const view = (store: ParameterStore) =>
        this.#own(store.flat.view(start * FLOAT_BYTES, [length]));
      const kept = (name: string) => this.#own(this.#moments.view(name, start, length));
      const [p, g] = [view(parameters), view(gradients)];
      const [m, v] = [kept(ADAMW_STATE.m), kept(ADAMW_STATE.v)];
      const graph = decays ? decaying : plain;
      this.#updates.push(this.#own(graph.bind({ p, g, m, v, ...this.#scalars.get(rate)! })));
    }
    for (const { start, length } of chunksOf(layout, runtime.device, { ranges: part?.ranges })) {
      const blocks = length / LAYOUT_BLOCK;
      const matrix = gradients.flat.view(start * FLOAT_BYTES, [blocks, LAYOUT_BLOCK]);
      const sums = this.#blockSums.view(start / LAYOUT_BLOCK * FLOAT_BYTES, [blocks, 1]);
      this.#sums.push(
        this.#own(sumOfSquares.bind({ g: this.#own(matrix), sums: this.#own(sums) })),
      );
    }
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  /** L2 norm of the gradients of what is updated: blocks of 256 summed in float32, the blocks in float64. */
  async gradientNorm(): Promise<number> {
    for (const binding of this.#sums) {
      await this.#yieldTimer.turn();
      binding.run();
    }
    return Math.sqrt(this.#blockSums.float32().reduce((sum, each) => sum + each, 0));
  }

  /** Updates every parameter that is its own. Not to be interrupted: half an update is no state to save. */
  async update({ learningRate, clip, step }: HostUpdateOptions): Promise<void> {
    const { beta1, beta2, epsilon, weightDecay } = this.options;
    const correction = Math.sqrt(1 - beta2 ** step);
    for (const [factor, scalars] of this.#scalars) {
      const rate = factor * learningRate;
      const values = {
        clip,
        step_size: rate * correction / (1 - beta1 ** step),
        epsilon: epsilon * correction,
        decay: 1 - rate * weightDecay,
      };
      for (const name of SCALARS) scalars[name].float32()[0] = values[name];
    }
    for (const binding of this.#updates) {
      await this.#yieldTimer.turn();
      binding.run();
    }
  }

  /** Both moments under `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`. */
  state(): TensorSource {
    return this.#moments.source();
  }

  /** Takes the moments from a source that {@linkcode AdamW.state} was written to. */
  async load(source: TensorSource): Promise<void> {
    await this.#moments.load(source);
  }

  /** Releases graphs and moments; parameters and gradients stay their owner's. */
  [Symbol.dispose](): void {
    for (const resource of this.#owned.reverse()) resource[Symbol.dispose]();
  }
}
