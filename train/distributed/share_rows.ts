/**
 * Which rows of an update each process takes.
 *
 * In: the batches of an update and a number of processes. Out: rows of each batch, for each process. It is
 * the same on all of them, since all make the same batches, so nobody has to be asked.
 */

import type { LabelledGrid } from "../../model/engine/batch.ts";
import { rowLength } from "../../model/engine/without_padding.ts";

/**
 * Shares rows out so that the fullest share is as small as may be: the longest row first, each to whom has
 * the fewest tokens by then. Rows without a target add nothing to an update and are nobody's.
 *
 * @example
 * ```ts
 * import { collate } from "@ortune/ortune";
 * import { joinExample } from "@ortune/ortune/data";
 * import { shareRows } from "./share_rows.ts";
 * import assert from "node:assert/strict";
 *
 * const reply = (length: number) => new Int32Array(length).fill(7);
 * const examples = [5, 2, 3].map((length) =>
 *   joinExample(Int32Array.of(1), reply(length), { maxLength: 8, terminated: true })
 * );
 * const shares = shareRows([collate(examples, { padId: 0 })], 2);
 * assert.deepEqual(shares, [[[0]], [[1, 2]]]);
 * ```
 *
 * @param size how many processes there are
 * @param together how many neighbouring rows are one process's: 2 for rows 0 and 1, 2 and 3, and so on
 * @returns for each process, for each batch, its rows in their order
 */
export function shareRows(
  batches: readonly LabelledGrid[],
  size: number,
  together = 1,
): readonly (readonly (readonly number[])[])[] {
  const units = batches.flatMap((grid, batch) =>
    Array.from({ length: grid.rows / together }, (_, unit) => {
      const rows = Array.from({ length: together }, (_, i) => unit * together + i);
      return { batch, rows, tokens: rows.reduce((sum, row) => sum + rowLength(grid, row), 0) };
    }).filter(({ rows }) => rows.some((row) => hasTarget(grid, row)))
  );
  const shares = Array.from({ length: size }, () => batches.map((): number[] => []));
  const tokens = new Float64Array(size);
  // The sort is stable, so that rows of one length keep their order.
  for (const each of units.toSorted((a, b) => b.tokens - a.tokens)) {
    const least = tokens.indexOf(Math.min(...tokens));
    tokens[least] += each.tokens;
    shares[least][each.batch].push(...each.rows);
  }
  return shares.map((share) => share.map((own) => own.sort((a, b) => a - b)));
}

function hasTarget({ targets, length }: LabelledGrid, row: number): boolean {
  return targets.subarray(row * length, (row + 1) * length).some((target) => target >= 0);
}
