/**
 * AdamW on a device, from gradients to parameters without a look from the host.
 *
 * In: parameters and gradients of one layout, and losses where they were computed. Out: parameters
 * updated in place, and rows of results that are read when somebody wants them.
 */

import { CompiledGraph } from "../engine/compiled_graph.ts";
import { randomOdd } from "../engine/dropout.ts";
import { Pacer } from "../engine/pacer.ts";
import { LAYOUT_BLOCK, type ParameterStore } from "../engine/parameter_store.ts";
import type { Graph } from "../graph/ir.ts";
import { castGraph } from "../model/device_graphs.ts";
import type { Precision } from "../model/precision.ts";
import type { Runtime } from "../ort/runtime.ts";
import type { Binding } from "../ort/session.ts";
import { Tensor } from "../ort/tensor.ts";
import { byteWidth, type DType } from "../tensor/dtype.ts";
import type { TensorInfo, TensorSource } from "../tensor/tensor_source.ts";
import { chunksOf } from "./adamw.ts";
import { adamWGraph, type AdamWKind, type AdamWOptions, sumOfSquaresGraph } from "./adamw_graph.ts";
import { AdamWMoments, loadStore } from "./adamw_moments.ts";
import {
  correctionAfter,
  FACTORS,
  isMade,
  lossSumGraph,
  RESULT_WIDTH,
  updateControlGraph,
} from "./update_control_graph.ts";
import type { TrainStepResult } from "./trainer.ts";

/**
 * Elements updated by one run: enough to fill a GPU, and few enough that the graph's own
 * intermediate values stay small beside the arrays.
 */
export const DEVICE_CHUNK = 1 << 24;
/** Results that can wait to be read. */
export const MOST_PENDING = 1024;

const RESULT_STRIDE = 4;
const FLOAT_BYTES = 4;
const MASTER = ".master";

/** What a {@linkcode DeviceOptimizer} works on. */
export interface DeviceOptimizerOptions extends AdamWOptions {
  /** What is updated. */
  readonly parameters: ParameterStore;
  /** Their gradients, in the same layout. */
  readonly gradients: ParameterStore;
  /** A rounded copy of the parameters that the graphs run on, if it is not they themselves. */
  readonly copy?: ParameterStore;
  /** What is kept in which type, and how it is rounded. */
  readonly kind: AdamWKind;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. */
  readonly maxGradNorm: number;
}

/** The optimizer's state on a device and its compiled update. */
export class DeviceOptimizer implements Disposable {
  /** The constants, defaults filled in. */
  readonly options: Required<AdamWOptions>;
  readonly #runtime: Runtime;
  readonly #parameters: ParameterStore;
  readonly #copy: ParameterStore | undefined;
  readonly #moments: AdamWMoments;
  /** rate, decay_rate, scale and seed in one piece, so that one copy brings a step's numbers. */
  readonly #numbers: Tensor;
  readonly #loss: Tensor;
  readonly #scale: Tensor;
  readonly #corrections: readonly Tensor[];
  readonly #results: Tensor;
  readonly #rows: readonly Tensor[];
  readonly #lossSum: readonly [first: CompiledGraph, more: CompiledGraph];
  readonly #norms: readonly Binding[];
  readonly #control: { readonly graph: CompiledGraph; readonly binding: Binding };
  readonly #updates: readonly Binding[];
  readonly #pacer = new Pacer();
  readonly #owned: Disposable[] = [];
  #pending = 0;
  /** What {@linkcode DeviceOptimizer.begin} was given as scale. */
  #factor = 1;

  /** Allocates both moments as zeros and compiles the update. */
  constructor(
    runtime: Runtime,
    {
      parameters,
      gradients,
      copy,
      kind,
      maxGradNorm,
      beta1 = 0.9,
      beta2 = 0.999,
      epsilon = 1e-8,
      weightDecay = 0,
    }: DeviceOptimizerOptions,
  ) {
    this.options = { beta1, beta2, epsilon, weightDecay };
    this.#runtime = runtime;
    this.#parameters = parameters;
    this.#copy = copy;
    const { layout } = parameters;
    // The moments' type is the updated parameters' in every kind.
    const state = parameters.flat.dtype;
    this.#moments = this.#own(new AdamWMoments(runtime, layout, { dtype: state }));
    const floats = (...shape: number[]): Tensor =>
      this.#own(Tensor.allocate(runtime, "float32", shape));
    this.#numbers = floats(4);
    const number = (i: number, dtype?: DType): Tensor =>
      this.#own(this.#numbers.view(i * FLOAT_BYTES, [], dtype));
    this.#loss = floats();
    this.#scale = number(2);
    this.#corrections = [floats(), floats()];
    this.#results = floats(MOST_PENDING, RESULT_STRIDE);
    this.#results.zero();
    this.#rows = Array.from(
      { length: MOST_PENDING },
      (_, row) => this.#own(this.#results.view(row * RESULT_STRIDE * FLOAT_BYTES, [RESULT_WIDTH])),
    );
    this.resumeAt(0);

    const compile = (graph: Graph): CompiledGraph => this.#own(new CompiledGraph(runtime, graph));
    this.#lossSum = [compile(lossSumGraph(true)), compile(lossSumGraph(false))];
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
    const control = compile(updateControlGraph(this.options, maxGradNorm));
    const binding = this.#own(control.bind({
      sums,
      loss: this.#loss,
      rate: number(0),
      decay_rate: number(1),
      correction1: this.#corrections[0],
      correction2: this.#corrections[1],
      ...factors,
    }));
    this.#control = { graph: control, binding };

    const constants = { beta1, beta2, guarded: true };
    const graphs = new Map([false, ...weightDecay === 0 ? [] : [true]].map(
      (decays) => [decays, compile(adamWGraph(constants, decays, kind))],
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
          m: view(this.#moments.exp_avg),
          v: view(this.#moments.exp_avg_sq),
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

  /** Updates launched whose results nobody has read. */
  get pending(): number {
    return this.#pending;
  }

  /** Sends what changes from update to update: a few bytes. Before the update's first batch. */
  begin({ learningRate, scale, seed }: {
    readonly learningRate: number;
    /** Factor on the sum of losses. */
    readonly scale: number;
    /** Decides how this update is rounded, where it is at random. */
    readonly seed: number | string;
  }): void {
    this.#factor = scale;
    const decay = 1 - learningRate * this.options.weightDecay;
    const numbers = Float32Array.of(learningRate, decay, scale, 0);
    new Int32Array(numbers.buffer).set(randomOdd(1, [seed, "rounding"]), 3);
    this.#numbers.write(numbers);
  }

  /** Adds a batch's losses [tokens, 1] to the update's, or starts it with them. */
  addLosses(losses: Tensor, first: boolean): void {
    const n = losses.shape[0];
    if (n === 0) {
      // A mean over no tokens at all is no number, and its update is skipped.
      if (first) this.#loss.write(Float32Array.of(Number.isFinite(this.#factor) ? 0 : NaN));
      return;
    }
    const graph = this.#lossSum[first ? 0 : 1];
    graph.run({ losses, scale: this.#scale, [first ? "sum_new" : "sum"]: this.#loss }, { n });
  }

  /**
   * Queues norm, clipping and update; nothing is waited for. Not to be interrupted: half an update
   * is no state to save.
   *
   * @throws {Error} where {@linkcode MOST_PENDING} results are unread
   */
  async update(): Promise<void> {
    if (this.#pending === MOST_PENDING) {
      throw new Error(`Cannot queue another update: ${MOST_PENDING} results are unread; read them`);
    }
    for (const binding of this.#norms) binding.run();
    const { graph, binding } = this.#control;
    graph.bindMore(binding, { result: this.#rows[this.#pending] });
    binding.run();
    this.#pending++;
    for (const update of this.#updates) {
      await this.#pacer.turn();
      update.run();
    }
  }

  /** What the updates since the last call came to, in order; waits for them. */
  results(): TrainStepResult[] {
    const count = this.#pending;
    if (count === 0) return [];
    const rows = new Float32Array(count * RESULT_STRIDE);
    this.#results.read(rows);
    this.#pending = 0;
    return Array.from({ length: count }, (_, row) => {
      const [loss, gradNorm] = rows.subarray(row * RESULT_STRIDE);
      return { loss, gradNorm, skipped: !isMade(loss, gradNorm) };
    });
  }

  /** Sets the bias corrections to those after `step` updates, to the bit. */
  resumeAt(step: number): void {
    const { beta1, beta2 } = this.options;
    [beta1, beta2].forEach((beta, i) =>
      this.#corrections[i].write(Float32Array.of(correctionAfter(step, beta)))
    );
  }

  /** Rounds the parameters into their copy, after they were filled from elsewhere. */
  refreshCopy(): void {
    const copy = this.#copy;
    if (!copy) return;
    const { flat } = this.#parameters;
    using graph = new CompiledGraph(this.#runtime, castGraph(flat.dtype, copy.flat.dtype));
    for (const { start, length } of chunksOf(copy.layout, DEVICE_CHUNK)) {
      const view = ({ flat }: ParameterStore): Tensor =>
        flat.view(start * byteWidth(flat.dtype), [length]);
      using x = view(this.#parameters);
      using y = view(copy);
      graph.run({ x, y }, { elements: length });
    }
  }

  /**
   * Both moments under `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`, and where the graphs run
   * on a copy, the parameters under `<parameter>.master`.
   */
  state(): TensorSource {
    const moments = this.#moments.state();
    if (!this.#copy) return moments;
    const parameters = this.#parameters;
    const find = (name: string): [TensorSource, string] =>
      name.endsWith(MASTER) ? [parameters, name.slice(0, -MASTER.length)] : [moments, name];
    return {
      names: (): readonly string[] => [
        ...moments.names(),
        ...parameters.names().map((name) => name + MASTER),
      ],
      info: (name: string): TensorInfo => {
        const [source, own] = find(name);
        return source.info(own);
      },
      read: (name: string, into: Uint8Array, offset?: number): Promise<void> => {
        const [source, own] = find(name);
        return source.read(own, into, offset);
      },
    };
  }

  /** Takes what {@linkcode DeviceOptimizer.state} was written to; a run in float32 has no masters. */
  async load(source: TensorSource): Promise<void> {
    await this.#moments.load(source);
    if (!this.#copy || !source.names().some((name) => name.endsWith(MASTER))) return;
    await loadStore(this.#parameters, source, MASTER);
    this.refreshCopy();
  }

  /** Releases graphs and moments; parameters and gradients stay their owner's. */
  [Symbol.dispose](): void {
    for (const resource of this.#owned.reverse()) resource[Symbol.dispose]();
  }
}

function asPrecision(dtype: DType): Precision {
  if (dtype === "float32" || dtype === "bfloat16") return dtype;
  throw new RangeError(`Cannot optimize from ${dtype} gradients: expected float32 or bfloat16`);
}
