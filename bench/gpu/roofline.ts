/**
 * What an update takes at least on a GPU, read off the graphs: `deno run -A bench/gpu/roofline.ts`. No GPU
 * is needed, and nothing is measured: products at the rate of a large one, all else at the rate of memory.
 *
 * In: rates in TFLOP/s and TB/s (an H200's by default). Out: a table of microseconds a token.
 *
 * What a node reads and writes counts once each, so a product that reads its operands again, a launch and
 * a wait come on top; attention in a kernel counts its products, and its operands once.
 */

import { parseArgs } from "node:util";
import { evaluateShape, type Symbols } from "../../graph/dim.ts";
import type { Graph, Node, Value } from "../../graph/ir.ts";
import { bytesOf } from "../../graph/stages.ts";
import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { blockKernelsFor } from "../../model/block_kernels.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  headBackwardGraph,
  headGraph,
  headProductGraph,
} from "../../model/training_graphs.ts";
import { elementCount } from "../../tensor/dtype.ts";
import { QWEN3_0_6B, QWEN3_1_7B } from "../../tests/support/model_configs.ts";

const { values } = parseArgs({
  options: {
    tflops: { type: "string", default: "790" },
    "terabytes-per-second": { type: "string", default: "4.3" },
    rows: { type: "string", default: "1" },
    length: { type: "string", default: "2048" },
    /** Tokens of a packed example. */
    segment: { type: "string", default: "600" },
  },
});
const [tflops, terabytes, rows, length, segment] = [
  values.tflops,
  values["terabytes-per-second"],
  values.rows,
  values.length,
  values.segment,
].map(Number);
const tokens = rows * length;
const symbols: Symbols = { rows, length, tokens, positions: length, n: tokens };

/** Operators that only give memory another shape. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Unsqueeze"]);

/** Work of some graphs. */
interface Work {
  flops: number;
  bytes: number;
}

function sizes(value: Value): number[] {
  return evaluateShape(value.shape, symbols);
}

/** Floating-point operations of matrix products; nothing of other nodes. */
function flopsOf({ op, inputs, outputs, attributes }: Node): number {
  if (op === "Gemm" || op === "FusedMatMul") {
    const left = sizes(inputs[0]!);
    const inner = attributes.transA === 1n ? left.at(-2)! : left.at(-1)!;
    return 2 * elementCount(sizes(outputs[0])) * inner;
  }
  if (!op.startsWith("SegmentAttention")) return 0;
  // A token sees half of its segment; two products there, seven on the way back.
  const products = op.endsWith("Gradient") ? 7 : 2;
  return products * 2 * elementCount(sizes(inputs[0]!)) * segment / 2;
}

function workOf(graphs: readonly Graph[]): Work {
  const work = { flops: 0, bytes: 0 };
  for (const { nodes } of graphs) {
    for (const node of nodes) {
      if (VIEWS.has(node.op)) continue;
      work.flops += flopsOf(node);
      const touched = new Set([...node.inputs, ...node.outputs].filter((each) => each));
      for (const value of touched) work.bytes += bytesOf(value!, symbols);
    }
  }
  return work;
}

/** Microseconds a token of the blocks, the head and the optimizer. */
function estimate(config: ModelConfig, { adapted, kernels }: {
  readonly adapted: boolean;
  readonly kernels: boolean;
}) {
  const adapter = adapted ? createLoraAdapter(config, DEFAULT_LORA) : undefined;
  const options = {
    precision: "bfloat16",
    adapter,
    dropout: adapted,
    deviceDropout: true,
    kernels: kernels ? blockKernelsFor(config, "bfloat16", adapter) : undefined,
  } as const;
  const block = workOf([
    blockForwardGraph(config, options),
    blockBackwardGraph(config, { ...options, accumulate: false }),
  ]);
  const head = { precision: "bfloat16", frozen: adapted, accumulate: false } as const;
  const heads = kernels
    ? [headProductGraph(config, head), headBackwardGraph(config, head)]
    : [headGraph(config, { ...head, logSoftmax: true })];
  const ends = workOf(heads);
  // The kernel reads the logits twice and writes them once.
  if (kernels) ends.bytes += 3 * 2 * tokens * config.vocabSize;
  const microseconds = ({ flops, bytes }: Work) => ({
    products: flops / tflops / 1e6 / tokens,
    memory: bytes / terabytes / 1e6 / tokens,
  });
  const blocks = microseconds({
    flops: config.layers * block.flops,
    bytes: config.layers * block.bytes,
  });
  const rest = microseconds(ends);
  return { blocks, rest };
}

console.log(
  `${tokens} tokens a batch in rows of ${length}, examples of ${segment}, all supervised; ` +
    `${tflops} TFLOP/s, ${terabytes} TB/s; recomputing, without the optimizer\n`,
);
console.log("| µs a token | blocks: products | memory | head: products | memory | tokens/s |");
console.log("|---|---|---|---|---|---|");
for (const [name, json] of Object.entries({ "1.7B": QWEN3_1_7B, "0.6B": QWEN3_0_6B })) {
  const config = parseConfig(json);
  for (const adapted of [false, true]) {
    for (const kernels of [true, false]) {
      const { blocks, rest } = estimate(config, { adapted, kernels });
      const parts = [blocks.products, blocks.memory, rest.products, rest.memory];
      const total = parts.reduce((sum, each) => sum + each);
      console.log(
        `| ${name} ${adapted ? "LoRA, dropout" : "full"}${kernels ? "" : ", operators alone"} | ` +
          `${parts.map((each) => each.toFixed(1)).join(" | ")} | ${(1e6 / total).toFixed(0)} |`,
      );
    }
  }
}
