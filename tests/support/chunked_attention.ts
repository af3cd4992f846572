/** Attention in chunks and attention with a mask on the same numbers, forwards and backwards. */

import assert from "node:assert/strict";
import { ChunkedAttention } from "../../model/engine/chunked_attention.ts";
import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import { SubgraphSessions } from "../../model/engine/subgraph_sessions.ts";
import { chunkedAttention, MASKED, maskedAttention } from "../../model/graphs/attention.ts";
import type { Attention } from "../../model/parts/block_scope.ts";
import type { ModelConfig } from "../../model/config.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import { evaluateShape } from "../../ort/graph/dim.ts";
import { gradient } from "../../ort/graph/gradient.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import { cpu } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import type { Dense } from "./dense.ts";
import { draws } from "./random.ts";
import { dense } from "./reference_interpreter.ts";
import { encode, runGraph } from "./run_graph.ts";
import { tinyConfig, WINDOWED } from "./tiny_model.ts";

/** What both are run on. */
export interface AttentionCase {
  /** All of whose layers see what the first sees. */
  readonly config: ModelConfig;
  readonly rows: number;
  /** 0 is padding, [rows·length]. */
  readonly segmentIds: Int32Array;
}

/** Numbers by name: mixed, dq, dk and dv. */
export type AttentionNumbers = Readonly<Record<string, Float64Array>>;

/** q, k, v and the mixed values' gradient → mixed and three gradients. */
function attentionGraph(
  { heads, kvHeads, headDim }: ModelConfig,
  make: (b: GraphBuilder) => Attention,
): Graph {
  const b = new GraphBuilder("attention");
  const attention = make(b);
  const [q, k, v] = [heads, kvHeads, kvHeads].map((count, i) =>
    b.input("qkv"[i], "float32", ["rows", "length", count * headDim])
  );
  const mixed = attention(q, k, v);
  const dMixed = b.input("d_mixed", "float32", mixed.shape);
  const gradients = gradient(b, {
    seeds: new Map([[mixed, dMixed]]),
    wrt: new Map([q, k, v].map((value) => [value, undefined])),
  });
  b.output("mixed", mixed);
  for (const value of [q, k, v]) b.output(`d${value.name}`, gradients.get(value)!);
  return b.build();
}

/** Inputs of both, of which the gradient of padding is 0. */
function inputsOf({ config, rows, segmentIds }: AttentionCase): Record<string, Dense> {
  const { heads, kvHeads, headDim } = config;
  const tokens = segmentIds.length;
  const length = tokens / rows;
  const draw = draws(11);
  const random = (count: number): Dense =>
    dense([rows, length, count * headDim], () => draw(-1.5, 1.5));
  const { window = length } = config.layerKinds[0];
  const { starts } = segmentBounds(segmentIds, length, { window });
  const width = heads * headDim;
  return {
    q: random(heads),
    k: random(kvHeads),
    v: random(kvHeads),
    d_mixed: dense(
      [tokens, width],
      (i) => segmentIds[Math.floor(i / width)] === 0 ? 0 : draw(-1, 1),
    ),
    segment_starts: dense([tokens], (i) => starts[i]),
    mask: dense([rows, 1, 1, length, length], (i) => {
      const query = Math.floor(i / length);
      const key = Math.floor(query / length) * length + i % length;
      const seen = key <= query && query - key < window && segmentIds[key] === segmentIds[query];
      return seen ? 0 : MASKED;
    }),
  };
}

/** Attention with a mask on the CPU. */
export function maskedNumbers(runtime: Runtime, given: AttentionCase): AttentionNumbers {
  const { config, rows, segmentIds } = given;
  const graph = attentionGraph(config, (b) =>
    maskedAttention(
      b,
      config,
      b.input("mask", "float32", ["rows", 1, 1, "length", "length"]),
    ));
  const symbols = { rows, length: segmentIds.length / rows };
  const results = runGraph(runtime, graph, inputsOf(given), symbols, cpu);
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
}

/** The same in chunks of at most so many queries, on the runtime's device. */
export function chunkedNumbers(
  runtime: Runtime,
  given: AttentionCase,
  { queries, views }: { readonly queries: number; readonly views: boolean },
): AttentionNumbers {
  const { config, rows, segmentIds } = given;
  const symbols = { rows, length: segmentIds.length / rows };
  const graph = attentionGraph(
    config,
    (b) => chunkedAttention(b, config, b.input("segment_starts", "int32", ["length*rows"])),
  );
  using owned = new DisposableStack();
  const scratch = owned.use(new Scratch(runtime));
  const graphs = new Map<string, CompiledGraph>();
  const attention = new ChunkedAttention({
    ...{ config, scratch },
    graph: (name, make) => {
      if (!graphs.has(name)) graphs.set(name, owned.use(new CompiledGraph(runtime, make())));
      return graphs.get(name)!;
    },
  }, queries);
  owned.use(attention);
  attention.prepare({
    ...{ rows, length: symbols.length, segmentIds },
    inputIds: new BigInt64Array(),
    positionIds: new BigInt64Array(),
  });
  const launch = attention.launcher(config.layerKinds[0].window);
  const sessions = owned.use(new SubgraphSessions(runtime, graph, { launch, scratch, views }));
  const inputs = inputsOf(given);
  const tensors: Record<string, Tensor> = {};
  for (const value of graph.inputs) {
    if (graph.shapeInputs.has(value.name)) continue;
    const { shape } = inputs[value.name];
    const data = encode(value, inputs[value.name]);
    tensors[value.name] = owned.use(Tensor.from(runtime, value.dtype, shape, data));
  }
  for (const { name, dtype, shape } of graph.outputs) {
    tensors[name] = owned.use(Tensor.allocate(runtime, dtype, evaluateShape(shape, symbols)));
  }
  const binding = owned.use(sessions.bind({}));
  sessions.bindMore(binding, tensors, symbols);
  // What a chunk adds to is written afresh by each run.
  binding.run();
  binding.run();
  return Object.fromEntries(
    graph.outputs.map(({ name }) => [name, Float64Array.from(tensors[name].hostFloat32())]),
  );
}

/**
 * Holds what chunks gave against attention with a mask on the CPU, and answers the worst error over a
 * tensor's largest. Padding sees other padding with a mask, and itself alone in chunks: of its mixed values
 * only that they are numbers is asserted.
 */
export function assertAttention(
  actual: AttentionNumbers,
  { expected, given: { config, segmentIds }, tolerance }: {
    readonly expected: AttentionNumbers;
    readonly given: AttentionCase;
    readonly tolerance: number;
  },
): number {
  const width = config.heads * config.headDim;
  const errors = Object.entries(expected).map(([name, data]) => {
    assert.ok(actual[name].every(Number.isFinite), name);
    const padding = (i: number): boolean =>
      name === "mixed" && segmentIds[Math.floor(i / width)] === 0;
    const wanted = data.map((each, i) => padding(i) ? actual[name][i] : each);
    const { maxAbsolute } = assertClose(actual[name], wanted, {
      label: name,
      relativeToMax: tolerance,
    });
    return maxAbsolute / data.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  });
  return Math.max(...errors);
}

const CONFIGS = {
  "2 queries a key": tinyConfig(),
  "1 query a key, heads of 96": tinyConfig({
    ...{ num_attention_heads: 2, num_key_value_heads: 2, head_dim: 96 },
  }),
  "a window of 7": tinyConfig({ ...WINDOWED, max_window_layers: 0, sliding_window: 7 }),
};

const segments = (...lengths: readonly (readonly [id: number, count: number])[]): Int32Array =>
  Int32Array.from(lengths.flatMap(([id, count]) => Array<number>(count).fill(id)));

const GRIDS = {
  "one row in one chunk": { rows: 1, segmentIds: segments([1, 33]), queries: 512 },
  "one row in chunks, a short last one": { rows: 1, segmentIds: segments([1, 53]), queries: 16 },
  "segments and padding in one chunk": {
    rows: 1,
    segmentIds: segments([1, 9], [2, 14], [3, 1], [0, 8]),
    queries: 512,
  },
  "segments and padding in chunks": {
    rows: 1,
    segmentIds: segments([1, 9], [2, 30], [3, 5], [0, 4]),
    queries: 12,
  },
  "rows of a padded grid": {
    rows: 3,
    segmentIds: segments([1, 20], [0, 4], [2, 10], [3, 14], [4, 7], [0, 17]),
    queries: 16,
  },
} as const;

/** What is run, with the most queries of a chunk. */
export const ATTENTION_CASES: readonly (AttentionCase & {
  readonly title: string;
  readonly queries: number;
})[] = Object.entries(CONFIGS).flatMap(([sizes, config]) =>
  Object.entries(GRIDS).map(([grid, given]) => ({ title: `${grid}, ${sizes}`, config, ...given }))
);
