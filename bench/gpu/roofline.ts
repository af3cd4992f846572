/**
 * What an update takes at least on a GPU, read off the graphs: `deno run -A bench/gpu/roofline.ts`. No GPU
 * is needed, and nothing is measured.
 *
 * In: rates in TFLOP/s and TB/s (an H200's by default), and how many examples of the dataset's lengths, or of
 * one length, make a batch. Out: a table of microseconds a token, padding computed but not counted.
 *
 * A node takes its products at their rate or what it reads and writes, once each, at the rate of memory,
 * whichever is longer, and a Gemm the copy of what it adds to besides: a product that reads its operands
 * again, a launch and a wait come on top. Attention
 * in a kernel has a rate of its own, the mean of two products forwards and seven backwards at the bounds of
 * bench/gpu/attention_bounds.ts. The optimizer reads gradients twice,
 * for their norm and for the update, and parameters and moments once, and writes the latter: in bfloat16
 * 14 bytes a parameter.
 */

import { parseArgs } from "node:util";
import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import type { Graph, Node } from "../../ort/graph/ir.ts";
import { bytesOf } from "../../ort/graph/subgraphs.ts";
import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { blockKernelsFor } from "../../model/block_kernels.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  headBackwardGraph,
  headGraph,
  headProductGraph,
} from "../../model/graphs/training_graphs.ts";
import { computedTokens, type Layout } from "../../model/engine/without_padding.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { QWEN3_0_6B, QWEN3_1_7B } from "../../tests/support/model_configs.ts";
import { productFlops } from "../product_flops.ts";
import { batchesOfLengths, type ExampleLength } from "./workload.ts";

const { values } = parseArgs({
  options: {
    tflops: { type: "string", default: "790" },
    "attention-tflops": { type: "string", default: "496" },
    "terabytes-per-second": { type: "string", default: "4.3" },
    /** Examples a batch, of the dataset's lengths. */
    examples: { type: "string", default: "4" },
    /** Batches of an update. */
    batches: { type: "string", default: "1" },
    "max-length": { type: "string", default: "2048" },
    /** Tokens of every example, instead of the dataset's lengths. */
    length: { type: "string" },
  },
});
const [tflops, attentionTflops, terabytes, examples, batches, maxLength] = [
  values.tflops,
  values["attention-tflops"],
  values["terabytes-per-second"],
  values.examples,
  values.batches,
  values["max-length"],
].map(Number);
const OPTIMIZER_BYTES = 14;

/** Of an example of a given length, what is not supervised: about as much as of the dataset's. */
const PROMPT = 60;
/** Examples of each batch. */
const drawn: ReturnType<typeof batchesOfLengths> = values.length
  ? [Array(examples).fill({ tokens: Number(values.length), reply: Number(values.length) - PROMPT })]
  : batchesOfLengths({ examples, maxLength });
const mean = (of: (batch: readonly ExampleLength[]) => number): number =>
  drawn.reduce((sum, batch) => sum + of(batch), 0) / drawn.length;
const sum = (batch: readonly ExampleLength[], of: (each: ExampleLength) => number): number =>
  batch.reduce((sum, each) => sum + of(each), 0);
/** Tokens of a batch that are not padding, and those of them that are supervised. */
const real = mean((batch) => sum(batch, ({ tokens }) => tokens));
const supervised = mean((batch) => sum(batch, ({ reply }) => reply));
/** How long an example is, as its tokens see it. */
const segment = mean((batch) => sum(batch, ({ tokens }) => tokens ** 2)) / real;

/** A mean batch as it is computed. */
interface Sizes {
  readonly computed: number;
  readonly symbols: Symbols;
}

function sizesOf(layout: Layout): Sizes {
  const computed = Math.round(
    mean((batch) => computedTokens(batch.map(({ tokens }) => tokens), layout)),
  );
  const rows = layout === "grid" ? examples : 1;
  const length = Math.round(computed / rows);
  return {
    computed: rows * length,
    symbols: {
      ...{ rows, length, tokens: rows * length },
      ...{ positions: maxLength, n: Math.round(supervised) },
    },
  };
}

/** Operators that only give memory another shape. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Unsqueeze"]);

/** Microseconds a real token, by what bounds them. */
interface Times {
  products: number;
  attention: number;
  memory: number;
}

/** Floating-point operations of matrix products; nothing of other nodes. */
function flopsOf(node: Node, symbols: Symbols): number {
  const { op, inputs } = node;
  if (!op.startsWith("SegmentAttention")) return productFlops(node, symbols);
  // A token sees half of its segment, and padding nothing but itself; two products there, seven on the way
  // back.
  const products = op.endsWith("Gradient") ? 7 : 2;
  const [, ...width] = evaluateShape(inputs[0]!.shape, symbols);
  return products * 2 * real * elementCount(width) * segment / 2;
}

/** What ONNX Runtime's Gemm adds to is copied to where the result goes first: read once, and written. */
function copiedBytes({ op, inputs, outputs }: Node, symbols: Symbols): number {
  const addend = op === "Gemm" ? inputs[2] : undefined;
  return addend && addend.shape.length === 2 ? 2 * bytesOf(outputs[0], symbols) : 0;
}

function timesOf(graphs: readonly Graph[], { symbols }: Sizes): Times {
  const times: Times = { products: 0, attention: 0, memory: 0 };
  for (const { nodes } of graphs) {
    for (const node of nodes) {
      if (VIEWS.has(node.op)) continue;
      const touched = new Set([...node.inputs, ...node.outputs].filter((each) => each));
      const bytes = [...touched].reduce((sum, value) => sum + bytesOf(value!, symbols), 0);
      const memory = bytes / terabytes / 1e6 / real;
      const kind = node.op.startsWith("SegmentAttention") ? "attention" : "products";
      const rate = kind === "attention" ? attentionTflops : tflops;
      const products = flopsOf(node, symbols) / rate / 1e6 / real;
      if (products > memory) times[kind] += products;
      else times.memory += memory;
      times.memory += copiedBytes(node, symbols) / terabytes / 1e6 / real;
    }
  }
  return times;
}

/** Microseconds a real token of all blocks, the head and the optimizer. */
function estimate(config: ModelConfig, { adapted, kernels, keep, layout }: {
  readonly adapted: boolean;
  readonly kernels: boolean;
  readonly keep: boolean;
  readonly layout: Layout;
}): Times & { readonly head: number; readonly optimizer: number } {
  const sizes = sizesOf(layout);
  const adapter = adapted ? createLoraAdapter(config, DEFAULT_LORA) : undefined;
  const options = {
    precision: "bfloat16",
    adapter,
    dropout: adapted,
    deviceDropout: true,
    kernels: kernels ? blockKernelsFor(config, "bfloat16", adapter) : undefined,
    keep,
  } as const;
  const block = timesOf([
    blockForwardGraph(config, options),
    blockBackwardGraph(config, { ...options, accumulate: false }),
  ], sizes);
  const head = { precision: "bfloat16", frozen: adapted, accumulate: false } as const;
  const heads = kernels
    ? [headProductGraph(config, head), headBackwardGraph(config, head)]
    : [headGraph(config, { ...head, logSoftmax: true })];
  const ends = timesOf(heads, sizes);
  // The kernel reads the logits twice and writes them once.
  if (kernels) ends.memory += 3 * 2 * config.vocabSize * supervised / real / terabytes / 1e6;
  const { layers } = config;
  const parameters = modelParameters(config)
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return {
    products: layers * block.products,
    attention: layers * block.attention,
    memory: layers * block.memory,
    head: ends.products + ends.memory,
    // An adapter's is next to nothing.
    optimizer: adapted ? 0 : OPTIMIZER_BYTES * parameters / terabytes / 1e6 / real / batches,
  };
}

console.log(
  `${examples} examples a batch of ${
    values.length ? `${values.length} tokens` : `the dataset's lengths, up to ${maxLength}`
  }: ${real.toFixed(0)} tokens, ` +
    `${
      supervised.toFixed(0)
    } of them supervised; ${batches} an update; ${tflops} TFLOP/s, in attention ` +
    `${attentionTflops}; ${terabytes} TB/s. Times and rates are of real tokens.\n`,
);
console.log(
  "| µs a token | computed ÷ real | blocks: products | attention | memory | head | optimizer | tokens/s at most |",
);
console.log("|---|---|---|---|---|---|---|---|");
const WAYS = [
  { how: "", kernels: true, keep: false, layout: "end-to-end" },
  { how: ", nothing recomputed", kernels: true, keep: true, layout: "end-to-end" },
  { how: ", the same in a padded grid", kernels: true, keep: true, layout: "grid" },
  { how: ", operators alone", kernels: false, keep: false, layout: "grid" },
] as const;
for (const [name, json] of Object.entries({ "1.7B": QWEN3_1_7B, "0.6B": QWEN3_0_6B })) {
  const config = parseConfig(json);
  for (const adapted of [false, true]) {
    for (const { how, ...way } of WAYS) {
      const { products, attention, memory, head, optimizer } = estimate(config, {
        adapted,
        ...way,
      });
      const parts = [products, attention, memory, head, optimizer];
      const total = parts.reduce((sum, each) => sum + each);
      console.log(
        `| ${name} ${adapted ? "LoRA, dropout" : "full"}${how} | ` +
          `${(sizesOf(way.layout).computed / real).toFixed(3)} | ` +
          `${parts.map((each) => each.toFixed(1)).join(" | ")} | ${(1e6 / total).toFixed(0)} |`,
      );
    }
  }
}
