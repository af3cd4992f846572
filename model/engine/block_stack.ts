/**
 * A model's blocks, one after the other: forwards over a batch, and backwards.
 *
 * In: a batch and hidden states. Out: hidden states, and gradients added to a store. All layers of a kind
 * share the graphs, with a binding each.
 */

import { evaluateShape } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { blockParameters, layerName } from "../parameters.ts";
import { distinctKinds, type LayerKind } from "../parts/layer_kind.ts";
import {
  accumulatorName,
  type AdapterOptions,
  blockBackwardGraph,
  blockForwardGraph,
  gradientName,
  keptValues,
  trainedStacks,
} from "../graphs/training_graphs.ts";
import { gridSymbols } from "../graphs/sequences.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import { streamOf } from "../../ort/runtime/stream_of.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TokenGrid } from "./batch.ts";
import { ChunkedAttention } from "./chunked_attention.ts";
import type { EngineAdapter, EngineContext } from "./engine_context.ts";
import { type EmbeddingNoise, GridInputs, type KindInputs } from "./grid_inputs.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { boundParameter } from "./quantized_store.ts";
import { type LaunchNode, type SubgraphBinding, SubgraphSessions } from "./subgraph_sessions.ts";

/** A layer's binding of the graph of its kind, the layer's weights bound once. */
interface BoundLayer {
  readonly kind: LayerKind;
  readonly graph: SubgraphSessions;
  readonly binding: SubgraphBinding;
}

/** How a pass goes. */
export interface PassOptions {
  /** Whether forward keeps what backward would compute again, and backward takes it. */
  readonly keep?: boolean;
  /** Decides which inputs an adapter's dropout zeroes. @default none */
  readonly dropoutSeed?: number | string;
  /** Noise on embeddings, forwards. @default none */
  readonly noise?: Omit<EmbeddingNoise, "places">;
  /** Where each token stands in the batch, which dropout and noise are drawn by. @default where it is */
  readonly places?: Int32Array;
  /** Stops between two layers. */
  readonly signal?: AbortSignal;
}

/** The blocks of a model. */
export class BlockStack implements Disposable {
  readonly #context: EngineContext;
  readonly #gradients: ParameterStore | undefined;
  readonly #adapter: EngineAdapter | undefined;
  readonly #firstTrained: number;
  readonly #inputs: GridInputs;
  readonly #attention: ChunkedAttention | undefined;
  readonly #launch: LaunchNode;
  readonly #passes = new Map<string, readonly BoundLayer[]>();

  /**
   * Compiles nothing yet.
   *
   * @param gradients where gradients go
   * @param adapter what is trained in place of the blocks' own weights
   * @param firstTrained the first block that is trained; those before it have no gradients
   */
  constructor(
    context: EngineContext,
    gradients?: ParameterStore,
    adapter?: EngineAdapter,
    firstTrained = 0,
  ) {
    this.#context = context;
    this.#firstTrained = firstTrained;
    this.#gradients = gradients;
    this.#adapter = adapter;
    this.#inputs = new GridInputs(context, adapter?.block.dropout ?? 0);
    const { kernels, attentionChunk, runtime } = context;
    if (attentionChunk !== undefined) {
      this.#attention = new ChunkedAttention(context, attentionChunk);
    }
    this.#launch = kernels?.blocks?.launcher(streamOf(runtime)) ?? noKernel;
  }

  /** Runs all blocks; keeps each block's input, and answers what those of a kind share. */
  async forward(
    grid: TokenGrid,
    { keep = false, dropoutSeed, noise, places, signal }: PassOptions,
  ): Promise<KindInputs> {
    const context = this.#context;
    const shared = this.#inputs.embed(grid, noise && { ...noise, places });
    this.#attention?.prepare(grid);
    const dropout = dropoutSeed !== undefined;
    const layers = this.#pass(
      `forward${keep ? "_keep" : ""}${dropout ? "_dropout" : ""}`,
      (kind) => blockForwardGraph(context.config, { keep, kind, ...this.#made(dropout) }),
    );
    for (const [layer, { kind, graph, binding }] of layers.entries()) {
      await context.yieldTimer.turn(signal);
      graph.bindMore(binding, {
        ...shared.get(kind),
        ...(keep ? this.#kept(graph.graph, layer, grid) : {}),
        ...this.#inputs.dropoutMasks(graph.graph, { layer, seed: dropoutSeed, grid, places }),
        x: context.hidden(layer, grid),
        y: context.hidden(layer + 1, grid),
      }, gridSymbols(context.config, grid));
      binding.run();
    }
    return shared;
  }

  /**
   * From the gradient of what the blocks give out to that of what the first trained one takes in, and gradients
   * to the store.
   *
   * @param shared what forward answered
   * @param buffers the gradient, and one as large; both are written
   * @param first whether gradients are written afresh in place of being added up
   * @param onFinal told of a layer's gradients, by names, when they are there
   * @returns the gradient of the first trained block's input, in one of the buffers
   */
  async backward(
    grid: TokenGrid,
    { shared, buffers: [dy, dx], first, onFinal, ...pass }: PassOptions & {
      readonly shared: KindInputs;
      readonly buffers: readonly [dy: Tensor, dx: Tensor];
      readonly first: boolean;
      readonly onFinal?: (names: readonly string[]) => void | Promise<void>;
    },
  ): Promise<Tensor> {
    const context = this.#context;
    const { keep = false, dropoutSeed, places, signal } = pass;
    const layers = this.#pass(
      first ? "backward_first" : "backward",
      (kind) =>
        blockBackwardGraph(context.config, {
          accumulate: !first,
          keep,
          kind,
          ...this.#made(dropoutSeed !== undefined),
        }),
    );
    for (let layer = layers.length - 1; layer >= this.#firstTrained; layer--) {
      const { kind, graph, binding } = layers[layer];
      await context.yieldTimer.turn(signal);
      graph.bindMore(binding, {
        ...shared.get(kind),
        ...(keep ? this.#kept(graph.graph, layer, grid) : {}),
        ...this.#inputs.dropoutMasks(graph.graph, { layer, seed: dropoutSeed, grid, places }),
        x: context.hidden(layer, grid),
        dy,
        dx,
      }, gridSymbols(context.config, grid));
      binding.run();
      await onFinal?.(this.#trained(kind).map((name) => layerName(layer, name)));
      [dy, dx] = [dx, dy];
    }
    return dy;
  }

  /** What has gradients in a layer of a kind, by local names. */
  #trained(kind: LayerKind): readonly string[] {
    const { block } = this.#adapter ?? {};
    return (block?.parameters(kind) ?? blockParameters(this.#context.config, kind))
      .map(({ name }) => name);
  }

  /** What the blocks' graphs are made for. */
  #made(dropout: boolean): AdapterOptions {
    return {
      dropout,
      deviceDropout: this.#context.graphsOnly,
      adapter: this.#adapter?.block,
      precision: this.#context.precision,
      storage: this.#context.storage,
      kernels: this.#context.parts,
    };
  }

  /** The layers of a pass, one after the other, with a graph a kind. */
  #pass(name: string, make: (kind: LayerKind) => Graph): readonly BoundLayer[] {
    const known = this.#passes.get(name);
    if (known) return known;
    const { runtime, scratch, views, config, weights: { products } } = this.#context;
    const graphs = new Map<LayerKind, SubgraphSessions>();
    for (const kind of distinctKinds(config)) {
      const launch = this.#attention?.launcher(kind.window) ?? this.#launch;
      graphs.set(kind, new SubgraphSessions(runtime, make(kind), { launch, scratch, views }));
    }
    const layers = config.layerKinds.map((kind, layer): BoundLayer => {
      const graph = graphs.get(kind)!;
      const launch = products?.launcher((matrix) => layerName(layer, matrix));
      return { kind, graph, binding: graph.bind(this.#layerTensors(layer, kind), launch) };
    });
    this.#passes.set(name, layers);
    return layers;
  }

  #layerTensors(layer: number, kind: LayerKind): TensorMap {
    const tensors: Record<string, Tensor> = {};
    const own = blockParameters(this.#context.config, kind);
    for (const { name } of own) {
      Object.assign(
        tensors,
        boundParameter(this.#context.weights, name, layerName(layer, name)),
      );
    }
    const adapter = this.#adapter;
    const { block, weights } = adapter ?? {};
    for (const { name } of block ? [...block.parameters(kind), ...block.derived(kind)] : []) {
      tensors[name] = weights!.tensor(layerName(layer, name));
    }
    const gradients = layer < this.#firstTrained ? undefined : this.#gradients;
    const accumulate = (name: string, gradient: Tensor): void => {
      tensors[gradientName(name)] = tensors[accumulatorName(name)] = gradient;
    };
    for (const name of gradients ? this.#trained(kind) : []) {
      accumulate(name, gradients!.tensor(layerName(layer, name)));
    }
    const { parts: kernels, storage } = this.#context;
    const how = { adapter: adapter?.block, kernels, kind, storage };
    for (const { name, of } of trainedStacks(this.#context.config, how)) {
      const names = of.map((part) => layerName(layer, part));
      tensors[name] = this.#context.weights.stacked(names);
      if (gradients && !adapter) accumulate(name, gradients.stacked(names));
    }
    return tensors;
  }

  /** Where a layer's forward keeps what its backward takes. */
  #kept(graph: Graph, layer: number, grid: TokenGrid): TensorMap {
    const kept = keptValues(graph);
    const symbols = gridSymbols(this.#context.config, grid);
    return Object.fromEntries(
      kept.map(({ name, dtype, shape }) => [
        name,
        this.#context.scratch.tensor(
          `${layer}.${name}`,
          dtype,
          evaluateShape(shape, symbols),
        ),
      ]),
    );
  }

  /** Releases the graphs. */
  [Symbol.dispose](): void {
    for (const layers of this.#passes.values()) {
      for (const { binding } of layers) binding[Symbol.dispose]();
      for (const graph of new Set(layers.map((each) => each.graph))) graph[Symbol.dispose]();
    }
    this.#attention?.[Symbol.dispose]();
  }
}

/** Graphs that are built without kernels have none to launch. */
const noKernel: LaunchNode = ({ op }) => {
  throw new Error(`Cannot launch ${op}: the engine was made without kernels`);
};
