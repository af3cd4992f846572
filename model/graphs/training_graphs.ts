/**
 * The graphs of a training step: embed, block_forward, block_backward and the head.
 *
 * In: a config. Out: graphs over x [length·rows, hidden]. All layers share the block graphs, with
 * their weights as inputs. Backward recomputes the block's forward from its input, which is
 * gradient checkpointing by construction, or takes what forward kept of it.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { gradient } from "../../ort/graph/gradient.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { chunkedAttention, kernelAttention, MASKED, maskedAttention } from "./attention.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { capLogits, uncapGradient } from "./cap_logits.ts";
import { block, type BlockAdapter, blockWeightInputs, rotaryInputs } from "./block.ts";
import { crossEntropy } from "./cross_entropy.ts";
import { type LargeMatrix, largeMatrixInput, matrixRows } from "./matrix_input.ts";
import type { Objective } from "./objective.ts";
import type { ModelConfig } from "../config.ts";
import { embeddingScaleIn } from "../embedding_scale.ts";
import { EMBEDDING, FINAL_NORM, layerOf } from "../parameters.ts";
import { type BlockKernel, TOKENS } from "../parts/block_scope.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import { rmsNormNodes } from "../parts/rms_norm.ts";
import type { PrecisionOptions } from "../precision.ts";
import { type StackedParameter, stackedParameters } from "../stacked_parameters.ts";
import { segmentedRows } from "./sequences.ts";

/** The name of a weight's gradient among a graph's outputs. */
export function gradientName(name: string): string {
  return `grad.${name}`;
}

/** The name of the input that a weight's gradient is added to. */
export function accumulatorName(name: string): string {
  return `accumulated.${name}`;
}

/** What {@linkcode embedGraph} draws noise by: random odd numbers, int32 [tokens, 1]. */
export const NOISE_ROWS = "noise_rows";
/** How large a token's noise is at most, float32 [tokens, 1]. */
export const NOISE_SIZES = "noise_sizes";

/** How token ids become hidden states. */
export interface EmbedOptions extends PrecisionOptions {
  /**
   * Whether uniform noise is added, of two more inputs, {@linkcode NOISE_ROWS} and {@linkcode NOISE_SIZES}:
   * a token's number times one of each column modulo 2³², all odd.
   * @default false
   */
  readonly noise?: boolean;
}

/** Token ids to the first block's input. */
export function embedGraph(
  config: ModelConfig,
  { precision = "float32", storage, noise = false }: EmbedOptions = {},
): Graph {
  const b = new GraphBuilder(noise ? "embed_noise" : "embed");
  const ids = b.input("input_ids", "int64", ["rows", "length"]);
  const table = { name: EMBEDDING, shape: [config.vocabSize, config.hiddenSize] };
  const rows = matrixRows(b, table, { ids, precision, storage });
  const x = ops.scale(b, rows, embeddingScaleIn(config, precision));
  const hidden = ops.reshape(b, x, [TOKENS, config.hiddenSize]);
  b.output("x", noise ? withNoise(b, hidden, config) : hidden);
  return b.build();
}

function withNoise(b: GraphBuilder, x: Value, { hiddenSize }: ModelConfig): Value {
  const random = MersenneTwister.fromSeed(hiddenSize);
  const columns = Array.from({ length: hiddenSize }, () => random.nextUint32() | 1);
  const product = ops.mul(b, b.input(NOISE_ROWS, "int32", [TOKENS, 1]), b.int32(columns));
  const uniform = ops.mul(b, ops.cast(b, product, "float32"), b.float32(2 ** -31));
  const noise = ops.mul(b, uniform, b.input(NOISE_SIZES, "float32", [TOKENS, 1]));
  return ops.cast(b, ops.add(b, ops.cast(b, x, "float32"), noise), x.dtype);
}

/**
 * Segments to the attention mask. A token sees the tokens of its own segment up to itself, so rows packed
 * with several examples do not mix; with a window only so many of them, itself among them.
 */
export function attentionMaskGraph(
  { precision = "float32", window }: Pick<PrecisionOptions, "precision"> & {
    /** How many tokens a query sees. @default all of its segment before it */
    readonly window?: number;
  } = {},
): Graph {
  const b = new GraphBuilder("attention_mask");
  const segments = b.input("segment_ids", "int32", ["rows", "length"]);
  const columns = b.input("columns", "int32", ["length"]);
  const sameSegment = ops.equal(b, ops.unsqueeze(b, segments, 2), ops.unsqueeze(b, segments, 1));
  const [keys, queries] = [0, 1].map((axis) => ops.unsqueeze(b, columns, axis));
  let seen = ops.and(b, sameSegment, ops.lessOrEqual(b, keys, queries));
  if (window !== undefined) {
    seen = ops.and(b, seen, ops.greater(b, keys, ops.sub(b, queries, b.int32(window))));
  }
  const visible = ops.where(
    b,
    seen,
    b.float(precision, 0),
    b.float(precision, MASKED),
  );
  b.output("mask", ops.reshape(b, visible, ["rows", 1, 1, "length", "length"]));
  return b.build();
}

/** What is trained of a block, and whether this is training. */
export interface AdapterOptions extends PrecisionOptions {
  /** The kind of the layer. @default the first layer's */
  readonly kind?: LayerKind;
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
  /**
   * Whether the graph makes its dropout masks from random rows and columns of 32-bit numbers, see
   * {@linkcode DROPOUT_ROWS}, in place of taking masks that the host made.
   * @default false
   */
  readonly deviceDropout?: boolean;
  /**
   * Parts that ortune's own kernels run, of {@linkcode blockKernelsFor}: the graph is then for
   * `splitSubgraphs`. With `attention` it takes `segment_starts` and `segment_ends` in place of a mask,
   * with `chunkedAttention` only the starts.
   * @default none
   */
  readonly kernels?: ReadonlySet<BlockKernel>;
}

const NO_KERNELS: ReadonlySet<BlockKernel> = new Set();

/** Inputs of a block's graph that say where each token's segment begins and ends. */
export const SEGMENT_STARTS = "segment_starts";
/** The other one. */
export const SEGMENT_ENDS = "segment_ends";

/**
 * What of a block's weights its training graphs take stacked: with an adapter only layers whose parts it
 * adapts all, in kernels, which find each part's columns.
 */
export function trainedStacks(
  config: ModelConfig,
  { adapter, kernels = NO_KERNELS, kind, storage }: Pick<
    AdapterOptions,
    "adapter" | "kernels" | "kind" | "storage"
  >,
): StackedParameter[] {
  // Of these a matrix is two tensors, which do not lie beside each other's.
  if (storage?.quantization) return [];
  const stacks = stackedParameters(config, kernels, kind);
  if (!adapter) return stacks;
  const adapted = new Set(kernels.has("lora") ? adapter.products?.layers : []);
  return stacks.filter(({ of }) => of.every((part) => adapted.has(layerOf(part))));
}

function trainingBlock(
  b: GraphBuilder,
  config: ModelConfig,
  {
    kind = config.layerKinds[0],
    adapter,
    dropout = false,
    deviceDropout = false,
    precision = "float32",
    storage,
    kernels = NO_KERNELS,
  }: AdapterOptions,
): {
  x: Value;
  y: Value;
  /** The weights that are trained. */
  trained: ReadonlyMap<string, Value>;
  saveable: Value[];
} {
  const x = b.input("x", precision, [TOKENS, config.hiddenSize]);
  const stacks = trainedStacks(config, { adapter, kernels, kind, storage });
  const weights = blockWeightInputs(b, config, { kind, precision, storage, stacks });
  const saveable: Value[] = [];
  const onSaveable = (value: Value) => void saveable.push(value);
  const bounds = (name: string): Value => b.input(name, "int32", [TOKENS]);
  // A kernel turns heads whether anything is to be turned or not.
  const inKernel = kernels.has("attention");
  const width = kind.rope?.width ?? (inKernel ? config.headDim : undefined);
  const rotary = rotaryInputs(b, { width, growing: kind.queryGrowth !== undefined }, precision);
  const attention = inKernel
    ? kernelAttention(b, config, {
      rotary: rotary!,
      starts: bounds(SEGMENT_STARTS),
      ends: bounds(SEGMENT_ENDS),
    }, onSaveable)
    : kernels.has("chunkedAttention")
    ? chunkedAttention(b, config, bounds(SEGMENT_STARTS))
    : maskedAttention(b, config, b.input("mask", precision, ["rows", 1, 1, "length", "length"]));
  const adapted = adapter?.wrap(b, weights, {
    training: dropout,
    deviceDropout,
    kernels,
    stacks,
    onSaveable,
  });
  const linear = adapted?.linear;
  const sequences = kind.delta && segmentedRows(b, kind.delta);
  const y = block(b, x, {
    ...{ config, kind, weights, rotary, attention, sequences, linear, kernels, onSaveable },
  });
  return { x, y, trained: adapted?.weights ?? weights, saveable };
}

const KEPT = "kept.";

/** Whether the graph hands over, or takes over, activations worth saving. */
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
  const { y, saveable } = trainingBlock(b, config, adapter);
  b.output("y", y);
  if (keep) saveable.forEach((value, i) => b.output(`${KEPT}${i}`, value));
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
 * import { parseConfig } from "@ortune/ortune";
 * import { blockBackwardGraph } from "@ortune/ortune/unstable-engine";
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
  const { x, y, trained, saveable } = trainingBlock(b, config, adapter);
  const dy = b.input("dy", y.dtype, y.shape);
  const wrt = new Map<Value, Value | undefined>([[x, undefined]]);
  for (const [name, weight] of trained) {
    wrt.set(
      weight,
      accumulate ? b.input(accumulatorName(name), weight.dtype, weight.shape) : undefined,
    );
  }
  const gradients = gradient(b, { seeds: new Map([[y, dy]]), wrt });
  if (keep) saveable.forEach((value, i) => b.cut(value, `${KEPT}${i}`));
  b.output("dx", gradients.get(x)!);
  for (const [name, weight] of trained) {
    b.output(gradientName(name), gradients.get(weight)!, { inPlaceOf: wrt.get(weight) });
  }
  return b.build();
}

/** The head's common part: chosen rows of x, normed [n, hidden] and scaled as the logits are to be. */
function headRows(b: GraphBuilder, config: ModelConfig, options: PrecisionOptions): {
  rows: Value;
  ids: Value;
  norm: Value;
  head: LargeMatrix;
  normed: Value;
  x: Value;
} {
  const { hiddenSize, vocabSize } = config;
  const { precision = "float32" } = options;
  const x = b.input("x", precision, ["tokens", hiddenSize]);
  const ids = b.input("token_ids", "int64", ["n", 1]);
  const norm = b.input(FINAL_NORM, precision, [hiddenSize]);
  const head = largeMatrixInput(b, { name: "lm_head", shape: [vocabSize, hiddenSize] }, {
    ...options,
    table: config.tiedEmbeddings,
  });
  const rows = ops.reshape(b, ops.gather(b, x, ids), ["n", hiddenSize]);
  const normed = rmsNormNodes(b, config, { x: rows, weight: norm });
  // Logits are scaled by scaling what they are products of, which is smaller.
  return { rows, ids, norm, head, normed: ops.scale(b, normed, config.logitScale), x };
}

/** The same and its logits [n, vocab], in float32. */
function headLogits(
  b: GraphBuilder,
  config: ModelConfig,
  options: PrecisionOptions,
): ReturnType<typeof headRows> & { logits: Value } {
  const made = headRows(b, config, options);
  const product = ops.cast(b, made.head.linear(made.normed), "float32");
  return { ...made, logits: capLogits(b, product, config) };
}

/** Chosen tokens of the last block's output → logits [n, vocab], in float32. */
export function headLogitsGraph(
  config: ModelConfig,
  options: PrecisionOptions = {},
): Graph {
  const b = new GraphBuilder("head_logits");
  b.output("logits", headLogits(b, config, options).logits);
  return b.build();
}

/**
 * The same in the precision that they are computed in, for a kernel that takes their cross-entropy.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { headProductGraph } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const [logits] = headProductGraph(config, { precision: "bfloat16" }).outputs;
 * assert.deepEqual([logits.dtype, logits.shape], ["bfloat16", ["n", 261]]);
 * ```
 */
export function headProductGraph(
  config: ModelConfig,
  options: PrecisionOptions = {},
): Graph {
  const b = new GraphBuilder("head_product");
  const { normed, head } = headRows(b, config, options);
  b.output("logits", head.linear(normed));
  return b.build();
}

/** How losses are computed of logits. */
export interface HeadLossOptions extends PrecisionOptions {
  /**
   * What is minimized.
   * @default cross-entropy
   */
  readonly objective?: Objective;
  /**
   * Takes softmax as the exponential of LogSoftmax, in place of one softmax and maxima: on CUDA a maximum
   * needs cuDNN.
   * @default whether precision is bfloat16, which is for CUDA
   */
  readonly logSoftmax?: boolean;
}

/** Chosen tokens and their targets → each one's loss, for evaluation. */
export function headLossGraph(
  config: ModelConfig,
  {
    precision = "float32",
    storage,
    objective = crossEntropy,
    logSoftmax = precision === "bfloat16",
  }: HeadLossOptions = {},
): Graph {
  const b = new GraphBuilder("head_loss");
  const { logits } = headLogits(b, config, { precision, storage });
  const targets = b.input("targets", "int64", ["n", 1]);
  b.output("loss", objective.losses(b, logits, targets, { logSoftmax }).loss);
  return b.build();
}

/** Whether the head's own weights are trained. */
export interface HeadGraphOptions extends GradientGraphOptions, HeadLossOptions {
  /**
   * Leaves the final norm and the head as they are: only the gradient of x is computed.
   * @default false
   */
  readonly frozen?: boolean;
  /**
   * Takes a scale for each token, [n, 1], in place of one for all.
   * @default false
   */
  readonly weighed?: boolean;
}

/**
 * Chosen tokens, their targets and a scale → each one's loss, and the gradients of `scale · Σ loss`, or of
 * `Σ scale · loss`: of x (written into the chosen rows of dx), and unless the head is frozen, of the norm and of
 * the head.
 */
export function headGraph(
  config: ModelConfig,
  {
    accumulate = true,
    frozen = false,
    weighed = false,
    precision = "float32",
    storage,
    objective = crossEntropy,
    logSoftmax = precision === "bfloat16",
  }: HeadGraphOptions = {},
): Graph {
  const kind = frozen ? "head_frozen" : accumulate ? "head" : "head_first";
  const b = new GraphBuilder(weighed ? `${kind}_weighed` : kind);
  const { logits, ...parts } = headLogits(b, config, { precision, storage });
  const { head, normed, x } = parts;
  const targets = b.input("targets", "int64", ["n", 1]);
  const scale = b.input("scale", "float32", weighed ? ["n", 1] : []);
  const dx = b.input("dx_before", x.dtype, x.shape);
  const { loss, gradient } = objective.losses(b, logits, targets, { logSoftmax });
  b.output("loss", loss);
  const dLogits = uncapGradient(b, gradient(precision), { capped: logits, config });
  // The scale goes onto the small operands, and is a float32 in any precision: it is one over a count, and
  // would be off by 2⁻⁹.
  const withScale = (value: Value): Value =>
    ops.cast(b, ops.mul(b, ops.cast(b, value, "float32"), scale), precision);
  const dNormed = withScale(head.backward(dLogits));
  headGradients(b, { ...parts, dx }, {
    accumulate,
    frozen,
    dNormed,
    dHead: (before) => ops.gemm(b, dLogits, withScale(normed), { transA: true, c: before }),
  });
  return b.build();
}

/**
 * The gradient of `scale · Σ loss` by the logits, `d_logits` [n, vocab], as a kernel makes it → what
 * {@linkcode headGraph} gives out but for the loss. Chosen rows are normed once more, which is little
 * beside the products.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { headBackwardGraph } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const { outputs } = headBackwardGraph(config, { frozen: true });
 * assert.deepEqual(outputs.map(({ name }) => name), ["dx"]);
 * ```
 */
export function headBackwardGraph(
  config: ModelConfig,
  { accumulate = true, frozen = false, precision = "float32", storage }: Omit<
    HeadGraphOptions,
    "logSoftmax" | "objective" | "weighed"
  > = {},
): Graph {
  const suffix = frozen ? "_frozen" : accumulate ? "" : "_first";
  const b = new GraphBuilder(`head_backward${suffix}`);
  const parts = headRows(b, config, { precision, storage });
  const { head, normed, x } = parts;
  const dLogits = b.input("d_logits", precision, ["n", config.vocabSize]);
  const dx = b.input("dx_before", x.dtype, x.shape);
  headGradients(b, { ...parts, dx }, {
    accumulate,
    frozen,
    dNormed: head.backward(dLogits),
    dHead: (before) => ops.gemm(b, dLogits, normed, { transA: true, c: before }),
  });
  return b.build();
}

/** From the gradient of the normed rows on: of the head, the norm and x. */
function headGradients(
  b: GraphBuilder,
  { rows, ids, norm, head, normed, dx }: Omit<ReturnType<typeof headRows>, "x"> & { dx: Value },
  { accumulate, frozen, dNormed, dHead }: {
    accumulate: boolean;
    frozen: boolean;
    dNormed: Value;
    /** Makes the head's gradient, added to what was before. */
    dHead: (before: Value | undefined) => Value;
  },
): void {
  const wrt = new Map<Value, Value | undefined>([[rows, undefined]]);
  if (!frozen) {
    const accumulator = (name: string, value: Value): Value | undefined =>
      accumulate ? b.input(accumulatorName(name), value.dtype, value.shape) : undefined;
    wrt.set(norm, accumulator(FINAL_NORM, norm));
    const headBefore = accumulator("lm_head", head.input);
    b.output(gradientName("lm_head"), dHead(headBefore), { inPlaceOf: headBefore });
  }
  const gradients = gradient(b, { seeds: new Map([[normed, dNormed]]), wrt });
  if (!frozen) {
    b.output(gradientName(FINAL_NORM), gradients.get(norm)!, { inPlaceOf: wrt.get(norm) });
  }
  b.output("dx", ops.scatterRows(b, dx, ids, gradients.get(rows)!), { inPlaceOf: dx });
}

/**
 * The gradient of the embedding: each token's is added to its row, in place, and no other row is
 * touched. Tokens of one id are summed by a product with their one-hot matrix, in a fixed order,
 * where a scatter that adds is atomic (and on CUDA has no bfloat16).
 *
 * Takes `dx` [tokens, hidden], `input_ids` int64 [tokens] (−1 for padding), and `unique_ids`, int64
 * [unique, 1], the ids among them, each once. The matrix takes unique · tokens elements, so give a
 * large batch a few thousand tokens at a time.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { embeddingBackwardGraph } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const { aliases } = embeddingBackwardGraph(config, { precision: "bfloat16" });
 * const table = "model.embed_tokens.weight";
 * assert.equal(aliases.get(`grad.${table}`), `accumulated.${table}`);
 * ```
 */
export function embeddingBackwardGraph(
  config: ModelConfig,
  { precision = "float32" }: PrecisionOptions = {},
): Graph {
  const { vocabSize, hiddenSize } = config;
  const b = new GraphBuilder("embedding_backward");
  const before = b.input(accumulatorName(EMBEDDING), precision, [vocabSize, hiddenSize]);
  const dx = b.input("dx", precision, ["tokens", hiddenSize]);
  const ids = b.input("input_ids", "int64", ["tokens"]);
  const unique = b.input("unique_ids", "int64", ["unique", 1]);
  const oneHot = ops.cast(b, ops.equal(b, unique, ops.unsqueeze(b, ids, 0)), precision);
  const rows = ops.reshape(b, ops.gather(b, before, unique), ["unique", hiddenSize]);
  const sums = ops.gemm(b, oneHot, ops.scale(b, dx, embeddingScaleIn(config, precision)), {
    c: rows,
  });
  b.output(gradientName(EMBEDDING), ops.scatterRows(b, before, unique, sums), {
    inPlaceOf: before,
  });
  return b.build();
}
