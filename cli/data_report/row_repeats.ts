/** Rows of a dataset that repeat others. In: its rows. Out: which, and lines on them. */

import { DuplicateFinder } from "../../data/records/duplicates.ts";
import type { DatasetRows } from "../../data/records/dataset_rows.ts";
import { describePlace } from "../../data/records/jsonl_error.ts";
import { toPlainJson } from "../../internal/json/python_json.ts";
import { plural } from "../../internal/plural.ts";

/** A row, and the earlier one that it repeats. */
export interface RowRepeat {
  readonly index: number;
  readonly of: number;
  readonly exact: boolean;
}

const SHOWN = 3;

/** Looks through all rows, in order. */
export function findRepeats(rows: DatasetRows, signal: AbortSignal): readonly RowRepeat[] {
  const finder = new DuplicateFinder();
  const repeats: RowRepeat[] = [];
  for (let index = 0; index < rows.length; index++) {
    signal.throwIfAborted();
    const found = finder.add(toPlainJson(rows.row(index).value) as Record<string, unknown>);
    if (found !== undefined) repeats.push({ index, of: found.of, exact: found.exact });
  }
  return repeats;
}

/** What was left out by `--dedup`. */
export function describeDropped(rows: DatasetRows, repeats: readonly RowRepeat[]): string[] {
  return [
    describe(rows, repeats.filter(({ exact }) => exact), "the same as an earlier one: left out"),
    describe(
      rows,
      repeats.filter(({ exact }) => !exact),
      "nearly the same as an earlier one: left out",
    ),
  ].flat();
}

/** What there is of rows that are nearly the same, and whether they stand in both parts. */
export function describeAlike(
  rows: DatasetRows,
  repeats: readonly RowRepeat[],
  validation: ReadonlySet<number>,
): string[] {
  const alike = repeats.filter(({ exact }) => !exact);
  const leaked = alike.filter(({ index, of }) => validation.has(index) !== validation.has(of));
  const advice = "; --dedup leaves such rows out";
  return [
    describe(rows, alike, `nearly the same as an earlier one${advice}`),
    describe(rows, leaked, `nearly the same as one in the other part${advice}`),
  ].flat();
}

function describe(rows: DatasetRows, repeats: readonly RowRepeat[], what: string): string[] {
  if (repeats.length === 0) return [];
  const place = (index: number): string => {
    const { where } = rows.row(index);
    return `${where.file}, ${describePlace(where)}`;
  };
  const shown = repeats.slice(0, SHOWN).map(({ index, of }) => `  ${place(index)} as ${place(of)}`);
  const more = repeats.length - SHOWN;
  return [
    `${repeats.length} ${plural(repeats.length, "row is", "rows are")} ${what}`,
    ...shown,
    ...more > 0 ? [`  and ${more} more`] : [],
  ];
}
