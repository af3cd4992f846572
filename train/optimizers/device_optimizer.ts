/**
 * An optimizer on a device, from gradients to parameters without a look from the host.
 *
 * In: parameters and gradients of one layout, and losses where they were computed. Out: parameters
 * updated in place, and rows of results that are read when somebody wants them. On the host's memory it
 * does the same.
 */

import type { Comm } from "../../comm/comm.ts";
import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { randomOdd } from "../../model/engine/keep_mask.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { TensorComm } from "../distributed/tensor_comm.ts";
import type { Optimizer, StateParts, UpdateOptions } from "../optimizer.ts";
import type { TrainStepResult } from "../trainer.ts";
import type { DeviceUpdate, DeviceUpdateOptions } from "./device_update.ts";
import type { RateFactors } from "./layout_chunks.ts";
import { loadStore, loadTensor, OptimizerState, type StateShapes } from "./optimizer_state.ts";
import { type EvaluatedRule, RuleEvaluation } from "./rule_evaluation.ts";
import { ShardedState } from "./sharded_state.ts";
import { STATE_TYPES, type StateFormat } from "./state_format.ts";
import { isMade, lossSumGraph, RESULT_WIDTH } from "./update_control_graph.ts";
import { MASTER } from "./update_state.ts";

/** Results that can wait to be read. */
export const MOST_PENDING = 1024;
/** The same where each lies in a tensor of its own. */
const MOST_PENDING_APART = 16;

const RESULT_STRIDE = 4;
const FLOAT_BYTES = 4;
const OF_MASTER = `.${MASTER}`;

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
  /** The same processes, for what is saved. */
  readonly comm?: Comm;
  /**
   * Whether each of these keeps the state of a part of the parameters, and updates that; masters are state then.
   * @default false
   */
  readonly shard?: boolean;
  /** Makes the norm, the clipping and the update, in that format. */
  readonly makeUpdate: (options: DeviceUpdateOptions) => DeviceUpdate;
}

/** The optimizer's state on a device and its compiled update. */
export class DeviceOptimizer implements Optimizer {
  readonly maxUnread: number;
  readonly evaluation: RuleEvaluation | undefined;
  readonly parts: StateParts | undefined;
  readonly #parameters: ParameterStore;
  readonly #copy: ParameterStore | undefined;
  readonly #state: OptimizerState | ShardedState;
  readonly #takes: ShardedState | undefined;
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
    { runtime, parameters, gradients, copy, format, maxGradNorm, state, rates, ...options }:
      DeviceOptimizerOptions,
  ) {
    const { collectives, comm, shard = false, shapes, evaluated, makeUpdate } = options;
    this.#collectives = collectives;
    this.#parameters = parameters;
    this.#copy = copy;
    const { layout } = parameters;
    const types = STATE_TYPES[format];
    const scaled = types.state === "int8";
    const dtype: DType = types.state === "int8" ? "uint8" : types.state;
    this.#loss = this.#own(Tensor.allocate(runtime, "float32", []));
    const { viewsAtOffset } = deviceTraits(runtime.device);
    this.maxUnread = viewsAtOffset ? MOST_PENDING : MOST_PENDING_APART;
    const shape = [MOST_PENDING, RESULT_STRIDE];
    const results = viewsAtOffset
      ? this.#own(Tensor.allocate(runtime, "float32", shape))
      : undefined;
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
    const made = { runtime, parameters, gradients, loss: this.#loss, maxGradNorm, rates };
    if (!shard || !comm || !collectives) {
      const kept = { names: state, shapes, dtype, scaled };
      const whole = this.#own(new OptimizerState(runtime, layout, kept));
      this.#state = whole;
      this.#update = this.#own(makeUpdate({ ...made, copy, state: whole }));
      this.evaluation = evaluated && this.#own(
        new RuleEvaluation(evaluated, {
          ...{ runtime, parameters, gradients, copy },
          state: whole,
        }),
      );
      return;
    }
    const master = types.parameters === "master";
    const part = this.#own(
      new ShardedState(runtime, layout, {
        ...{ comm, dtype, scaled },
        names: master ? [...state, MASTER] : state,
        optional: master ? MASTER : undefined,
      }),
    );
    this.#state = part;
    this.#takes = master ? part : undefined;
    this.parts = part.shared;
    this.#update = this.#own(makeUpdate({ ...made, state: part, collectives, master }));
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
    // Parameters that others updated.
    if (this.parts) await this.#collectives?.join();
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
      masters && name.endsWith(OF_MASTER)
        ? [masters, name.slice(0, -OF_MASTER.length)]
        : [remembered.has(name) ? ofTensors(remembered) : state, name];
    return {
      names: (): readonly string[] => [
        ...state.names(),
        ...masters?.names().map((name) => name + OF_MASTER) ?? [],
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
    if (!source.names().some((name) => name.endsWith(OF_MASTER))) return;
    await loadStore(this.#parameters, source, OF_MASTER);
  }

  async takeWeights(weights: TensorSource): Promise<void> {
    await this.#takes?.fill(MASTER, weights);
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
