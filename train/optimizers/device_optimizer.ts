/**
 * AdamW on a device, from gradients to parameters without a look from the host.
 *
 * In: parameters and gradients of one layout, and losses where they were computed. Out: parameters
 * updated in place, and rows of results that are read when somebody wants them.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { randomOdd } from "../../model/engine/keep_mask.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { AdamWKernels } from "../../ort/kernels/adamw_kernels.ts";
import { castGraph } from "../../model/graphs/device_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import { chunksOf } from "./adamw.ts";
import type { AdamWOptions, OptimizerKind } from "./adamw_graph.ts";
import { AdamWMoments, loadStore } from "./adamw_moments.ts";
import type { DeviceUpdate, DeviceUpdateOptions } from "./device_update.ts";
import { DEVICE_CHUNK, GraphUpdate } from "./graph_update.ts";
import { KernelUpdate } from "./kernel_update.ts";
import { isMade, lossSumGraph, RESULT_WIDTH } from "./update_control_graph.ts";
import type { TrainStepResult } from "../trainer.ts";

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
  readonly kind: OptimizerKind;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. */
  readonly maxGradNorm: number;
  /**
   * Own kernels for this kind and these constants. A run may be resumed the other way: what is kept
   * is the same.
   * @default none: graphs of ONNX Runtime's operators, of which 8-bit moments have none
   */
  readonly kernels?: AdamWKernels;
}

/** The optimizer's state on a device and its compiled update. */
export class DeviceOptimizer implements Disposable {
  /** The constants, defaults filled in. */
  readonly options: Required<AdamWOptions>;
  readonly #runtime: Runtime;
  readonly #parameters: ParameterStore;
  readonly #copy: ParameterStore | undefined;
  readonly #moments: AdamWMoments;
  readonly #loss: Tensor;
  readonly #results: Tensor;
  readonly #rows: readonly Tensor[];
  readonly #lossSum: readonly [first: CompiledGraph, more: CompiledGraph];
  readonly #update: DeviceUpdate;
  readonly #owned: Disposable[] = [];
  #pending = 0;
  /** What {@linkcode DeviceOptimizer.begin} was given as scale. */
  #factor = 1;

  /**
   * Allocates both moments as zeros and compiles the update.
   *
   * @throws {Error} where 8-bit moments are asked for without kernels
   */
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
      kernels,
    }: DeviceOptimizerOptions,
  ) {
    const makeUpdate = updateMaker(kind, kernels);
    this.options = { beta1, beta2, epsilon, weightDecay };
    this.#runtime = runtime;
    this.#parameters = parameters;
    this.#copy = copy;
    const { layout } = parameters;
    this.#moments = this.#own(
      new AdamWMoments(runtime, layout, {
        // But for 8-bit moments, their type is the updated parameters'.
        dtype: kind === "adamw-8bit" ? "uint8" : parameters.flat.dtype,
        scaled: kind === "adamw-8bit",
      }),
    );
    this.#loss = this.#own(Tensor.allocate(runtime, "float32", []));
    this.#results = this.#own(
      Tensor.allocate(runtime, "float32", [MOST_PENDING, RESULT_STRIDE]),
    );
    this.#results.zero();
    this.#rows = Array.from(
      { length: MOST_PENDING },
      (_, row) => this.#own(this.#results.view(row * RESULT_STRIDE * FLOAT_BYTES, [RESULT_WIDTH])),
    );
    this.#lossSum = [
      this.#own(new CompiledGraph(runtime, lossSumGraph(true))),
      this.#own(new CompiledGraph(runtime, lossSumGraph(false))),
    ];
    this.#update = this.#own(makeUpdate({
      runtime,
      parameters,
      gradients,
      copy,
      moments: this.#moments,
      loss: this.#loss,
      constants: this.options,
      maxGradNorm,
    }));
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
    const [odd] = randomOdd(1, [seed, "rounding"]);
    this.#update.send({ learningRate, scale, seed: odd });
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
    const { scale } = this.#update;
    graph.run({ losses, scale, [first ? "sum_new" : "sum"]: this.#loss }, { n });
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
    await this.#update.run(this.#rows[this.#pending++]);
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
    this.#update.resumeAt(step);
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

/** The way an update is made; a kind that cannot be is refused before anything is allocated. */
function updateMaker(
  kind: OptimizerKind,
  kernels: AdamWKernels | undefined,
): (options: DeviceUpdateOptions) => DeviceUpdate {
  if (kernels) return (options) => new KernelUpdate(kernels, options);
  if (kind !== "adamw-8bit") return (options) => new GraphUpdate(kind, options);
  throw new Error(
    "Cannot keep 8-bit moments without ortune's CUDA kernels, which need an NVIDIA GPU, its driver " +
      "and NVRTC; take another optimizer, such as adamw_bf16",
  );
}
