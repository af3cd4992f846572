/**
 * The graphs of a training step: embed, block_forward, block_backward and the head.
 *
 * In: a config. Out: graphs over x [length·rows, hidden]. All layers share the block graphs, with
 * their weights as inputs. Backward recomputes the block's forward from its input, which is
 * gradient checkpointing by construction, or takes what forward kept of it.
 *
 * @module
 */

import { GraphBuilder } from "../graph/builder.ts";
import { gradient } from "../graph/gradient.ts";
import type { Graph, Value } from "../graph/ir.ts";
import * as ops from "../graph/ops.ts";
import {
  block,
  type BlockAdapter,
  blockWeightInputs,
  maskedAttention,
  rotaryInputs,
  TOKENS,
} from "./block.ts";
import type { ModelConfig } from "./config.ts";
import { EMBEDDING, FINAL_NORM } from "./parameters.ts";

// Large enough that its exponential is zero in every dtype, small enough to survive an addition.
// Not −80 or so: exponentials of that size are denormal, and denormals slow a Gemm a hundredfold.
const MASKED = -1e9;

/** The name of a weight's gradient among a graph's outputs. */
export function gradientName(name: string): string {
  return `grad.${name}`;
}

/** The name of the input that a weight's gradient is added to. */
export function accumulatorName(name: string): string {
  return `accumulated.${name}`;
}

/**
 * Token ids and segments to the first block's input and the attention mask. A token sees the
 * tokens of its own segment up to itself, so rows packed with several examples do not mix.
 */
export function embedGraph(config: ModelConfig): Graph {
  const b = new GraphBuilder("embed");
  const table = b.input(EMBEDDING, "float32", [config.vocabSize, config.hiddenSize]);
  const ids = b.input("input_ids", "int64", ["rows", "length"]);
  const segments = b.input("segment_ids", "int32", ["rows", "length"]);
  const columns = b.input("columns", "int32", ["length"]);
  b.output("x", ops.reshape(b, ops.gather(b, table, ids), [TOKENS, config.hiddenSize]));
  const sameSegment = ops.equal(b, ops.unsqueeze(b, segments, 2), ops.unsqueeze(b, segments, 1));
  const causal = ops.lessOrEqual(b, ops.unsqueeze(b, columns, 0), ops.unsqueeze(b, columns, 1));
  const visible = ops.where(
    b,
    ops.and(b, sameSegment, causal),
    b.float32(0),
    b.float32(MASKED),
  );
  b.output("mask", ops.reshape(b, visible, ["rows", 1, 1, "length", "length"]));
  return b.build();
}

/** What is trained of a block, and whether this is training. */
export interface AdapterOptions {
  /**
   * Trains these weights in place of the block's own.
   * @default the block's own weights are trained
   */
  readonly adapter?: BlockAdapter;
  /**
   * Whether the adapter's dropout is applied.
   * @default false
   */
  readonly dropout?: boolean;
}

function trainingBlock(
  b: GraphBuilder,
  config: ModelConfig,
  { adapter, dropout = false }: AdapterOptions,
): {
  x: Value;
  y: Value;
  /** The weights that are trained. */
  trained: ReadonlyMap<string, Value>;
  costly: Value[];
} {
  const x = b.input("x", "float32", [TOKENS, config.hiddenSize]);
  const weights = blockWeightInputs(b, config);
  const rotary = rotaryInputs(b, config);
  const mask = b.input("mask", "float32", ["rows", 1, 1, "length", "length"]);
  const attention = maskedAttention(b, config, mask);
  const costly: Value[] = [];
  const onCostly = (value: Value) => void costly.push(value);
  const adapted = adapter?.wrap(b, weights, { training: dropout, onCostly });
  const linear = adapted?.linear;
  const y = block(b, x, { config, weights, rotary, attention, linear, onCostly });
  return { x, y, trained: adapted?.weights ?? weights, costly };
}

const KEPT = "kept.";

/** Whether the graph hands over, or takes over, what is costly to compute twice. */
export interface KeepOptions {
  /**
   * Whether forward gives out what backward reads, at the cost of its memory.
   * @default false: backward recomputes it
   */
  readonly keep?: boolean;
}

/** x → y through one block; with `keep` also outputs `kept.0` and so on for backward. */
export function blockForwardGraph(
  config: ModelConfig,
  { keep = false, ...adapter }: KeepOptions & AdapterOptions = {},
): Graph {
  const b = new GraphBuilder(keep ? "block_forward_keep" : "block_forward");
  const { y, costly } = trainingBlock(b, config, adapter);
  b.output("y", y);
  if (keep) costly.forEach((value, i) => b.output(`${KEPT}${i}`, value));
  return b.build();
}

/** What forward keeps for backward: outputs of the one graph, inputs of the other. */
export function keptValues({ inputs, outputs }: Graph): readonly Value[] {
  return [...inputs, ...outputs].filter(({ name }) => name.startsWith(KEPT));
}

/** Whether gradients are added to what is there, in place, or written afresh. */
export interface GradientGraphOptions {
  /**
   * Whether gradients are added to accumulators that the graph takes as inputs.
   * @default true
   */
  readonly accumulate?: boolean;
}

/**
 * The block's input x and dy → dx and the gradients of its weights.
 *
 * @example
 * ```ts
 * import { blockBackwardGraph, parseConfig } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const graph = blockBackwardGraph(config);
 * assert.deepEqual(graph.outputs[0].shape, ["length*rows", 16]); // dx
 * assert.equal(graph.aliases.get("grad.mlp.up_proj.weight"), "accumulated.mlp.up_proj.weight");
 * ```
 */
export function blockBackwardGraph(
  config: ModelConfig,
  { accumulate = true, keep = false, ...adapter }:
    & GradientGraphOptions
    & KeepOptions
    & AdapterOptions = {},
): Graph {
  const b = new GraphBuilder(
    `block_backward${accumulate ? "" : "_first"}${keep ? "_kept" : ""}`,
  );
  const { x, y, trained, costly } = trainingBlock(b, config, adapter);
  const dy = b.input("dy", "float32", y.shape);
  const wrt = new Map<Value, Value | undefined>([[x, undefined]]);
  for (const [name, weight] of trained) {
    wrt.set(
      weight,
      accumulate ? b.input(accumulatorName(name), weight.dtype, weight.shape) : undefined,
    );
  }
  const gradients = gradient(b, { seeds: new Map([[y, dy]]), wrt });
  if (keep) costly.forEach((value, i) => b.cut(value, `${KEPT}${i}`));
  b.output("dx", gradients.get(x)!);
  for (const [name, weight] of trained) {
    b.output(gradientName(name), gradients.get(weight)!, { inPlaceOf: wrt.get(weight) });
  }
  return b.build();
}

/** The head's common part: chosen rows of x → logits [n, vocab]. */
function headLogits(b: GraphBuilder, config: ModelConfig): {
  rows: Value;
  ids: Value;
  norm: Value;
  head: Value;
  normed: Value;
  logits: Value;
  x: Value;
} {
  const { hiddenSize, vocabSize } = config;
  const x = b.input("x", "float32", ["tokens", hiddenSize]);
  const ids = b.input("token_ids", "int64", ["n", 1]);
  const norm = b.input(FINAL_NORM, "float32", [hiddenSize]);
  const head = b.input("lm_head", "float32", [vocabSize, hiddenSize]);
  const rows = ops.reshape(b, ops.gather(b, x, ids), ["n", hiddenSize]);
  const [normed] = ops.rmsNorm(b, rows, norm, config.rmsNormEps);
  return { rows, ids, norm, head, normed, logits: ops.linear(b, normed, head), x };
}

/** Chosen tokens of the last block's output → logits [n, vocab]. */
export function headLogitsGraph(config: ModelConfig): Graph {
  const b = new GraphBuilder("head_logits");
  b.output("logits", headLogits(b, config).logits);
  return b.build();
}

/**
 * Cross-entropy of each row, [n, 1]. The log of the sum of exponentials is read off the largest
 * logit and its probability, which is at least 1/vocab: no second softmax, and no underflow.
 */
function crossEntropy(b: GraphBuilder, logits: Value, targets: Value): {
  loss: Value;
  probabilities: Value;
} {
  const probabilities = ops.softmax(b, logits);
  const logSumExp = ops.sub(
    b,
    ops.reduceMax(b, logits, -1),
    ops.log(b, ops.reduceMax(b, probabilities, -1)),
  );
  return {
    loss: ops.sub(b, logSumExp, ops.gatherElements(b, logits, targets)),
    probabilities,
  };
}

/** Chosen tokens and their targets → each one's cross-entropy, for evaluation. */
export function headLossGraph(config: ModelConfig): Graph {
  const b = new GraphBuilder("head_loss");
  const { logits } = headLogits(b, config);
  const targets = b.input("targets", "int64", ["n", 1]);
  b.output("loss", crossEntropy(b, logits, targets).loss);
  return b.build();
}

/** Whether the head's own weights are trained. */
export interface HeadGraphOptions extends GradientGraphOptions {
  /**
   * Leaves the final norm and the head as they are: only the gradient of x is computed.
   * @default false
   */
  readonly frozen?: boolean;
}

/**
 * Chosen tokens, their targets and a scale → each one's cross-entropy, and the gradients of
 * `scale · Σ loss`: of x (written into the chosen rows of dx), and unless the head is frozen, of the
 * norm and of the head.
 */
export function headGraph(
  config: ModelConfig,
  { accumulate = true, frozen = false }: HeadGraphOptions = {},
): Graph {
  const b = new GraphBuilder(frozen ? "head_frozen" : accumulate ? "head" : "head_first");
  const { rows, ids, norm, head, normed, logits, x } = headLogits(b, config);
  const targets = b.input("targets", "int64", ["n", 1]);
  const scale = b.input("scale", "float32", []);
  const dx = b.input("dx_before", "float32", x.shape);
  const { loss, probabilities } = crossEntropy(b, logits, targets);
  b.output("loss", loss);
  // d loss / d logits = softmax − one-hot; the scale goes onto the small operands.
  const atTarget = ops.gatherElements(b, probabilities, targets);
  const dLogits = ops.scatterElements(
    b,
    probabilities,
    targets,
    ops.sub(b, atTarget, b.float32(1)),
  );
  const dNormed = ops.mul(b, ops.gemm(b, dLogits, head), scale);
  const wrt = new Map<Value, Value | undefined>([[rows, undefined]]);
  if (!frozen) {
    const accumulator = (name: string, value: Value): Value | undefined =>
      accumulate ? b.input(accumulatorName(name), "float32", value.shape) : undefined;
    wrt.set(norm, accumulator(FINAL_NORM, norm));
    const headBefore = accumulator("lm_head", head);
    const scaled = ops.mul(b, normed, scale);
    b.output(
      gradientName("lm_head"),
      ops.gemm(b, dLogits, scaled, { transA: true, c: headBefore }),
      { inPlaceOf: headBefore },
    );
  }
  const gradients = gradient(b, { seeds: new Map([[normed, dNormed]]), wrt });
  if (!frozen) {
    b.output(gradientName(FINAL_NORM), gradients.get(norm)!, { inPlaceOf: wrt.get(norm) });
  }
  b.output("dx", ops.scatterRows(b, dx, ids, gradients.get(rows)!), { inPlaceOf: dx });
  return b.build();
}
