/**
 * (I + A)⁻¹ of strictly lower triangular matrices, by products alone: inverses of blocks of 1, 2, 4 … on the
 * diagonal are joined to those of twice the size.
 *
 * In: A [..., size, size]; what is not below the diagonal is not read. Out: the inverse, of the same shape.
 *
 * @module
 */

import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./ir.ts";
import * as ops from "./ops.ts";
import { plus } from "./plus.ts";

/** A constant matrix [size, size]: 1 where `among` holds of row and column, else 0. */
export function indicator(
  b: GraphBuilder,
  size: number,
  among: (row: number, column: number) => boolean,
): Value {
  const numbers = Array.from(
    { length: size * size },
    (_, i) => Number(among(Math.floor(i / size), i % size)),
  );
  return ops.reshape(b, b.float32(numbers), [size, size]);
}

/** Adds the nodes. */
export function unitLowerInverse(b: GraphBuilder, a: Value): Value {
  const size = Number(a.shape.at(-1));
  let inverse = indicator(b, size, (row, column) => row === column);
  for (let block = 1; block < size; block *= 2) {
    // What lies below the diagonal between the two blocks that become one.
    const between = ops.mul(
      b,
      a,
      indicator(b, size, (i, j) => {
        const [down, across] = [Math.floor(i / block), Math.floor(j / block)];
        return down % 2 === 1 && down === across + 1;
      }),
    );
    inverse = block === 1
      ? ops.sub(b, inverse, between)
      : ops.sub(b, inverse, ops.matmul(b, ops.matmul(b, inverse, between), inverse));
  }
  b.differentiate(inverse, {
    inputs: [a],
    rule: ({ dy, give }) => {
      // d(X⁻¹) = −X⁻¹·dX·X⁻¹.
      const whole = ops.matmul(
        b,
        ops.matmul(b, inverse, dy, { transA: true }),
        inverse,
        { transB: true, alpha: -1 },
      );
      const below = indicator(b, size, (row, column) => row > column);
      give(0, (partial) => plus(b, partial, ops.mul(b, whole, below)));
    },
  });
  return inverse;
}
