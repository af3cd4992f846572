/** What JSON may give for a count. In: a parsed value. Out: whether it is one. */

/** Whether the value is an integer from 0 on that a double holds exactly. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
