/**
 * Attention over chunks of queries, where there is no kernel for it: ordinary graphs, run for one chunk
 * after another. The scores of one chunk alone are in memory, and keys that a chunk cannot see are not
 * read.
 *
 * In: a grid, and the nodes `SegmentAttention` and `SegmentAttentionGradient` of a block's graph with
 * their tensors. Out: what they compute.
 */

import type { Symbols } from "../../ort/graph/dim.ts";
import type { Node } from "../../ort/graph/ir.ts";
import { segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import type { Binding, TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import {
  chunkBackwardGraph,
  chunkForwardGraph,
  chunkMaskGraph,
} from "../graphs/attention_chunk_graphs.ts";
import { type AttentionChunk, attentionChunks } from "./attention_chunks.ts";
import type { TokenGrid } from "./batch.ts";
import type { CompiledGraph } from "./compiled_graph.ts";
import type { EngineContext } from "./engine_context.ts";
import type { LaunchNode } from "./subgraph_sessions.ts";

/** A chunk with what its graphs take besides a node's tensors. */
interface PreparedChunk {
  readonly symbols: Symbols;
  readonly tensors: TensorMap;
}

/** What the layers that see as much share of a batch. */
interface Plan {
  /** The chunks' sizes and places. */
  readonly described: string;
  /** Tells other plans apart, with the number of those before it. */
  readonly id: string;
  readonly chunks: readonly PreparedChunk[];
}

/** A binding of one graph for one chunk. */
interface BoundChunk {
  readonly binding: Binding;
  /** Tells other tensors and other chunks apart. */
  readonly key: string;
}

/** The graphs of a node, and the names that its tensors have in them. */
interface NodeGraphs {
  readonly make: typeof chunkForwardGraph | typeof chunkBackwardGraph;
  readonly inputs: readonly (string | undefined)[];
  readonly outputs: readonly string[];
  /** Whether the first chunk writes what the others add to. */
  readonly adds: boolean;
}

const unread = undefined;
const NODES: Readonly<Record<string, NodeGraphs>> = {
  SegmentAttention: {
    make: chunkForwardGraph,
    inputs: ["q", "k", "v"],
    outputs: ["mixed"],
    adds: false,
  },
  SegmentAttentionGradient: {
    make: chunkBackwardGraph,
    inputs: ["q", "k", "v", unread, unread, "mixed", unread, "d_mixed"],
    outputs: ["dq", "dk", "dv"],
    adds: true,
  },
};

/** What the attention of a model is run with. */
export type ChunkedAttentionContext = Pick<EngineContext, "config" | "scratch" | "graph">;

/** The attention of an engine's blocks. */
export class ChunkedAttention implements Disposable {
  readonly #context: ChunkedAttentionContext;
  readonly #queries: number;
  #tokens = 0;
  /** By window, undefined for none. */
  readonly #plans = new Map<number | undefined, Plan>();
  /** Counts changes of plans. */
  #changes = 0;
  readonly #bound = new Map<string, BoundChunk>();

  /** @param queries the most of a chunk */
  constructor(context: ChunkedAttentionContext, queries: number) {
    this.#context = context;
    this.#queries = queries;
  }

  /** Makes what all layers of a batch share, before they are launched. */
  prepare({ rows, length, segmentIds }: TokenGrid): void {
    const { config } = this.#context;
    const { heads } = config;
    this.#tokens = rows * length;
    for (const window of new Set(config.layerKinds.map(({ window }) => window))) {
      const { starts } = segmentBounds(segmentIds, length, { window });
      const chunks = attentionChunks(starts, { heads, queries: this.#queries });
      const described = JSON.stringify(chunks);
      const before = this.#plans.get(window);
      const id = before?.described === described ? before.id : `${window} ${this.#changes++}`;
      const place = window === undefined ? "attention" : `attention.${window}`;
      const prepared = chunks.map((chunk, i) => this.#prepare(chunk, `${place}.${i}`, starts));
      this.#plans.set(window, { described, id, chunks: prepared });
    }
  }

  #prepare(
    { start, end, firstKey, lastKey }: AttentionChunk,
    place: string,
    starts: Int32Array,
  ): PreparedChunk {
    const { scratch } = this.#context;
    const [length, keys] = [end - start, lastKey - firstKey];
    const named = (name: string): string => `${place}.${name}`;
    const int32 = (name: string, values: Int32Array): Tensor =>
      scratch.write(named(name), "int32", [values.length], values);
    const ids = (name: string, values: Int32Array): Tensor =>
      scratch.write(named(name), "int64", [values.length, 1], BigInt64Array.from(values, BigInt));
    const places = (from: number, count: number): Int32Array =>
      Int32Array.from({ length: count }, (_, i) => from + i);
    const [queryPlaces, keyPlaces] = [places(start, length), places(firstKey, keys)];
    const mask = scratch.tensor(named("mask"), "float32", [1, 1, 1, length, keys]);
    this.#context.graph("attention_mask", chunkMaskGraph).run({
      starts: int32("starts", starts.subarray(start, end)),
      queries: int32("queries", queryPlaces),
      keys: int32("keys", keyPlaces),
      mask,
    }, { length, keys });
    return {
      symbols: { rows: 1, length, keys, tokens: this.#tokens },
      tensors: {
        mask,
        query_ids: ids("query_ids", queryPlaces),
        key_ids: ids("key_ids", keyPlaces),
      },
    };
  }

  /** What runs the nodes of layers with a window, chunk after chunk; on a device they are queued. */
  launcher(window?: number): LaunchNode {
    return (node, inputs, outputs) => this.#launch(node, window, { inputs, outputs });
  }

  #launch(
    { op }: Node,
    window: number | undefined,
    { inputs, outputs }: {
      readonly inputs: readonly (Tensor | undefined)[];
      readonly outputs: readonly Tensor[];
    },
  ): void {
    const { id, chunks } = this.#plans.get(window)!;
    const { make, adds, ...names } = NODES[op];
    const given: Record<string, Tensor> = {};
    names.inputs.forEach((name, i) => {
      if (name !== undefined) given[name] = inputs[i]!;
    });
    names.outputs.forEach((name, i) => given[name] = outputs[i]);
    const addresses = Object.values(given).map(({ address }) => address);
    const key = `${id} ${addresses}`;
    const whole = chunks.length === 1;
    for (const [i, chunk] of chunks.entries()) {
      const first = adds && i === 0;
      const graph = this.#context.graph(
        `${op}${whole ? "_whole" : first ? "_first" : ""}`,
        () => make(this.#context.config, { whole, first }),
      );
      const name = `${op}.${window}.${i}`;
      let bound = this.#bound.get(name);
      if (bound?.key !== key) {
        bound?.binding[Symbol.dispose]();
        bound = { binding: this.#bind(graph, chunk, given), key };
        this.#bound.set(name, bound);
      }
      bound.binding.run();
    }
  }

  /** Binds a node's tensors as [tokens, width], whatever shape the block's graph gives them. */
  #bind(graph: CompiledGraph, { symbols, tensors }: PreparedChunk, given: TensorMap): Binding {
    using views = new DisposableStack();
    const flat: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(given)) {
      const width = elementCount(tensor.shape) / this.#tokens;
      // An output is bound in place of what it was before.
      flat[name] = flat[`${name}_before`] = views.use(tensor.view(0, [this.#tokens, width]));
    }
    const binding = graph.bind({});
    graph.bindMore(binding, { ...tensors, ...flat }, symbols);
    return binding;
  }

  /** Releases the bindings; graphs and buffers are the engine's. */
  [Symbol.dispose](): void {
    for (const { binding } of this.#bound.values()) binding[Symbol.dispose]();
  }
}
