import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { dense } from "../../tests/support/reference_interpreter.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { randomOdd } from "../engine/keep_mask.ts";
import { assertAliases } from "../../ort/graph/alias.ts";
import { parseConfig } from "../config.ts";
import {
  accumulatorName,
  attentionMaskGraph,
  blockBackwardGraph,
  blockForwardGraph,
  embedGraph,
  gradientName,
  headGraph,
  keptValues,
  NOISE_ROWS,
  NOISE_SIZES,
  trainedStacks,
} from "./training_graphs.ts";
import { blockParameters } from "../parameters.ts";
import { familyConfig } from "../../tests/support/tiny_model.ts";
import { BASE_STORAGES } from "../base_storage.ts";
import type { BlockKernel } from "../parts/block_scope.ts";
import type { BlockAdapter } from "./block.ts";

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

Deno.test("the blocks' graphs are named by what they do, and give out dx first", () => {
  const names = [
    blockForwardGraph(config),
    blockForwardGraph(config, { keep: true }),
    blockBackwardGraph(config),
    blockBackwardGraph(config, { accumulate: false }),
    blockBackwardGraph(config, { keep: true }),
    blockBackwardGraph(config, { accumulate: false, keep: true }),
  ].map(({ name }) => name);
  assert.deepEqual(names, [
    ...["block_forward", "block_forward_keep", "block_backward", "block_backward_first"],
    ...["block_backward_kept", "block_backward_first_kept"],
  ]);
  const own = blockParameters(config).map(({ name }) => gradientName(name));
  assert.deepEqual(blockBackwardGraph(config).outputs.map(({ name }) => name), ["dx", ...own]);
  assert.deepEqual([accumulatorName("w"), gradientName("w")], ["accumulated.w", "grad.w"]);
});

Deno.test("what forward keeps is what backward takes: the projections' results, and what attention mixes", () => {
  const forward = blockForwardGraph(config, { keep: true });
  const backward = blockBackwardGraph(config, { keep: true });
  const kept = keptValues(forward).map(({ name, shape }) => [name, shape]);
  // q, k, v, the mixed values, the sum with what came in, gate and up.
  assert.deepEqual(kept, Array.from({ length: 7 }, (_, i) => [`kept.${i}`, ["length*rows", 16]]));
  const taken = keptValues(backward).map(({ name }) => name);
  assert.ok(taken.length > 0 && taken.every((name) => kept.some(([own]) => own === name)));
  // What is kept is not computed again: no product reads the projections' weights forwards.
  const again = backward.nodes.filter(({ op, inputs, attributes }) =>
    op === "Gemm" && attributes.transB === 1n && inputs[1]!.name.endsWith("_proj.weight")
  );
  assert.deepEqual(again, []);
  assert.deepEqual(keptValues(blockForwardGraph(config)), []);
});

/** A block's inputs but its weights. */
function besides(kernels: readonly BlockKernel[], make = blockForwardGraph) {
  const model = familyConfig("smollm3");
  const [kind] = [...new Set(model.layerKinds)].reverse();
  const graph = make(model, { kind, kernels: new Set(kernels) });
  return graph.inputs.filter(({ name }) => !graph.shapeInputs.has(name))
    .map(({ name, dtype, shape }) => `${name} ${dtype} ${shape}`)
    .filter((each) => !each.includes(".weight"));
}

Deno.test("a block takes a mask, or segments' starts and ends where attention is an operation", () => {
  const x = "x float32 length*rows,16";
  const bounds = ["segment_starts int32 length*rows", "segment_ends int32 length*rows"];
  // The second kind of layers turns nothing.
  assert.deepEqual(besides([]), [x, "mask float32 rows,1,1,length,length"]);
  assert.deepEqual(besides(["chunkedAttention"]), [x, bounds[0]]);
  // A kernel turns heads of 8 whether anything is to be turned or not.
  assert.deepEqual(besides(["attention"]), [
    x,
    "position_ids int64 rows,length",
    ...["cos", "sin"].map((name) => `${name} float32 positions,4`),
    bounds[0],
  ]);
  // Backwards keys find the queries that saw them.
  const backward = (kernel: BlockKernel) =>
    besides(
      [kernel],
      (model, options) => blockBackwardGraph(model, { ...options, accumulate: false }),
    )
      .filter((each) => each.startsWith("segment"));
  assert.deepEqual(backward("attention"), bounds);
  assert.deepEqual(backward("chunkedAttention"), [bounds[0]]);
});

Deno.test("weights are trained stacked but where matrices are stored in few bits, or an adapter has parts alone", () => {
  const model = familyConfig("llama");
  const kernels: ReadonlySet<BlockKernel> = new Set(["attention", "swiglu", "lora"]);
  const names = (options: Parameters<typeof trainedStacks>[1]): string[] =>
    trainedStacks(model, options).map(({ name }) => name);
  const both = ["self_attn.qkv_proj.weight", "mlp.gate_up_proj.weight"];
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({ kernels }), both);
  assert.deepEqual(names({ kernels, storage: BASE_STORAGES.fp16 }), both);
  assert.deepEqual(names({ kernels, storage: BASE_STORAGES.int8 }), []);
  const adapter = (...layers: readonly string[]) =>
    ({ products: { rank: 8, layers } }) as unknown as BlockAdapter;
  const qkv = ["q", "k", "v"].map((name) => `self_attn.${name}_proj`);
  assert.deepEqual(names({ kernels, adapter: adapter(...qkv) }), both.slice(0, 1));
  assert.deepEqual(names({ kernels, adapter: adapter(...qkv.slice(1)) }), []);
  assert.deepEqual(
    names({ kernels, adapter: adapter("mlp.gate_proj", "mlp.up_proj") }),
    both.slice(1),
  );
  assert.deepEqual(names({ kernels, adapter: {} as BlockAdapter }), []);
  // Without the kernel an adapter's layers stand alone.
  const without: ReadonlySet<BlockKernel> = new Set(["attention", "swiglu"]);
  assert.deepEqual(names({ kernels: without, adapter: adapter(...qkv) }), []);
});

Deno.test("a mask is of the precision asked for", () => {
  assert.equal(attentionMaskGraph().outputs[0].dtype, "float32");
  assert.equal(attentionMaskGraph({ precision: "bfloat16" }).outputs[0].dtype, "bfloat16");
});
