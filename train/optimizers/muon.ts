/**
 * Muon: a matrix goes by its orthogonalized momentum, all else by AdamW. Jordan et al. 2024,
 * https://kellerjordan.github.io/posts/muon/; the arithmetic of torch.optim.Muon with Nesterov's momentum and
 * adjust_lr_fn "match_rms_adamw" (Liu et al. 2025, https://arxiv.org/abs/2502.16982), by which one learning
 * rate serves both. Where PyTorch orthogonalizes in bfloat16, this does in float32.
 *
 * `m ← 0.95·m + 0.05·g`, `o = NS(0.95·m + 0.05·g)`, `p ← (1 − lr·w)·p − lr·0.2·√(larger side)·o`, with NS five
 * steps of `x ← a·x + (b·xxᵀ + c·(xxᵀ)²)·x` from x of Frobenius norm 1, of the smaller Gram matrix.
 */

import { EMBEDDING, LM_HEAD } from "../../model/parameters.ts";
import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { ADAMW_STATE, type AdamWOptions, adamWRule } from "./adamw_graph.ts";
import type { OptimizerDescription } from "./optimizer_description.ts";
import { describeTensorRule } from "./rule_optimizer.ts";
import type { TensorPart, TensorRule } from "./tensor_rule.ts";

// torch's own defaults.
const MOMENTUM = 0.95;
const COEFFICIENTS = [3.4445, -4.775, 2.0315] as const;
const STEPS = 5;
const LEAST_NORM = 1e-7;

const orthogonalized: TensorPart = {
  state: { momentum: "momentum_buffer" },
  elementwise: false,
  update(b, { p, g, state: { momentum }, scalar, decays }) {
    const newMomentum = ops.add(
      b,
      ops.mul(b, momentum, scalar("keep_momentum")),
      ops.mul(b, g, scalar("add_momentum")),
    );
    const ahead = ops.mul(b, ops.sub(b, newMomentum, g), b.float32(MOMENTUM));
    const direction = orthogonal(b, ops.add(b, g, ahead));
    const larger = Math.max(...g.shape as readonly number[]);
    const rate = ops.mul(b, scalar("rate"), b.float32(0.2 * Math.sqrt(larger)));
    const kept = decays ? ops.mul(b, p, scalar("decay")) : p;
    return {
      p: ops.sub(b, kept, ops.mul(b, direction, rate)),
      state: { momentum: newMomentum },
    };
  },
};

/** The matrix with all singular values brought near 1, by Newton–Schulz steps. */
function orthogonal(b: GraphBuilder, matrix: Value): Value {
  const [rows, columns] = matrix.shape as readonly number[];
  const square = ops.reduceSum(b, ops.reduceSum(b, ops.mul(b, matrix, matrix), 1), 0);
  const norm = ops.sqrt(b, square);
  const least = b.float32(LEAST_NORM);
  const divisor = ops.where(b, ops.greater(b, norm, least), norm, least);
  const [first, second, third] = COEFFICIENTS.map((each) => b.float32(each));
  let x = ops.div(b, matrix, divisor);
  for (let step = 0; step < STEPS; step++) {
    const wide = rows <= columns;
    const gram = wide ? ops.gemm(b, x, x, { transB: true }) : ops.gemm(b, x, x, { transA: true });
    const weighted = ops.add(
      b,
      ops.mul(b, gram, second),
      ops.mul(b, ops.gemm(b, gram, gram), third),
    );
    const turned = wide ? ops.gemm(b, weighted, x) : ops.gemm(b, x, weighted);
    x = ops.add(b, ops.mul(b, x, first), turned);
  }
  return x;
}

function muonRule(options?: AdamWOptions): TensorRule {
  const adamW = adamWRule(options);
  const plain: TensorPart = {
    state: ADAMW_STATE,
    elementwise: true,
    update: (b, values) => adamW.update(b, values),
  };
  return {
    weightDecay: adamW.weightDecay,
    running: adamW.running,
    scalars: (b, step) => ({
      ...adamW.scalars(b, step),
      keep_momentum: step.guarded(MOMENTUM, 1),
      add_momentum: step.guarded(1 - MOMENTUM, 0),
      rate: step.guarded(step.rate, 0),
    }),
    partOf: ({ name, shape }) =>
      shape.length === 2 && name !== EMBEDDING && name !== LM_HEAD ? orthogonalized : plain,
  };
}

/** Muon as a row of `optimizers.ts`. */
export const muon: OptimizerDescription = {
  title: "Muon",
  help:
    "Muon on matrices, at AdamW's learning rate and with half of its state; AdamW on embeddings, head and " +
    "norms",
  state: [...Object.values(orthogonalized.state), ...Object.values(ADAMW_STATE)],
  ...describeTensorRule(muonRule),
};
