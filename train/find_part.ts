/** Parts that a run names. In: a table of them, and a name or a part. Out: the part. */

import { plural } from "../internal/plural.ts";

/**
 * A part of a table by its name, or the very part that was given in place of a name.
 *
 * @param what the part is, for the error
 * @throws {RangeError} where the table has no such name, with those that it has
 */
export function findPart<T extends object>(
  what: string,
  table: Readonly<Record<string, T>>,
  given: string | T,
): T {
  if (typeof given !== "string") return given;
  if (Object.hasOwn(table, given)) return table[given];
  throw new RangeError(
    `Cannot find ${what} ${JSON.stringify(given)}: there ${
      plural(Object.keys(table).length, "is", "are")
    } ${Object.keys(table).join(", ")}`,
  );
}
