/**
 * Rows of one batch that are of different lengths, as clients pad them.
 *
 * In: ids [rows, length] and a mask with a one for each token that counts. Out: the ids with a row's tokens
 * from its first column on, as GroupQueryAttention and its cache have them, and the way back: what is
 * computed of the moved tokens, in the columns that the client gave them.
 *
 * Tokens and results are only moved, so that a row's logits are those that it has alone.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import { product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";

/** Name of the node that refuses a batch: ONNX Runtime's error has it. */
const REFUSAL = "attention_mask_must_have_one_run_of_ones_for_the_new_tokens_of_each_row";
/** Beyond any row. */
const NOWHERE = 2n ** 40n;
const MAX_INT64 = 2n ** 63n - 1n;

/** Padded rows, moved to the left. */
export interface PaddedRows {
  /** [rows, length]; what follows a row's tokens is any token. */
  readonly ids: Value;
  /** Where in its sequence each of these stands, int64 [rows, length]: at most the given last position. */
  positions(last: number): Value;
  /**
   * The last `count` columns of x [rows·length, width], all of them where it is 0, as they were before:
   * [rows·kept, width] with [rows, kept] as int64 [2]. Where there was padding, the row's first token stands.
   */
  lastColumns(x: Value, count: Value): { readonly x: Value; readonly shape: Value };
}

/**
 * Moves a batch's rows.
 *
 * Where the new tokens of a row are not one run of ones, such as a mask with holes, the indices lead out of
 * the row: ONNX Runtime then refuses the batch.
 *
 * @param ids [rows, length], the new tokens
 * @param mask [rows, past + length]; of what is in the cache already only the number of ones counts
 */
export function moveRows(b: GraphBuilder, ids: Value, mask: Value): PaddedRows {
  const int64 = (shape: Value["shape"]) => [{ dtype: "int64", shape }] as const;
  const node = (
    op: string,
    inputs: readonly Value[],
    shape: Value["shape"],
    attributes: Readonly<Record<string, bigint>> = {},
  ): Value => b.node(op, inputs, int64(shape), { attributes })[0];
  const size = (axis: number): Value =>
    node("Shape", [ids], [1], { start: BigInt(axis), end: BigInt(axis + 1) });
  const scalar = (value: Value): Value => ops.reshape(b, value, []);
  const [rows, length] = [size(0), size(1)];
  const [zero, one, end] = [0n, 1n, MAX_INT64].map((each) => b.int64([each]));
  const range = (limit: Value, dim: string): Value =>
    node("Range", [scalar(zero), scalar(limit), scalar(one)], [dim]);

  const recent = node("Slice", [mask, node("Neg", [length], [1]), end, one], ["rows", "length"]);
  const edge = (select_last_index: bigint): Value =>
    node("ArgMax", [recent], ["rows", 1], { axis: 1n, keepdims: 1n, select_last_index });
  const [first, last] = [edge(0n), edge(1n)];
  const ones = ops.reduceSum(b, recent, 1);
  const isRun = ops.equal(b, ops.add(b, ops.sub(b, last, first), one), ones);
  const refused = ops.where(b, isRun, zero, b.int64([NOWHERE]));

  const columns = range(length, "length");
  const lastColumn = ops.sub(b, length, one);
  const inRow = node("Min", [ops.add(b, columns, first), lastColumn], ["rows", "length"]);
  const from = ops.add(b, inRow, refused);
  const moved = b.node("GatherElements", [ids, from], int64(["rows", "length"]), {
    attributes: { axis: 1n },
    name: REFUSAL,
  })[0];

  return {
    ids: moved,
    positions(last: number) {
      const before = ops.sub(b, ops.reduceSum(b, mask, 1), ones);
      const at = ops.add(b, before, columns);
      return node("Min", [at, b.int64([BigInt(last)])], ["rows", "length"]);
    },
    lastColumns(x: Value, count: Value) {
      // From −count on: from −0, the first, where all are wanted.
      const start = ops.reshape(b, node("Neg", [count], []), [1]);
      const kept = node("Slice", [columns, start, end], ["kept"]);
      const back = node("Max", [ops.sub(b, kept, first), zero], ["rows", "kept"]);
      const rowStarts = ops.mul(b, range(rows, "rows"), length);
      const at = ops.add(b, back, ops.unsqueeze(b, rowStarts, 1));
      const shape = node("Shape", [at], [2]);
      const flat = node("Reshape", [at, b.int64([-1n])], [product("kept", "rows")]);
      return { x: ops.gather(b, x, flat), shape };
    },
  };
}
