import assert from "node:assert/strict";
import { assertAliases } from "../../ort/graph/alias.ts";
import { parseConfig } from "../config.ts";
import {
  accumulatorName,
  blockBackwardGraph,
  blockForwardGraph,
  gradientName,
  headGraph,
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
