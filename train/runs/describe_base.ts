/** What storing a frozen base in fewer bits saves and costs. In: what was counted as it was loaded. Out: a line. */

import type { Rounding } from "../../model/engine/rounding_tally.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import { formatBytes } from "../track/format_units.ts";
import type { DerivedTraining } from "./resolve_training.ts";

/** One line. */
export function describeBase(
  { weights, from, changed, zeroed, worst }: Rounding,
  { storage: { matrices = "float32" } }: Pick<DerivedTraining, "storage">,
): string {
  const bytes = (dtype: typeof matrices): string => formatBytes(byteWidth(dtype) * weights);
  const size = `base: matrices take ${bytes(matrices)} in ${matrices} in place of ` +
    `${bytes("float32")} in float32`;
  if (changed === 0) return `${size}; exact: every weight of its ${from.join(" and ")} is one`;
  return `${size}; ${changed} of ${weights} weights are rounded from ${from.join(" and ")}, ` +
    `${zeroed} of them to 0; the largest relative error of a matrix, ‖W − ${matrices}(W)‖ ÷ ‖W‖, is ` +
    `${worst.error.toExponential(1)} (${worst.name})`;
}
