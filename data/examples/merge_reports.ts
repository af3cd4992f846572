/** The reports of several files as one. In: reports. Out: their sums, and their lists joined. */

import { isRecord } from "../../internal/json/is_record.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";

/** Counts are added; what rows hold is counted together; lines stay those of their own files. */
export function mergeReports(reports: readonly ReadExamplesReport[]): ReadExamplesReport {
  if (reports.length === 1) return reports[0];
  const merged: Record<string, unknown> = {};
  for (const name of Object.keys(reports[0]) as (keyof ReadExamplesReport)[]) {
    const values = reports.map((report) => report[name]);
    merged[name] = values.every((each) => typeof each === "number")
      ? values.reduce((sum, each) => sum + each, 0)
      : mergeLists(values as readonly (readonly unknown[])[]);
  }
  const terminators = reports.flatMap((report) => report.terminators);
  return { ...merged as unknown as ReadExamplesReport, terminators: [...new Set(terminators)] };
}

/** Joins lists; items that say how many rows hold them are counted together, the most frequent first. */
function mergeLists(lists: readonly (readonly unknown[])[]): unknown[] {
  const items = lists.flat();
  if (!items.every((each) => isRecord(each) && typeof each.rows === "number")) return items;
  const counts = new Map<string, { readonly item: Record<string, unknown>; rows: number }>();
  for (const item of items as (Record<string, unknown> & { readonly rows: number })[]) {
    const key = String(item.field ?? item.text ?? item.name);
    const known = counts.get(key);
    if (known === undefined) {
      counts.set(key, { item: { ...item }, rows: item.rows });
      continue;
    }
    known.rows += item.rows;
    // Of a shape of row: what any of the files reads it from.
    const columns = [known.item.columns, item.columns].flatMap((each) =>
      Array.isArray(each) ? each : []
    );
    if (columns.length > 0) known.item.columns = [...new Set(columns)];
  }
  return [...counts.values()].sort((a, b) => b.rows - a.rows)
    .map(({ item, rows }) => ({ ...item, rows }));
}
