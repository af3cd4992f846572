import assert from "node:assert/strict";
import type { Graph } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { draws } from "../../tests/support/random.ts";
import { plainBlock, type PlainTokens, type PlainTraits } from "../../tests/support/plain_block.ts";
import { dense, type DenseMap, interpret } from "../../tests/support/reference_interpreter.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { familyConfig } from "../../tests/support/tiny_model.ts";
import type { ModelConfig } from "../config.ts";
import type { BlockKernel } from "../parts/block_scope.ts";
import { stackedParameters } from "../stacked_parameters.ts";
import { segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import { segmentMasks } from "../engine/segment_masks.ts";
import type { ModelType } from "../families/families.ts";
import { blockParameters } from "../parameters.ts";
import { distinctKinds, type LayerKind } from "../parts/layer_kind.ts";
import { positionTables } from "../rope.ts";
import { gridSymbols } from "./sequences.ts";
import { cacheHeadDim, decodeBlockGraph, type DecodeBlockOptions } from "./decode_graphs.ts";
import { blockForwardGraph } from "./training_graphs.ts";

// Tables of rotation are float32's: measured at most 4e-7 of hidden states of up to 4.
const TOLERANCE = 2e-6;

const ROWS = 2;
const LENGTH = 7;
/** Two examples in the first row, and one with padding behind it in the second. */
const SEGMENTS = [1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 0, 0, 0];
const POSITIONS = [0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 0, 0, 0];

/** Heads of 8 in groups of 2, and no two widths alike. */
const SIZES = { hidden_size: 12, intermediate_size: 10, num_attention_heads: 4, head_dim: 8 };

/** A family, what its config says besides, and what its weights do not show. */
const FAMILIES: readonly (readonly [ModelType, Readonly<Record<string, unknown>>, PlainTraits?])[] =
  [
    ["qwen3", {}],
    ["qwen3", { attention_bias: true }],
    ["qwen2", { use_sliding_window: true, sliding_window: 3, max_window_layers: 1 }],
    ["llama", {}],
    ["llama", { attention_bias: true, head_dim: 6 }],
    ["mistral", { sliding_window: 2 }],
    ["ministral3", {
      rope_parameters: { original_max_position_embeddings: 2, llama_4_scaling_beta: 0.5 },
    }],
    ["smollm3", { sliding_window: 3 }],
    ["granite", {}],
    ["granitemoehybrid", { shared_intermediate_size: 10, position_embedding_type: "rope" }],
    ["granitemoehybrid", { shared_intermediate_size: 10 }],
    ["phi3", { sliding_window: null }],
    ["olmo2", {}, { normsBehind: true }],
    ["gemma3_text", { sliding_window: 3 }, { gelu: true }],
    ["qwen3_5_text", { num_key_value_heads: 2 }, { gated: true }],
  ];

/** Random numbers of a shape. */
function random(shape: readonly number[], draw: () => number): Float64Array {
  return Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, draw);
}

/** The weights of a kind of layers. */
function weightsOf(config: ModelConfig, kind: LayerKind): Map<string, Float64Array> {
  const draw = draws(8);
  return new Map(
    blockParameters(config, kind).map((
      { name, shape },
    ) => [name, random(shape, () => draw(-0.6, 0.9))]),
  );
}

/** What a graph of a block takes besides hidden states. */
function inputsOf(
  graph: Graph,
  { kind, weights }: {
    readonly kind: LayerKind;
    readonly weights: ReadonlyMap<string, Float64Array>;
  },
): DenseMap {
  const grid = { rows: ROWS, length: LENGTH, segmentIds: Int32Array.from(SEGMENTS) };
  const masks = kind.delta ? segmentMasks(grid, kind.delta) : {};
  const tables = positionTables(kind, LENGTH);
  const visible = (i: number): number => {
    const [key, query] = [i % LENGTH, Math.floor(i / LENGTH) % LENGTH];
    const first = Math.floor(i / LENGTH ** 2) * LENGTH;
    const seen = SEGMENTS[first + key] === SEGMENTS[first + query] && key <= query &&
      query - key < (kind.window ?? Infinity);
    return seen ? 0 : -1e9;
  };
  const given: DenseMap = {
    position_ids: dense([ROWS, LENGTH], (i) => POSITIONS[i]),
    mask: dense([ROWS, 1, 1, LENGTH, LENGTH], visible),
    ...Object.fromEntries(
      Object.entries(tables).map(([name, { width, data }]) => [
        name,
        dense([LENGTH, width], (i) => data[i]),
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(masks).map((
        [name, { shape, values }],
      ) => [name, dense(shape, (i) => values[i])]),
    ),
  };
  const inputs = graph.inputs.filter(({ name }) => name !== "x" && !graph.shapeInputs.has(name));
  return Object.fromEntries(
    inputs.map(({ name, shape }) => {
      const weight = weights.get(name);
      return [name, weight ? dense(shape as number[], (i) => weight[i]) : given[name]];
    }),
  );
}

/** The rows of hidden states of one row of the grid. */
function rowsIn<T>(all: readonly T[], row: number): T[] {
  return all.slice(row * LENGTH, (row + 1) * LENGTH);
}

for (const [modelType, change, traits] of FAMILIES) {
  const config = familyConfig(modelType, { ...SIZES, ...change });
  // Chunks of the delta rule that end within segments and rows.
  const kinds = distinctKinds(config).flatMap((kind) =>
    kind.delta
      ? [1, 2, 4, 8].map((chunk): LayerKind => ({ ...kind, delta: { ...kind.delta!, chunk } }))
      : [kind]
  );
  for (const kind of kinds) {
    const chunk = kind.delta ? ` in chunks of ${kind.delta.chunk}` : "";
    Deno.test(`a layer ${kind.name}${chunk} of ${modelType} ${JSON.stringify(change)} is computed as by plain loops`, () => {
      const graph = blockForwardGraph(config, { kind });
      const weights = weightsOf(config, kind);
      const x = random([ROWS * LENGTH, 12], draws(3));
      const symbols = {
        ...gridSymbols({ layerKinds: [kind] }, { rows: ROWS, length: LENGTH }),
        positions: LENGTH,
      };
      const inputs = {
        ...inputsOf(graph, { kind, weights }),
        x: dense([ROWS * LENGTH, 12], (i) => x[i]),
      };
      const { y } = interpret(graph, inputs, symbols);
      const tokens = Array.from(
        { length: ROWS * LENGTH },
        (_, t) => [...x.subarray(12 * t, 12 * t + 12)],
      );
      const expected = Array.from({ length: ROWS }, (_, row) => {
        const stand: PlainTokens = {
          segments: rowsIn(SEGMENTS, row),
          positions: rowsIn(POSITIONS, row),
        };
        return plainBlock(rowsIn(tokens, row), weights, stand, { config, kind, traits });
      }).flat();
      expected.forEach((values, token) => {
        if (SEGMENTS[token] === 0) return;
        values.forEach((value, i) => {
          const actual = y.data[token * 12 + i];
          assert.ok(
            Math.abs(actual - value) <= TOLERANCE * Math.max(1, Math.abs(value)),
            `token ${token}, number ${i}: ${actual}, not ${value}`,
          );
        });
      });
    });
  }
}

/** Models whose blocks kernels can run, with widths that stack and that do not. */
const IN_KERNELS: readonly (readonly [ModelType, Readonly<Record<string, unknown>>])[] = [
  ["qwen3", {}],
  ["qwen3", { intermediate_size: 12 }],
  ["qwen2", {}],
  ["llama", { attention_bias: true, num_key_value_heads: 1 }],
  ["phi3", { partial_rotary_factor: 1, sliding_window: null }],
  ["smollm3", {}],
  ["granite", {}],
];

const PARTS: readonly (readonly BlockKernel[])[] = [
  ["attention", "rmsNorm", "swiglu"],
  ["attention"],
  ["rmsNorm"],
  ["swiglu"],
  ["chunkedAttention"],
];

for (const [modelType, change] of IN_KERNELS) {
  Deno.test(`a block of ${modelType} ${JSON.stringify(change)} in kernels is computed as by plain loops`, () => {
    const config = familyConfig(modelType, { ...SIZES, ...change });
    for (const kind of distinctKinds(config)) {
      const weights = weightsOf(config, kind);
      const x = random([ROWS * LENGTH, 12], draws(3));
      const tokens = Array.from(
        { length: ROWS * LENGTH },
        (_, t) => [...x.subarray(12 * t, 12 * t + 12)],
      );
      const expected = Array.from({ length: ROWS }, (_, row) => {
        const stand = { segments: rowsIn(SEGMENTS, row), positions: rowsIn(POSITIONS, row) };
        return plainBlock(rowsIn(tokens, row), weights, stand, { config, kind });
      }).flat();
      const { starts, ends } = segmentBounds(Int32Array.from(SEGMENTS), LENGTH);
      const unturned = positionTables(kind, LENGTH, { unturned: config.headDim });
      for (
        const parts of PARTS
      ) {
        const kernels: ReadonlySet<BlockKernel> = new Set(parts);
        const graph = blockForwardGraph(config, { kind, kernels });
        const all = new Map(weights);
        for (const { name, of } of stackedParameters(config, kernels, kind)) {
          all.set(name, Float64Array.from(of.flatMap((part) => [...weights.get(part)!])));
        }
        const inputs: DenseMap = {
          ...inputsOf(graph, { kind, weights: all }),
          ...Object.fromEntries(
            Object.entries(unturned).map(([name, { width, data }]) => [
              name,
              dense([LENGTH, width], (i) => data[i]),
            ]),
          ),
          segment_starts: dense([ROWS * LENGTH], (i) => starts[i]),
          segment_ends: dense([ROWS * LENGTH], (i) => ends[i]),
          x: dense([ROWS * LENGTH, 12], (i) => x[i]),
        };
        const { y } = interpret(graph, inputs, { rows: ROWS, length: LENGTH, positions: LENGTH });
        expected.forEach((values, token) => {
          if (SEGMENTS[token] === 0) return;
          values.forEach((value, i) => {
            const actual = y.data[token * 12 + i];
            assert.ok(
              Math.abs(actual - value) <= TOLERANCE * Math.max(1, Math.abs(value)),
              `${parts}, token ${token}, number ${i}: ${actual}, not ${value}`,
            );
          });
        });
      }
    }
  });
}

/** How a sequence goes on: tokens of each row from a position on. */
interface Step {
  readonly from: readonly number[];
  readonly length: number;
}

const CAPACITY = 6;

/** Runs the steps of a decode graph; calls `check` with each step's hidden states by row, and those before. */
function decode(
  config: ModelConfig,
  kind: LayerKind,
  { steps, graphOf, given, keep, run = interpret, tolerance = TOLERANCE }: {
    readonly steps: readonly Step[];
    readonly graphOf: (step: Step) => Graph;
    /** What the graph takes besides hidden states, weights and tables. */
    readonly given: (step: Step) => DenseMap;
    /** Takes what the step wrote. */
    readonly keep: (outputs: DenseMap, step: Step) => void;
    /** Runs a graph. @default the interpreter */
    readonly run?: typeof interpret;
    readonly tolerance?: number;
  },
): void {
  const weights = weightsOf(config, kind);
  const draw = draws(4);
  const sequences: number[][][] = [[], []];
  for (const step of steps) {
    const { from, length } = step;
    const x = Array.from({ length: 2 * length }, () => Array.from({ length: 12 }, () => draw()));
    sequences.forEach((sequence, row) => {
      sequence.length = from[row];
      sequence.push(...x.slice(row * length, (row + 1) * length));
    });
    const graph = graphOf(step);
    const flat = x.flat();
    const tables = Object.entries(positionTables(kind, CAPACITY));
    const all: DenseMap = {
      ...given(step),
      x: dense([2 * length, 12], (i) => flat[i]),
      position_ids: dense([2, length], (i) => from[Math.floor(i / length)] + i % length),
      ...Object.fromEntries(
        tables.map(([name, { width, data }]) => [name, dense([CAPACITY, width], (i) => data[i])]),
      ),
      ...Object.fromEntries([...weights].map(([name, values]) => {
        const { shape } = graph.inputs.find((input) => input.name === name)!;
        return [name, dense(shape as number[], (i) => values[i])];
      })),
    };
    const outputs = run(graph, all, {
      ...gridSymbols({ layerKinds: [kind] }, { rows: 2, length }),
      ...{ positions: CAPACITY, capacity: CAPACITY, cached: 3 },
    });
    keep(outputs, step);
    sequences.forEach((sequence, row) => {
      const stand: PlainTokens = {
        segments: sequence.map(() => 1),
        positions: [...sequence.keys()],
      };
      const traits = { gated: config.modelType === "qwen3_5_text" };
      const expected = plainBlock(sequence, weights, stand, { config, kind, traits });
      expected.slice(from[row]).forEach((values, t) => {
        values.forEach((value, i) => {
          const actual = outputs.y.data[(row * length + t) * 12 + i];
          assert.ok(
            Math.abs(actual - value) <= tolerance * Math.max(1, Math.abs(value)),
            `row ${row}, token ${from[row] + t}, number ${i}: ${actual}, not ${value}`,
          );
        });
      });
    });
  }
}

/** Configs whose layers differ in what their attention sees, and in how heads are turned. */
const DECODED: readonly (readonly [ModelType, Readonly<Record<string, unknown>>])[] = [
  ["qwen3", {}],
  ["mistral", { sliding_window: 2 }],
  ["smollm3", { sliding_window: 3 }],
  ["ministral3", {
    rope_parameters: { original_max_position_embeddings: 2, llama_4_scaling_beta: 0.5 },
  }],
];

Deno.test("a cache of keys and values is extended in place, of its own rows or of chosen sequences", () => {
  for (const [modelType, change] of DECODED) {
    const config = familyConfig(modelType, { ...SIZES, num_key_value_heads: 2, ...change });
    for (const kind of distinctKinds(config)) {
      for (const chosen of [false, true]) {
        const { headDim, kvHeads } = config;
        // What was in memory before does not count.
        const caches = Object.fromEntries(["key", "value"].map((name) => [
          name,
          dense([(chosen ? 3 : 2) * kvHeads * CAPACITY, headDim], () => 9),
        ]));
        const ids = chosen ? [2, 0] : [0, 1];
        const options: DecodeBlockOptions = { kind, attention: "plain", chosen };
        decode(config, kind, {
          // Both rows begin; then the second takes its last token back.
          steps: [
            { from: [0, 0], length: 3 },
            { from: [3, 2], length: 1 },
            { from: [4, 3], length: 1 },
          ],
          graphOf: () => decodeBlockGraph(config, options),
          given: ({ from, length }) => ({
            past_key: caches.key,
            past_value: caches.value,
            columns: dense([CAPACITY], (i) => i),
            cache_ids: dense([2], (i) => ids[i]),
            cache_rows: dense([2 * kvHeads * length, 1], (i) => {
              const [row, head] = [
                Math.floor(i / length / kvHeads),
                Math.floor(i / length) % kvHeads,
              ];
              return (ids[row] * kvHeads + head) * CAPACITY + from[row] + i % length;
            }),
          }),
          keep: (outputs, { from, length }) => {
            for (const name of ["key", "value"]) {
              const before = caches[name].data;
              caches[name] = outputs[`present_${name}`];
              // Rows of other positions are as they were.
              caches[name].data.forEach((value, at) => {
                const [place, sequence] = [
                  Math.floor(at / headDim) % CAPACITY,
                  Math.floor(at / headDim / CAPACITY / kvHeads),
                ];
                const row = ids.indexOf(sequence);
                const written = row >= 0 && place >= from[row] && place < from[row] + length;
                if (!written) assert.equal(value, before[at]);
              });
            }
          },
        });
        const { aliases } = decodeBlockGraph(config, options);
        assert.deepEqual([...aliases], [
          ["present_key", "past_key"],
          ["present_value", "past_value"],
        ]);
      }
    }
  }
});

Deno.test("layers that carry a state go on from it, by chunks or token by token", () => {
  const config = familyConfig("qwen3_5_text", { ...SIZES, num_key_value_heads: 2 });
  const [linear] = distinctKinds(config);
  const delta = { ...linear.delta!, chunk: 2 };
  const kind: LayerKind = { ...linear, delta };
  const { valueHeads, keyDim, valueDim, taps, keyHeads } = delta;
  const channels = 2 * keyHeads * keyDim + valueHeads * valueDim;
  for (const single of [false, true]) {
    let past: DenseMap = {
      past_inputs: dense([2, taps - 1, channels], () => 0),
      past_matrices: dense([2, valueHeads, keyDim, valueDim], () => 0),
    };
    decode(config, kind, {
      steps: [
        { from: [0, 0], length: 3 },
        { from: [3, 3], length: 1 },
        { from: [4, 4], length: 1 },
      ],
      graphOf: ({ length }) =>
        decodeBlockGraph(config, { kind, single: single && length === 1, attention: "plain" }),
      given: () => past,
      keep: (outputs) => {
        past = { past_inputs: outputs.present_inputs, past_matrices: outputs.present_matrices };
      },
    });
  }
});

Deno.test("ONNX Runtime's attention extends a cache in place, of heads that it takes and of others", () => {
  using runtime = new Runtime({ threads: 1 });
  const cases: typeof DECODED = [
    ["qwen3", {}],
    // Heads of 6 stand in the cache as heads of 8.
    ["llama", { head_dim: 6 }],
    ["granite", { attention_multiplier: 0.4 }],
    ["mistral", { sliding_window: 2 }],
  ];
  for (const [modelType, change] of cases) {
    const config = familyConfig(modelType, { ...SIZES, num_key_value_heads: 2, ...change });
    const [kind] = config.layerKinds;
    assert.equal(cacheHeadDim(config), 8);
    let [key, value] = [0, 0].map(() => dense([2, 2, CAPACITY, 8], () => 0));
    decode(config, kind, {
      steps: [
        { from: [0, 0], length: 3 },
        { from: [3, 2], length: 1 },
        { from: [4, 3], length: 1 },
      ],
      graphOf: () => decodeBlockGraph(config),
      given: ({ from, length }) => ({
        ...{ past_key: key, past_value: value },
        last_index: dense([2], (i) => from[i] + length - 1),
        total_length: dense([], () => Math.max(...from) + length),
      }),
      keep: (outputs) => {
        [key, value] = [outputs.present_key, outputs.present_value];
        assert.notDeepEqual(key.data, value.data);
      },
      run: (graph, inputs, symbols) => runGraph(runtime, graph, inputs, symbols),
      // In float32; measured 1e-6.
      tolerance: 2e-5,
    });
  }
  assert.deepEqual([8, 10, 16].map((headDim) => cacheHeadDim({ headDim } as ModelConfig)), [
    8,
    16,
    16,
  ]);
});
