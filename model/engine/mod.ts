/**
 * A model's graphs, and the engine that runs them block by block, forwards and backwards. Not
 * promised: names and shapes here change with any version.
 *
 * ```ts
 * import { blockForwardGraph } from "@ortune/ortune/unstable-engine";
 * import { parseConfig } from "@ortune/ortune/model";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   vocab_size: 261, num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 });
 * assert.ok(blockForwardGraph(config).nodes.length > 10);
 * ```
 *
 * @module
 */

export {
  type ForwardBackwardOptions,
  type PendingLosses,
  type TokenLosses,
  TrainingEngine,
  type TrainingEngineOptions,
  type WeighedLosses,
} from "./training_engine.ts";
export type { EngineAdapter, EngineKernels } from "./engine_context.ts";
export type { BlockKernels } from "./kernel_nodes.ts";
export type { LaunchNode } from "./subgraph_sessions.ts";
export { type LabelledGrid, NO_TARGET, sequenceGrid, type TokenGrid } from "./batch.ts";
export { CompiledGraph } from "./compiled_graph.ts";
export { type LoadOptions, loadWeights } from "./load_weights.ts";
export { RoundingTally, type TypedBytes } from "./rounding_tally.ts";
export { Scratch } from "./scratch.ts";
export { EventTurns } from "./event_turns.ts";
export { YieldTimer } from "./yield_timer.ts";
export { blockKernelsFor, type KernelAdapter, whyNoKernel } from "../block_kernels.ts";
export { type StackedParameter, stackedParameters } from "../stacked_parameters.ts";
export { distinctKinds } from "../parts/layer_kind.ts";
export {
  attentionFactor,
  inverseFrequencies,
  type PositionTable,
  positionTables,
  type RopeTables,
  ropeTables,
} from "../rope.ts";
export {
  accumulatorName,
  type AdapterOptions,
  attentionMaskGraph,
  blockBackwardGraph,
  blockForwardGraph,
  embeddingBackwardGraph,
  embedGraph,
  type EmbedOptions,
  type GradientGraphOptions,
  gradientName,
  headBackwardGraph,
  headGraph,
  type HeadGraphOptions,
  headLogitsGraph,
  headLossGraph,
  type HeadLossOptions,
  headProductGraph,
  type KeepOptions,
  keptValues,
  SEGMENT_ENDS,
  SEGMENT_STARTS,
  trainedStacks,
} from "../graphs/training_graphs.ts";
export type { Losses, LossKernel, LossOptions, Objective } from "../graphs/objective.ts";
export { crossEntropy } from "../graphs/cross_entropy.ts";
export {
  cacheHeadDim,
  decodeBlockGraph,
  type DecodeBlockOptions,
  STEP_INPUTS,
} from "../graphs/decode_graphs.ts";
export { castGraph, zerosGraph } from "../graphs/device_graphs.ts";
export {
  block,
  type BlockAdapter,
  type BlockOptions,
  blockWeightInputs,
  DROPOUT_COLUMNS,
  DROPOUT_MASK,
  DROPOUT_ROWS,
  plainLinear,
  rotaryInputs,
} from "../graphs/block.ts";
export {
  attendTo,
  type AttentionKeys,
  kernelAttention,
  MASKED,
  maskedAttention,
  type SegmentInputs,
} from "../graphs/attention.ts";
export type { Block, BlockPart, WeightStack } from "../parts/block_part.ts";
export {
  type Attention,
  type BlockKernel,
  type BlockScope,
  type LinearLayer,
  type ProjectedAttention,
  type ProjectedHeads,
  type Rotary,
  type Sequences,
  type SequenceSegments,
  type SequenceState,
  TOKENS,
} from "../parts/block_scope.ts";
export { residualBlock, type ResidualBranch } from "../parts/residual_block.ts";
export { type Norm, rmsNorm } from "../parts/rms_norm.ts";
export { QKV, selfAttention, type SelfAttentionOptions } from "../parts/self_attention.ts";
export { type FusedMlpNames, GATE_UP, gatedMlp } from "../parts/gated_mlp.ts";
