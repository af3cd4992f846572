/** Texts of a row, checked. In: a field of parsed JSON. Out: a string, or an error with its place. */

import { describeValue } from "../../internal/json/describe_value.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation } from "./jsonl_error.ts";

/** A string with something in it. */
export function parseText(value: unknown, where: RowLocation, field: string): string {
  const text = parseString(value, where, field);
  if (text.trim() === "") {
    throw new JsonlError(
      { ...where, field },
      `expected some text, got ${text === "" ? "an empty string" : "only blank space"}`,
    );
  }
  return text;
}

/** Any string that has a UTF-8. */
export function parseString(value: unknown, where: RowLocation, field: string): string {
  if (typeof value !== "string") {
    throw new JsonlError({ ...where, field }, `expected a string, got ${describeValue(value)}`);
  }
  // A lone surrogate has no UTF-8, so no tokenizer could give it back.
  if (!value.isWellFormed()) {
    throw new JsonlError({ ...where, field }, "expected valid Unicode, got a lone surrogate");
  }
  return value;
}

/** Texts of JSON that hold nothing. */
const EMPTY_TEXTS: readonly string[] = ["", "[]", "{}", "null"];

/** Whether a field holds nothing, however its writer says so. */
export function saysNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true;
  if (typeof value === "string") return EMPTY_TEXTS.includes(value);
  return typeof value === "object" && !(value instanceof Map) && Object.keys(value).length === 0;
}
