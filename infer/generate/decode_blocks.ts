/**
 * The compiled blocks of a model that generates: a graph a kind of layers, and where layers carry a state two,
 * of which one is for single tokens.
 *
 * In: a config and weights. Out: for each layer its graph and its binding with the layer's weights.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ModelConfig } from "../../model/config.ts";
import {
  decodeBlockGraph,
  type DecodeBlockOptions,
  STEP_INPUTS,
} from "../../model/graphs/decode_graphs.ts";
import { layerName } from "../../model/parameters.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";

/** Where a decoder finds weights by their Hugging Face names, such as a `ParameterStore`. */
export interface DecoderWeights {
  /** The tensor of that name; it must outlive the decoder, its contents may change. */
  tensor(name: string): Tensor;
}

/** A graph with a layer's weights bound. */
export interface BoundGraph {
  readonly graph: CompiledGraph;
  readonly binding: Binding;
}

/** A layer's graphs. */
export interface BoundBlock extends Disposable {
  /** The one for rows of so many tokens. */
  of(length: number): BoundGraph;
}

/** The graphs of a kind of layers: for rows of any length, and if that is another, for single tokens. */
interface KindGraphs {
  readonly several: CompiledGraph;
  readonly single: CompiledGraph;
}

/** The graphs of all layers. */
export class DecodeBlocks implements Disposable {
  readonly #config: ModelConfig;
  readonly #graphs: ReadonlyMap<LayerKind, KindGraphs>;

  /** Compiles them. */
  constructor(
    runtime: Runtime,
    config: ModelConfig,
    options: Omit<DecodeBlockOptions, "kind" | "single">,
  ) {
    this.#config = config;
    const compile = (kind: LayerKind, single: boolean): CompiledGraph =>
      new CompiledGraph(runtime, decodeBlockGraph(config, { ...options, kind, single }));
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
      const bound = (graph: CompiledGraph): BoundGraph => {
        const { inputs, shapeInputs } = graph.graph;
        const names = inputs.map(({ name }) => name).filter((name) =>
          !STEP_INPUTS.has(name) && !shapeInputs.has(name)
        );
        const tensors = names.map((name) => [name, weights.tensor(layerName(layer, name))]);
        return { graph, binding: graph.bind(Object.fromEntries(tensors)) };
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
