import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { dense } from "../../tests/support/reference_interpreter.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { randomOdd } from "../engine/keep_mask.ts";
import { assertAliases } from "../../ort/graph/alias.ts";
import { parseConfig } from "../config.ts";
import {
  accumulatorName,
  blockBackwardGraph,
  blockForwardGraph,
  embedGraph,
  gradientName,
  headGraph,
  NOISE_ROWS,
  NOISE_SIZES,
} from "./training_graphs.ts";
import { blockParameters } from "../parameters.ts";

const config = parseConfig({
  model_type: "qwen3",
  hidden_size: 16,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  head_dim: 8,
  vocab_size: 16,
});

Deno.test("a block's dx may not be written onto its dy", () => {
  const graph = blockBackwardGraph(config);
  assert.throws(
    () => assertAliases({ ...graph, aliases: new Map([...graph.aliases, ["dx", "dy"]]) }),
    /^Error: Cannot write dx in place of dy in graph block_backward: /,
  );
});

Deno.test("every weight gradient of a block goes into its accumulator's memory", () => {
  const names = blockParameters(config).map(({ name }) => name);
  assert.deepEqual(
    [...blockBackwardGraph(config).aliases].sort(),
    names.map((name) => [gradientName(name), accumulatorName(name)]).sort(),
  );
  assert.equal(blockBackwardGraph(config, { accumulate: false }).aliases.size, 0);
});

Deno.test("block_backward has no output or input that block_forward lacks but gradients", () => {
  const forward = blockForwardGraph(config).inputs.map(({ name }) => name);
  const first = blockBackwardGraph(config, { accumulate: false });
  assert.deepEqual(new Set(first.inputs.map(({ name }) => name)), new Set([...forward, "dy"]));
  // The value of the last projection is not needed on the way back: it is not recomputed.
  const projections = ["mlp.down_proj.weight", "self_attn.o_proj.weight"];
  const recomputed = first.nodes.filter(({ op, inputs, attributes }) =>
    op === "Gemm" && attributes.transB === 1n && projections.includes(inputs[1]!.name)
  );
  assert.deepEqual(recomputed.map(({ inputs }) => inputs[1]!.name), ["self_attn.o_proj.weight"]);
});

Deno.test("the head writes dx into the memory of dx_before, whether it accumulates or not", () => {
  assert.equal(headGraph(config).aliases.get("dx"), "dx_before");
  assert.deepEqual([...headGraph(config, { accumulate: false }).aliases], [["dx", "dx_before"]]);
});

Deno.test("in bfloat16 the head's softmax is LogSoftmax's, in float32, and losses are scaled in float32", () => {
  for (const options of [{}, { accumulate: false }, { frozen: true }]) {
    const graph = headGraph(config, { ...options, precision: "bfloat16" });
    const ops = new Set(graph.nodes.map(({ op }) => op));
    for (const op of ["Softmax", "ReduceMax", "ArgMax"]) assert.ok(!ops.has(op), op);
    const logs = graph.nodes.filter(({ op }) => op === "LogSoftmax");
    assert.deepEqual(logs.map(({ outputs: [y] }) => y.dtype), ["float32"]);
    const scale = graph.inputs.find(({ name }) => name === "scale")!;
    const readers = graph.nodes.filter(({ inputs }) => inputs.includes(scale));
    assert.ok(readers.length > 0);
    for (const { op, outputs: [y] } of readers) assert.deepEqual([op, y.dtype], ["Mul", "float32"]);
  }
  const ops = new Set(headGraph(config).nodes.map(({ op }) => op));
  assert.deepEqual([ops.has("Softmax"), ops.has("LogSoftmax")], [true, false]);
});

Deno.test("in bfloat16 a scale of attention that it does not hold is no factor of a product", () => {
  const alphas = (head_dim: number, precision: "float32" | "bfloat16") => {
    const sized = parseConfig({
      model_type: "qwen3",
      ...{ hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, vocab_size: 16 },
      ...{ num_attention_heads: 2, head_dim },
    });
    const products = blockForwardGraph(sized, { precision }).nodes
      .filter(({ op, attributes }) => op === "FusedMatMul" && attributes.transB === 1n);
    assert.ok(products.length > 0);
    return new Set(products.map(({ attributes }) => attributes.alpha ?? 1));
  };
  // Heads of 64 scale by 2^-3, and those of 96 by 0.102…
  assert.deepEqual(alphas(64, "bfloat16"), new Set([2 ** -3]));
  assert.deepEqual(alphas(96, "bfloat16"), new Set([1]));
  assert.deepEqual(alphas(96, "float32"), new Set([96 ** -0.5]));
});

Deno.test("noise on embeddings is uniform up to each token's own size", () => {
  using runtime = new Runtime({ threads: 1 });
  const [tokens, width] = [200, config.hiddenSize];
  const numbers = randomOdd(tokens, ["noise"]);
  const sizes = Float32Array.from({ length: tokens }, (_, token) => token === 7 ? 0 : 0.5);
  const { x } = runGraph(runtime, embedGraph(config, { noise: true }), {
    "model.embed_tokens.weight": dense([config.vocabSize, width], () => 3),
    input_ids: dense([1, tokens], () => 1),
    [NOISE_ROWS]: dense([tokens, 1], (i) => numbers[i]),
    [NOISE_SIZES]: dense([tokens, 1], (i) => sizes[i]),
  }, { rows: 1, length: tokens });
  const noise = Array.from(x.data, (each) => each - 3);
  assert.ok(noise.slice(7 * width, 8 * width).every((each) => each === 0));
  assert.ok(noise.every((each) => Math.abs(each) <= 0.5));
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
  // Of 3184 draws: standard deviations of the mean and of the mean square are 0.005 and 0.0013.
  assert.ok(Math.abs(mean(noise)) < 0.02, `${mean(noise)}`);
  const square = mean(noise.map((each) => each ** 2));
  assert.ok(Math.abs(square - 0.25 / 3) < 0.005, `${square}`);
});
