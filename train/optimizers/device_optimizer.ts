/**
 * An optimizer on a device, from gradients to parameters without a look from the host.
 *
 * In: parameters and gradients of one layout, and losses where they were computed. Out: parameters
 * updated in place, and rows of results that are read when somebody wants them. On the host's memory it
 * does the same.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { randomOdd } from "../../model/engine/keep_mask.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import type { Optimizer, UpdateOptions } from "../optimizer.ts";
import type { TrainStepResult } from "../trainer.ts";
import type { DeviceUpdate, DeviceUpdateOptions } from "./device_update.ts";
import type { RateFactors } from "./layout_chunks.ts";
import { loadStore, loadTensor, OptimizerState, type StateShapes } from "./optimizer_state.ts";
import { type EvaluatedRule, RuleEvaluation } from "./rule_evaluation.ts";
import { STATE_TYPES, type StateFormat } from "./state_format.ts";
import { isMade, lossSumGraph, RESULT_WIDTH } from "./update_control_graph.ts";

/** Results that can wait to be read. */
export const MOST_PENDING = 1024;
/** The same where each lies in a tensor of its own. */
const MOST_PENDING_APART = 16;

const RESULT_STRIDE = 4;
const FLOAT_BYTES = 4;
const MASTER = ".master";

/** What a {@linkcode DeviceOptimizer} works on. */
export interface DeviceOptimizerOptions {
  readonly runtime: Runtime;
  /** What is updated. */
  readonly parameters: ParameterStore;
  /** Their gradients, in the same layout. */
  readonly gradients: ParameterStore;
  /** A rounded copy of the parameters that the graphs run on, if it is not they themselves. */
  readonly copy?: ParameterStore;
  /** What is kept in which type, and how it is rounded. */
  readonly format: StateFormat;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. */
  readonly maxGradNorm: number;
  /** Names of what is kept of each parameter, as checkpoints have them. */
  readonly state: readonly string[];
  /** What is kept of which parameter, in which shape. @default all of each, of its own shape */
  readonly shapes?: StateShapes;
  /** Makes what the model is evaluated and saved with. @default it is what is trained */
  readonly evaluated?: EvaluatedRule;
  /** Factors on the learning rate. @default 1 for all */
  readonly rates?: RateFactors;
  /** Processes that each were given a share of the losses. @default this one alone */
  readonly collectives?: TensorComm;
  /** Makes the norm, the clipping and the update, in that format. */
  readonly makeUpdate: (options: DeviceUpdateOptions) => DeviceUpdate;
}

/** The optimizer's state on a device and its compiled update. */
export class DeviceOptimizer implements Optimizer {
  readonly maxUnread: number;
  readonly evaluation: RuleEvaluation | undefined;
  readonly #parameters: ParameterStore;
  readonly #copy: ParameterStore | undefined;
  readonly #state: OptimizerState;
  readonly #collectives: TensorComm | undefined;
  readonly #loss: Tensor;
  /** All rows in one piece, where that is possible. */
  readonly #results: Tensor | undefined;
  readonly #rows: readonly Tensor[];
  readonly #lossSum: readonly [first: CompiledGraph, more: CompiledGraph];
  readonly #update: DeviceUpdate;
  readonly #owned: Disposable[] = [];
  #pending = 0;
  /** Supervised tokens of the update that was begun. */
  #tokens = 1;
  /** Whether any losses were added to it. */
  #hasLosses = false;

  /** Allocates the state as zeros and compiles the update. */
  constructor(
    {
      runtime,
      parameters,
      gradients,
      copy,
      format,
      maxGradNorm,
      state,
      shapes,
      evaluated,
      rates,
      collectives,
      makeUpdate,
    }: DeviceOptimizerOptions,
  ) {
    this.#collectives = collectives;
    this.#parameters = parameters;
    this.#copy = copy;
    const scaled = STATE_TYPES[format].state === "int8";
    this.#state = this.#own(
      new OptimizerState(runtime, parameters.layout, {
        names: state,
        shapes,
        // But for 8 bits, their type is the updated parameters'.
        dtype: scaled ? "uint8" : parameters.dtype,
        scaled,
      }),
    );
    this.#loss = this.#own(Tensor.allocate(runtime, "float32", []));
    const { viewsAtOffset } = deviceTraits(runtime.device);
    this.maxUnread = viewsAtOffset ? MOST_PENDING : MOST_PENDING_APART;
    const shape = [MOST_PENDING, RESULT_STRIDE];
    const results = viewsAtOffset
      ? this.#own(Tensor.allocate(runtime, "float32", shape))
      : undefined;
    results?.zero();
    this.#results = results;
    this.#rows = Array.from({ length: this.maxUnread }, (_, row) =>
      this.#own(
        results?.view(row * RESULT_STRIDE * FLOAT_BYTES, [RESULT_WIDTH]) ??
          Tensor.allocate(runtime, "float32", [RESULT_WIDTH]),
      ));
    this.#lossSum = [
      this.#own(new CompiledGraph(runtime, lossSumGraph(true))),
      this.#own(new CompiledGraph(runtime, lossSumGraph(false))),
    ];
    this.#update = this.#own(makeUpdate({
      runtime,
      parameters,
      gradients,
      copy,
      state: this.#state,
      loss: this.#loss,
      maxGradNorm,
      rates,
    }));
    this.evaluation = evaluated && this.#own(
      new RuleEvaluation(evaluated, {
        ...{ runtime, parameters, gradients, copy },
        state: this.#state,
      }),
    );
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  /** Sends what changes from update to update: a few bytes. */
  begin({ learningRate, tokens, seed }: UpdateOptions): void {
    this.#tokens = tokens;
    this.#hasLosses = false;
    const [odd] = randomOdd(1, [seed, "rounding"]);
    this.#update.send({ learningRate, scale: 1 / tokens, seed: odd });
  }

  addLosses(losses: Tensor): void {
    const n = losses.shape[0];
    if (n === 0) return;
    const graph = this.#lossSum[this.#hasLosses ? 1 : 0];
    const { scale } = this.#update;
    graph.run({ losses, scale, [this.#hasLosses ? "sum" : "sum_new"]: this.#loss }, { n });
    this.#hasLosses = true;
  }

  /** Queues norm, clipping and update; nothing is waited for. */
  async update(): Promise<void> {
    if (this.#pending === this.maxUnread) {
      throw new Error(
        `Cannot queue another update: ${this.maxUnread} results are unread; read them`,
      );
    }
    // A mean over no tokens at all is no number, and its update is skipped.
    if (!this.#hasLosses) this.#loss.write(Float32Array.of(this.#tokens > 0 ? 0 : NaN));
    this.#collectives?.allReduceSum(this.#loss);
    await this.#collectives?.join();
    await this.#update.run(this.#rows[this.#pending++]);
  }

  results(): readonly TrainStepResult[] {
    const count = this.#pending;
    if (count === 0) return [];
    const rows = new Float32Array(count * RESULT_STRIDE);
    if (this.#results) this.#results.read(rows);
    else {
      for (let row = 0; row < count; row++) {
        const at = row * RESULT_STRIDE;
        this.#rows[row].read(rows.subarray(at, at + RESULT_WIDTH));
      }
    }
    this.#pending = 0;
    return Array.from({ length: count }, (_, row) => {
      const [loss, gradNorm] = rows.subarray(row * RESULT_STRIDE);
      return { loss, gradNorm, skipped: !isMade(loss, gradNorm) };
    });
  }

  resumeAt(step: number): void {
    this.#update.resumeAt(step);
  }

  /**
   * The state, and where a checkpoint's weights are others than are trained, rounded or averaged, those under
   * `<parameter>.master`; and what the update remembers.
   */
  state(): TensorSource {
    const state = this.#state.source();
    const { remembered = new Map<string, Tensor>() } = this.#update;
    const masters = this.evaluation?.trained() ?? (this.#copy && this.#parameters);
    if (!masters && remembered.size === 0) return state;
    const find = (name: string): [TensorSource, string] =>
      masters && name.endsWith(MASTER)
        ? [masters, name.slice(0, -MASTER.length)]
        : [remembered.has(name) ? ofTensors(remembered) : state, name];
    return {
      names: (): readonly string[] => [
        ...state.names(),
        ...masters?.names().map((name) => name + MASTER) ?? [],
        ...remembered.keys(),
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

  /**
   * Takes what {@linkcode DeviceOptimizer.state} was written to; a run in float32 has no masters. Whoever
   * loads masters rounds them into their copy.
   */
  async load(source: TensorSource): Promise<void> {
    await this.#state.load(source);
    for (const [name, tensor] of this.#update.remembered ?? []) {
      await loadTensor(tensor, source, name);
    }
    this.evaluation?.drop();
    if (!this.#copy && !this.evaluation) return;
    if (!source.names().some((name) => name.endsWith(MASTER))) return;
    await loadStore(this.#parameters, source, MASTER);
  }

  /** Releases graphs and state; parameters and gradients stay their owner's. */
  [Symbol.dispose](): void {
    for (const resource of this.#owned.reverse()) resource[Symbol.dispose]();
  }
}

function ofTensors(tensors: ReadonlyMap<string, Tensor>): TensorSource {
  return {
    names: (): readonly string[] => [...tensors.keys()],
    info: (name: string): TensorInfo => tensors.get(name)!,
    // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
    read: async (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      tensors.get(name)!.read(into, offset),
  };
}
