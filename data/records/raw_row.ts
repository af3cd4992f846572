/** A row as a file holds it, before it is parsed. */

import { JsonlError, type JsonlErrorPlace, type RowLocation } from "./jsonl_error.ts";

/** Longest row accepted, 4 MiB: over a hundred times a 2048-token example. */
export const MAX_ROW_BYTES: number = 4 * 1024 * 1024;

/** One row; what it holds is valid until the next one is asked for. */
export type RawRow =
  & { readonly where: RowLocation }
  & (
    | {
      /** One JSON value in UTF-8, or blanks where a line is blank. */
      readonly json: Uint8Array;
    }
    | {
      /** Values by their columns. */
      readonly values: Record<string, unknown>;
    }
    | {
      /** Why the row cannot be read; those after it can. */
      readonly fault: JsonlError;
    }
  );

/** Refuses a name that no object can have as a plain field. */
export function assertColumnNames(names: readonly string[], where: JsonlErrorPlace): void {
  if (!names.includes("__proto__")) return;
  throw new JsonlError(where, "expected other names of columns than __proto__; rename the column");
}

/** The error of a row that is too long. */
export function tooLong(where: RowLocation): JsonlError {
  const { unit = "line" } = where;
  return new JsonlError(
    where,
    `expected a ${unit} of at most ${MAX_ROW_BYTES} bytes, got a longer one; ` +
      (unit === "line" ? "write one JSON object a line" : "shorten it or leave it out"),
  );
}

/** Bytes that lie in several pieces, in one. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
