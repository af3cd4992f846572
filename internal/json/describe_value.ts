/**
 * Words for a value that is not what was expected, for error messages.
 *
 * In: any parsed JSON value, or bytes as Parquet has them. Out: a short phrase such as `number 4`, `array of 3` or `string
 * "abc"`. Never recurses, so that deeply nested input costs nothing.
 */

/**
 * Longest piece of a string that a message quotes: enough to find it, too short to leak a record.
 */
const MAX_QUOTED = 24;

/** Quotes the head of a string the way JSON would, cut at 24 characters. */
export function quoteHead(text: string): string {
  const head = text.slice(0, MAX_QUOTED).toWellFormed();
  return JSON.stringify(text.length > MAX_QUOTED ? `${head}…` : head);
}

/** Describes a value in a few words; `undefined` reads as "nothing". */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (typeof value === "string") {
    return value === "" ? "an empty string" : `string ${quoteHead(value)}`;
  }
  if (typeof value === "number" || typeof value === "boolean") return `${typeof value} ${value}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value;
}
