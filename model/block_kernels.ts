/**
 * Which parts of a block ortune's own kernels can run.
 *
 * In: a config and a precision. Out: the parts' names.
 *
 * @module
 */

import type { ModelConfig } from "./config.ts";
import type { Precision } from "./precision.ts";

/** A part of a block that there is a kernel for. */
export type BlockKernel = "attention" | "dropout" | "rmsNorm" | "swiglu";

/** Head sizes of the attention kernels. */
const HEAD_DIMS: ReadonlySet<number> = new Set([64, 128]);
/** Kernels read this many elements at a time: 16 bytes of bfloat16. */
const LANE = 8;

/**
 * The parts that kernels can run: attention, with the heads' norms and rotation, in bfloat16 with heads of
 * 64 or 128; the others wherever rows are whole lanes.
 *
 * @example
 * ```ts
 * import { blockKernelsFor, parseConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072,
 *   num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128,
 *   vocab_size: 151936, eos_token_id: 151645,
 * });
 * const all = [...blockKernelsFor(config, "bfloat16")];
 * assert.deepEqual(all, ["attention", "rmsNorm", "swiglu", "dropout"]);
 * assert.ok(!blockKernelsFor(config, "float32").has("attention"));
 * ```
 */
export function blockKernelsFor(
  { hiddenSize, intermediateSize, heads, headDim, qkNorm }: ModelConfig,
  precision: Precision,
): ReadonlySet<BlockKernel> {
  const kernels = new Set<BlockKernel>();
  if (precision === "bfloat16" && HEAD_DIMS.has(headDim)) kernels.add("attention");
  if (hiddenSize % LANE === 0 && (!qkNorm || headDim % LANE === 0)) kernels.add("rmsNorm");
  if (intermediateSize % LANE === 0) kernels.add("swiglu");
  const widths = [hiddenSize, heads * headDim, intermediateSize];
  if (widths.every((width) => width % LANE === 0)) kernels.add("dropout");
  return kernels;
}
