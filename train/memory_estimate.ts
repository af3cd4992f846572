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

import { LAYOUT_BLOCK, layoutParameters } from "../engine/parameter_store.ts";
import { ArenaEstimate } from "../graph/arena_estimate.ts";
import { evaluateShape } from "../graph/dim.ts";
import type { ModelConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { blockBackwardGraph, blockForwardGraph, headGraph } from "../model/training_graphs.ts";
import { byteWidth, elementCount } from "../tensor/dtype.ts";
import { adamWGraph, type AdamWKind, sumOfSquaresGraph } from "./adamw_graph.ts";
import { DEVICE_CHUNK } from "./device_optimizer.ts";
import { computePrecision, optimizerKind, type TrainingPrecision } from "./training_precision.ts";

const FLOAT_BYTES = 4;
const MIB = 2 ** 20;
// A chunk of supervised tokens, as the engine has it by default.
const HEAD_CHUNK = 256;
// Deno, the libraries and the compiled graphs.
const PROCESS_BYTES = 140 * MIB;
// CUDA's context and cuBLAS, before any tensor.
const CONTEXT_BYTES = 500 * MIB;

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
  /** Numbers that the optimizer changes, where they are an adapter's. @default all weights */
  readonly trainable?: number;
  /** What the model runs in and the optimizer keeps. @default "fp32" */
  readonly precision?: TrainingPrecision;
  /** Whether the memory is a GPU's. @default false */
  readonly onDevice?: boolean;
  /**
   * Bytes that the process has besides.
   * @default 140 MiB: Deno, ONNX Runtime, graphs; on a GPU 500 MiB: CUDA's context and libraries
   */
  readonly process?: number;
}

/** Bytes by what holds them. */
export interface MemoryEstimate {
  /** The weights; where the model runs on a rounded copy, both. */
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
 * Estimates the peak memory of training. Of an adapter the workspace is that of full
 * fine-tuning, which is more.
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
    trainable,
    precision: asked = "fp32",
    onDevice = false,
    process = onDevice ? CONTEXT_BYTES : PROCESS_BYTES,
  }: MemoryEstimateOptions,
): MemoryEstimate {
  const precision = computePrecision(asked);
  const width = byteWidth(precision);
  const { length: elements } = layoutParameters(modelParameters(config));
  // An adapter is float32 on a base of any precision.
  const kind = trainable === undefined ? optimizerKind(asked) : "float32";
  const updated = trainable ?? elements;
  const { parameter, gradient, moments } = bytesPerElement(kind, trainable !== undefined);
  const tokens = rows * length;
  const keep = !gradientCheckpointing;
  const symbols = { rows, length, tokens, positions: length, n: Math.min(headChunk, supervised) };
  const forward = blockForwardGraph(config, { keep, precision });
  // Outputs besides y: what a layer's forward keeps for its backward.
  const kept = sum(
    forward.outputs.filter(({ name }) => name !== "y"),
    ({ dtype, shape }) => byteWidth(dtype) * elementCount(evaluateShape(shape, symbols)),
  );
  // Each block's input, the last output, two gradients of them; the mask.
  const hidden = (config.layers + 3) * tokens * config.hiddenSize;
  const mask = rows * length * length;
  const arena = new ArenaEstimate();
  const head = { precision, logSoftmax: onDevice };
  for (
    const graph of [forward, headGraph(config, { ...head, accumulate: false })]
      .concat(headGraph(config, head), blockBackwardGraph(config, { keep, precision }))
  ) arena.run(graph, symbols);
  if (onDevice) {
    const n = Math.min(DEVICE_CHUNK, updated);
    const blocks = Math.ceil(n / LAYOUT_BLOCK);
    arena.run(sumOfSquaresGraph(gradient === 2 ? "bfloat16" : "float32"), { blocks });
    arena.run(adamWGraph({ beta1: 0.9, beta2: 0.999, guarded: true }, true, kind), { n, blocks });
  }
  const parts = {
    weights: width * elements + parameter * updated,
    gradients: gradient * updated,
    moments: moments * updated,
    activations: width * (hidden + mask) + config.layers * kept,
    workspace: arena.bytes,
    process,
  };
  return { ...parts, total: sum(Object.values(parts), (bytes) => bytes) };
}

/** Bytes of what an update keeps for each element, besides what the model runs on. */
function bytesPerElement(
  kind: AdamWKind,
  adapter: boolean,
): { parameter: number; gradient: number; moments: number } {
  const state = kind === "float32" || kind === "adamw" ? FLOAT_BYTES : byteWidth("bfloat16");
  return {
    parameter: adapter || kind === "adamw" ? FLOAT_BYTES : 0,
    gradient: kind === "float32" ? FLOAT_BYTES : byteWidth("bfloat16"),
    moments: 2 * state,
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
