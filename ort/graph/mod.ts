/**
 * Graphs of ONNX operators: built, differentiated, cut into subgraphs and written. Not promised: names
 * and shapes here change with any version.
 *
 * ```ts
 * import { gradient, GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("square");
 * const x = b.input("x", "float32", ["n"]);
 * const y = ops.reduceSum(b, ops.mul(b, x, x), 0);
 * b.output("y", y);
 * assert.equal(b.build().outputs.length, 1);
 * assert.equal(typeof gradient, "function");
 * ```
 *
 * @module
 */

export {
  type Attribute,
  type Constant,
  type Graph,
  IR_VERSION,
  KERNEL_DOMAIN,
  type Node,
  OPSET,
  type Value,
} from "./ir.ts";
export {
  broadcast,
  type Dim,
  evaluateDim,
  evaluateShape,
  product,
  sameShape,
  type Shape,
  type Symbols,
} from "./dim.ts";
export { type GradientContext, GraphBuilder, type OwnGradient } from "./builder.ts";
export { gradient, type GradientOptions } from "./gradient.ts";
export { type GradientRule, gradientRules, type RuleContext } from "./gradient_rules.ts";
export { assertAliases } from "./alias.ts";
export {
  type HashedDropout,
  hashedDropout,
  headAttention,
  type HeadAttentionInputs,
  LORA_PARTIAL_SUMS,
  loraDown,
  type LoraPart,
  loraUp,
  packedLinear,
  packedLinearGradient,
  PARTIAL_SUMS,
  rmsNormWithKernel,
  segmentAttention,
  type SegmentAttentionInputs,
  swiglu,
} from "./kernel_ops.ts";
export {
  bytesOf,
  type Crossing,
  type SplitGraph,
  splitSubgraphs,
  type Subgraph,
} from "./subgraphs.ts";
export {
  type BufferPlan,
  type MemoryPlan,
  planBuffers,
  planMemory,
  type PlannedItem,
} from "./memory_plan.ts";
export { ArenaEstimate } from "./arena_estimate.ts";
export { emulateBfloat16 } from "./emulate_bfloat16.ts";
export { lowerForWebGpu } from "./lower_webgpu.ts";
export { type ExternalData, writeOnnx, type WriteOnnxOptions } from "./onnx_writer.ts";
export * as ops from "./ops.ts";
