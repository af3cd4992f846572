/**
 * Every gradient, from one rule to a whole block and the head, against central differences in
 * float64. ONNX Runtime computes in float32; the interpreter of tests/support runs the same
 * backward graphs in float64, which tells a wrong rule from rounding.
 */

import assert from "node:assert/strict";
import type { Symbols } from "../ort/graph/dim.ts";
import { type ModelConfig, parseConfig } from "../model/config.ts";
import { blockParameters, FINAL_NORM } from "../model/parameters.ts";
import { distinctKinds, type LayerKind } from "../model/parts/layer_kind.ts";
import { positionTables } from "../model/rope.ts";
import {
  accumulatorName,
  attentionMaskGraph,
  blockBackwardGraph,
  blockForwardGraph,
  embedGraph,
  gradientName,
  headGraph,
  headLogitsGraph,
  headLossGraph,
} from "../model/graphs/training_graphs.ts";
import { segmentMasks } from "../model/engine/segment_masks.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose, type Closeness } from "../ort/tensor/assert_close.ts";
import { alongDirection, byElements, dot, weightedSum } from "./support/central_differences.ts";
import { type Draw, draws } from "./support/random.ts";
import { dense, type DenseMap, interpret } from "./support/reference_interpreter.ts";
import type { Dense } from "./support/dense.ts";
import { ownRuleCases, ruleCases, SYMBOLS } from "./support/rule_cases.ts";
import { fillInputs, ruleBackward, ruleForward } from "./support/rule_graphs.ts";
import { runGraph } from "./support/run_graph.ts";
import { familyConfig } from "./support/tiny_model.ts";

// Times the largest element of the tensor. Measured in float32: rules 5.7e-7, blocks 9.2e-7 (1.3e-6
// with accumulators), head 2.4e-7.
const FLOAT32 = 2e-6;
// Of the gated delta rule, of whose small results a norm makes large ones, and of their rounding. Measured: 8.0e-6.
const FLOAT32_DELTA = 3e-5;
// Measured: rules 1.8e-9, head 8e-9, blocks 4.8e-8, which is 1/12 rounded to float32 in RMSNorm.
const FLOAT64 = 2e-7;

const runtime = new Runtime({ threads: 2 });
const worst = new Map<string, number>();

/** Compares, and keeps the worst error a topic for ORTUNE_REPORT. */
function close(
  topic: string,
  label: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relativeToMax: number,
): void {
  const { maxAbsolute }: Closeness = assertClose(actual, expected, { relativeToMax, label });
  const largest = Array.from(expected).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const error = maxAbsolute / largest;
  if (error > (worst.get(topic) ?? 0)) worst.set(topic, error);
}

globalThis.addEventListener("unload", () => {
  if (Deno.env.get("ORTUNE_REPORT")) console.log(worst);
});

// One rule at a time: `ort/graph/gradient_rules_test.ts` holds them against central differences.

for (const each of [...ruleCases, ...ownRuleCases]) {
  for (const fanOut of [false, true]) {
    const title = `ONNX Runtime's gradient of ${each.op}: ${each.name}${
      fanOut ? ", read twice" : ""
    }`;
    Deno.test(title, () => {
      const draw = draws(1);
      const forward = ruleForward(each, fanOut);
      const inputs = fillInputs(forward, draw, each.magnitude);
      const { y } = interpret(forward, inputs, SYMBOLS);
      const onOrt = runGraph(runtime, forward, inputs, SYMBOLS).y;
      close("rule, forward", "y", onOrt.data, y.data, FLOAT32);
      const backward = ruleBackward(each, fanOut, true);
      const given = { ...fillInputs(backward, draw), ...inputs };
      const exact = interpret(backward, given, SYMBOLS);
      const got = runGraph(runtime, backward, given, SYMBOLS);
      for (const [name, { data }] of Object.entries(exact)) {
        close("rule, float32", name, got[name].data, data, FLOAT32);
      }
    });
  }
}

// The whole block

const sizes = { vocab_size: 40, num_hidden_layers: 1, intermediate_size: 20 };
const families: Readonly<Record<string, ModelConfig>> = {
  "qwen3, 2 queries a key": parseConfig({
    ...sizes,
    model_type: "qwen3",
    hidden_size: 12,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 6,
  }),
  "qwen3, 3 queries a key": parseConfig({
    ...sizes,
    model_type: "qwen3",
    hidden_size: 16,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    head_dim: 4,
  }),
  "qwen2 (biases), 2 queries a key": parseConfig({
    ...sizes,
    model_type: "qwen2",
    hidden_size: 16,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  }),
  "llama, 3 queries a key": parseConfig({
    ...sizes,
    model_type: "llama",
    hidden_size: 12,
    num_attention_heads: 3,
    num_key_value_heads: 1,
  }),
  "llama with attention_bias, 2 queries a key": parseConfig({
    ...sizes,
    model_type: "llama",
    hidden_size: 16,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    attention_bias: true,
  }),
  ...Object.fromEntries(
    (["ministral3", "smollm3", "granite", "granitemoehybrid", "phi3", "olmo2"] as const).map((
      family,
    ) => [
      family,
      familyConfig(family, {
        ...{ ...sizes, num_hidden_layers: 2, hidden_size: 16, head_dim: 8 },
        ...{ num_attention_heads: 2, num_key_value_heads: 1 },
        ...family === "smollm3" ? { sliding_window: 3 } : {},
        ...family === "phi3" ? { sliding_window: 2 } : {},
      }),
    ]),
  ),
  "qwen3 with windows": parseConfig({
    ...sizes,
    model_type: "qwen3",
    hidden_size: 16,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 4,
    num_hidden_layers: 2,
    use_sliding_window: true,
    sliding_window: 3,
    max_window_layers: 1,
  }),
  "gemma3_text with capped logits": parseConfig({
    ...sizes,
    model_type: "gemma3_text",
    hidden_size: 16,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    num_hidden_layers: 2,
    sliding_window: 3,
    sliding_window_pattern: 2,
    query_pre_attn_scalar: 5,
    final_logit_softcapping: 2,
  }),
  qwen3_5_text: familyConfig("qwen3_5_text", {
    ...{ ...sizes, num_hidden_layers: 2, hidden_size: 8, intermediate_size: 8, head_dim: 8 },
    ...{ num_attention_heads: 2, num_key_value_heads: 1 },
    ...{ linear_num_key_heads: 1, linear_num_value_heads: 2, linear_value_head_dim: 4 },
    ...{ linear_key_head_dim: 2, linear_conv_kernel_dim: 3 },
  }),
};

/** Two rows of seven tokens: one example each, or several and padding. */
const masks = {
  causal: {
    segments: [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2],
    positions: [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6],
  },
  packed: {
    segments: [1, 1, 2, 2, 2, 3, 0, 4, 4, 4, 4, 5, 5, 5],
    positions: [0, 1, 0, 1, 2, 0, 0, 0, 1, 2, 3, 0, 1, 2],
  },
};
const GRID: Symbols = { rows: 2, length: 7, positions: 7 };
/** Tokens of a chunk: rows have a whole one and a part of another. */
const CHUNK = 4;
const SYMBOLS_OF_BLOCKS: Symbols = {
  ...GRID,
  ...{ chunks: 2, chunk_padding: 1, extended_length: 9 },
};

/** Directions and elements of each tensor that differences are taken along. */
const DIRECTIONS = 3;
const ELEMENTS = 6;

function gridInputs(
  config: ModelConfig,
  { kind, mask: name, draw }: { kind: LayerKind; mask: keyof typeof masks; draw: Draw },
): DenseMap {
  const { rows, length } = GRID;
  const { segments, positions } = masks[name];
  const embedding = {
    "model.embed_tokens.weight": dense([config.vocabSize, config.hiddenSize], () => draw()),
    input_ids: dense([rows, length], (i) => i * 11 % config.vocabSize),
  };
  const masking = {
    segment_ids: dense([rows, length], (i) => segments[i]),
    columns: dense([length], (i) => i),
  };
  const graph = embedGraph(config);
  const { x } = interpret(graph, embedding, GRID);
  assertClose(runGraph(runtime, graph, embedding, GRID).x.data, x.data, {
    label: "embedded",
    // Rows alone are copied.
    relativeToMax: config.embeddingScale === 1 ? 0 : FLOAT32,
  });
  if (kind.delta) {
    const segmentIds = Int32Array.from(segments);
    const made = Object.entries(segmentMasks({ rows, length, segmentIds }, kind.delta));
    const dense = made.map(([name, { shape, values }]) =>
      [name, { shape, data: Float64Array.from(values) }] as const
    );
    // Of one sign, with weights that are: a norm makes much of what is next to nothing, rounding too.
    return { x: { ...x, data: x.data.map(Math.abs) }, ...Object.fromEntries(dense) };
  }
  const { window } = kind;
  const maskGraph = attentionMaskGraph({ window });
  const { mask } = interpret(maskGraph, masking, GRID);
  assertClose(runGraph(runtime, maskGraph, masking, GRID).mask.data, mask.data, { label: "mask" });
  // Written out once more by hand: a token sees its own segment, or a window of it, up to itself.
  assert.deepEqual(
    Array.from(mask.data, (value) => value === 0),
    Array.from({ length: rows * length * length }, (_, i) => {
      const [row, query, key] = [
        Math.floor(i / length ** 2),
        Math.floor(i / length) % length,
        i % length,
      ];
      return key <= query && query - key < (window ?? length) &&
        segments[row * length + query] === segments[row * length + key];
    }),
  );
  const tables = Object.entries(positionTables(kind, length)).map(([name, { width, data }]) =>
    [name, dense([length, width], (i) => data[i])] as const
  );
  const position_ids = dense([rows, length], (i) => positions[i]);
  return { x, mask, ...tables.length > 0 ? { position_ids } : {}, ...Object.fromEntries(tables) };
}

function randomWeight(shape: readonly number[], name: string, draw: Draw): Dense {
  const alike = name.endsWith("in_proj_qkv.weight");
  const about1 = /norm\.weight$|conv1d/.test(name);
  return dense(shape, () => about1 ? draw(0.5, 1.5) : alike ? draw(0.05, 0.15) : draw(-0.5, 0.5));
}

/** A kind of layers whose chunks are shorter than rows, if it has chunks. */
function inSmallChunks(kind: LayerKind): LayerKind {
  return kind.delta ? { ...kind, delta: { ...kind.delta, chunk: CHUNK } } : kind;
}

/** Blocks for which one mask shows what they add. */
const ADDED = /ministral3|smollm3|granite|phi3|olmo2|windows|qwen3_5/;
const blocks = Object.entries(families).flatMap(([family, config]) => {
  const kinds = distinctKinds(config);
  return kinds.map((kind) => ({
    ...{ config, kind: inSmallChunks(kind) },
    title: kinds.length > 1 ? `${family}, ${kind.name}` : family,
  }));
});

for (const { title, config, kind } of blocks) {
  for (const mask of ["causal", "packed"] as const) {
    // Causal masks are packed ones of a single segment.
    if (mask === "causal" && ADDED.test(title)) continue;
    Deno.test(`every gradient of a block: ${title}, ${mask} mask`, () => {
      const draw = draws(2);
      const float32 = kind.delta ? FLOAT32_DELTA : FLOAT32;
      // Of many small operations a pass takes longer.
      const [along, apart] = kind.delta ? [1, 2] : [DIRECTIONS, ELEMENTS];
      const weights = Object.fromEntries(
        blockParameters(config, kind).map((
          { name, shape },
        ) => [name, randomWeight(shape, name, draw)]),
      );
      const inputs: DenseMap = { ...gridInputs(config, { kind, mask, draw }), ...weights };
      const forward = blockForwardGraph(config, { kind });
      const y = interpret(forward, inputs, SYMBOLS_OF_BLOCKS).y;
      close(
        "block, forward",
        "y",
        runGraph(runtime, forward, inputs, SYMBOLS_OF_BLOCKS).y.data,
        y.data,
        float32,
      );

      const dy = dense(y.shape, () => draw());
      const loss = weightedSum(forward, "y", dy, SYMBOLS_OF_BLOCKS);
      const fresh = blockBackwardGraph(config, { accumulate: false, kind });
      const given = { ...inputs, dy };
      const exact = interpret(fresh, given, SYMBOLS_OF_BLOCKS);
      const got = runGraph(runtime, fresh, given, SYMBOLS_OF_BLOCKS);
      assert.deepEqual(
        Object.keys(got).sort(),
        ["dx", ...Object.keys(weights).map(gradientName)].sort(),
      );
      for (const name of ["x", ...Object.keys(weights)]) {
        const output = name === "x" ? "dx" : gradientName(name);
        const [wanted, actual] = [exact[output].data, got[output].data];
        const directions = Array.from(
          { length: along },
          () => Float64Array.from(wanted, () => draw()),
        );
        const slopes = directions.map((each) => alongDirection(loss, inputs, name, each));
        close("block, directions", name, directions.map((d) => dot(d, wanted)), slopes, FLOAT64);
        const elements = Array.from(
          { length: apart },
          () => Math.floor(draw(0, 1) * wanted.length),
        );
        const differences = byElements(loss, inputs, name, elements);
        close(
          "block, elements",
          `${name}, elements ${elements}`,
          // The largest of the whole tensor stands beside the sample, for the tolerance is of it.
          [...elements.map((i) => actual[i]), maximum(wanted)],
          [...differences, maximum(wanted)],
          float32,
        );
        close("block, float32", name, actual, wanted, float32);
      }

      const before = Object.fromEntries(
        Object.entries(weights).map((
          [name, { shape }],
        ) => [accumulatorName(name), dense(shape, () => draw())]),
      );
      const added = runGraph(
        runtime,
        blockBackwardGraph(config, { kind }),
        { ...given, ...before },
        SYMBOLS_OF_BLOCKS,
      );
      assertClose(added.dx.data, got.dx.data, { label: "dx does not depend on accumulators" });
      for (const name of Object.keys(weights)) {
        const wanted = exact[gradientName(name)].data;
        const start = before[accumulatorName(name)].data;
        const sum = wanted.map((x, i) => x + start[i]);
        close("block, accumulated", name, added[gradientName(name)].data, sum, float32);
      }
    });
  }
}

function maximum(values: Float64Array): number {
  return values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
}

// The head

/** A chunk of supervised tokens and what they are to predict. */
interface Chunk {
  readonly tokens: readonly number[];
  readonly targets: readonly number[];
}

// Tokens 0, 3, 4 and 9 are labelled −100: they are in no chunk. Target 39 is the last of the vocab.
const chunks: readonly Chunk[] = [
  { tokens: [1, 2, 5], targets: [7, 0, 39] },
  { tokens: [6, 7, 8], targets: [7, 7, 12] },
  { tokens: [10], targets: [3] },
];
const HEAD_TOKENS = 11;
const SCALE = Math.fround(1 / 7);

for (const family of ["qwen3, 2 queries a key", "gemma3_text with capped logits"]) {
  Deno.test(`the head's losses and gradients, chunk after chunk, leave excluded rows alone: ${family}`, () => {
    const config = families[family];
    const { hiddenSize, vocabSize } = config;
    const draw = draws(3);
    const inputs: DenseMap = {
      x: dense([HEAD_TOKENS, hiddenSize], () => draw(-2, 2)),
      [FINAL_NORM]: dense([hiddenSize], () => draw(0.5, 1.5)),
      lm_head: dense([vocabSize, hiddenSize], () => draw()),
    };
    const symbols = (chunk: Chunk): Symbols => ({ n: chunk.tokens.length, tokens: HEAD_TOKENS });
    const column = (values: readonly number[]): Dense =>
      dense([values.length, 1], (i) => values[i]);
    const logitsGraph = headLogitsGraph(config);
    /** −log softmax at the target, the textbook way. */
    const crossEntropies = (given: DenseMap, chunk: Chunk): number[] => {
      const token_ids = column(chunk.tokens);
      const { data } = interpret(logitsGraph, { ...given, token_ids }, symbols(chunk)).logits;
      return chunk.targets.map((target, i) => {
        const row = data.slice(i * vocabSize, (i + 1) * vocabSize);
        return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[target];
      });
    };
    const loss = (given: DenseMap): number =>
      SCALE * chunks.flatMap((chunk) => crossEntropies(given, chunk)).reduce((a, b) => a + b, 0);

    // The tied embedding's gradient starts with what another batch left there.
    for (
      const [accumulate, logSoftmax] of [[false, false], [true, false], [false, true], [true, true]]
    ) {
      const start: DenseMap = {
        [accumulatorName("lm_head")]: dense(inputs.lm_head.shape, () => accumulate ? draw() : 0),
        [accumulatorName(FINAL_NORM)]: dense([hiddenSize], () => accumulate ? draw() : 0),
      };
      const untouched = dense(inputs.x.shape, () => accumulate ? draw() : 0);
      const state: { exact: DenseMap; got: DenseMap } = {
        exact: { ...start, dx_before: untouched },
        got: { ...start, dx_before: untouched },
      };
      chunks.forEach((chunk, i) => {
        const graph = headGraph(config, { accumulate: accumulate || i > 0, logSoftmax });
        const given = {
          ...inputs,
          token_ids: column(chunk.tokens),
          targets: column(chunk.targets),
          scale: dense([], () => SCALE),
        };
        const next = (result: DenseMap): DenseMap => ({
          [accumulatorName("lm_head")]: result[gradientName("lm_head")],
          [accumulatorName(FINAL_NORM)]: result[gradientName(FINAL_NORM)],
          dx_before: result.dx,
        });
        const exact = interpret(graph, { ...given, ...state.exact }, symbols(chunk));
        const got = runGraph(runtime, graph, { ...given, ...state.got }, symbols(chunk));
        const expected = crossEntropies(inputs, chunk);
        close("head, loss", "loss in float64", exact.loss.data, expected, FLOAT64);
        close("head, loss in float32", "loss", got.loss.data, expected, FLOAT32);
        const evaluated =
          runGraph(runtime, headLossGraph(config, { logSoftmax }), given, symbols(chunk)).loss;
        assertClose(evaluated.data, got.loss.data, { label: "evaluation's loss" });
        state.exact = next(exact);
        state.got = next(got);
      });

      for (const name of ["lm_head", FINAL_NORM]) {
        const elements = [...inputs[name].data.keys()];
        const before = start[accumulatorName(name)].data;
        const wanted = byElements(loss, inputs, name, elements).map((x, i) => x + before[i]);
        const key = accumulatorName(name);
        close("head, float64", name, state.exact[key].data, wanted, FLOAT64);
        close("head, float32", name, state.got[key].data, wanted, FLOAT32);
      }
      const supervised = new Set(chunks.flatMap(({ tokens }) => tokens));
      const wanted = byElements(loss, inputs, "x", [...inputs.x.data.keys()]).map((x, i) =>
        supervised.has(Math.floor(i / hiddenSize)) ? x : untouched.data[i]
      );
      close("head, float64", "dx", state.exact.dx_before.data, wanted, FLOAT64);
      close("head, float32", "dx", state.got.dx_before.data, wanted, FLOAT32);
      for (const token of [0, 3, 4, 9]) {
        const row = (x: Dense): Float64Array =>
          x.data.slice(token * hiddenSize, (token + 1) * hiddenSize);
        assert.deepEqual(row(state.got.dx_before), row(untouched));
      }
    }
  });
}
