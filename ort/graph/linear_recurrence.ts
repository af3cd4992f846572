/**
 * A state that is a linear function of the one before: S[n+1] = M[n]·S[n] + B[n], in ONNX's Scan.
 *
 * In: M [steps, batch, K, K], B [steps, batch, K, V] and S[0] [batch, K, V], in float32. Out: the states that the
 * steps began with, [steps, batch, K, V], and the one after the last. The gradient is the same recurrence from
 * the last step to the first, with Mᵀ.
 *
 * @module
 */

import { GraphBuilder } from "./builder.ts";
import type { Dim } from "./dim.ts";
import type { Graph, Value } from "./ir.ts";
import * as ops from "./ops.ts";
import { plus } from "./plus.ts";

/** What a recurrence is made of. */
export interface Recurrence {
  /** M, [steps, batch, K, K] */
  readonly transitions: Value;
  /** B, [steps, batch, K, V] */
  readonly additions: Value;
  /** S[0], [batch, K, V] */
  readonly initial: Value;
}

/** The states of a recurrence. */
export interface RecurrentStates {
  /** S[0] to S[steps − 1], [steps, batch, K, V]. */
  readonly before: Value;
  /** S[steps], [batch, K, V]; it has no gradient rule. */
  readonly last: Value;
}

/** Walks over all steps. */
export function linearRecurrence(b: GraphBuilder, recurrence: Recurrence): RecurrentStates {
  const { transitions, additions, initial } = recurrence;
  const { before: made, last } = scan(b, recurrence, { backwards: false });
  // Scan's first output is the last state: what the gradient is of has a name of its own.
  const before = ops.reshape(b, made, made.shape);
  b.differentiate(before, {
    inputs: [transitions, additions, initial],
    rule: ({ dy, give }) => {
      const none = ops.expand(b, b.float32(0), initial.shape);
      const { before: after, last: first } = scan(
        b,
        { transitions, additions: dy, initial: none },
        { backwards: true },
      );
      give(0, (partial) => plus(b, partial, ops.matmul(b, after, before, { transB: true })));
      give(1, (partial) => plus(b, partial, after));
      give(2, (partial) => plus(b, partial, first));
    },
  });
  return { before, last };
}

function scan(
  b: GraphBuilder,
  { transitions, additions, initial }: Recurrence,
  { backwards }: { readonly backwards: boolean },
): RecurrentStates {
  const direction = BigInt(backwards);
  const [last, before] = b.node("Scan", [initial, transitions, additions], [
    { dtype: initial.dtype, shape: initial.shape },
    { dtype: initial.dtype, shape: additions.shape },
  ], {
    attributes: {
      num_scan_inputs: 2n,
      scan_input_directions: [direction, direction],
      scan_output_directions: [direction],
    },
    body: stepGraph(additions.shape.slice(1), { transposed: backwards }),
  });
  return { before, last };
}

/** One step. */
function stepGraph(
  [batch, width, columns]: readonly Dim[],
  { transposed }: { readonly transposed: boolean },
): Graph {
  const b = new GraphBuilder("recurrence_step");
  const state = b.input("step_state", "float32", [batch, width, columns]);
  const transition = b.input("step_transition", "float32", [batch, width, width]);
  const addition = b.input("step_addition", "float32", [batch, width, columns]);
  const moved = ops.matmul(b, transition, state, { transA: transposed });
  b.output("step_next", ops.add(b, moved, addition));
  b.output("step_before", state);
  return b.build();
}
