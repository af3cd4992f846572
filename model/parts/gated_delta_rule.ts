/**
 * The gated delta rule: a state S a head, which at each token decays, and of which what it answers to the
 * token's key is moved towards the token's value,
 *
 *     S ← e^g · S,  S ← S + k·(β·(v − kᵀS)),  o = Sᵀq,
 *
 * computed a chunk of tokens at a time: what tokens of a chunk do to each other is an inverse of a triangular
 * matrix, and from chunk to chunk the state goes by a linear recurrence. Yang et al. 2024,
 * https://arxiv.org/abs/2412.06464.
 *
 * In: queries, keys, values, decays and strengths of rows of tokens. Out: o, and the last state. All in float32.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import { linearRecurrence } from "../../ort/graph/linear_recurrence.ts";
import * as ops from "../../ort/graph/ops.ts";
import { crop, pad } from "../../ort/graph/pad.ts";
import { indicator, unitLowerInverse } from "../../ort/graph/unit_lower_inverse.ts";
import { HIDDEN, type Sequences } from "./block_scope.ts";
import type { DeltaSizes } from "./layer_kind.ts";

/** ε of the length that queries and keys are divided by. */
const EPSILON = 1e-6;

/** What the rule is given of each token, float32. */
export interface DeltaInputs {
  /** Queries, [rows, length, keyHeads·keyDim]. */
  readonly q: Value;
  /** Keys, of the same shape. */
  readonly k: Value;
  /** Values, [rows, length, valueHeads·valueDim]. */
  readonly v: Value;
  /** g, the logarithm of what the state is multiplied by: 0 or less, [rows, length, valueHeads]. */
  readonly decay: Value;
  /** β, how far the state is moved: [rows, length, valueHeads]. */
  readonly strength: Value;
}

/** What comes of it. */
export interface DeltaOutputs {
  /** o, [rows, length, valueHeads·valueDim]. */
  readonly mixed: Value;
  /** The state after the last token, [rows, valueHeads, keyDim, valueDim]. */
  readonly last: Value;
}

/** Adds the nodes. */
export function gatedDeltaRule(
  b: GraphBuilder,
  inputs: DeltaInputs,
  { sizes, sequences }: { readonly sizes: DeltaSizes; readonly sequences: Sequences },
): DeltaOutputs {
  const { keyHeads, valueHeads, keyDim, valueDim } = sizes;
  const { rows, length, chunk, chunks, padding, segments, past } = sequences;
  const heads = [chunks, rows, valueHeads];
  const states = [rows, valueHeads, keyDim, valueDim];
  /** [rows, length, count·width] → [chunks, rows, count, chunk, width] */
  const byChunk = (x: Value, count: number, width: number): Value => {
    const whole = padding === 0
      ? x
      : pad(b, x, { axis: 1, after: padding, size: product(chunks, chunk) });
    const split = ops.reshape(b, whole, [rows, chunks, chunk, count, width]);
    return ops.transpose(b, split, [1, 0, 3, 2, 4]);
  };
  /** Divides by √(Σx² + ε), which is RMSNorm but for its factors, and multiplies. */
  const ofLength = (x: Value, factor: number): Value => {
    const flat = ops.reshape(b, x, [product(chunks, rows, keyHeads, chunk), keyDim]);
    const weight = b.float32(Array<number>(keyDim).fill(factor * keyDim ** -0.5));
    const [normed] = ops.rmsNorm(b, flat, weight, EPSILON / keyDim);
    return repeated(ops.reshape(b, normed, x.shape));
  };
  /** Gives several heads of values in succession one of keys. */
  const repeated = (x: Value): Value => {
    const group = valueHeads / keyHeads;
    if (group === 1) return x;
    const [, , , ...rest] = x.shape;
    const lead: readonly Dim[] = [chunks, rows, keyHeads];
    const shared = ops.reshape(b, x, [...lead, 1, ...rest]);
    const each = ops.expand(b, shared, [...lead, group, ...rest]);
    return ops.reshape(b, each, [...heads, ...rest]);
  };
  const q = ofLength(byChunk(inputs.q, keyHeads, keyDim), keyDim ** -0.5);
  const k = ofLength(byChunk(inputs.k, keyHeads, keyDim), 1);
  const v = byChunk(inputs.v, valueHeads, valueDim);
  const strength = byChunk(inputs.strength, valueHeads, 1);
  const decay = byChunk(inputs.decay, valueHeads, 1);

  // Logarithms of how far a state has decayed from the chunk's start on: across segments they mean nothing,
  // and are hidden.
  const total = runningSum(b, decay, chunk);
  const shown = (exponent: Value, mask: Value | undefined): Value =>
    ops.exp(b, mask ? ops.add(b, exponent, mask) : exponent);
  const carried = shown(total, segments?.carried);
  const end = { axis: 3, start: chunk - 1, end: chunk };
  const kept = shown(ops.sub(b, ops.slice(b, total, end), total), segments?.kept);
  const whole = ops.slice(b, carried, end);
  const values = ops.mul(b, v, strength);
  const keys = ops.mul(b, k, ops.mul(b, strength, carried));
  /** Of the state that a chunk begins with, in answer to its keys. */
  let [written, erased] = [values, keys];
  let seen = ops.matmul(b, q, k, { transB: true });
  if (chunk > 1) {
    const across = ops.reshape(b, total, [...heads, 1, chunk]);
    const pairs = shown(ops.sub(b, total, across), segments?.pairs ?? causal(b, chunk));
    const overlaps = ops.matmul(b, k, k, { transB: true });
    const inverse = unitLowerInverse(
      b,
      ops.mul(b, ops.mul(b, overlaps, pairs), strength),
    );
    written = ops.matmul(b, inverse, values);
    erased = ops.matmul(b, inverse, keys);
    seen = ops.mul(b, seen, pairs);
  }
  const leaving = ops.mul(b, k, kept);
  const initial = past?.matrices ?? ops.expand(b, b.float32(0), states);

  /** What a state is changed by: the values, less what it answers already. */
  const changes = (before: Value): Value => ops.sub(b, written, ops.matmul(b, erased, before));
  let before: Value;
  let last: Value;
  if (chunks === 1) {
    before = ops.reshape(b, initial, [1, ...states]);
    const moved = ops.matmul(b, leaving, changes(before), { transA: true });
    last = ops.reshape(b, ops.add(b, ops.mul(b, before, whole), moved), states);
  } else {
    // Of the state that a chunk begins with, a linear function.
    const unchanged = ops.mul(b, whole, indicator(b, keyDim, (row, column) => row === column));
    const forgotten = ops.matmul(b, leaving, erased, { transA: true });
    const batch = product(rows, valueHeads);
    const flat = (x: Value, columns: number): Value =>
      ops.reshape(b, x, [chunks, batch, keyDim, columns]);
    const walked = linearRecurrence(b, {
      transitions: flat(ops.sub(b, unchanged, forgotten), keyDim),
      additions: flat(ops.matmul(b, leaving, written, { transA: true }), valueDim),
      initial: ops.reshape(b, initial, [batch, keyDim, valueDim]),
    });
    before = ops.reshape(b, walked.before, [chunks, ...states]);
    last = ops.reshape(b, walked.last, states);
  }
  const recalled = ops.matmul(b, ops.mul(b, q, carried), before);
  const mixed = ops.add(b, recalled, ops.matmul(b, seen, changes(before)));
  const inOrder = ops.reshape(b, ops.transpose(b, mixed, [1, 0, 3, 2, 4]), [
    rows,
    product(chunks, chunk),
    valueHeads * valueDim,
  ]);
  const tokens = padding === 0
    ? inOrder
    : crop(b, inOrder, { axis: 1, after: padding, size: length });
  return { mixed: tokens, last };
}

/** Each token's sum with those before it in its chunk: x [..., chunk, 1]. */
function runningSum(b: GraphBuilder, x: Value, chunk: number): Value {
  if (chunk === 1) return x;
  const flat = ops.reshape(b, x, [product(...x.shape.slice(0, -2)), chunk]);
  const before = indicator(b, chunk, (row, column) => column <= row);
  return ops.reshape(b, ops.linear(b, flat, before), x.shape);
}

/** 0 where a token reads another, of its own chunk and not behind it; else nothing is left: [chunk, chunk]. */
function causal(b: GraphBuilder, chunk: number): Value {
  const behind = indicator(b, chunk, (row, column) => column > row);
  return ops.mul(b, behind, b.float32(HIDDEN));
}
