/**
 * Adafactor, of which a matrix' second moment is kept as means of its rows and columns. Shazeer and Stern 2018,
 * https://arxiv.org/abs/1804.04235; the arithmetic of transformers' Adafactor as its Trainer makes it, with
 * scale_parameter and relative_step false: the learning rate is the schedule's.
 *
 * With t updates and β = 1 − t^−0.8: `r ← β·r + (1−β)·mean of a row of g²`, c likewise of columns,
 * `u = g / √(r·c / mean r)`, and `p ← (1 − lr·w)·p − lr·u / max(1, RMS of u)`.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { AdamWOptions } from "./adamw_graph.ts";
import type { OptimizerDescription } from "./optimizer_description.ts";
import { describeTensorRule } from "./rule_optimizer.ts";
import type { TensorPart, TensorRule, TensorSize } from "./tensor_rule.ts";
import type { UpdateValues } from "./update_rule.ts";

// transformers' own defaults: eps[0], decay_rate, and clip_threshold, which is 1.
const LEAST_SQUARE = 1e-30;
const DECAY_RATE = -0.8;

const factored: TensorPart = {
  state: { row: "exp_avg_sq_row", column: "exp_avg_sq_col" },
  shapeOf: (name, [rows, columns]) => [name === "row" ? rows : columns],
  elementwise: false,
  update(b, values, size) {
    const { g, state: { row, column }, scalar } = values;
    const [rows, columns] = g.shape as readonly number[];
    const squares = ops.add(b, ops.mul(b, g, g), b.float32(LEAST_SQUARE));
    const mean = (x: Value, axis: number, count: number): Value =>
      ops.mul(b, ops.reduceSum(b, x, axis, { keepDims: false }), b.float32(1 / count));
    const newRow = average(b, values, row, mean(squares, 1, columns));
    const newColumn = average(b, values, column, mean(squares, 0, rows));
    const floor = scalar("floor");
    const whole = ops.add(b, mean(newRow, 0, rows), floor);
    const rootOf = (x: Value): Value => ops.sqrt(b, ops.add(b, x, floor));
    const byRow = ops.div(b, ops.sqrt(b, whole), rootOf(newRow));
    const byColumn = ops.div(b, b.float32(1), rootOf(newColumn));
    const u = ops.mul(
      b,
      ops.mul(b, g, ops.unsqueeze(b, byRow, 1)),
      ops.unsqueeze(b, byColumn, 0),
    );
    const sum = ops.reduceSum(b, ops.reduceSum(b, ops.mul(b, u, u), 1), 0);
    return { p: stepped(b, values, u, sum, size), state: { row: newRow, column: newColumn } };
  },
};

const plain: TensorPart = {
  state: { square: "exp_avg_sq" },
  elementwise: false,
  update(b, values, size) {
    const { g, state: { square }, scalar } = values;
    const squares = ops.add(b, ops.mul(b, g, g), b.float32(LEAST_SQUARE));
    const newSquare = average(b, values, square, squares);
    const u = ops.div(b, g, ops.sqrt(b, ops.add(b, newSquare, scalar("floor"))));
    const sum = ops.reduceSum(b, ops.mul(b, u, u), 0);
    return { p: stepped(b, values, u, sum, size), state: { square: newSquare } };
  },
};

function average(b: GraphBuilder, { scalar }: UpdateValues, before: Value, now: Value): Value {
  return ops.add(b, ops.mul(b, before, scalar("keep")), ops.mul(b, now, scalar("add")));
}

/** The parameters after a step u whose root mean square is made 1 where it is more. */
function stepped(
  b: GraphBuilder,
  { p, scalar, decays }: UpdateValues,
  u: Value,
  sumOfSquares: Value,
  { elements }: TensorSize,
): Value {
  const one = b.float32(1);
  const meanSquare = ops.mul(b, sumOfSquares, b.float32(1 / Math.max(1, elements)));
  const rms = ops.sqrt(b, meanSquare);
  const larger = ops.where(b, ops.greater(b, rms, one), rms, one);
  const step = ops.mul(b, u, ops.div(b, scalar("rate"), larger));
  return ops.sub(b, decays ? ops.mul(b, p, scalar("decay")) : p, step);
}

function adafactorRule({ weightDecay = 0 }: AdamWOptions = {}): TensorRule {
  return {
    weightDecay,
    running: { updates: (updates) => updates },
    scalars(b, { rate, decay, made, running: { updates }, guarded }) {
      const count = ops.add(b, updates, made);
      const share = ops.exp(b, ops.mul(b, ops.log(b, count), b.float32(DECAY_RATE)));
      return {
        keep: guarded(ops.sub(b, b.float32(1), share), 1),
        add: guarded(share, 0),
        rate: guarded(rate, 0),
        decay: guarded(decay, 1),
        // Nothing is divided by a mean that is still 0, in an update that is skipped.
        floor: guarded(0, 1),
        updates: count,
      };
    },
    partOf: ({ shape }) => shape.length === 2 ? factored : plain,
  };
}

/** Adafactor as a row of `optimizers.ts`. */
export const adafactor: OptimizerDescription = {
  title: "Adafactor",
  help: "Adafactor, with next to no state: of a matrix it keeps means of rows and columns; " +
    "--adam-beta1, --adam-beta2 and --adam-epsilon are not its own",
  state: [...Object.values(factored.state), ...Object.values(plain.state)],
  ...describeTensorRule(adafactorRule),
};
