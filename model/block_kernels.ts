/**
 * Which parts of a block ortune's own kernels can run.
 *
 * In: a config and a precision. Out: the parts' names.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";
import { familyBlock } from "./families/families.ts";
import { blockNorms } from "./parameters.ts";
import type { BlockKernel } from "./parts/block_scope.ts";
import { distinctKinds } from "./parts/layer_kind.ts";
import type { Precision } from "./precision.ts";

/** Head sizes of the attention kernels. */
const HEAD_DIMS: ReadonlySet<number> = new Set([64, 128]);
/** Kernels read this many elements at a time: 16 bytes of bfloat16. */
const LANE = 8;
/** Those of an adapter take this many columns at a time. */
const LORA_COLUMNS = 64;
const LARGEST_LORA_RANK = 64;

/** What kernels ask of an adapter. */
export interface KernelAdapter {
  /** As a `BlockAdapter`'s: without them it is for operators. */
  readonly products?: { readonly rank: number };
  /** Why it has none. @default "DoRA" */
  readonly noProducts?: string;
  /** Share of inputs that dropout zeroes. */
  readonly dropout: number;
}

/**
 * The parts that kernels can run, of those that the family's block can be built for: attention, with the
 * heads' norms and rotation, in bfloat16 with heads of 64 or 128; the others wherever rows are whole lanes.
 * Of an adapter its products, in bfloat16 with a rank that is a multiple of 8 up to 64 and layers whose
 * widths are multiples of 64; else its dropout.
 *
 * @param adapter what is trained in place of the block's own weights
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { blockKernelsFor } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072,
 *   num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128,
 *   vocab_size: 151936, eos_token_id: 151645,
 * });
 * assert.deepEqual([...blockKernelsFor(config, "bfloat16")], ["attention", "rmsNorm", "swiglu"]);
 * assert.ok(blockKernelsFor(config, "bfloat16", { products: { rank: 8 }, dropout: 0.1 }).has("lora"));
 * assert.ok(blockKernelsFor(config, "bfloat16", { products: { rank: 12 }, dropout: 0.1 }).has("dropout"));
 * assert.ok(!blockKernelsFor(config, "float32").has("attention"));
 * ```
 */
export function blockKernelsFor(
  config: ModelConfig,
  precision: Precision,
  adapter?: KernelAdapter,
): ReadonlySet<BlockKernel> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  const kinds = distinctKinds(config);
  const all = kinds.map((kind) => new Set(familyBlock(config, kind).kernels));
  const built = all.reduce((both, each) => both.intersection(each));
  const kernels = new Set<BlockKernel>();
  const add = (kernel: BlockKernel, fits: boolean): void => {
    if (built.has(kernel) && fits) kernels.add(kernel);
  };
  add("attention", precision === "bfloat16" && HEAD_DIMS.has(headDim) && !turning(config));
  add("rmsNorm", blockNorms(config).every(({ shape: [width] }) => width % LANE === 0));
  add("swiglu", intermediateSize % LANE === 0);
  if (!adapter?.products) return kernels;
  const { products: { rank }, dropout } = adapter;
  const inputs = [hiddenSize, heads * headDim, intermediateSize];
  const wholeIn = (columns: number, widths: readonly number[]): boolean =>
    widths.every((width) => width % columns === 0);
  if (
    precision === "bfloat16" && hasLoraKernel(rank) &&
    wholeIn(LORA_COLUMNS, [...inputs, kvHeads * headDim])
  ) {
    kernels.add("lora");
  } else if (dropout > 0 && wholeIn(LANE, inputs)) kernels.add("dropout");
  return kernels;
}

/** How heads are turned otherwise than the kernel turns them, in a few words. */
function turning(config: ModelConfig): string | undefined {
  const kinds = distinctKinds(config);
  if (kinds.some(({ rope }) => rope && rope.width !== config.headDim)) {
    return "heads of which a part is turned";
  }
  return kinds.some(({ queryGrowth }) => queryGrowth)
    ? "queries that grow with their positions"
    : undefined;
}

function hasLoraKernel(rank: number): boolean {
  return rank > 0 && rank % LANE === 0 && rank <= LARGEST_LORA_RANK;
}

/**
 * Why {@linkcode blockKernelsFor} leaves a part out, in a few words.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { whyNoKernel } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072,
 *   num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128,
 *   vocab_size: 151936, eos_token_id: 151645,
 * });
 * const adapter = { products: { rank: 12 }, dropout: 0 };
 * assert.equal(
 *   whyNoKernel("lora", { config, precision: "bfloat16", adapter }),
 *   "rank 12, no multiple of 8 up to 64",
 * );
 * ```
 */
export function whyNoKernel(
  part: BlockKernel,
  { config, precision, adapter }: {
    readonly config: ModelConfig;
    readonly precision: Precision;
    readonly adapter?: KernelAdapter;
  },
): string {
  if (part !== "attention" && part !== "lora") return `widths that ${LANE} does not divide`;
  if (precision === "float32") return "in fp32";
  if (part === "attention") {
    const { kernels } = familyBlock(config, config.layerKinds[0]);
    if (!kernels.includes(part)) return `attention as in ${config.modelType}`;
    return turning(config) ?? `heads of ${config.headDim}, not of ${[...HEAD_DIMS].join(" or ")}`;
  }
  if (!adapter?.products) return adapter?.noProducts ?? "DoRA";
  const { rank } = adapter.products;
  return hasLoraKernel(rank)
    ? `widths that ${LORA_COLUMNS} does not divide`
    : `rank ${rank}, no multiple of ${LANE} up to ${LARGEST_LORA_RANK}`;
}
