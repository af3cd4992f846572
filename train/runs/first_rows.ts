/**
 * The first rows that examples were made of, read again. In: examples and a number. Out: rows that can be asked.
 */

import type { ExampleList } from "../../data/examples/example_list.ts";
import type { RowLocation } from "../../data/records/jsonl_error.ts";
import { readRows } from "../../data/records/read_rows.ts";
import { parseRecord, recordsOf } from "../../data/records/record.ts";
import type { ReplyRecord } from "../../data/records/record_types.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import type { EvalRow } from "../../infer/evaluate/asked_row.ts";

/** Rows that are looked at for each that is asked, as some end with no reply. */
const SPARE = 4;

/** Which rows are taken, and how they are read. */
export interface FirstRowsOptions {
  /** Leaves out rows that cannot be used. @default false */
  readonly dropRefused?: boolean;
  readonly columns?: RowColumns;
  /** Whether a row can be asked. */
  readonly takes: (record: ReplyRecord) => boolean;
}

/** The first rows that are taken, at most so many. */
export async function firstRows(
  examples: ExampleList,
  count: number,
  { dropRefused = false, columns, takes }: FirstRowsOptions,
): Promise<EvalRow[]> {
  const rows: EvalRow[] = [];
  const onRefused = dropRefused ? () => {} : undefined;
  for (const [file, lines] of firstLines(examples, SPARE * count)) {
    const parse = (value: Record<string, unknown>, where: RowLocation): EvalRow | undefined => {
      if (!lines.has(where.line)) return undefined;
      const [record] = recordsOf(parseRecord(value, where, { columns }));
      return { where, record };
    };
    for await (const row of readRows(file, parse, { onRefused })) {
      if (row === undefined) continue;
      // They come in the order in which they stand in the file.
      lines.delete(lines.values().next().value!);
      if (takes(row.record)) rows.push(row);
      if (rows.length === count) return rows;
      if (lines.size === 0) break;
    }
  }
  return rows;
}

/** Lines of the first rows, by their files. */
function firstLines(examples: ExampleList, count: number): Map<string, Set<number>> {
  const files = new Map<string, Set<number>>();
  let rows = 0;
  for (let i = 0; i < examples.length && rows < count; i++) {
    const { file, line } = examples.at(i).source!;
    const lines = files.get(file) ?? new Set();
    if (lines.has(line)) continue;
    files.set(file, lines.add(line));
    rows++;
  }
  return files;
}
