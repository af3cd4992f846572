/**
 * The graph of an update over a chunk of parameters, in place.
 *
 * In: p, g and the state of a rule, [n] each in the types of a format, and the step's scalars. Out: p and
 * the state, rounded as the format says.
 */

import { LAYOUT_BLOCK } from "../../model/engine/parameter_store.ts";
import type { Precision } from "../../model/precision.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Shape } from "../../ort/graph/dim.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { type GraphStateFormat, STATE_TYPES } from "./state_format.ts";
import type { UpdatedValues, UpdateValues } from "./update_rule.ts";

/** What an update's graph is made of. */
export interface UpdateGraphOptions {
  /** Names of the state among the graph's inputs. */
  readonly state: readonly string[];
  /** Whether weight decay applies. */
  readonly decays: boolean;
  /** The types of inputs and outputs. */
  readonly format: GraphStateFormat;
  /** Whether gradients count as 0 where one more input, `finite` bool [], is false. */
  readonly guarded: boolean;
  /**
   * Tensors of n elements that one run updates, joined for the arithmetic, in float32: of few elements a
   * device takes no longer than its kernels take to be launched.
   * @default 1
   */
  readonly together?: number;
  /**
   * Shapes of the tensor and of what is kept of it, where it is updated as a whole.
   * @default n elements of all
   */
  readonly shapes?: {
    readonly tensor: readonly number[];
    state(name: string): readonly number[];
  };
  /** The arithmetic, in float32. */
  readonly update: (b: GraphBuilder, values: UpdateValues) => UpdatedValues;
}

/**
 * Inputs are `p`, `g` and the state, `clip` float32 [], and what else the rule reads; outputs `p_new`, the
 * state's with `_new` behind their names, all over their inputs, and of a master `weight`, its bfloat16 copy.
 *
 * In `bfloat16-stochastic` tensors are [blocks, 256], and two more inputs give the random numbers: `blocks`,
 * int32 [blocks, 1], odd numbers that differ from block to block, the same at every update; and `seed`,
 * int32 [], a random odd number for each update.
 *
 * Of several tensors together each is [1, n], with its place behind its name: `p.0` and `p.0_new`.
 */
export function updateGraph(
  { state, decays, format, guarded, together = 1, shapes, update }: UpdateGraphOptions,
): Graph {
  const b = new GraphBuilder(decays ? "optimizer" : "optimizer_no_decay");
  const types = STATE_TYPES[format];
  const stochastic = types.rounding === "stochastic";
  const master = types.parameters === "master";
  const shape = shapes?.tensor ?? (stochastic ? ["blocks", LAYOUT_BLOCK] : ["n"]);
  // Of the formats of graphs none is in 8 bits.
  const kept = types.state as Precision;
  const store = (name: string, dtype: DType, own: Shape = shape): Stored =>
    together > 1 ? inSeveral(b, name, together) : inOne(b, name, dtype, own);
  const stored = {
    p: store("p", master ? "float32" : types.parameters),
    g: store("g", types.gradients),
    state: mapValues(state, (name) => store(name, kept, shapes?.state(name))),
  };
  const wide = ({ value }: Stored): Value => ops.cast(b, value, "float32");
  const [p, g] = [stored.p, stored.g].map(wide);
  const before = mapValues(state, (name) => wide(stored.state[name]));
  const scalars = new Map<string, Value>();
  const scalar = (name: string): Value => {
    let value = scalars.get(name);
    if (!value) scalars.set(name, value = b.input(name, "float32", []));
    return value;
  };
  // NaN times 0 is NaN, so the gradients of an update that is not to be are replaced.
  const seen = guarded ? ops.where(b, b.input("finite", "bool", []), g, b.float32(0)) : g;
  const clipped = ops.mul(b, seen, scalar("clip"));
  const after = update(b, { p, g: clipped, state: before, scalar, decays });
  const round = stochastic
    ? stochasticRounding(b)
    : (value: Value): Value => ops.cast(b, value, kept);
  const newP = round(after.p);
  stored.p.write(newP);
  if (master) b.output("weight", ops.cast(b, newP, "bfloat16"));
  for (const name of state) stored.state[name].write(round(after.state[name]));
  return b.build();
}

/** What lies in inputs, and is written over them. */
interface Stored {
  readonly value: Value;
  write(after: Value): void;
}

function inOne(b: GraphBuilder, name: string, dtype: DType, shape: Shape): Stored {
  const value = b.input(name, dtype, shape);
  return { value, write: (after) => b.output(`${name}_new`, after, { inPlaceOf: value }) };
}

/** [count, n] of as many inputs. */
function inSeveral(b: GraphBuilder, name: string, count: number): Stored {
  const dtype = "float32";
  const rows = Array.from({ length: count }, (_, i) => b.input(`${name}.${i}`, dtype, [1, "n"]));
  const attributes = { axis: 0n };
  const [value] = b.node("Concat", rows, [{ dtype, shape: [count, "n"] }], { attributes });
  return {
    value,
    write(after) {
      const apart = b.node("Split", [after], rows, {
        attributes: { ...attributes, num_outputs: BigInt(count) },
      });
      rows.forEach((row, i) => b.output(`${row.name}_new`, apart[i], { inPlaceOf: row }));
    },
  };
}

function mapValues<T>(names: readonly string[], make: (name: string) => T): Record<string, T> {
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}

// A little below x, rounded: a bfloat16 between the same two powers of two as x, where x itself might
// be rounded up to the upper one.
const BELOW = 1 - 2 ** -9;
// A bfloat16 that grows by this share ends nearest to the next one, wherever between two powers of
// two it starts: 0.7 to 1.4 steps.
const NEXT = 1 + 0.7 * 2 ** -7;

/**
 * Rounds float32 [blocks, 256] to one of the two bfloat16 beside it, the nearer the likelier:
 * x + u·(distance of the two), u uniform within ±½, rounded to nearest. Opset 21 cannot reinterpret
 * bits, so the distance is found by going from one number to the next.
 *
 * u is block·seed·column modulo 2³², all odd: a multiplicative hash (Dietzfelbinger et al. 1997,
 * https://doi.org/10.1006/jagm.1997.0873), the columns being constants of the graph. What is rounded
 * of one parameter shares it; each rounding alone is fair.
 */
function stochasticRounding(b: GraphBuilder): (x: Value) => Value {
  const random = MersenneTwister.fromSeed(256);
  const columns = Array.from({ length: LAYOUT_BLOCK }, () => random.nextUint32() | 1);
  const blocks = b.input("blocks", "int32", ["blocks", 1]);
  const seeds = ops.mul(b, blocks, b.input("seed", "int32", []));
  const narrow = (x: Value): Value => ops.cast(b, x, "bfloat16");
  const wide = (x: Value): Value => ops.cast(b, x, "float32");
  const uniform = ops.mul(b, wide(ops.mul(b, seeds, b.int32(columns))), b.float32(2 ** -32));
  return (x) => {
    const below = wide(narrow(ops.mul(b, x, b.float32(BELOW))));
    const next = wide(narrow(ops.mul(b, below, b.float32(NEXT))));
    return narrow(ops.add(b, x, ops.mul(b, uniform, ops.sub(b, next, below))));
  };
}
