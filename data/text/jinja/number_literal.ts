/** Values of number literals. */

import { MAX_INTEGER_BITS } from "./budget.ts";
import { TemplateSyntaxError, UnsupportedError } from "./errors.ts";
import { PyFloat } from "./float.ts";
import { toInteger } from "./numbers.ts";
import type { Value } from "./value.ts";

/** The number that a token stands for. */
export function numberLiteral(kind: "integer" | "float", text: string, line: number): Value {
  const digits = text.replaceAll("_", "");
  if (kind === "integer") {
    if (digits.length > MAX_INTEGER_BITS / 4) {
      throw new TemplateSyntaxError("an integer has more digits than can be converted", line);
    }
    return toInteger(BigInt(digits));
  }
  const value = Number(digits);
  // Jinja writes it into Python code as `inf`, a name that is not defined there.
  if (!Number.isFinite(value)) {
    throw new UnsupportedError(`line ${line}: a number that is too large for a float`);
  }
  return new PyFloat(value);
}
