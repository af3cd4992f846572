/** Python's float, apart from its int as JavaScript's number is both. */

import { formatFloat } from "../../../internal/json/python_json.ts";
import { parameters } from "./arguments.ts";
import { boundMethod, type Method, type Methods } from "./method.ts";
import { type HashKey, PyObject, type Value } from "./value.ts";
import type { Budget } from "./budget.ts";

/** A float. */
export class PyFloat extends PyObject {
  override readonly type = "float";
  readonly value: number;

  /** Takes the number. */
  constructor(value: number) {
    super();
    this.value = value;
  }
  override truthy(): boolean {
    return this.value !== 0;
  }
  override repr(): string {
    return floatText(this.value);
  }
  override equals(_budget: Budget, other: Value): boolean {
    if (other instanceof PyFloat) return this.value === other.value;
    if (typeof other === "boolean") return this.value === Number(other);
    // deno-lint-ignore eqeqeq -- compares an integer of any size with a float, exactly
    return (typeof other === "number" || typeof other === "bigint") && other == this.value;
  }
  override hashKey(): HashKey {
    const { value } = this;
    if (!Number.isInteger(value)) return Number.isNaN(value) ? this : value;
    return Number.isSafeInteger(value) ? value + 0 : BigInt(value);
  }
  override attribute(_budget: Budget, name: string): Value | undefined {
    if (name === "real") return this;
    return name === "imag" ? new PyFloat(0) : boundMethod(this, name, FLOAT_METHODS);
  }
}

const bindNone = parameters("number method", "");

/** Methods of float. */
export const FLOAT_METHODS: Methods<PyFloat> = new Map<string, Method<PyFloat> | null>([
  ["is_integer", (_budget, { value }, args, kwargs) => {
    bindNone(args, kwargs);
    return Number.isInteger(value);
  }],
  ["conjugate", (_budget, value, args, kwargs) => {
    bindNone(args, kwargs);
    return value;
  }],
  ["as_integer_ratio", null],
  ["fromhex", null],
  ["hex", null],
]);

/** `repr` of a float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  return Number.isFinite(value) ? formatFloat(value) : value > 0 ? "inf" : "-inf";
}
