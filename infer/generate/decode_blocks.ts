/**
 * The compiled blocks of a model that generates: a graph a kind of layers, and where layers carry a state two,
 * of which one is for single tokens.
 *
 * In: a config and weights. Out: for each layer its graph and its binding with the layer's weights.
 */

import type { BaseMatrices } from "../../model/engine/quantized_store.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import {
  type LaunchNode,
  type SubgraphBinding,
  SubgraphSessions,
} from "../../model/engine/subgraph_sessions.ts";
import type { ModelConfig } from "../../model/config.ts";
import {
  decodeBlockGraph,
  type DecodeBlockOptions,
  STEP_INPUTS,
} from "../../model/graphs/decode_graphs.ts";
import { layerName } from "../../model/parameters.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";

/** Where a decoder finds weights by their Hugging Face names, such as a `ParameterStore`. */
export interface DecoderWeights extends BaseMatrices {
  /** Whether there is a tensor of that name, where matrices may be kept otherwise. */
  has?(name: string): boolean;
  /** The tensor of that name; it must outlive the decoder, its contents may change. */
  tensor(name: string): Tensor;
}

/** A graph with a layer's weights bound. */
export interface BoundGraph {
  readonly graph: SubgraphSessions;
  readonly binding: SubgraphBinding;
}

/** A layer's graphs. */
export interface BoundBlock extends Disposable {
  /** The one for rows of so many tokens. */
  of(length: number): BoundGraph;
}

/** The graphs of a kind of layers: for rows of any length, and if that is another, for single tokens. */
interface KindGraphs {
  readonly several: SubgraphSessions;
  readonly single: SubgraphSessions;
}

/**
 * Graphs whose products may lie in the weights. Each has memory of its own for what goes into those and comes
 * out: another graph's would move what is bound.
 */
export class DecodeGraphs implements Disposable {
  readonly #runtime: Runtime;
  readonly #crossing: Scratch[] = [];

  /** None yet. */
  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Compiles one; its caller releases it, before these. */
  compile(graph: Graph): SubgraphSessions {
    const { viewsAtOffset: views } = deviceTraits(this.#runtime.device);
    const scratch = new Scratch(this.#runtime);
    this.#crossing.push(scratch);
    return new SubgraphSessions(this.#runtime, graph, { launch: noProducts, scratch, views });
  }

  [Symbol.dispose](): void {
    for (const scratch of this.#crossing) scratch[Symbol.dispose]();
  }
}

/** The graphs of all layers. */
export class DecodeBlocks implements Disposable {
  readonly #config: ModelConfig;
  readonly #graphs: ReadonlyMap<LayerKind, KindGraphs>;

  /** Compiles them. */
  constructor(
    made: DecodeGraphs,
    config: ModelConfig,
    options: Omit<DecodeBlockOptions, "kind" | "single">,
  ) {
    this.#config = config;
    const compile = (kind: LayerKind, single: boolean): SubgraphSessions =>
      made.compile(decodeBlockGraph(config, { ...options, kind, single }));
    this.#graphs = new Map(
      distinctKinds(config).map((kind) => {
        const several = compile(kind, false);
        return [kind, { several, single: kind.delta ? compile(kind, true) : several }];
      }),
    );
  }

  /** Binds the weights of each layer. */
  bind(weights: DecoderWeights): readonly BoundBlock[] {
    return this.#config.layerKinds.map((kind, layer) => {
      const launch = weights.products?.launcher((matrix) => layerName(layer, matrix));
      const bound = (graph: SubgraphSessions): BoundGraph => {
        const { inputs, shapeInputs } = graph.graph;
        const names = inputs.map(({ name }) => name).filter((name) =>
          !STEP_INPUTS.has(name) && !shapeInputs.has(name)
        );
        const tensors = names.map((name) => [name, weights.tensor(layerName(layer, name))]);
        return { graph, binding: graph.bind(Object.fromEntries(tensors), launch) };
      };
      const graphs = this.#graphs.get(kind)!;
      const several = bound(graphs.several);
      const single = graphs.single === graphs.several ? several : bound(graphs.single);
      return {
        of: (length) => length === 1 ? single : several,
        [Symbol.dispose]: () => {
          for (const { binding } of new Set([several, single])) binding[Symbol.dispose]();
        },
      };
    });
  }

  /** Releases the graphs; bindings made from them must be gone by then. */
  [Symbol.dispose](): void {
    for (const { several, single } of this.#graphs.values()) {
      for (const graph of new Set([several, single])) graph[Symbol.dispose]();
    }
  }
}

/** Only weights that are packed leave products to be launched, and they bring what does. */
const noProducts: LaunchNode = ({ op }) => {
  throw new Error(`Cannot launch ${op}: the weights have no products`);
};
