/**
 * What a device needs a graph for, where the CPU's engine writes into host memory.
 *
 * A training step, graph by graph; of the blocks' graphs there is one a kind of layers. `p` is the precision, float32 or bfloat16; all that is not said
 * to be p is as written. Shapes: tokens = length·rows of a grid, n chosen tokens.
 *
 * | graph | inputs | outputs |
 * |---|---|---|
 * | `embedGraph` | table p [vocab, hidden], input_ids int64 [rows, length] | x p [tokens, hidden] |
 * | `attentionMaskGraph`, one a window | segment_ids int32 [rows, length], columns int32 [length] (0, 1, …) | mask p [rows, 1, 1, length, length] |
 * | `blockForwardGraph` | x p, the layer's weights p, position_ids int64, cos and sin p [positions, width/2], mask p; an adapter's weights float32 | y p, with `keep` kept.N p (float32 within an adapter) |
 * | … with dropout | `<layer>.dropout_mask` uint8 [tokens, in], or with `deviceDropout` dropout_rows int32 [tokens, 1] and `<layer>.dropout_columns` int32 [in] | |
 * | `headGraph` | x p, token_ids and targets int64 [n, 1], norm and lm_head p, scale float32 [], dx_before p, accumulated.* p | loss float32 [n, 1], dx p over dx_before, grad.* p over accumulated.* |
 * | `headProductGraph`, for own kernels | x p, token_ids, norm and lm_head p | logits p [n, vocab] |
 * | `headBackwardGraph`, for own kernels | the same, d_logits p over the logits, dx_before p, accumulated.* p | dx p over dx_before, grad.* p over accumulated.* |
 * | `headLossGraph`, `headLogitsGraph` | the same without gradients | loss float32 [n, 1]; logits float32 [n, vocab] |
 * | `blockBackwardGraph` | forward's and dy p, kept.* or none, accumulated.* | dx p (not dy's memory), grad.* over accumulated.*; an adapter's float32 |
 * | both block graphs, for attention in chunks | segment_starts int32 [tokens] in place of the mask | |
 * | `chunkMaskGraph` | starts and queries int32 [length], keys int32 [keys] | mask float32 [1, 1, 1, length, keys] |
 * | `chunkForwardGraph` | q, k, v and mixed_before float32 [tokens, …], query_ids int64 [length, 1], key_ids int64 [keys, 1], mask | mixed over mixed_before |
 * | `chunkBackwardGraph` | the same, mixed, d_mixed, dq_before, dk_before and dv_before float32 [tokens, …] | dq, dk, dv over those before |
 * | `embeddingBackwardGraph` | dx p [tokens, hidden], input_ids int64 [tokens] (−1: padding), unique_ids int64 [unique, 1], accumulated p | grad p over accumulated |
 * | `zerosGraph` | only its shape | zeros [rows, columns] |
 * | `castGraph` | x [elements] | y [elements], another type |
 * | `weightNormGraph` | DoRA's: w p [out, in], a and b float32 | norm float32 [out] |
 * | `sumOfSquaresGraph` | g p [blocks, 256] | sums float32 [blocks, 1] |
 * | `adamWGraph` | see its formats | in place |
 * | `decodeBlockGraph` | `fused` bfloat16, `plain` either: see there | y p, present_key and present_value over past_* |
 *
 * Inputs named `shape:…` (`Graph.shapeInputs`) are int64 on the HOST, on every device; so is
 * total_length of the fused decode graph. Cosines and sines come from `positionTables` in float32,
 * rounded by `float32ToBfloat16`. dropout_rows are new random odd numbers for each batch, the columns
 * are drawn once for each layer of the run: backward, and a resumed run, must bind the same ones.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { DType } from "../../ort/tensor/dtype.ts";

/**
 * Writes zeros: [rows, columns], such as the gradient that the head's first chunk adds to.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { CompiledGraph, zerosGraph } from "@ortune/ortune/unstable-engine";
 * import { Tensor } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using graph = new CompiledGraph(runtime, zerosGraph("float32"));
 * using zeros = Tensor.from(runtime, "float32", [1, 2], Float32Array.of(3, 4));
 * graph.run({ zeros }, { rows: 1, columns: 2 });
 * assert.deepEqual([...zeros.float32()], [0, 0]);
 * ```
 */
export function zerosGraph(dtype: DType): Graph {
  const b = new GraphBuilder("zeros");
  b.output("zeros", ops.expand(b, b.float(dtype, 0), ["rows", "columns"]));
  return b.build();
}

/**
 * Numbers in another type: x [elements] → y [elements]. Makes the float32 master of bfloat16 weights,
 * and bfloat16 weights of a float32 checkpoint.
 *
 * @example
 * ```ts
 * import { castGraph } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const { inputs, outputs } = castGraph("bfloat16", "float32");
 * assert.deepEqual([inputs[0].dtype, outputs[0].dtype], ["bfloat16", "float32"]);
 * ```
 */
export function castGraph(from: DType, to: DType): Graph {
  const b = new GraphBuilder("cast");
  b.output("y", ops.cast(b, b.input("x", from, ["elements"]), to));
  return b.build();
}
