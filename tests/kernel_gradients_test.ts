/**
 * Blocks built for ortune's own kernels against blocks of operators, whose gradients `gradients_test.ts` and
 * `ort/graph/gradient_rules_test.ts` prove: in float64 both are the same function. The kernels themselves are
 * tested in `ort/kernels/`.
 */

import assert from "node:assert/strict";
import { evaluateShape, type Symbols } from "../ort/graph/dim.ts";
import type { Graph, Node } from "../ort/graph/ir.ts";
import { splitSubgraphs } from "../ort/graph/subgraphs.ts";
import { segmentBounds } from "../ort/kernels/attention_kernels.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { createLoraAdapter } from "../lora/block_adapter.ts";
import { blockKernelsFor } from "../model/block_kernels.ts";
import type { BlockKernel } from "../model/parts/block_scope.ts";
import { MASKED } from "../model/graphs/attention.ts";
import type { ModelConfig } from "../model/config.ts";
import { blockLinears } from "../model/parameters.ts";
import { positionTables } from "../model/rope.ts";
import { QKV } from "../model/parts/self_attention.ts";
import { stackedParameters } from "../model/stacked_parameters.ts";
import {
  accumulatorName,
  type AdapterOptions,
  blockBackwardGraph,
  blockForwardGraph,
  gradientName,
  type KeepOptions,
} from "../model/graphs/training_graphs.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { draws } from "./support/random.ts";
import { dense, type DenseMap, interpret } from "./support/reference_interpreter.ts";
import type { Dense } from "./support/dense.ts";
import { familyConfig, tinyConfig, WINDOWED } from "./support/tiny_model.ts";

// Of the largest of a tensor. Measured: 1.0e-15 forward; backward 8.6e-8, which is RMSNorm's 1/12 rounded
// to float32 in the operators' way.
const FORWARD = 1e-12;
const BACKWARD = 2e-7;

const ALL: ReadonlySet<BlockKernel> = new Set(["attention", "rmsNorm", "swiglu"]);

const CONFIGS: Readonly<Record<string, ModelConfig>> = {
  "qwen3, 2 queries a key": tinyConfig({ hidden_size: 12 }),
  "qwen2, with biases": tinyConfig({ model_type: "qwen2", num_key_value_heads: 4 }),
  "llama, 4 queries a key": tinyConfig({ model_type: "llama", num_key_value_heads: 1 }),
  "qwen3, windows of 3": tinyConfig({ ...WINDOWED, max_window_layers: 0 }),
  "smollm3, without rotation": familyConfig("smollm3", { no_rope_layer_interval: 1 }),
  granite: familyConfig("granite"),
  granitemoehybrid: familyConfig("granitemoehybrid"),
  "phi3, all of heads turned": familyConfig("phi3", { partial_rotary_factor: 1 }),
};

/** Two rows of seven tokens: several examples and padding. */
const SEGMENTS = Int32Array.of(1, 1, 2, 2, 2, 3, 0, 4, 4, 4, 4, 5, 5, 5);
const POSITIONS = [0, 1, 0, 1, 2, 0, 0, 0, 1, 2, 3, 0, 1, 2];
const GRID: Symbols = { rows: 2, length: 7, positions: 7 };
const TOKENS = SEGMENTS.length;

/** Random inputs for both ways of building a graph, by name. */
function makeInputs(config: ModelConfig): (graph: Graph) => DenseMap {
  const { rows, length } = GRID;
  const draw = draws(5);
  const [kind] = config.layerKinds;
  const { starts, ends } = segmentBounds(SEGMENTS, length, kind);
  const { headDim } = config;
  const { cos, sin } = positionTables(kind, length, { unturned: headDim });
  const known: Record<string, Dense> = {
    position_ids: dense([rows, length], (i) => POSITIONS[i]),
    cos: dense([length, headDim / 2], (i) => cos.data[i]),
    sin: dense([length, headDim / 2], (i) => sin.data[i]),
    segment_starts: dense([TOKENS], (i) => starts[i]),
    segment_ends: dense([TOKENS], (i) => ends[i]),
    mask: dense([rows, 1, 1, length, length], (i) => {
      const query = Math.floor(i / length);
      const key = Math.floor(query / length) * length + i % length;
      // Padding sees itself alone in a kernel.
      return key <= query && key >= starts[query] ? 0 : MASKED;
    }),
  };
  const stacks = new Map(stackedParameters(config, ALL).map(({ name, of }) => [name, of]));
  /** A stack of weights, or of gradients, is made of the same numbers as its parts. */
  const stacked = (name: string): Dense | undefined => {
    const of = stacks.get(name.replace(/^accumulated\./, ""));
    if (!of) return undefined;
    const parts = of.map((part) => known[name.startsWith("acc") ? accumulatorName(part) : part]);
    assert.ok(parts.every((part) => part), `no parts of ${name}`);
    const [{ shape: [, ...row] }] = parts;
    const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
    const data = Float64Array.from(parts.flatMap(({ data }) => [...data]));
    return { shape: [rows, ...row], data };
  };
  return (graph) => {
    for (const { name, dtype, shape } of graph.inputs) {
      if (graph.shapeInputs.has(name)) continue;
      const stack = stacked(name);
      if (stack) known[name] = stack;
      known[name] ??= dense(evaluateShape(shape, GRID), () => {
        if (dtype === "int32") return Math.floor(draw(-1, 1) * 2 ** 31) | 1; // dropout's
        return name.endsWith("norm.weight") ? draw(0.5, 1.5) : draw(-0.4, 0.4);
      });
    }
    return known;
  };
}

/** Gradients of stacks, also under the names of their parts. */
function unstacked(values: DenseMap, parts: DenseMap): DenseMap {
  const all: Record<string, Dense> = { ...values };
  for (
    const { name, of } of Object.values(CONFIGS).flatMap((each) => stackedParameters(each, ALL))
  ) {
    const stack = values[gradientName(name)];
    // A family's own layer may have the name of others' stack.
    if (!stack || parts[gradientName(name)]) continue;
    let from = 0;
    for (const part of of.map(gradientName)) {
      const { shape, data: { length } } = parts[part];
      all[part] = { shape, data: stack.data.slice(from, from + length) };
      from += length;
    }
    assert.equal(from, stack.data.length);
  }
  return all;
}

function compare(
  label: string,
  inputs: (graph: Graph) => DenseMap,
  [ours, operators]: readonly [Graph, Graph],
  relativeToMax: number,
): DenseMap {
  const expected = interpret(operators, inputs(operators), GRID);
  const actual = unstacked(interpret(ours, inputs(ours), GRID), expected);
  for (const [name, { data }] of Object.entries(expected)) {
    if (name.startsWith("kept.")) continue;
    const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    assert.ok(largest > 1e-3, `${name} is all but zero`);
    const { maxAbsolute } = assertClose(actual[name].data, data, {
      relativeToMax,
      label: `${label}: ${name}`,
    });
    if (Deno.env.get("ORTUNE_REPORT")) console.log(label, name, maxAbsolute / largest);
  }
  return actual;
}

/** Runs a kernel of a subgraph on the memory it reads, in the shapes that it has in the whole graph. */
function runKernel({ nodes }: Graph, kernel: Node, values: DenseMap): DenseMap {
  const node = nodes.find(({ outputs }) => outputs[0] === kernel.outputs[0])!;
  const inputs: Record<string, Dense> = {};
  node.inputs.forEach((input, i) => {
    if (!input) return;
    const { data } = values[kernel.inputs[i]!.name];
    inputs[input.name] = { shape: evaluateShape(input.shape, GRID), data };
  });
  const given = [...new Set(node.inputs.filter((input) => input !== undefined))];
  return interpret(
    {
      ...{ name: node.op, inputs: given, outputs: node.outputs, nodes: [node], constants: [] },
      ...{ aliases: new Map(), shapeInputs: new Map() },
    },
    inputs,
    GRID,
  );
}

const ADAPTED = {
  dropout: "dropout in a kernel",
  lora: "products in kernels",
  "some of lora": "products in kernels, on some layers",
} as const;

/** Of each family's linear layers some, under all their names. */
const SOME_LINEARS = ["q_proj", "v_proj", "qkv_proj", "up_proj", "gate_up_proj", "input_linear"];

for (const [family, config] of Object.entries(CONFIGS)) {
  for (const adapted of [undefined, "dropout", "lora", "some of lora"] as const) {
    for (const keep of [false, true]) {
      const what = `${family}${adapted ? `, an adapter, ${ADAPTED[adapted]}` : ""}${
        keep ? ", keeping activations" : ""
      }`;
      Deno.test(`a block in own kernels is the block in operators: ${what}`, () => {
        const linears = new Set(blockLinears(config).map(({ name }) => name.split(".").at(-1)));
        const adapter = adapted
          ? createLoraAdapter(config, {
            ...{ ...DEFAULT_LORA, dropout: 0.3 },
            ...adapted === "some of lora"
              ? {
                targetModules: SOME_LINEARS.filter((name) => linears.has(name)),
              }
              : {},
          })
          : undefined;
        const options = { adapter, dropout: adapted !== undefined, deviceDropout: true };
        const part = adapted === "some of lora" ? "lora" : adapted;
        const own = new Set([...ALL, ...part ? [part] : []]);
        const make = makeInputs(config);
        // Those of operators first, of which stacks are made.
        const inputs = (graph: Graph): DenseMap => {
          for (const each of [blockForwardGraph, blockBackwardGraph]) make(each(config, options));
          return make(graph);
        };
        const both = (
          make: (config: ModelConfig, options: AdapterOptions & KeepOptions) => Graph,
          keep: boolean,
        ) =>
          [own, undefined].map((kernels) => make(config, { ...options, keep, kernels })) as [
            Graph,
            Graph,
          ];
        const forward = compare("forward", inputs, both(blockForwardGraph, keep), FORWARD);
        const [backward, operators] = both(blockBackwardGraph, keep);
        // What is added to a part alone needs it apart.
        const stacks = linears.has("qkv_proj") || adapted === undefined || adapted === "lora";
        assert.equal(backward.inputs.some(({ name }) => name === QKV), stacks);
        const ops = new Set(backward.nodes.map(({ op }) => op));
        // What was kept is not computed again.
        assert.equal(ops.has("SegmentAttention"), !keep);
        for (
          const op of [
            "SegmentAttentionGradient",
            "RMSNormGradient",
            "RotaryHeadsGradient",
            "SwiGLUGradient",
            ...part === "dropout" ? ["HashedDropout"] : [],
            ...part === "lora"
              ? ["LoraDownInputGradient", "LoraDownWeightGradient", "LoraUpWeightGradient"]
              : [],
          ]
        ) {
          assert.ok(ops.has(op), `no ${op}`);
        }
        assert.ok(!ops.has("Softmax"));
        if (part === "lora") assert.equal(ops.has("LoraDown"), !keep);
        const kept = interpret(
          blockForwardGraph(config, { ...options, keep }),
          inputs(operators),
          GRID,
        );
        const given = (graph: Graph): DenseMap => ({
          ...inputs(graph),
          ...keep ? graph === backward ? forward : kept : {},
        });
        compare("backward", given, [backward, operators], BACKWARD);
        // The subgraphs compute what the whole graph computes.
        const whole = interpret(backward, given(backward), GRID);
        const values: Record<string, Dense> = { ...given(backward) };
        for (const { graph, kernel } of splitSubgraphs(backward).steps) {
          if (graph) Object.assign(values, interpret(graph, values, GRID));
          else Object.assign(values, runKernel(backward, kernel, values));
        }
        for (const [name, { data }] of Object.entries(whole)) {
          assert.deepEqual(values[name].data, data, name);
        }
      });
    }
  }
}

Deno.test("kernels are for sizes that they can read", () => {
  type Adapter = Parameters<typeof blockKernelsFor>[2];
  const parts = (
    change: Record<string, unknown>,
    precision: "bfloat16" | "float32" = "bfloat16",
    adapter?: Adapter,
  ) => [...blockKernelsFor(tinyConfig(change), precision, adapter)];
  assert.deepEqual(parts({ head_dim: 64 }), ["attention", "rmsNorm", "swiglu"]);
  assert.deepEqual(parts({ head_dim: 64 }, "float32"), ["rmsNorm", "swiglu"]);
  assert.deepEqual(parts({ head_dim: 96 }), ["rmsNorm", "swiglu"]);
  assert.deepEqual(parts({ hidden_size: 20, intermediate_size: 28 }), []);
  const whole = { head_dim: 64, hidden_size: 64, intermediate_size: 128 };
  const adapter = (rank: number, dropout = 0.1): Adapter => ({ products: { rank }, dropout });
  const last = (
    adapter: Adapter,
    change: Record<string, unknown> = {},
    precision: "bfloat16" | "float32" = "bfloat16",
  ) => parts({ ...whole, ...change }, precision, adapter).at(-1);
  for (const rank of [8, 24, 64]) assert.equal(last(adapter(rank, 0)), "lora");
  for (const rank of [4, 12, 72]) assert.equal(last(adapter(rank)), "dropout");
  assert.equal(last({ dropout: 0.1 }), "swiglu"); // DoRA
  assert.equal(last(adapter(12, 0)), "swiglu");
  assert.equal(last(adapter(8), { intermediate_size: 96 }), "dropout");
  assert.equal(last(adapter(8), {}, "float32"), "dropout");
});
