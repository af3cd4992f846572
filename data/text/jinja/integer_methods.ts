/** Attributes of int and bool. */

import { boundMethod, type Method, type Methods } from "./method.ts";
import { bitLength } from "./integer_bits.ts";
import { parameters } from "./arguments.ts";
import type { Value } from "./value.ts";

const bindNone = parameters("number method", "");

/** The methods. */
export const INTEGER_METHODS: Methods<number | bigint | boolean> = new Map<
  string,
  Method<number | bigint | boolean> | null
>([
  ["bit_length", (_budget, value, args, kwargs) => {
    bindNone(args, kwargs);
    return bitLength(BigInt(value));
  }],
  ["bit_count", (_budget, value, args, kwargs) => {
    bindNone(args, kwargs);
    return BigInt(value).toString(2).replace(/[^1]/g, "").length;
  }],
  ["conjugate", (_budget, value, args, kwargs) => {
    bindNone(args, kwargs);
    return typeof value === "boolean" ? Number(value) : value;
  }],
  ["as_integer_ratio", null],
  ["from_bytes", null],
  ["to_bytes", null],
]);

/** `value.name` of an int or bool. */
export function integerAttribute(
  value: number | bigint | boolean,
  name: string,
): Value | undefined {
  switch (name) {
    case "real":
    case "numerator":
      return typeof value === "boolean" ? Number(value) : value;
    case "imag":
      return 0;
    case "denominator":
      return 1;
    default:
      return boundMethod(value, name, INTEGER_METHODS);
  }
}
