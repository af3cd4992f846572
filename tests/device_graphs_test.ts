/** Graphs that a device has in place of what the CPU's engine does in TypeScript. */

import assert from "node:assert/strict";
import type { Graph } from "../ort/graph/ir.ts";
import { createLoraAdapter, loraA, loraB } from "../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { FAMILIES, type ModelType } from "../model/families/families.ts";
import { DROPOUT_COLUMNS, DROPOUT_MASK, DROPOUT_ROWS } from "../model/graphs/block.ts";
import { blockParameters, EMBEDDING } from "../model/parameters.ts";
import { ropeTables } from "../model/rope.ts";
import { cacheHeadDim, decodeBlockGraph } from "../model/graphs/decode_graphs.ts";
import { castGraph, zerosGraph } from "../model/graphs/device_graphs.ts";
import {
  accumulatorName,
  blockBackwardGraph,
  blockForwardGraph,
  embeddingBackwardGraph,
  embedGraph,
  gradientName,
} from "../model/graphs/training_graphs.ts";
import { segmentMasks } from "../model/engine/segment_masks.ts";
import { gridSymbols } from "../model/graphs/sequences.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { roundToBfloat16 } from "../ort/tensor/half.ts";
import { MersenneTwister } from "../ort/tensor/mersenne_twister.ts";
import { draws } from "./support/random.ts";
import { dense, type DenseMap } from "./support/reference_interpreter.ts";
import type { Dense } from "./support/dense.ts";
import { runGraph } from "./support/run_graph.ts";
import { familyConfig, tinyConfig } from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig();

Deno.test("zeros and casts are what they say", () => {
  const shape = { rows: 2, columns: 3 };
  const { zeros } = runGraph(runtime, zerosGraph("bfloat16"), {}, shape);
  assert.deepEqual(zeros, dense([2, 3], () => 0));
  const x = dense([3], (i) => 1 + i * 2 ** -8);
  const { y } = runGraph(runtime, castGraph("float32", "bfloat16"), { x }, { elements: 3 });
  assert.deepEqual([...y.data], [1, 1, 1 + 2 ** -7]);
  assert.deepEqual(
    runGraph(runtime, castGraph("bfloat16", "float32"), { x: y }, { elements: 3 }).y.data,
    y.data,
  );
});

for (const precision of ["float32", "bfloat16"] as const) {
  Deno.test(`embedding backward in ${precision} adds each token's gradient to its row alone`, () => {
    const draw = draws(2);
    const { vocabSize, hiddenSize } = config;
    const ids = [3, 60, 3, -1, 3, 7];
    const random = (shape: readonly number[]) => dense(shape, () => roundToBfloat16(draw()));
    const before = random([vocabSize, hiddenSize]);
    const dx = random([ids.length, hiddenSize]);
    const wanted = before.data.slice();
    ids.forEach((id, token) => {
      if (id < 0) return;
      for (let i = 0; i < hiddenSize; i++) {
        wanted[id * hiddenSize + i] += dx.data[token * hiddenSize + i];
      }
    });
    const graph = embeddingBackwardGraph(config, { precision });
    const { [gradientName(EMBEDDING)]: got } = runGraph(runtime, graph, {
      [accumulatorName(EMBEDDING)]: before,
      dx,
      input_ids: dense([ids.length], (i) => ids[i]),
      unique_ids: dense([3, 1], (i) => [60, 3, 7][i]),
    }, { tokens: ids.length, unique: 3 });
    const rounded = precision === "bfloat16" ? wanted.map(roundToBfloat16) : wanted;
    assertClose(got.data, rounded, {
      absolute: precision === "bfloat16" ? 2 ** -7 : 1e-6,
      label: "gradient",
    });
    for (const row of [0, 8, 59, 61]) {
      const slice = (data: Float64Array) => data.slice(row * hiddenSize, (row + 1) * hiddenSize);
      assert.deepEqual(slice(got.data), slice(before.data));
    }
  });
}

// Generation

Deno.test("decode embed takes rows", () => {
  const { vocabSize, hiddenSize } = config;
  const table = dense([vocabSize, hiddenSize], (i) => Math.floor(i / hiddenSize));
  const embed = embedGraph(config, { precision: "bfloat16" });
  const input_ids = dense([1, 3], (i) => [5, 0, 60][i]);
  const inputs = { [EMBEDDING]: table, input_ids };
  const { x } = runGraph(runtime, embed, inputs, { rows: 1, length: 3 });
  assert.deepEqual(x, dense([3, hiddenSize], (i) => [5, 0, 60][Math.floor(i / hiddenSize)]));
});

/** A sequence through one decode block, in chunks; answers y of every token. */
function decode(
  graph: Graph,
  chunks: readonly number[],
  plain: boolean,
  { cached, own } = { cached: 1, own: 0 },
): number[] {
  const draw = draws(4);
  const capacity = 16;
  const { kvHeads, hiddenSize, headDim } = config;
  const random = (shape: readonly number[], scale = 1) =>
    dense(shape, () => roundToBfloat16(scale * draw()));
  const weights: Record<string, Dense> = Object.fromEntries(
    blockParameters(config).map(({ name, shape }) => [name, random(shape, 0.4)]),
  );
  const { cos, sin } = ropeTables(config.layerKinds[0].rope!, capacity);
  const table = (values: Float32Array) =>
    dense([capacity, headDim / 2], (i) => roundToBfloat16(values[i]));
  const cacheShape = plain
    ? [cached * kvHeads * capacity, headDim]
    : [1, kvHeads, capacity, cacheHeadDim(config)];
  const others = draws(9);
  const fill = () => dense(cacheShape, () => cached > 1 ? others() : 0);
  let [past_key, past_value] = [fill(), fill()];
  const answers: number[] = [];
  let position = 0;
  for (const length of chunks) {
    const total = position + length;
    const start = position;
    const step: DenseMap = plain
      ? {
        cache_rows: dense(
          [kvHeads * length, 1],
          (i) => (own * kvHeads + Math.floor(i / length)) * capacity + start + i % length,
        ),
        ...cached > 1 ? { cache_ids: dense([1], () => own) } : {},
        columns: dense([capacity], (i) => i),
      }
      : { last_index: dense([1], () => total - 1), total_length: dense([], () => total) };
    const result = runGraph(runtime, graph, {
      ...weights,
      ...step,
      x: random([length, hiddenSize]),
      position_ids: dense([1, length], (i) => start + i),
      cos: table(cos),
      sin: table(sin),
      past_key,
      past_value,
    }, { rows: 1, length, capacity, positions: capacity, cached });
    answers.push(...result.y.data);
    [past_key, past_value] = [result.present_key, result.present_value];
    position = total;
  }
  return answers;
}

for (const window of [undefined, 1, 2, 3, 10]) {
  const title = window ? ` with a window of ${window}` : "";
  Deno.test(`plain decoding${title} gives what GroupQueryAttention gives, chunk after chunk`, () => {
    const chunks = [5, 1, 1, 3];
    const kind = { ...config.layerKinds[0], window };
    const fused = decode(decodeBlockGraph(config, { kind }), chunks, false);
    const plain = decode(decodeBlockGraph(config, { kind, attention: "plain" }), chunks, true);
    assertClose(plain, fused, { absolute: 2e-6, label: "y" }); // measured: 1.2e-7
  });
}

Deno.test("a sequence that is chosen of several gets what it gets alone", () => {
  const chunks = [5, 1, 1, 3];
  const alone = decode(decodeBlockGraph(config, { attention: "plain" }), chunks, true);
  const chosen = decodeBlockGraph(config, { attention: "plain", chosen: true });
  assert.deepEqual(decode(chosen, chunks, true, { cached: 3, own: 1 }), alone);
});

Deno.test("bfloat16 decoding, fused and plain, is float32's to bfloat16's accuracy", () => {
  const chunks = [5, 1, 1];
  const exact = decode(decodeBlockGraph(config), chunks, false);
  for (const attention of ["fused", "plain"] as const) {
    const graph = decodeBlockGraph(config, { attention, precision: "bfloat16" });
    const got = decode(graph, chunks, attention === "plain");
    const norm = (values: readonly number[]) => Math.hypot(...values);
    const error = norm(got.map((value, i) => value - exact[i])) / norm(exact);
    // Measured: 0.25 %; half a step of bfloat16 is up to 0.39 %.
    assert.ok(error > 0 && error < 0.005, `${attention}: ${error}`);
  }
});

// Dropout

const lora = { ...DEFAULT_LORA, rank: 2, dropout: 0.25, targetModules: ["q_proj", "down_proj"] };
const adapter = createLoraAdapter(config, lora);
const LENGTH = 40;

/** Inputs of a block; `mask` gives what decides an adapter's dropout. */
function blockInputs(
  graph: Graph,
  mask: (name: string, shape: readonly number[]) => Dense = (_, shape) => dense(shape, () => 1),
): DenseMap {
  const symbols: Readonly<Record<string, number>> = {
    ...{ rows: 1, length: LENGTH, positions: LENGTH },
    ...{ chunks: 1, chunk_padding: 64 - LENGTH },
  };
  const segments = segmentMasks(
    { rows: 1, length: LENGTH, segmentIds: new Int32Array(LENGTH).fill(1) },
    { taps: 4, chunk: 64 },
  );
  const draw = draws(8);
  const inputs: Record<string, Dense> = {};
  const sizes = (shape: readonly (number | string)[]) =>
    shape.map((dim) =>
      typeof dim === "number"
        ? dim
        : dim.split("*").reduce((size, symbol) => size * symbols[symbol], 1)
    );
  for (const { name, shape } of [...graph.inputs].sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (graph.shapeInputs.has(name)) continue;
    const dropout = name === DROPOUT_ROWS || name.endsWith(DROPOUT_COLUMNS) ||
      name.endsWith(DROPOUT_MASK);
    if (dropout) inputs[name] = mask(name, sizes(shape));
    else if (name === "position_ids") inputs[name] = dense(sizes(shape), (i) => i);
    else if (name === "mask") inputs[name] = dense(sizes(shape), () => 0);
    else if (name in segments) {
      const { shape, values } = segments[name];
      inputs[name] = { shape, data: Float64Array.from(values) };
    } else if (name.endsWith("norm")) inputs[name] = dense(sizes(shape), () => 1);
    else {
      // Scores as small as a trained model's: bfloat16 keeps 8 bits of them.
      const largest = name.includes("lora_") ? 0.1 : 0.5;
      inputs[name] = dense(sizes(shape), () => roundToBfloat16(draw(-largest, largest)));
    }
  }
  return inputs;
}

const odd = (seed: number) => {
  const random = MersenneTwister.fromSeed(seed);
  return () => (random.nextUint32() | 1) | 0;
};
const rowDraws = odd(1);
const rows = dense([LENGTH, 1], rowDraws);
const columnsOf = (name: string, size: number): Dense =>
  dense([size], odd(name.startsWith("mlp") ? 2 : 3));
/** The mask that the graph is to make, by the definition of its hash. */
function keepMask(layer: string, size: number): Dense {
  const columns = columnsOf(layer, size);
  const dropped = lora.dropout * 2 ** 32 - 2 ** 31;
  return dense([LENGTH, size], (i) => {
    const draw = Math.imul(rows.data[Math.floor(i / size)], columns.data[i % size]);
    return draw >= dropped ? 1 : 0;
  });
}

Deno.test("masks that the graph makes drop what the same masks from the host drop", () => {
  for (const make of [blockForwardGraph, blockBackwardGraph]) {
    const [host, device] = [false, true].map((deviceDropout) => {
      const graph = make(config, { adapter, dropout: true, deviceDropout });
      const inputs = blockInputs(graph, (name, shape) => {
        if (name === DROPOUT_ROWS) return rows;
        const layer = name.slice(0, name.lastIndexOf("."));
        return deviceDropout ? columnsOf(layer, shape[0]) : keepMask(layer, shape[1]);
      });
      const symbols = { rows: 1, length: LENGTH, positions: LENGTH };
      return runGraph(runtime, graph, inputs, symbols);
    });
    assert.deepEqual(device, host);
    const gradient = device[gradientName(loraA("mlp.down_proj"))];
    assert.ok(make === blockForwardGraph || gradient.data.some((each) => each !== 0));
  }
  assert.ok(
    adapter.parameters(config.layerKinds[0]).some(({ name }) => name === loraB("mlp.down_proj")),
  );
});

Deno.test("the masks' hash drops at its rate, and no two elements together more than by chance", () => {
  const [tokens, columns] = [400, 400];
  const [row, column] = [odd(11), odd(12)];
  const a = Array.from({ length: tokens }, row);
  const b = Array.from({ length: columns }, column);
  const dropped = lora.dropout * 2 ** 32 - 2 ** 31;
  const drops = a.map((x) => b.map((y) => Number(Math.imul(x, y) < dropped)));
  const share = drops.flat().reduce((sum, each) => sum + each, 0) / (tokens * columns);
  // Four standard deviations of 160,000 independent draws.
  assert.ok(
    Math.abs(share - lora.dropout) < 4 * Math.sqrt(0.1875 / (tokens * columns)),
    `${share}`,
  );
  let [pairs, both, above] = [0, 0, 0];
  for (const lines of [drops, b.map((_, i) => drops.map((line) => line[i]))]) {
    for (let i = 0; i < lines.length; i++) {
      for (let j = i + 1; j < i + 20 && j < lines.length; j++) {
        const together = lines[i].reduce((sum, each, k) => sum + each * lines[j][k], 0);
        pairs++;
        both += together / lines[i].length;
        // Five standard deviations of the share that two independent lines have in common.
        above += Number(Math.abs(together / 400 - 0.0625) > 5 * Math.sqrt(0.0625 * 0.9375 / 400));
      }
    }
  }
  assert.ok(Math.abs(both / pairs - share ** 2) < 0.001, `${both / pairs}`);
  assert.ok(above <= pairs * 2e-3, `${above} of ${pairs} pairs`);
});

const ADAPTERS = {
  LoRA: {},
  DoRA: { dora: true },
  "LoRA with scales by block": { alphaPattern: { "layers.0.*": 5 } },
  "DoRA on some blocks": { dora: true, layersToTransform: 1, alphaPattern: { q_proj: 5 } },
};

for (const [kind, settings] of Object.entries(ADAPTERS)) {
  Deno.test(`${kind} over a bfloat16 block: output and gradients are float32's to its accuracy`, () => {
    const biased = tinyConfig({ model_type: "qwen2" });
    const adapter = createLoraAdapter(biased, {
      ...{ ...DEFAULT_LORA, rank: 2, dropout: 0.25 },
      ...settings,
    });
    const options = { adapter, dropout: true, deviceDropout: true };
    const symbols = { rows: 1, length: LENGTH, positions: LENGTH };
    for (const make of [blockForwardGraph, blockBackwardGraph]) {
      const [exact, rounded] = (["float32", "bfloat16"] as const).map((precision) => {
        const graph = make(biased, { ...options, precision });
        for (const { name, dtype } of graph.outputs) {
          assert.equal(dtype, name.startsWith("grad.") ? "float32" : precision, name);
        }
        const inputs = blockInputs(
          graph,
          (name, [size]) => name === DROPOUT_ROWS ? rows : columnsOf(name, size),
        );
        return runGraph(runtime, graph, inputs, symbols);
      });
      for (const [name, { data }] of Object.entries(exact)) {
        const norm = (values: Float64Array) => Math.hypot(...values);
        const error = norm(rounded[name].data.map((x, i) => x - data[i])) / norm(data);
        // Measured: y 0.3 %, gradients up to 1.6 %.
        assert.ok(error > 0 && error < 0.03, `${name}: ${error}`);
      }
    }
  });
}

for (const family of Object.keys(FAMILIES) as ModelType[]) {
  const own = familyConfig(family);
  const symbols = { ...gridSymbols(own, { rows: 1, length: LENGTH }), positions: LENGTH };

  // Measured: up to 1.5 %; where a norm makes much of a state's small answers 4.5 %.
  const most = own.layerKinds[0].delta ? 0.07 : 0.02;

  Deno.test(`${family} in bfloat16: every gradient is float32's to its accuracy`, () => {
    const [exact, rounded] = (["float32", "bfloat16"] as const).map((precision) => {
      const graph = blockBackwardGraph(own, { precision });
      return runGraph(runtime, graph, blockInputs(graph), symbols);
    });
    for (const [name, { data }] of Object.entries(exact)) {
      const norm = (values: Float64Array) => Math.hypot(...values);
      const error = norm(rounded[name].data.map((x, i) => x - data[i])) / norm(data);
      assert.ok(error > 0 && error < most, `${name}: ${error}`);
    }
  });

  Deno.test(`${family} in bfloat16: what forward kept gives the very gradients of recomputing it`, () => {
    const [precision, keep] = ["bfloat16", true] as const;
    const run = (graph: Graph, inputs: DenseMap) => runGraph(runtime, graph, inputs, symbols);
    const recompute = blockBackwardGraph(own, { precision });
    const inputs = blockInputs(recompute);
    const { y: _, ...kept } = run(blockForwardGraph(own, { precision, keep }), inputs);
    assert.ok(Object.keys(kept).length >= 4);
    const reused = run(blockBackwardGraph(own, { precision, keep }), { ...inputs, ...kept });
    assert.deepEqual(reused, run(recompute, inputs));
  });
}
