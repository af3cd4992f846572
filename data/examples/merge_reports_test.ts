import assert from "node:assert/strict";
import { EMPTY_REPORT } from "../../tests/support/empty_report.ts";
import { mergeReports } from "./merge_reports.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";

Deno.test("mergeReports() leaves one report as it is", () => {
  assert.equal(mergeReports([EMPTY_REPORT]), EMPTY_REPORT);
});

Deno.test("mergeReports() adds every count and joins every list", () => {
  const one = Object.fromEntries(
    Object.entries(EMPTY_REPORT).map(([name, value], i) => {
      if (typeof value === "number") return [name, 10 + i];
      if (name === "shapes") return [name, [{ name: "messages", columns: ["messages"], rows: 2 }]];
      if (name === "unread") return [name, [{ field: "hint", rows: 2, remedy: "why" }]];
      if (name === "systems") return [name, [{ text: "Be brief.", rows: 2 }]];
      if (name === "refused") return [name, [{ line: 3, reason: "bad" }]];
      return [name, [i]];
    }),
  ) as unknown as ReadExamplesReport;
  const merged = mergeReports([one, one, EMPTY_REPORT]);
  for (const [name, value] of Object.entries(one)) {
    const found = merged[name as keyof ReadExamplesReport];
    if (typeof value === "number") assert.equal(found, 2 * value, name);
    else if (name === "terminators") assert.deepEqual(found, value, name);
    else if (Object.hasOwn(value[0], "rows")) {
      assert.deepEqual(found, [{ ...value[0], rows: 4 }], name);
    } else assert.deepEqual(found, [...value, ...value], name);
  }
});

Deno.test("mergeReports() puts the most frequent first, and a shape's columns together", () => {
  const shape = (name: string, columns: readonly string[], rows: number) => ({
    name,
    columns,
    rows,
  });
  const merged = mergeReports([
    { ...EMPTY_REPORT, shapes: [shape("Alpaca", ["instruction", "output"], 3)] },
    {
      ...EMPTY_REPORT,
      shapes: [shape("messages", ["messages"], 4), shape("Alpaca", ["input", "output"], 2)],
    },
  ]);
  assert.deepEqual(merged.shapes, [
    shape("Alpaca", ["instruction", "output", "input"], 5),
    shape("messages", ["messages"], 4),
  ]);
});
