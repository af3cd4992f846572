/**
 * Values of a request by their types.
 *
 * In: fields of which nothing is known. Out: a checked value, `undefined` where it is missing or
 * null, or an `ApiError` that names the field.
 */

import { ApiError } from "./api_error.ts";

/** A parsed object of a request. */
export type Fields = Readonly<Record<string, unknown>>;

/** A field's value, `undefined` where it is missing or null. */
export function optional<T>(
  fields: Fields,
  name: string,
  holds: (value: unknown) => value is T,
  expected: string,
): T | undefined {
  const value = fields[name];
  if (value == null) return undefined;
  if (holds(value)) return value;
  throw invalid(`${name} must be ${expected}`, name);
}

/** A switch. */
export function optionalBoolean(fields: Fields, name: string): boolean | undefined {
  return optional(fields, name, (value) => typeof value === "boolean", "true or false");
}

/** A number within bounds, which are included. */
export function optionalNumber(
  fields: Fields,
  name: string,
  [least, most]: readonly [number, number],
): number | undefined {
  const holds = (value: unknown): value is number =>
    typeof value === "number" && value >= least && value <= most;
  return optional(fields, name, holds, `a number from ${least} to ${most}`);
}

/** A whole number within bounds, which are included. */
export function optionalCount(
  fields: Fields,
  name: string,
  [least, most]: readonly [number, number],
): number | undefined {
  const holds = (value: unknown): value is number =>
    isInteger(value) && value >= least && value <= most;
  const range = most === Infinity ? `from ${least} up` : `from ${least} to ${most}`;
  return optional(fields, name, holds, `a whole number ${range}`);
}

/** A list of token ids. */
export function optionalIds(
  fields: Fields,
  name: string,
  most: number,
): readonly number[] | undefined {
  const holds = (value: unknown): value is readonly number[] =>
    Array.isArray(value) && value.length <= most &&
    value.every((id) => isInteger(id) && id >= 0);
  return optional(fields, name, holds, `a list of up to ${most} token ids`);
}

/** Whether a value is a whole number. */
export function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

/** A refusal of a field's value. */
export function invalid(message: string, param?: string): ApiError {
  return new ApiError(400, message, { param, code: "invalid_value" });
}
