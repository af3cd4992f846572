/**
 * How much memory a training run will take, before it takes it.
 *
 * In: sizes of a model and of its largest batch. Out: bytes, by what holds them.
 *
 * State and activations are what the engine allocates; the workspace is read off the very graphs
 * that will run. Within 5 % of measured peaks (`memory_estimate_test.ts`, bench/RESULTS.md).
 *
 * @module
 */

import { layoutParameters } from "../engine/parameter_store.ts";
import { ArenaEstimate } from "../graph/arena_estimate.ts";
import { evaluateShape } from "../graph/dim.ts";
import type { BlockAdapter } from "../model/block.ts";
import type { ModelConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { blockBackwardGraph, blockForwardGraph, headGraph } from "../model/training_graphs.ts";
import { elementCount } from "../tensor/dtype.ts";

const FLOAT_BYTES = 4;
const MIB = 2 ** 20;
// A chunk of supervised tokens, as the engine has it by default.
const HEAD_CHUNK = 256;
// Deno, the libraries and the compiled graphs.
const PROCESS_BYTES = 140 * MIB;

/** The largest batch of a run, and how the engine works. */
export interface MemoryEstimateOptions {
  /** Rows of the batch. */
  readonly rows: number;
  /** Tokens a row, padding included. */
  readonly length: number;
  /** Supervised tokens of the batch. @default rows × length */
  readonly supervised?: number;
  /** As the engine's. @default 256 */
  readonly headChunk?: number;
  /** As the engine's. @default true */
  readonly gradientCheckpointing?: boolean;
  /** The adapter that is trained. @default none: all weights are */
  readonly adapter?: BlockAdapter;
  /** Bytes that the process has besides. @default 140 MiB: Deno, ONNX Runtime, graphs */
  readonly process?: number;
}

/** Bytes by what holds them. */
export interface MemoryEstimate {
  /** The weights, in float32. */
  readonly weights: number;
  /** Their gradients. */
  readonly gradients: number;
  /** AdamW's two moments. */
  readonly moments: number;
  /** Inputs of all blocks, and what is kept besides without gradient checkpointing. */
  readonly activations: number;
  /** Intermediate values of the graphs, which share one arena. */
  readonly workspace: number;
  /** Deno, ONNX Runtime, graphs. */
  readonly process: number;
  /** All of it. */
  readonly total: number;
}

/**
 * Estimates the peak memory of training on the CPU.
 *
 * @example
 * ```ts
 * import { estimateMemory, parseConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072,
 *   num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128,
 *   vocab_size: 151936, tie_word_embeddings: true,
 * });
 * const { total } = estimateMemory(config, { rows: 1, length: 512 });
 * assert.ok(Math.abs(total / 2 ** 20 - 9789) < 0.05 * 9789); // measured: bench/RESULTS.md
 * ```
 */
export function estimateMemory(
  config: ModelConfig,
  {
    rows,
    length,
    supervised = rows * length,
    headChunk = HEAD_CHUNK,
    gradientCheckpointing = true,
    adapter,
    process = PROCESS_BYTES,
  }: MemoryEstimateOptions,
): MemoryEstimate {
  const weights = FLOAT_BYTES * layoutParameters(modelParameters(config)).length;
  const gradients = adapter
    ? FLOAT_BYTES * config.layers * sum(adapter.parameters, ({ shape }) => elementCount(shape))
    : weights;
  const tokens = rows * length;
  const keep = !gradientCheckpointing;
  const symbols = { rows, length, tokens, positions: length, n: Math.min(headChunk, supervised) };
  const blocks = { keep, adapter, dropout: adapter !== undefined && adapter.dropout > 0 };
  const head = { frozen: adapter !== undefined };
  const forward = blockForwardGraph(config, blocks);
  // Outputs besides y: what a layer's forward keeps for its backward.
  const kept = sum(
    forward.outputs.filter(({ name }) => name !== "y"),
    ({ shape }) => FLOAT_BYTES * elementCount(evaluateShape(shape, symbols)),
  );
  // Each block's input, the last output, two gradients of them; the mask.
  const hidden = (config.layers + 3) * tokens * config.hiddenSize;
  const mask = rows * length * length;
  const arena = new ArenaEstimate();
  for (
    const graph of [forward, headGraph(config, { ...head, accumulate: false })]
      .concat(headGraph(config, head), blockBackwardGraph(config, blocks))
  ) arena.run(graph, symbols);
  const parts = {
    weights: adapter ? weights + gradients : weights,
    gradients,
    moments: 2 * gradients,
    activations: FLOAT_BYTES * (hidden + mask) + config.layers * kept,
    workspace: arena.bytes,
    process,
  };
  return { ...parts, total: sum(Object.values(parts), (bytes) => bytes) };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
