/**
 * Soft-capped logits, cap · tanh(logits ÷ cap), and their gradient.
 *
 * In: logits and a config. Out: the same where it has no cap.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { ModelConfig } from "../config.ts";

/** Caps logits [n, vocab], in float32 and rounded once. */
export function capLogits(b: GraphBuilder, x: Value, { logitCap: cap }: ModelConfig): Value {
  if (cap === undefined) return x;
  const share = ops.mul(b, ops.cast(b, x, "float32"), b.float32(1 / cap));
  return ops.cast(b, ops.mul(b, ops.tanh(b, share), b.float32(cap)), x.dtype);
}

/** From the gradient by capped logits, which are float32, to that by the product: d · (1 − (capped ÷ cap)²). */
export function uncapGradient(
  b: GraphBuilder,
  d: Value,
  { capped, config: { logitCap: cap } }: { readonly capped: Value; readonly config: ModelConfig },
): Value {
  if (cap === undefined) return d;
  const share = ops.mul(b, capped, b.float32(1 / cap));
  const slope = ops.sub(b, b.float32(1), ops.mul(b, share, share));
  return ops.cast(b, ops.mul(b, ops.cast(b, d, "float32"), slope), d.dtype);
}
