/**
 * Finds ranks that were started otherwise than the others, before their sums mean nothing.
 *
 * In: facts of each rank. Out: one error on all ranks that names what differs and where.
 */

import { describeValue } from "../internal/json/describe_value.ts";
import { isRecord } from "../internal/json/is_record.ts";
import type { Comm } from "./comm.ts";
import { gatherJson } from "./json_between_ranks.ts";

/** Differences that a message lists. */
const MOST_LISTED = 8;
/** Characters of a value that a message quotes: a hash and an argument fit. */
const MOST_QUOTED = 80;

/**
 * Checks that facts are the same on all ranks. All ranks call it, and where one differs from rank 0, all
 * throw the same error.
 *
 * @param facts JSON: versions, hashes, arguments, …; records in it are compared field by field
 * @example
 * ```ts
 * import { checkSameOnAllRanks, soloComm } from "@ortune/ortune/comm";
 *
 * await using comm = soloComm();
 * await checkSameOnAllRanks(comm, { ortune: "0.1.0", arguments: { seed: 42 } });
 * ```
 *
 * @throws {Error} naming rank, field and both values
 */
export async function checkSameOnAllRanks(
  comm: Comm,
  facts: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [first, ...others] = (await gatherJson(comm, facts)).map((each) => fields(each));
  const differences = others.flatMap((other, at) =>
    [...new Set([...first.keys(), ...other.keys()])]
      .filter((field) => first.get(field) !== other.get(field))
      .map((field) =>
        `${field} is ${quote(other.get(field))} on rank ${at + 1} and ${
          quote(first.get(field))
        } on rank 0`
      )
  );
  if (differences.length === 0) return;
  const listed = differences.slice(0, MOST_LISTED);
  const rest = differences.length - listed.length;
  throw new Error(
    `Cannot train on ranks that differ: ${listed.join("; ")}` +
      (rest > 0 ? `; and ${rest} more` : ""),
  );
}

/** Each field by its path, as JSON. */
function fields(record: Readonly<Record<string, unknown>>, prefix = ""): Map<string, string> {
  return new Map(
    Object.entries(record).flatMap(([name, value]) =>
      isRecord(value)
        ? [...fields(value, `${prefix}${name}.`)]
        : [[prefix + name, JSON.stringify(value)] as const]
    ),
  );
}

function quote(json: string | undefined): string {
  if (json === undefined) return describeValue(undefined);
  return json.length > MOST_QUOTED ? `${json.slice(0, MOST_QUOTED)}…` : json;
}
