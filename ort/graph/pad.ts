/**
 * Zeros put around a dimension, and elements left out at its ends: each is the other's gradient. Sizes may be
 * symbols, which the operators' own rules could not tell.
 *
 * In: a value. Out: the value with another size of one dimension.
 *
 * @module
 */

import type { GraphBuilder } from "./builder.ts";
import type { Dim } from "./dim.ts";
import type { Value } from "./ir.ts";
import { plus } from "./plus.ts";

/** Where a dimension changes. */
export interface Ends {
  /** The dimension. */
  readonly axis: number;
  /** Elements put in, or left out, before all others. @default 0 */
  readonly before?: number;
  /** The same after all others. @default 0 */
  readonly after?: Dim;
  /** The size that it has then. */
  readonly size: Dim;
}

// The largest end of a slice: all that there is.
const TO_THE_END = 2n ** 63n - 1n;

/** Puts zeros around a dimension. */
export function pad(b: GraphBuilder, x: Value, ends: Ends): Value {
  const { axis, before = 0, after = 0, size } = ends;
  const rank = x.shape.length;
  const counts = Array.from(
    { length: 2 * rank },
    (_, i): Dim => i === axis ? before : i === rank + axis ? after : 0,
  );
  const [y] = b.node("Pad", [x, b.shape(counts, { inferred: false })], [resized(x, axis, size)]);
  b.differentiate(y, {
    inputs: [x],
    rule: ({ dy, give }) => {
      give(0, (partial) => plus(b, partial, crop(b, dy, { ...ends, size: x.shape[axis] })));
    },
  });
  return y;
}

/** Leaves elements out at the ends of a dimension; where `after` is a symbol, none before. */
export function crop(b: GraphBuilder, x: Value, ends: Ends): Value {
  const { axis, before = 0, after = 0, size } = ends;
  if (typeof after === "string" && before !== 0) {
    throw new RangeError(
      `Cannot leave out ${before} elements of ${x.name} before and ${after} after`,
    );
  }
  const end = typeof after === "string"
    ? b.shape([size], { inferred: false })
    : b.int64([after === 0 ? TO_THE_END : -after]);
  const bounds = [b.int64([before]), end, b.int64([axis])];
  const [y] = b.node("Slice", [x, ...bounds], [resized(x, axis, size)]);
  b.differentiate(y, {
    inputs: [x],
    rule: ({ dy, give }) => {
      give(0, (partial) => plus(b, partial, pad(b, dy, { ...ends, size: x.shape[axis] })));
    },
  });
  return y;
}

/** The last elements of a dimension, which has no gradient. */
export function lastOf(
  b: GraphBuilder,
  x: Value,
  { axis, count }: { readonly axis: number; readonly count: number },
): Value {
  const bounds = [[-count], [TO_THE_END], [axis]].map((bound) => b.int64(bound));
  return b.node("Slice", [x, ...bounds], [resized(x, axis, count)])[0];
}

function resized({ dtype, shape }: Value, axis: number, size: Dim): Pick<Value, "dtype" | "shape"> {
  return { dtype, shape: shape.with(axis, size) };
}
