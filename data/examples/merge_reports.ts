/** The reports of several files as one. In: reports. Out: their sums, and their lists joined. */

import type { ReadExamplesReport } from "./read_examples_report.ts";
import type { ShapeUse } from "./row_statistics.ts";

/** Counts are added; what rows hold is counted together; lines stay those of their own files. */
export function mergeReports(reports: readonly ReadExamplesReport[]): ReadExamplesReport {
  if (reports.length === 1) return reports[0];
  const sum = (of: (report: ReadExamplesReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  return {
    rows: sum(({ rows }) => rows),
    examples: sum(({ examples }) => examples),
    tokens: sum(({ tokens }) => tokens),
    supervisedTokens: sum(({ supervisedTokens }) => supervisedTokens),
    refusedRows: sum(({ refusedRows }) => refusedRows),
    otherSystems: sum(({ otherSystems }) => otherSystems),
    pairs: sum(({ pairs }) => pairs),
    replies: sum(({ replies }) => replies),
    withoutThinking: sum(({ withoutThinking }) => withoutThinking),
    thinkingOff: sum(({ thinkingOff }) => thinkingOff),
    unlearnedReplies: sum(({ unlearnedReplies }) => unlearnedReplies),
    truncated: reports.flatMap(({ truncated }) => truncated),
    unterminated: reports.flatMap(({ unterminated }) => unterminated),
    unlabelled: reports.flatMap(({ unlabelled }) => unlabelled),
    dropped: reports.flatMap(({ dropped }) => dropped),
    refused: reports.flatMap(({ refused }) => refused),
    unlearned: reports.flatMap(({ unlearned }) => unlearned),
    tagged: reports.flatMap(({ tagged }) => tagged),
    trimmed: reports.flatMap(({ trimmed }) => trimmed),
    terminators: [...new Set(reports.flatMap(({ terminators }) => terminators))],
    unread: countTogether(reports.flatMap(({ unread }) => unread), ({ field }) => field),
    systems: countTogether(reports.flatMap(({ systems }) => systems), ({ text }) => text),
    shapes: countTogether(reports.flatMap(({ shapes }) => shapes), ({ name }) => name, joinColumns),
  };
}

/** Items of one key become the first of them, of the rows of all; the most frequent come first. */
function countTogether<Item extends { readonly rows: number }>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  join: (first: Item, next: Item) => Item = (first) => first,
): Item[] {
  const counted = new Map<string, Item>();
  for (const item of items) {
    const known = counted.get(keyOf(item));
    counted.set(
      keyOf(item),
      known === undefined ? item : { ...join(known, item), rows: known.rows + item.rows },
    );
  }
  return [...counted.values()].sort((a, b) => b.rows - a.rows);
}

/** A shape is read from what any of the files has of it. */
function joinColumns(first: ShapeUse, next: ShapeUse): ShapeUse {
  return { ...first, columns: [...new Set([...first.columns, ...next.columns])] };
}
