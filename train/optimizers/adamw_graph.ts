/**
 * AdamW's arithmetic, elementwise over a chunk of parameters, in place.
 *
 * In: p, g, m, v, [n] each, and the step's scalars. Out: p, m and v. Loshchilov and Hutter 2019,
 * https://arxiv.org/abs/1711.05101; torch.optim.AdamW's order of operations, with the bias
 * corrections folded into two scalars a step.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { correctionAfter, nextCorrection } from "./bias_correction.ts";
import type { GraphStateFormat } from "./state_format.ts";
import { updateGraph } from "./update_graph.ts";
import type { UpdatedValues, UpdateRule, UpdateValues } from "./update_rule.ts";

/** AdamW's constants. */
export interface AdamWOptions {
  /**
   * Decay of the first moment.
   * @default 0.9
   */
  readonly beta1?: number;
  /**
   * Decay of the second moment.
   * @default 0.999
   */
  readonly beta2?: number;
  /**
   * Added to the root of the second moment.
   * @default 1e-8
   */
  readonly epsilon?: number;
  /**
   * Parameters shrink by learning rate times this, but for norms and biases.
   * @default 0
   */
  readonly weightDecay?: number;
}

/** The constants, defaults filled in. */
export function adamWConstants(
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 }: AdamWOptions = {},
): Required<AdamWOptions> {
  return { beta1, beta2, epsilon, weightDecay };
}

/** What is kept of each parameter: names in graphs, and torch's, which checkpoints have. */
export const ADAMW_STATE = { m: "exp_avg", v: "exp_avg_sq" } as const;

/** The constants of {@linkcode adamWGraph}. */
export interface AdamWGraphOptions extends Required<Pick<AdamWOptions, "beta1" | "beta2">> {
  /**
   * Makes an update without effect where one more input, `finite` bool [], is false. It then also
   * takes β1 and β2 as inputs `keep_m` and `keep_v`, to be 1 of such an update, as `decay` is.
   * @default false
   */
  readonly guarded?: boolean;
}

/**
 * The update of n elements: p, m, v in place, from their gradient g and the step's scalars.
 *
 * `m ← β1·m + (1−β1)·c·g`, `v ← β2·v + (1−β2)·(c·g)²`, `p ← decay·p − a·m/(√v + e)` with
 * c the clip factor, a = lr·√(1−β2ᵗ)/(1−β1ᵗ), e = ε·√(1−β2ᵗ), decay = 1 − lr·weightDecay.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { CompiledGraph } from "@ortune/ortune/unstable-engine";
 * import { Tensor } from "@ortune/ortune/unstable-ort";
 * import { adamWGraph } from "./adamw_graph.ts";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using graph = new CompiledGraph(runtime, adamWGraph({ beta1: 0.9, beta2: 0.999 }, false));
 * const scalar = (value: number) => Tensor.from(runtime, "float32", [], Float32Array.of(value));
 * const vector = (value: number) => Tensor.from(runtime, "float32", [1], Float32Array.of(value));
 * const [p, g, m, v] = [vector(1), vector(4), vector(0), vector(0)];
 * // The first update at learning rate 0.1: a step of 0.1 against the gradient, whatever its size.
 * const stepSize = 0.1 * Math.sqrt(1 - 0.999) / (1 - 0.9);
 * graph.run({ p, g, m, v, clip: scalar(1), step_size: scalar(stepSize), epsilon: scalar(0) });
 * assert.ok(Math.abs(p.float32()[0] - 0.9) < 1e-6);
 * ```
 *
 * @param decays whether p is multiplied by `decay`
 * @param format what is kept in which type; the scalars are float32 in all
 */
export function adamWGraph(
  { beta1, beta2, guarded = false }: AdamWGraphOptions,
  decays: boolean,
  format: GraphStateFormat = "float32",
): Graph {
  return updateGraph({
    state: Object.keys(ADAMW_STATE),
    decays,
    format,
    guarded,
    update: (b, values) =>
      update(b, values, {
        beta1,
        beta2,
        keepM: guarded ? values.scalar("keep_m") : b.float32(beta1),
        keepV: guarded ? values.scalar("keep_v") : b.float32(beta2),
      }),
  });
}

/** AdamW as a rule for {@linkcode updateGraph} and `updateControlGraph`. */
export function adamWRule(options: AdamWOptions = {}): UpdateRule {
  const { beta1, beta2, epsilon, weightDecay } = adamWConstants(options);
  return {
    state: ADAMW_STATE,
    weightDecay,
    running: {
      correction1: (updates) => correctionAfter(updates, beta1),
      correction2: (updates) => correctionAfter(updates, beta2),
    },
    scalars(b, { rate, decay, made, running: { correction1, correction2 }, guarded }) {
      const next1 = nextCorrection(b, correction1, beta1, made);
      const next2 = nextCorrection(b, correction2, beta2, made);
      const root = ops.sqrt(b, next2);
      return {
        keep_m: guarded(beta1, 1),
        keep_v: guarded(beta2, 1),
        step_size: guarded(ops.div(b, ops.mul(b, rate, root), next1), 0),
        // Not 0 of a skipped update: nothing is divided by it and a moment of 0.
        epsilon: guarded(ops.mul(b, root, b.float32(epsilon)), 1),
        decay: guarded(decay, 1),
        correction1: next1,
        correction2: next2,
      };
    },
    update: (b, values) =>
      update(b, values, {
        beta1,
        beta2,
        keepM: values.scalar("keep_m"),
        keepV: values.scalar("keep_v"),
      }),
  };
}

function update(
  b: GraphBuilder,
  { p, g, state: { m, v }, scalar, decays }: UpdateValues,
  { beta1, beta2, keepM, keepV }: {
    readonly beta1: number;
    readonly beta2: number;
    /** β1, or 1 of an update that is skipped. */
    readonly keepM: Value;
    readonly keepV: Value;
  },
): UpdatedValues {
  const newM = ops.add(b, ops.mul(b, m, keepM), ops.mul(b, g, b.float32(1 - beta1)));
  const squared = ops.mul(b, ops.mul(b, g, g), b.float32(1 - beta2));
  const newV = ops.add(b, ops.mul(b, v, keepV), squared);
  const denominator = ops.add(b, ops.sqrt(b, newV), scalar("epsilon"));
  const step = ops.div(b, ops.mul(b, newM, scalar("step_size")), denominator);
  const kept = decays ? ops.mul(b, p, scalar("decay")) : p;
  return { p: ops.sub(b, kept, step), state: { m: newM, v: newV } };
}
