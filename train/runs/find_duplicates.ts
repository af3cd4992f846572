/**
 * Rows that repeat others, over all files of a run. In: files to train on and to evaluate on. Out: what
 * was found, in words, and the rows to train on that repeat one.
 */

import { DuplicateFinder } from "../../data/records/duplicates.ts";
import { describePlace, type RowLocation } from "../../data/records/jsonl_error.ts";
import { readRows } from "../../data/records/read_rows.ts";
import { rowKey } from "./arrange_rows.ts";
import { plural } from "../../internal/plural.ts";

/** What was found. */
export interface FoundDuplicates {
  /** Keys of rows to train on that repeat an earlier one or one to evaluate on. */
  readonly repeated: ReadonlySet<string>;
  /** A line each on what there is. */
  readonly notes: readonly string[];
}

/** A file, and how many of its rows are used. */
export interface ReadFile {
  readonly file: string;
  readonly rows: number;
}

/** How files are read. */
export interface FindDuplicatesOptions {
  /** Whether the rows found are left out of training. */
  readonly drop: boolean;
  readonly signal?: AbortSignal;
}

const SHOWN = 3;

/** Looks for them: rows to evaluate on come first, so that what repeats one is found among the others. */
export async function findDuplicates(
  { train, validation }: {
    readonly train: readonly ReadFile[];
    readonly validation: readonly ReadFile[];
  },
  { drop, signal }: FindDuplicatesOptions,
): Promise<FoundDuplicates> {
  const finder = new DuplicateFinder();
  const files: { readonly file: string; readonly first: number }[] = [];
  const lines: number[] = [];
  const repeated = new Set<string>();
  const pairs: Record<"same" | "alike" | "leaked", [RowLocation, number][]> = {
    same: [],
    alike: [],
    leaked: [],
  };
  let evaluated = 0;
  for (const [index, { file, rows }] of [...validation, ...train].entries()) {
    const training = index >= validation.length;
    if (!training) evaluated = Infinity;
    else if (index === validation.length) evaluated = finder.rows;
    files.push({ file, first: finder.rows });
    const places = readRows(file, (values, where) => ({ values, where }), { onRefused: () => {} });
    for await (const { values, where } of places) {
      signal?.throwIfAborted();
      lines.push(where.line);
      const found = finder.add(values);
      if (found !== undefined && training) {
        repeated.add(rowKey(file, where.line));
        const kind = found.of < evaluated ? "leaked" : found.exact ? "same" : "alike";
        pairs[kind].push([where, found.of]);
      }
      if (finder.rows - files.at(-1)!.first >= rows) break;
    }
  }
  const describe = (
    found: readonly [RowLocation, number][],
    what: string,
  ): string[] => {
    if (found.length === 0) return [];
    const shown = found.slice(0, SHOWN).map(([where, of]) => {
      const { file } = files.findLast(({ first }) => first <= of)!;
      const place = `${file === where.file ? "" : `${file}, `}${
        describePlace({ line: lines[of], unit: where.unit })
      }`;
      return `${where.file}, ${describePlace(where)} (as ${place})`;
    });
    const more = found.length > SHOWN ? ` and ${found.length - SHOWN} more` : "";
    return [
      `${found.length} ${plural(found.length, "row")} to train on ${what}${
        drop
          ? `, and ${plural(found.length, "is", "are")} left out (--dedup)`
          : "; --dedup leaves such rows out"
      }: ${shown.join("; ")}${more}`,
    ];
  };
  const one = (found: readonly unknown[], singular: string, plural: string): string =>
    found.length === 1 ? singular : plural;
  return {
    repeated,
    notes: [
      ...describe(
        pairs.leaked,
        `${one(pairs.leaked, "is", "are")} among the validation rows too, or nearly so`,
      ),
      ...describe(pairs.same, one(pairs.same, "repeats an earlier one", "repeat earlier ones")),
      ...describe(
        pairs.alike,
        one(
          pairs.alike,
          "is nearly the same as an earlier one",
          "are nearly the same as earlier ones",
        ),
      ),
    ],
  };
}
