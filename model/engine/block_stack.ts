/**
 * A model's blocks, one after the other: forwards over a batch, and backwards.
 *
 * In: a batch and hidden states. Out: hidden states, and gradients added to a store. All layers share the
 * graphs, with a binding each.
 */

import { evaluateShape } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { blockParameters, layerName } from "../parameters.ts";
import {
  accumulatorName,
  type AdapterOptions,
  blockBackwardGraph,
  blockForwardGraph,
  gradientName,
  keptValues,
  trainedStacks,
} from "../graphs/training_graphs.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import { streamOf } from "../../ort/runtime/stream_of.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TokenGrid } from "./batch.ts";
import { ChunkedAttention } from "./chunked_attention.ts";
import type { EngineAdapter, EngineContext } from "./engine_context.ts";
import { GridInputs } from "./grid_inputs.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { type LaunchNode, type SubgraphBinding, SubgraphSessions } from "./subgraph_sessions.ts";

/** A compiled graph with one binding a layer, the layer's weights bound once. */
interface LayerBindings {
  readonly graph: SubgraphSessions;
  readonly bindings: readonly SubgraphBinding[];
}

/** How a pass goes. */
export interface PassOptions {
  /** Whether forward keeps what backward would compute again, and backward takes it. */
  readonly keep?: boolean;
  /** Decides which inputs an adapter's dropout zeroes. @default none */
  readonly dropoutSeed?: number | string;
  /** Where each token stands in the batch, which a device's dropout draws by. @default where it is */
  readonly places?: Int32Array;
  /** Stops between two layers. */
  readonly signal?: AbortSignal;
}

/** The blocks of a model. */
export class BlockStack implements Disposable {
  readonly #context: EngineContext;
  readonly #gradients: ParameterStore | undefined;
  readonly #adapter: EngineAdapter | undefined;
  readonly #inputs: GridInputs;
  readonly #attention: ChunkedAttention | undefined;
  readonly #launch: LaunchNode;
  readonly #layers = new Map<string, LayerBindings>();

  /**
   * Compiles nothing yet.
   *
   * @param gradients where gradients go
   * @param adapter what is trained in place of the blocks' own weights
   */
  constructor(context: EngineContext, gradients?: ParameterStore, adapter?: EngineAdapter) {
    this.#context = context;
    this.#gradients = gradients;
    this.#adapter = adapter;
    this.#inputs = new GridInputs(context, adapter?.block.dropout ?? 0);
    const { kernels, attentionChunk, runtime } = context;
    if (attentionChunk !== undefined) {
      this.#attention = new ChunkedAttention(context, attentionChunk);
    }
    this.#launch = this.#attention?.launch ?? kernels?.blocks?.launcher(streamOf(runtime)) ??
      noKernel;
  }

  /** Runs all blocks; keeps each block's input, and answers what they all share. */
  async forward(
    grid: TokenGrid,
    { keep = false, dropoutSeed, places, signal }: PassOptions,
  ): Promise<TensorMap> {
    const context = this.#context;
    const { rows, length } = grid;
    const shared = this.#inputs.embed(grid);
    this.#attention?.prepare(grid);
    const dropout = dropoutSeed !== undefined;
    const { graph, bindings } = this.#layer(
      `forward${keep ? "_keep" : ""}${dropout ? "_dropout" : ""}`,
      () => blockForwardGraph(context.config, { keep, ...this.#made(dropout) }),
    );
    for (const [layer, binding] of bindings.entries()) {
      await context.yieldTimer.turn(signal);
      graph.bindMore(binding, {
        ...shared,
        ...(keep ? this.#kept(graph.graph, layer, grid) : {}),
        ...this.#inputs.dropoutMasks(graph.graph, { layer, seed: dropoutSeed, grid, places }),
        x: context.hidden(layer, grid),
        y: context.hidden(layer + 1, grid),
      }, { rows, length });
      binding.run();
    }
    return shared;
  }

  /**
   * From the gradient of what the blocks give out to that of what they take in, and gradients to the store.
   *
   * @param shared what forward answered
   * @param buffers the gradient, and one as large; both are written
   * @param first whether gradients are written afresh in place of being added up
   * @param onFinal told of a layer's gradients, by names, when they are there
   * @returns the gradient of the first block's input, in one of the buffers
   */
  async backward(
    grid: TokenGrid,
    { shared, buffers: [dy, dx], first, onFinal, ...pass }: PassOptions & {
      readonly shared: TensorMap;
      readonly buffers: readonly [dy: Tensor, dx: Tensor];
      readonly first: boolean;
      readonly onFinal?: (names: readonly string[]) => void | Promise<void>;
    },
  ): Promise<Tensor> {
    const context = this.#context;
    const { rows, length } = grid;
    const { keep = false, dropoutSeed, places, signal } = pass;
    const { graph, bindings } = this.#layer(
      first ? "backward_first" : "backward",
      () =>
        blockBackwardGraph(context.config, {
          accumulate: !first,
          keep,
          ...this.#made(dropoutSeed !== undefined),
        }),
    );
    for (let layer = bindings.length - 1; layer >= 0; layer--) {
      await context.yieldTimer.turn(signal);
      graph.bindMore(bindings[layer], {
        ...shared,
        ...(keep ? this.#kept(graph.graph, layer, grid) : {}),
        ...this.#inputs.dropoutMasks(graph.graph, { layer, seed: dropoutSeed, grid, places }),
        x: context.hidden(layer, grid),
        dy,
        dx,
      }, { rows, length });
      bindings[layer].run();
      await onFinal?.(this.#trained().map((name) => layerName(layer, name)));
      [dy, dx] = [dx, dy];
    }
    return dy;
  }

  /** What has gradients in a layer, by local names. */
  #trained(): readonly string[] {
    const { block } = this.#adapter ?? {};
    return (block?.parameters ?? blockParameters(this.#context.config)).map(({ name }) => name);
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

  #layer(name: string, make: () => Graph): LayerBindings {
    let layer = this.#layers.get(name);
    if (!layer) {
      const { runtime, scratch, views } = this.#context;
      const launch = this.#launch;
      const graph = new SubgraphSessions(runtime, make(), { launch, scratch, views });
      const bindings = Array.from(
        { length: this.#context.config.layers },
        (_, index) => graph.bind(this.#layerTensors(index)),
      );
      this.#layers.set(name, layer = { graph, bindings });
    }
    return layer;
  }

  #layerTensors(layer: number): TensorMap {
    const tensors: Record<string, Tensor> = {};
    const own = blockParameters(this.#context.config);
    for (const { name } of own) {
      tensors[name] = this.#context.weights.tensor(layerName(layer, name));
    }
    const adapter = this.#adapter;
    for (const { name } of adapter ? [...adapter.block.parameters, ...adapter.block.derived] : []) {
      tensors[name] = adapter!.weights.tensor(layerName(layer, name));
    }
    const gradients = this.#gradients;
    const accumulate = (name: string, gradient: Tensor): void => {
      tensors[gradientName(name)] = tensors[accumulatorName(name)] = gradient;
    };
    for (const name of gradients ? this.#trained() : []) {
      accumulate(name, gradients!.tensor(layerName(layer, name)));
    }
    const how = { adapter: adapter?.block, kernels: this.#context.parts };
    for (const { name, of } of trainedStacks(this.#context.config, how)) {
      const names = of.map((part) => layerName(layer, part));
      tensors[name] = this.#context.weights.stacked(names);
      if (gradients && !adapter) accumulate(name, gradients.stacked(names));
    }
    return tensors;
  }

  /** Where a layer's forward keeps what its backward takes. */
  #kept(graph: Graph, layer: number, { rows, length }: TokenGrid): TensorMap {
    const kept = keptValues(graph);
    return Object.fromEntries(
      kept.map(({ name, dtype, shape }) => [
        name,
        this.#context.scratch.tensor(
          `${layer}.${name}`,
          dtype,
          evaluateShape(shape, { rows, length }),
        ),
      ]),
    );
  }

  /** Releases the graphs. */
  [Symbol.dispose](): void {
    for (const { graph, bindings } of this.#layers.values()) {
      for (const binding of bindings) binding[Symbol.dispose]();
      graph[Symbol.dispose]();
    }
    this.#attention?.[Symbol.dispose]();
  }
}

/** Graphs that are built without kernels have none to launch. */
const noKernel: LaunchNode = ({ op }) => {
  throw new Error(`Cannot launch ${op}: the engine was made without kernels`);
};
