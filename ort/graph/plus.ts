/** Gradients from several readers of a value. In: what others gave, if any, and one's own. Out: their sum. */

import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./ir.ts";
import { add } from "./ops.ts";

/** Adds what an input is given to what it has. */
export function plus(b: GraphBuilder, partial: Value | undefined, value: Value): Value {
  return partial ? add(b, partial, value) : value;
}
