/**
 * What the parts of a training engine share: a model's weights, the graphs that they run on, and buffers.
 *
 * In: a runtime, a config, weights. Out: compiled graphs by name, each made when it is first asked for, and
 * the hidden states.
 *
 * @module
 */

import type { Symbols } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { BlockAdapter } from "../graphs/block.ts";
import type { ModelConfig } from "../config.ts";
import type { BaseStorage } from "../base_storage.ts";
import type { BlockKernel } from "../parts/block_scope.ts";
import type { Precision } from "../precision.ts";
import type { LossKernel, Objective } from "../graphs/objective.ts";
import type { HeadLossOptions } from "../graphs/training_graphs.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { headName } from "../parameters.ts";
import { CHUNKED_ATTENTION } from "./attention_chunks.ts";
import type { TokenGrid } from "./batch.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import type { BlockKernels } from "./kernel_nodes.ts";
import type { NamedWeights } from "./layered_weights.ts";
import { SubgraphSessions } from "./subgraph_sessions.ts";
import { YieldTimer } from "./yield_timer.ts";
import { computingOf } from "./weights_precision.ts";
import { Scratch } from "./scratch.ts";

/** Kernels that an engine launches, loaded for its model and precision. */
export interface EngineKernels {
  /** Takes the objective of logits of the weights' type. @default none: the head stays in graphs */
  readonly loss?: LossKernel;
  /** Parts of the blocks. @default none */
  readonly blocks?: BlockKernels;
}

/** An adapter and its weights. */
export interface EngineAdapter {
  /** What it makes of a block. */
  readonly block: BlockAdapter;
  /** Its weights and what is derived of them, under their names with the layer's in front. */
  readonly weights: NamedWeights;
}

/** A graph that is bound anew for each run. */
export interface RunnableGraph extends Disposable {
  /** Binds, runs once and releases. */
  run(tensors: TensorMap, symbols?: Symbols): void;
}

/** What an {@linkcode EngineContext} is made of. */
export interface EngineContextOptions {
  readonly runtime: Runtime;
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  readonly weights: NamedWeights;
  /** What is minimized. */
  readonly objective: Objective;
  /** Kernels of ortune's own. @default none */
  readonly kernels?: EngineKernels;
  /** Whether everything is left to graphs. */
  readonly graphsOnly: boolean;
  /** Most queries that attention takes at a time, unless it is a kernel. @default all, with a mask */
  readonly attentionChunk?: number;
}

const NO_PARTS: ReadonlySet<BlockKernel> = new Set();

/** Shared by the parts of an engine. */
export class EngineContext implements Disposable {
  readonly runtime: Runtime;
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  readonly weights: NamedWeights;
  /** What is minimized. */
  readonly objective: Objective;
  /** Kernels of ortune's own, if there are any. */
  readonly kernels: EngineKernels | undefined;
  /** Whether everything is left to graphs. */
  readonly graphsOnly: boolean;
  /** Most queries that attention takes at a time; undefined where it has a mask or is a kernel. */
  readonly attentionChunk: number | undefined;
  /** The parts of blocks that are operations of ortune's own. */
  readonly parts: ReadonlySet<BlockKernel>;
  /** What the weights are but for stored matrices, and so what all graphs compute with. */
  readonly precision: Precision;
  /** How the matrices are stored. */
  readonly storage: BaseStorage;
  /** Buffers by name, which every part may write. */
  readonly scratch: Scratch;
  /** Lets others have their turn between two graphs. */
  readonly yieldTimer: YieldTimer = new YieldTimer();
  readonly #graphs = new Map<string, CompiledGraph>();
  readonly #headGraphs = new Map<string, RunnableGraph>();

  /** Compiles nothing yet. */
  constructor(
    { runtime, config, weights, objective, kernels, graphsOnly, attentionChunk }:
      EngineContextOptions,
  ) {
    this.runtime = runtime;
    this.config = config;
    this.weights = weights;
    this.objective = objective;
    this.kernels = kernels;
    this.graphsOnly = graphsOnly;
    this.attentionChunk = kernels?.blocks ? undefined : attentionChunk;
    this.parts = kernels?.blocks?.parts ??
      (attentionChunk === undefined ? NO_PARTS : CHUNKED_ATTENTION);
    const { precision, storage } = computingOf(weights);
    this.precision = precision;
    this.storage = storage;
    this.scratch = new Scratch(runtime);
  }

  /** A graph outside of the blocks, made once. */
  graph(name: string, make: () => Graph): CompiledGraph {
    let graph = this.#graphs.get(name);
    if (!graph) this.#graphs.set(name, graph = new CompiledGraph(this.runtime, make()));
    return graph;
  }

  /** A graph of the head, made once: products with a packed head run between its sessions. */
  headGraph(name: string, make: () => Graph): RunnableGraph {
    const { products } = this.weights;
    if (!products) return this.graph(name, make);
    let graph = this.#headGraphs.get(name);
    if (!graph) {
      const { runtime, scratch, views, config } = this;
      const launch = products.launcher(() => headName(config));
      graph = new SubgraphSessions(runtime, make(), { launch, scratch, views });
      this.#headGraphs.set(name, graph);
    }
    return graph;
  }

  /** Whether attention goes by segments, in place of a mask over a grid. */
  get segments(): boolean {
    return this.parts.has("attention") || this.parts.has("chunkedAttention");
  }

  /** Whether a part of a tensor can be seen as a tensor; else rows are copied. */
  get views(): boolean {
    return deviceTraits(this.runtime.device).viewsAtOffset;
  }

  /** What the graphs outside of the blocks are made for. */
  get computing(): HeadLossOptions {
    const { precision, storage, objective, graphsOnly } = this;
    return { precision, storage, objective, logSoftmax: graphsOnly };
  }

  /** The input of a layer, [rows · length, hidden]; after the last layer what the head reads. */
  hidden(layer: number, { rows, length }: TokenGrid): Tensor {
    const shape = [rows * length, this.config.hiddenSize];
    return this.scratch.tensor(`hidden.${layer}`, this.precision, shape);
  }

  /** Releases graphs and buffers; weights stay their owner's. */
  [Symbol.dispose](): void {
    for (const graph of this.#graphs.values()) graph[Symbol.dispose]();
    for (const graph of this.#headGraphs.values()) graph[Symbol.dispose]();
    this.scratch[Symbol.dispose]();
  }
}
