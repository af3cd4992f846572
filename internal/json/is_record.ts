/** What JSON calls an object. In: a parsed value. Out: whether it has fields. */

/** Whether the value has fields: neither null nor an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
